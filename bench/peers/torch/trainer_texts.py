"""The Hugging Face Trainer on single texts or pairs, for classes or a number, by its documented recipe.

Reads train.csv, valid.csv and test.csv of a folder: a text or two, and a label. Numbers are given to it in
spreads of the training split from its mean, which is better for it than raw ones.
"""

import argparse
import csv
from pathlib import Path

import datasets
import numpy as np
import torch
import transformers
from common import Clock


def options():
    """What is asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--numbers", action="store_true")
    parser.add_argument("--epochs", type=float, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--warmup", type=float, required=True)
    parser.add_argument("--weight-decay", type=float, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def rows(path):
    """Columns of texts, and the labels."""
    with path.open(encoding="utf-8", newline="") as file:
        _, *lines = csv.reader(file)
    *texts, labels = map(list, zip(*lines, strict=True))
    return texts, labels


def main():
    """Train, save, answer the test split."""
    asked, clock = options(), Clock()
    transformers.set_seed(asked.seed)
    found = {split: rows(asked.data / f"{split}.csv") for split in ("train", "valid", "test")}
    known = found["train"][1]
    names = [] if asked.numbers else sorted(set(known))
    numbers = np.asarray(known, float) if asked.numbers else np.zeros(1)
    mean, spread = numbers.mean(), numbers.std()
    tokenizer = transformers.AutoTokenizer.from_pretrained(asked.weights)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        asked.weights, num_labels=len(names) or 1
    )
    sets = {}
    for split, (texts, labels) in found.items():
        tokens = tokenizer(*texts, truncation=True, max_length=asked.max_length)
        targets = [(float(own) - mean) / spread if asked.numbers else names.index(own) for own in labels]
        sets[split] = datasets.Dataset.from_dict({**tokens, "labels": targets})
    trainer = transformers.Trainer(
        model=network,
        args=transformers.TrainingArguments(
            output_dir=str(asked.out),
            num_train_epochs=asked.epochs,
            per_device_train_batch_size=asked.batch,
            per_device_eval_batch_size=asked.batch,
            learning_rate=asked.lr,
            warmup_steps=asked.warmup,  # below 1 it is a share of the steps
            weight_decay=asked.weight_decay,
            eval_strategy="epoch",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
            seed=asked.seed,
        ),
        train_dataset=sets["train"],
        eval_dataset=sets["valid"],
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
    )
    clock.ready()
    trainer.train()
    clock.note("training")
    trainer.save_model()
    said = trainer.predict(sets["test"]).predictions
    answers = (said[:, 0] * spread + mean).tolist() if asked.numbers else [names[k] for k in said.argmax(1)]
    clock.note("answers", answers)
    clock.report("torch", "transformers", "accelerate", "datasets")


if __name__ == "__main__":
    main()
