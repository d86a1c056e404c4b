"""Measure what docs/numbers.md says of the first fits; resumable: what is in bench/results is not run again.

    python bench/spine.py [NAME ...]      # all, or that one, or those whose name begins so

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

from page import write_numbers

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "bench" / "results"
MINILM = "hf/sentence-transformers/all-MiniLM-L6-v2"
KERAS = DATA / "weights" / "mobilenetv2_100_keras.safetensors"
TEXT = {"epochs": 3, "batch": 32, "schedule": "linear", "warmup": 0.1, "weight_decay": 0.01}
PHOTO = {"image_size": 96, "epochs": 3, "batch": 32}
FEWER = 2000  # training sentences where everything trains: three times the work of a frozen epoch


def fitted(data: Any, model: str, **options: Any) -> dict[str, Any]:
    """Scores, history and seconds of one fit."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Lines

    began = time.monotonic()
    folder = Path(tempfile.mkdtemp()) / "run"
    run = ts.fit(data, model=model, out=folder, reporter=Lines(), **options)
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


def sentences(*, small: bool) -> dict[str, list[tuple[str, str]]]:
    """sentence-polarity by split; `small`: every third training and validation sentence, all test ones."""
    from tunesmith.data.read import read

    data = read(str(DATA / "sentence-polarity"), takes="text")
    found = {}
    for name, split in data.splits.items():
        pairs = list(zip(split["item"], split["label"], strict=True))
        step = max(1, len(data.train) // FEWER) if small and name != "test" else 1
        found[name] = pairs[::step][:FEWER] if step > 1 else pairs
    return found


def trashnet_probe() -> dict[str, Any]:
    """Ten epochs of a linear probe, at the defaults."""
    return fitted(str(DATA / "trashnet"), str(KERAS), strategy="linear_probe", epochs=10)


def trashnet_logistic() -> dict[str, Any]:
    """scikit-learn's LogisticRegression on the same features, its C by validation log-loss."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import StandardScaler

    from tunesmith.data.cache import cache_folder
    from tunesmith.sources import load
    from tunesmith.store import Store
    from tunesmith.tasks.named import task as named
    from tunesmith.training.examples import Examples
    from tunesmith.training.recorded import Recorded

    task = named("image-classification")
    data = task.read(str(DATA / "trashnet"))
    labels = task.labels(data)
    torch.manual_seed(0)
    network = load(str(KERAS), task.want(labels))
    splits = {s: Examples(data.splits[s], network.preprocess) for s in data.splits}
    recorded = Recorded(network, Store(cache_folder() / "store"), {}, splits["train"], engine="eager")
    for split in splits.values():
        recorded.fill(split)
    X = {s: recorded.pooled(split) for s, split in splits.items()}
    y = {s: np.asarray(task.targets(data.splits[s], labels)) for s in data.splits}
    scaler = StandardScaler().fit(X["train"])
    rows = []
    for C in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        model = LogisticRegression(C=C, max_iter=3000).fit(scaler.transform(X["train"]), y["train"])
        valid, test = (scaler.transform(X[s]) for s in ("valid", "test"))
        rows.append(
            {
                "C": C,
                "valid_loss": float(log_loss(y["valid"], model.predict_proba(valid))),
                "valid": float(model.score(valid, y["valid"])),
                "test": float(model.score(test, y["test"])),
            }
        )
    return {"chosen": min(rows, key=lambda row: row["valid_loss"]), "tried": rows}


def clothing_top() -> dict[str, Any]:
    """The last four stages and the head."""
    return fitted(str(DATA / "clothing-small"), str(KERAS), strategy="top", unfreeze=4, **PHOTO)


def clothing_gradual() -> dict[str, Any]:
    """Gradual unfreezing in three phases."""
    return fitted(str(DATA / "clothing-small"), str(KERAS), strategy="gradual", **PHOTO)


def polarity_probe() -> dict[str, Any]:
    """Only the head, at 1e-3."""
    return fitted(sentences(small=False), MINILM, strategy="linear_probe", lr=1e-3, **TEXT)


def polarity_probe_default() -> dict[str, Any]:
    """Only the head, at the rate that tunesmith takes for texts."""
    return fitted(sentences(small=False), MINILM, strategy="linear_probe", **TEXT)


def polarity_full() -> dict[str, Any]:
    """Every stage and the head, all at 5e-5."""
    return fitted(sentences(small=True), MINILM, strategy="full", lr=5e-5, head_lr=5e-5, **TEXT)


def polarity_full_own() -> dict[str, Any]:
    """The same, the network read by its own class as the Trainer reads it (CLS and pooler)."""
    own = f"{MINILM}?pooling=own"
    return fitted(sentences(small=True), own, strategy="full", lr=5e-5, head_lr=5e-5, **TEXT)


def polarity_gradual() -> dict[str, Any]:
    """Gradual unfreezing, 5e-5 at the top."""
    return fitted(sentences(small=True), MINILM, strategy="gradual", lr=5e-5, head_lr=1e-3, **TEXT)


def polarity_trainer_probe() -> dict[str, Any]:
    """The Hugging Face Trainer, base frozen, at 1e-3."""
    return trainer(frozen=True, lr=1e-3, small=False)


def polarity_trainer_full() -> dict[str, Any]:
    """The Hugging Face Trainer, everything at 5e-5."""
    return trainer(frozen=False, lr=5e-5, small=True)


def trainer(*, frozen: bool, lr: float, small: bool) -> dict[str, Any]:
    """transformers' Trainer as its text-classification recipe sets it up."""
    import datasets
    import transformers

    from tunesmith.data.read import read
    from tunesmith.sources import parse
    from tunesmith.sources.transformers_files import folder_of

    began = time.monotonic()
    transformers.set_seed(0)
    folder = folder_of(parse(MINILM))
    data = read(sentences(small=small), takes="text")
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
        trashnet_logistic,
        clothing_top,
        clothing_gradual,
        polarity_full_own,
        polarity_probe_default,
    )
}


def main(names: list[str]) -> None:
    """Run what has no result yet, then write docs/numbers.md."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name, measure in MEASUREMENTS.items():
        path = RESULTS / f"{name}.json"
        wanted = name in names or any(name.startswith(n) for n in names if n not in MEASUREMENTS)
        if path.exists() or (names and not wanted):
            continue
        print(f"== {name}", flush=True)
        path.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    write_numbers(RESULTS, ROOT / "docs" / "numbers.md")


def _column(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return [str(x) for x in pq.read_table(path)["label"].to_pylist()]


if __name__ == "__main__":
    main(sys.argv[1:])
