"""The Hugging Face Trainer by its normal recipe: datasets, a transform or tokens, a collator, Trainer."""

import datasets
import numpy as np
import torch
import transformers
from common import Clock, examples, options
from torch import nn

from networks import groups, photo_network, photo_transform, text_network


class Wrapped(nn.Module):
    """A classifier in the form that Trainer asks for: labels in, a loss out."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, labels=None, **inputs):
        """Loss and logits."""
        logits = self.network(**inputs)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


class Marks(transformers.TrainerCallback):
    """Tells the clock when an epoch and its validation are over."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_begin(self, *_, **__):
        """The first epoch begins."""
        self.clock.ready()

    def on_evaluate(self, *_, metrics=None, **__):
        """An epoch is validated."""
        if "eval_accuracy" in metrics:
            self.clock.epoch(metrics["eval_accuracy"])


def photos(asked, found, names):
    """Network, data sets with a transform, collator."""
    network, form = photo_network(asked.weights, len(names))
    transform = photo_transform(*form)

    def transformed(rows):
        return {
            "pixels": [transform(image.convert("RGB")) for image in rows["image"]],
            "labels": rows["labels"],
        }

    sets = {}
    for split, rows in found.items():
        paths, labels = map(list, zip(*rows, strict=True))
        table = datasets.Dataset.from_dict({"image": paths, "labels": labels})
        sets[split] = table.cast_column("image", datasets.Image()).with_transform(transformed)
    return network, sets, transformers.DefaultDataCollator()


def texts(asked, found, names):
    """Network, tokenized data sets, collator that pads each batch."""
    network, tokenizer = text_network(asked.weights, len(names), asked.pooling)
    sets = {}
    for split, rows in found.items():
        items, labels = map(list, zip(*rows, strict=True))
        tokens = tokenizer(items, truncation=True, max_length=256, return_token_type_ids=False)
        sets[split] = datasets.Dataset.from_dict({**tokens, "labels": labels})
    return network, sets, transformers.DataCollatorWithPadding(tokenizer)


def main():
    """Train, save, test."""
    asked, clock = options(), Clock()
    transformers.set_seed(0)
    found, names = examples(asked)
    network, sets, collator = (photos if asked.task == "photos" else texts)(asked, found, names)
    network.freeze(asked.train)
    trainer = transformers.Trainer(
        model=Wrapped(network),
        args=transformers.TrainingArguments(
            output_dir=str(asked.out),
            num_train_epochs=asked.epochs,
            per_device_train_batch_size=asked.batch,
            per_device_eval_batch_size=asked.batch,
            dataloader_num_workers=asked.workers,
            dataloader_persistent_workers=asked.workers > 0,
            remove_unused_columns=False,
            eval_strategy="epoch",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
            seed=0,
        ),
        train_dataset=sets["train"],
        eval_dataset=sets["valid"],
        data_collator=collator,
        optimizers=(torch.optim.AdamW(groups(network, asked)), None),
        compute_metrics=lambda p: {
            "accuracy": float((np.asarray(p.predictions).argmax(1) == p.label_ids).mean())
        },
        callbacks=[Marks(clock)],
    )
    trainer.train()
    trainer.save_model()
    clock.saved(asked.out / "model.safetensors")
    clock.tested(trainer.predict(sets["test"]).metrics["test_accuracy"])
    clock.report("torch", "transformers", "accelerate", "datasets", "timm")


if __name__ == "__main__":
    main()
