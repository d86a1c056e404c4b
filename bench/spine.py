"""Measure what docs/numbers.md says of the first fits; resumable: what is in bench/results is not run again.

    python bench/spine.py [NAME ...]      # all, or those whose name begins so

Needs the data sets and weights that tests/real use, in the folder TUNESMITH_REAL_DATA (default: shared/data
beside the repository). Accuracies come with 95 % intervals; seconds are of this machine and this run.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "bench" / "results"
MINILM = "hf/sentence-transformers/all-MiniLM-L6-v2"
KERAS = DATA / "weights" / "mobilenetv2_100_keras.safetensors"
TEXT = {"epochs": 3, "batch": 32, "schedule": "linear", "warmup": 0.1, "weight_decay": 0.01}
PHOTO = {"image_size": 160, "epochs": 4, "batch": 32}


def fitted(data: Path, model: str, **options: Any) -> dict[str, Any]:
    """Scores, history and seconds of one fit."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Lines

    began = time.monotonic()
    folder = Path(tempfile.mkdtemp()) / "run"
    run = ts.fit(str(data), model=model, out=folder, reporter=Lines(), **options)
    assert run is not None
    scores = run.scores
    kept = {
        "test": {k: v for k, v in scores["test"]["metrics"].items() if "/" not in k},
        "metric": scores["metric"],
        "difference": scores["difference"],
        "verdict": scores["verdict"],
        "baselines": {
            n: {k: v for k, v in b["metrics"].items() if "/" not in k} for n, b in scores["baselines"].items()
        },
        "valid": [row["accuracy"] for row in run.history],
        "plan": str(run.plan),
        "seconds": round(time.monotonic() - began),
        "predictions": _column(folder / "predictions.parquet"),
    }
    shutil.rmtree(folder.parent)
    return kept


def trashnet_probe() -> dict[str, Any]:
    """Ten epochs of a linear probe beside scikit-learn's LogisticRegression on the same features."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from tunesmith.sources import load
    from tunesmith.tasks import TASKS
    from tunesmith.training.heads import head_features

    task = TASKS.load("image-classification")()
    data = task.read(str(DATA / "trashnet"))
    labels = task.labels(data)
    torch.manual_seed(0)
    network = load(str(KERAS), task.want(labels))
    X = {s: head_features(network, task, data.splits[s], labels, batch=32) for s in data.splits}
    y = {s: np.asarray(task.targets(data.splits[s], labels)) for s in data.splits}
    scaler = StandardScaler().fit(X["train"])
    found = {}
    for C in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        model = LogisticRegression(C=C, max_iter=3000).fit(scaler.transform(X["train"]), y["train"])
        found[C] = (
            float(model.score(scaler.transform(X["valid"]), y["valid"])),
            float(model.score(scaler.transform(X["test"]), y["test"])),
        )
    best = max(found, key=lambda c: found[c][0])
    ours = fitted(DATA / "trashnet", str(KERAS), strategy="linear_probe", epochs=10)
    return {**ours, "logistic_regression": {"C": best, "valid": found[best][0], "test": found[best][1]}}


def clothing_top() -> dict[str, Any]:
    """The last four stages and the head."""
    return fitted(DATA / "clothing-small", str(KERAS), strategy="top", unfreeze=4, **PHOTO)


def clothing_gradual() -> dict[str, Any]:
    """Gradual unfreezing in four phases."""
    return fitted(DATA / "clothing-small", str(KERAS), strategy="gradual", **PHOTO)


def polarity_probe() -> dict[str, Any]:
    """Only the head, at 1e-3."""
    return fitted(DATA / "sentence-polarity", MINILM, strategy="linear_probe", lr=1e-3, **TEXT)


def polarity_full() -> dict[str, Any]:
    """Every stage and the head, all at 5e-5."""
    return fitted(DATA / "sentence-polarity", MINILM, strategy="full", lr=5e-5, head_lr=5e-5, **TEXT)


def polarity_full_own() -> dict[str, Any]:
    """The same, the network read by its own class as the Trainer reads it (CLS and pooler)."""
    own = f"{MINILM}?pooling=own"
    return fitted(DATA / "sentence-polarity", own, strategy="full", lr=5e-5, head_lr=5e-5, **TEXT)


def polarity_gradual() -> dict[str, Any]:
    """Gradual unfreezing, 5e-5 at the top."""
    return fitted(DATA / "sentence-polarity", MINILM, strategy="gradual", lr=5e-5, head_lr=1e-3, **TEXT)


def polarity_trainer_probe() -> dict[str, Any]:
    """The Hugging Face Trainer, base frozen, at 1e-3."""
    return trainer(frozen=True, lr=1e-3)


def polarity_trainer_full() -> dict[str, Any]:
    """The Hugging Face Trainer, everything at 5e-5."""
    return trainer(frozen=False, lr=5e-5)


def trainer(*, frozen: bool, lr: float) -> dict[str, Any]:
    """transformers' Trainer as its text-classification recipe sets it up."""
    import datasets
    import transformers

    from tunesmith.data.read import read
    from tunesmith.sources import parse
    from tunesmith.sources.transformers import _folder

    began = time.monotonic()
    transformers.set_seed(0)
    folder = _folder(parse(MINILM))
    data = read(str(DATA / "sentence-polarity"), takes="text")
    names = sorted(set(data.train["label"]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def tokenized(split: datasets.Dataset) -> Any:
        return datasets.Dataset.from_dict(
            {
                **tokenizer(list(split["item"]), truncation=True, max_length=256),
                "labels": [names.index(label) for label in split["label"]],
            }
        )

    sets = {name: tokenized(split) for name, split in data.splits.items()}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(names))
    if frozen:
        for parameter in model.base_model.parameters():
            parameter.requires_grad = False
    with tempfile.TemporaryDirectory() as place:
        run = transformers.Trainer(
            model=model,
            args=transformers.TrainingArguments(
                output_dir=place,
                num_train_epochs=TEXT["epochs"],
                per_device_train_batch_size=TEXT["batch"],
                per_device_eval_batch_size=64,
                learning_rate=lr,
                lr_scheduler_type="linear",
                warmup_steps=TEXT["warmup"],
                weight_decay=TEXT["weight_decay"],
                eval_strategy="epoch",
                save_strategy="epoch",
                load_best_model_at_end=True,
                metric_for_best_model="accuracy",
                report_to="none",
                use_cpu=True,
                seed=0,
                disable_tqdm=True,
            ),
            train_dataset=sets["train"],
            eval_dataset=sets["valid"],
            processing_class=tokenizer,
            compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
        )
        run.train()
        answers = run.predict(sets["test"]).predictions.argmax(1)
    truth = np.asarray(sets["test"]["labels"])
    return {
        "test": {"accuracy": {"value": float((answers == truth).mean())}},
        "valid": [row["eval_accuracy"] for row in run.state.log_history if "eval_accuracy" in row],
        "seconds": round(time.monotonic() - began),
        "predictions": [names[i] for i in answers],
    }


MEASUREMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    f.__name__: f
    for f in (
        polarity_probe,
        polarity_trainer_probe,
        polarity_full,
        polarity_trainer_full,
        polarity_gradual,
        trashnet_probe,
        clothing_top,
        clothing_gradual,
        polarity_full_own,
    )
}


def main(names: list[str]) -> None:
    """Run what has no result yet, then write docs/numbers.md."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name, measure in MEASUREMENTS.items():
        path = RESULTS / f"{name}.json"
        if path.exists() or (names and not any(name.startswith(n) for n in names)):
            continue
        print(f"== {name}", flush=True)
        path.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")


def _column(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return [str(x) for x in pq.read_table(path)["label"].to_pylist()]


if __name__ == "__main__":
    main(sys.argv[1:])
