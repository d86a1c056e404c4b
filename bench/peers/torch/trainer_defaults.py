"""The Hugging Face Trainer as it is without a word: AdamW at 5e-5, batches of 8, linear decay, everything."""

import torch
import transformers
from common import Clock, examples, options
from trainer import Marks, Wrapped, photos, texts


def main():
    """Train, save, answer the test split."""
    asked, clock = options(), Clock()
    transformers.set_seed(0)
    found, names = examples(asked)
    network, sets, collator = (photos if asked.task == "photos" else texts)(asked, found, names)
    trainer = transformers.Trainer(
        model=Wrapped(network),
        args=transformers.TrainingArguments(
            output_dir=str(asked.out),
            num_train_epochs=asked.epochs,
            remove_unused_columns=False,
            eval_strategy="epoch",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
        ),
        train_dataset=sets["train"],
        eval_dataset=sets["valid"],
        data_collator=collator,
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
        callbacks=[Marks(clock)],
    )
    trainer.train()
    trainer.save_model()
    clock.saved(asked.out / "model.safetensors")
    told = trainer.predict(sets["test"])
    clock.note("answers", told.predictions.argmax(1).tolist())
    clock.tested(told.metrics["test_accuracy"])
    clock.report("torch", "transformers", "accelerate", "datasets", "timm")


if __name__ == "__main__":
    main()
