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

    from tunesmith.sources import load
    from tunesmith.tasks.named import task as named
    from tunesmith.training.heads import head_features

    task = named("image-classification")
    data = task.read(str(DATA / "trashnet"))
    labels = task.labels(data)
    torch.manual_seed(0)
    network = load(str(KERAS), task.want(labels))
    X = {s: head_features(network, task, data.splits[s], labels, batch=32) for s in data.splits}
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
    write_numbers()


def write_numbers() -> None:
    """docs/numbers.md from what lies in bench/results."""
    results = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(RESULTS.glob("*.json"))}
    lines = [HEADING]
    if {"trashnet_probe", "trashnet_logistic"} <= results.keys():
        r, logistic = results["trashnet_probe"], results["trashnet_logistic"]
        chosen = logistic["chosen"]
        others = ", ".join(f"{row['test']:.3f} at {row['C']:g}" for row in logistic["tried"])
        lines += [
            "## trashnet, MobileNetV2 (1.0, Keras' weights), linear probe, 10 epochs, 224 pixels\n",
            "| head | test accuracy |\n|---|---|",
            f"| tunesmith, AdamW 3e-3, 10 epochs | {_score(r)} |",
            f"| scikit-learn LogisticRegression, same features, C = {chosen['C']:g} by validation log-loss | "
            f"{chosen['test']:.3f} |",
            f"| closed-form ridge probe | {_score(r['baselines']['linear probe'], inner=False)} |",
            f"\nLogisticRegression's test accuracy at every C tried: {others}.",
            f"Of the run itself: {r['verdict']} `python bench/spine.py trashnet`\n",
        ]
    shown = [n for n in ("clothing_top", "clothing_gradual") if n in results]
    if shown:
        lines += [
            "## clothing-small, the same network, 3 epochs, 96 pixels\n",
            "| strategy | test accuracy | macro-F1 | probe's macro-F1 | difference, paired |",
            "|---|---|---|---|---|",
        ]
        for name in shown:
            r = results[name]
            gap = r["difference"]
            lines.append(
                f"| {name.removeprefix('clothing_')} | {_score(r)} | {_score(r, 'macro_f1')} | "
                f"{r['baselines']['linear probe']['macro_f1']['value']:.3f} | "
                f"{gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}] |"
            )
        lines.append("\n`python bench/spine.py clothing`\n")
    if any(n.startswith("polarity") for n in results):
        lines += polarity(results)
    path = RESULTS / "kills.txt"
    if path.exists():
        lines += ["## Killed and resumed\n", path.read_text(encoding="utf-8")]
    (ROOT / "docs" / "numbers.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def polarity(results: dict[str, Any]) -> list[str]:
    """The table of sentence-polarity: tunesmith beside the Trainer, on the same test sentences."""
    from tunesmith.data.read import read

    truth = np.asarray(read(str(DATA / "sentence-polarity"), takes="text").test["label"])
    lines = [
        "## sentence-polarity, all-MiniLM-L6-v2, batches of 32, linear schedule\n",
        "The Trainer reads the network through transformers' own class (CLS and pooler); tunesmith reads a "
        "sentence encoder by its own pooling, the mean, or with `?pooling=own` as the Trainer does. Three "
        "epochs; where everything trains, on 2,000 of the 7,463 training sentences.\n",
        "| what | rates (stages, head) | test accuracy | against the Trainer, paired |",
        "|---|---|---|---|",
    ]
    rows = (
        ("polarity_probe", "linear_probe", "0, 1e-3", "polarity_trainer_probe"),
        ("polarity_probe_default", "linear_probe, default rate", "0, 1e-2", "polarity_trainer_probe"),
        ("polarity_trainer_probe", "Trainer, base frozen", "0, 1e-3", None),
        ("polarity_full", "full", "5e-5, 5e-5", "polarity_trainer_full"),
        ("polarity_full_own", "full, `?pooling=own`", "5e-5, 5e-5", "polarity_trainer_full"),
        ("polarity_gradual", "gradual", "5e-5, 1e-3", "polarity_trainer_full"),
        ("polarity_trainer_full", "Trainer, everything", "5e-5, 5e-5", None),
    )
    for name, what, rates, other in rows:
        if name not in results:
            continue
        r = results[name]
        against = ""
        if other in results:
            middle, low, high = _paired(r["predictions"], results[str(other)]["predictions"], truth)
            against = f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {what} | {rates} | {_score(r)} | {against} |")
    lines.append("\n`python bench/spine.py polarity`\n")
    return lines


def _paired(ours: list[str], theirs: list[str], truth: Any) -> tuple[float, float, float]:
    gap = (np.asarray(ours) == truth).astype(float) - (np.asarray(theirs) == truth).astype(float)
    random = np.random.default_rng(0)
    drawn = [gap[random.integers(0, len(gap), len(gap))].mean() for _ in range(2000)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(gap.mean()), float(low), float(high)


def _score(result: dict[str, Any], metric: str = "accuracy", *, inner: bool = True) -> str:
    score = (result["test"] if inner else result)[metric]
    if "low" not in score:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


HEADING = """# Numbers

What is claimed, measured; each with the command that measures it again. Written by `make bench` from
bench/results. Accuracies are of the test split, with 95 % bootstrap intervals; differences are paired, on the
same examples. No times yet: these runs shared two cores with other work, so their seconds mean nothing.
"""


def _column(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return [str(x) for x in pq.read_table(path)["label"].to_pylist()]


if __name__ == "__main__":
    main(sys.argv[1:])
