"""Measure learning from few labelled texts; resumable: what is in bench/results is not run again.

    python bench/few_texts.py [NAME ...]     # all data sets, or those named

Eight texts a class to train on and four to validate with, drawn five times: the strategy `contrastive`, and
the head alone, solved by L-BFGS with the same validation texts or in closed form without them, on the same
test texts. Needs the data sets that tests/real use, in TUNESMITH_REAL_DATA, and all-MiniLM-L6-v2.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "bench" / "results" / "few_texts.json"
MODEL = "hf/sentence-transformers/all-MiniLM-L6-v2"
SETS: dict[str, dict[str, Any]] = {
    "banking77": {"path": str(DATA / "banking77")},
    "sms-spam": {"path": str(DATA / "sms-spam"), "columns": "label,text"},
    "sentence-polarity": {"path": str(DATA / "sentence-polarity")},
}
CLASSES, TRAIN, VALID, TEST = 10, 8, 4, 400  # of more classes the first ten by name
SEEDS = range(5)


def drawn(name: str, seed: int) -> list[tuple[str, str, str]]:
    """Texts with label and split: so many of each class to train and validate with, others to test on."""
    import tunesmith as ts

    asked = dict(SETS[name])
    data = ts.read(asked.pop("path"), **asked)
    pairs = [
        (text, label)
        for rows in data.splits.values()
        for text, label in zip(rows["item"][:], rows["label"][:], strict=True)
    ]
    pairs = list(dict.fromkeys(pairs))
    kept = sorted({label for _, label in pairs})[:CLASSES]
    random = np.random.default_rng(seed)
    found: list[tuple[str, str, str]] = []
    rest: list[tuple[str, str]] = []
    for wanted in kept:
        own = [pair for pair in pairs if pair[1] == wanted]
        order = random.permutation(len(own))
        ends = TRAIN, TRAIN + VALID
        found += [(*own[i], "train") for i in order[: ends[0]]]
        found += [(*own[i], "valid") for i in order[ends[0] : ends[1]]]
        rest += [own[i] for i in order[ends[1] :]]
    return found + [(*rest[i], "test") for i in random.permutation(len(rest))[:TEST]]


def accuracies(name: str, seed: int) -> dict[str, float]:
    """Accuracy on the test texts of each way to learn."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "texts.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label", "split"), *drawn(name, seed)])
        told: dict[str, float] = {}
        ways: dict[str, dict[str, Any]] = {"contrastive": {}, "linear_probe": {"solver": "lbfgs"}}
        for strategy, options in ways.items():
            run = ts.fit(
                table,
                model=MODEL,
                strategy=strategy,
                split="split",
                metric="accuracy",
                seed=seed,
                device="cpu",
                out=Path(scratch) / strategy,
                reporter=Silent(),
                **options,
            )
            assert run is not None
            told[strategy] = run.scores["test"]["metrics"]["accuracy"]["value"]
            solved = run.scores["baselines"]["linear probe"]["metrics"]["accuracy"]["value"]
        return {**told, "closed form": solved}


def rows(kept: dict[str, Any]) -> Iterator[str]:
    """A line of a table for each data set: means over the draws, and the gain with its standard error."""
    yield "| data | contrastive | head alone, L-BFGS | head alone, closed form | gain over the better one |"
    yield "|---|---|---|---|---|"
    for name in SETS:
        found = [kept[f"{name} {seed}"] for seed in SEEDS if f"{name} {seed}" in kept]
        if not found:
            continue
        columns = {key: np.asarray([draw[key] for draw in found]) for key in found[0]}
        better = max(("linear_probe", "closed form"), key=lambda key: float(columns[key].mean()))
        gain = columns["contrastive"] - columns[better]
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
        cells = [f"{columns[key].mean():.3f}" for key in ("contrastive", "linear_probe", "closed form")]
        yield f"| {name}, {len(found)} draws | {' | '.join(cells)} | {gain.mean():+.3f} ± {error:.3f} |"


def main(names: list[str]) -> None:
    """Measure what is not there yet, and print the table."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for seed in SEEDS:
        for name in names or SETS:
            if f"{name} {seed}" not in kept:
                kept[f"{name} {seed}"] = accuracies(name, seed)
                print(name, seed, kept[f"{name} {seed}"], flush=True)
                RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print("\n".join(rows(kept)))


if __name__ == "__main__":
    main(sys.argv[1:])
