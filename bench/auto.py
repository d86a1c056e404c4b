"""Measure `--strategy auto` beside what people do otherwise, in equal time; resumable, run by run.

    python bench/auto.py [trashnet | clothing | cells | pneumonia | polarity | banking | spam ...] [--core N]

Needs the data sets and weights that tests/real use, in TUNESMITH_REAL_DATA (default: shared/data beside
the repository), and builds an environment for fastai in TUNESMITH_BENCH_ENVS (default: bench/.envs).
Results lie in bench/results/auto_*.json; docs/numbers.md is written from them.

auto runs first, with LIMIT as its time limit. What its process took from start to exit is what the others
get: on the first set of photos and the first of texts each is run once for an epoch or two, to see how long
one takes (the sets have one size), and then with as many epochs as fit, at least one. All begin with the same
network on the same examples, photos at SIDE pixels; our runs make no baselines, as nobody else does.
Test accuracies are compared pair by pair. Everybody has one core, and the time that counts is the
processor's, which on an idle core is that of the clock: so two data sets can be measured at once, on two
cores. LIMIT is of the clock: on a machine that does other work auto gets through less of its ladder.

BENCH_SMALL=1 goes through everything on 64 examples in a folder of its own and proves nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import running
from page import write_numbers
from running import DATA, PLACE, RESULTS, ROOT, SMALL, peer, timed

KERAS = DATA / "weights" / "mobilenetv2_100_keras.safetensors"
MINILM = "hf/sentence-transformers/all-MiniLM-L6-v2"
TRAIN = 64 if SMALL else 1000  # examples, so that a table takes hours and not days
REST = {"valid": 32, "test": 32} if SMALL else {"valid": 300, "test": 800}
LIMIT = 60 if SMALL else 120  # seconds of auto's training
MOST = 30  # epochs that anybody gets
SIDE = 128  # pixels of a side, as everybody sees the photos
STORED = 160  # of the stored pictures' shorter side

SETS: Mapping[str, tuple[str, str]] = {
    "trashnet": ("photos", "trashnet"),
    "clothing": ("photos", "clothing-small"),
    "cells": ("photos", "bccd-cells"),
    "pneumonia": ("photos", "pneumoniamnist-28"),
    "polarity": ("texts", "sentence-polarity"),
    "banking": ("texts", "banking77"),
    "spam": ("texts", "sms-spam"),
}
COLUMNS = {"sms-spam": "label,text"}  # of a table without a header
# Options of our other strategies, and how many epochs the run takes that shows how long one lasts.
OTHERS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "linear probe": (("--strategy", "linear_probe"), 1),
    "full": (("--strategy", "full"), 1),
    "gradual": (("--strategy", "gradual"), 2),
}
PEERS: Mapping[str, tuple[str, str]] = {
    "fastai fine_tune": ("fastai", "fine_tune"),
    "Trainer, defaults": ("torch", "trainer_defaults"),
}


def measured(name: str, *, retry: bool) -> None:
    """All contenders on one data set."""
    kind, source = SETS[name]
    data = laid_out(kind, source)
    path = RESULTS / f"auto_{name}.json"
    runs: dict[str, Any] = json.loads(path.read_text("utf-8"))["runs"] if path.exists() else {}

    def pilot(key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """How long one epoch takes, measured on the first set of the kind."""
        first = next(own for own, (of, _) in SETS.items() if of == kind)
        if name == first:
            return once(f"{key}, pilot", measure)
        there = RESULTS / f"auto_{first}.json"
        known = json.loads(there.read_text("utf-8"))["runs"] if there.exists() else {}
        return known.get(f"{key}, pilot") or once(f"{key}, pilot", measure)

    def once(key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        kept: dict[str, Any] | None = runs.get(key)
        if kept is None or (retry and "failed" in kept):
            print(f"== {name}: {key}", flush=True)
            before = running.load()
            row = {"load_before": before, "when": time.strftime("%Y-%m-%d %H:%M:%S"), **measure()}
            runs[key] = row
            about = {"command": f"python bench/auto.py {name}", "machine": running.machine(), "runs": runs}
            RESULTS.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            temporary.replace(path)
        return runs[key]  # type: ignore[no-any-return]

    cache = PLACE / ".data" / f"cache-auto-{name}"
    first = once("auto", partial(ours, data, kind, cache, "--strategy", "auto", "--time-limit", f"{LIMIT}s"))
    if "failed" in first:
        return
    budget = float(first["cpu_seconds"])
    for other, (flags, epochs) in OTHERS.items():
        seen = pilot(other, partial(ours, data, kind, cache, *flags, "--epochs", str(epochs)))
        count = affordable(seen, budget, least=epochs)
        once(other, partial(ours, data, kind, cache, *flags, "--epochs", str(count)))
    for other, (env, script) in PEERS.items():
        options = {"task": kind, "data": data, "weights": KERAS if kind == "photos" else running.minilm()}
        seen = pilot(other, partial(peer, env, script, epochs=1, **options))
        count = affordable(seen, budget, least=1)
        once(other, partial(peer, env, script, epochs=count, **options))


def affordable(pilot: Mapping[str, Any], budget: float, *, least: int) -> int:
    """How many epochs fit into the time, as a pilot's last epoch took; all runs start as it did."""
    if "failed" in pilot or not pilot.get("epochs"):
        return least
    spent = float(pilot["cpu_seconds"])
    last = max(float(pilot["epochs"][-1]), 1e-3) * min(spent / float(pilot["seconds"]), 1.0)
    rest = budget - (spent - len(pilot["epochs"]) * last)
    return int(min(max(rest // last, least), MOST))


def ours(data: Path, kind: str, cache: Path, *flags: str) -> dict[str, Any]:
    """A fit in a fresh process with an empty store: seconds, epochs, answers to the test split, rungs."""
    model = str(KERAS) if kind == "photos" else MINILM
    shutil.rmtree(cache, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=PLACE / ".data") as folder:
        out = Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "tunesmith",
            "fit",
            str(data),
            "--model",
            model,
            "--metric",
            "accuracy",
            "--baselines",
            "none",
        ]
        if "auto" in flags:
            flags = (*flags, "--epochs", "10")
        if kind == "photos":
            flags = (*flags, "--image-size", str(SIDE))
        row = timed([*command, *flags, "--out", str(out)], {"TUNESMITH_CACHE": str(cache)})
        if "failed" in row:
            return row
        rows = [json.loads(line) for line in (out / "history.jsonl").read_text("utf-8").splitlines()]
        passed = [line["seconds"] for line in rows]
        scores = json.loads((out / "scores.json").read_text("utf-8"))
        ladder = out / "ladder.json"
        return {
            **row,
            "epochs": [round(b - a, 3) for a, b in zip([0.0, *passed], passed, strict=False)],
            "accuracy": scores["test"]["metrics"]["accuracy"]["value"],
            "probe": scores["baselines"]["linear probe"]["metrics"]["accuracy"]["value"],
            "difference": scores["difference"],
            "kept": scores["kept"],
            "ladder": json.loads(ladder.read_text("utf-8"))["rungs"] if ladder.exists() else None,
            **answers(out / "predictions.parquet", data, kind),
        }


def answers(table: Path, data: Path, kind: str) -> dict[str, Any]:
    """Class numbers that a run gave and the true ones, in the order in which peers read the test split."""
    import pyarrow.parquet as pq

    told = pq.read_table(table, columns=["id", "truth", "label"]).to_pylist()
    names = sorted({row["truth"] for row in told} | classes(data, kind))
    number = {name: i for i, name in enumerate(names)}
    if kind == "photos":
        order = {path: i for i, path in enumerate(test_paths(data))}
        told.sort(key=lambda row: order[row["id"]])
    else:
        told.sort(key=lambda row: int(row["id"].rpartition(":")[2]))
    return {
        "answers": [number[row["label"]] for row in told],
        "truth": [number[row["truth"]] for row in told],
    }


def classes(data: Path, kind: str) -> set[str]:
    """The labels of a data set as it was laid out."""
    found: set[str] = set()
    for path in [data / "splits.csv"] if kind == "photos" else sorted(data.glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            if kind == "photos":
                found |= {row["label"] for row in csv.DictReader(file)}
            else:
                tabs = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
                found |= {row["label"] for row in tabs}
    return found


def test_paths(data: Path) -> list[str]:
    """Test pictures in the order of splits.csv."""
    with (data / "splits.csv").open(encoding="utf-8", newline="") as file:
        return [row["path"] for row in csv.DictReader(file) if row["split"] == "test"]


def laid_out(kind: str, source: str) -> Path:
    """A data set in the form that everybody reads: splits.csv beside pictures, or a tsv per split.

    At most TRAIN training examples and REST of the others, drawn evenly over the classes' order.
    """
    from tunesmith.data.read import read

    target = PLACE / ".data" / f"auto-{source}-{TRAIN}-{STORED}"
    if (target / "done").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    data = read(
        str(DATA / source), takes="image" if kind == "photos" else "text", columns=COLUMNS.get(source)
    )
    rows = []
    for split, dataset in data.splits.items():
        labels = np.asarray(dataset["label"][:])
        count = min({"train": TRAIN, **REST}[split], len(labels))
        random = np.random.default_rng(0)
        order = random.permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")]
        chosen = np.sort(order[np.linspace(0, len(labels) - 1, count).round().astype(int)])
        rows += [(split, number, dataset[int(row)]) for number, row in enumerate(chosen)]
    (_pictures if kind == "photos" else _sentences)(target, rows)
    (target / "done").touch()
    return target


def _pictures(target: Path, rows: list[tuple[str, int, Any]]) -> None:
    import io

    from PIL import Image

    lines = []
    for split, number, row in rows:
        item = row["item"]
        with Image.open(io.BytesIO(item["bytes"]) if item["bytes"] else item["path"]) as image:
            picture = image.convert("RGB")
        if min(picture.size) > STORED:
            share = STORED / min(picture.size)
            picture = picture.resize((round(picture.width * share), round(picture.height * share)))
        path = f"{split}/{number:05d}.png"
        (target / split).mkdir(exist_ok=True)
        picture.save(target / path)
        lines.append({"path": path, "label": row["label"], "split": split})
    with (target / "splits.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "split"])
        writer.writeheader()
        writer.writerows(lines)


def _sentences(target: Path, rows: list[tuple[str, int, Any]]) -> None:
    for split, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        lines = ["text\tlabel"]
        for own, _, row in rows:
            if own == split:
                lines.append(f"{' '.join(row['item'].split())}\t{row['label']}")
        (target / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run what has no result yet, then write docs/numbers.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SETS)}; numbers: only write")
    parser.add_argument("--core", type=int, default=0, help="of the processor, for everybody")
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    asked = parser.parse_args()
    if unknown := set(asked.names) - {*SETS, "numbers"}:
        parser.error(f"no data set {', '.join(sorted(unknown))}")
    os.chdir(ROOT)
    os.sched_setaffinity(0, {asked.core})
    os.environ.update(OMP_NUM_THREADS="1", BENCH_SIDE=str(SIDE))
    for name in SETS:
        if not asked.names or name in asked.names:
            measured(name, retry=asked.retry)
    write_numbers(RESULTS, PLACE / "numbers.md" if SMALL else ROOT / "docs" / "numbers.md")


if __name__ == "__main__":
    main()
