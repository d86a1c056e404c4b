"""Measure what becomes of trainings at bad rates; resumable: what is in bench/results is not run again.

    python bench/portfolio.py [NAME ...]     # all data sets, or those named

Heads on stored features, four epochs, at rates from a millionth to a thousand times the family's, as they
are and with the supervisor's remedies: how well the best network validates, and what was done. Needs the
data sets and weights that tests/real use, in TUNESMITH_REAL_DATA.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "bench" / "results" / "portfolio.json"
TEXTS = {"model": "hf/sentence-transformers/all-MiniLM-L6-v2"}
SETS: dict[str, dict[str, Any]] = {
    "trashnet": {"model": str(DATA / "weights" / "mobilenetv2_100_keras.safetensors"), "image_size": 96},
    "sms-spam": {**TEXTS, "columns": "label,text"},
    "sentence-polarity": TEXTS,
}
POWERS = range(-6, 4)  # of ten, times the family's rate


def outcomes(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The best validation at each rate, alone and with remedies, and how the training ended."""
    from tunesmith.choosing.portfolio import starts
    from tunesmith.choosing.range_test import untouched
    from tunesmith.errors import Diverged, NothingLearned
    from tunesmith.training.loop import Training
    from tunesmith.verbs.rates import training_for
    from tunesmith.verbs.reporting import Lines

    given = {"data": str(DATA / name), "strategy": "linear_probe", "epochs": 4, "device": "cpu", **SETS[name]}
    with ExitStack() as opened:
        like = training_for(given, opened, Lines())
        assert like.supply.recorded is not None
        for split in ("train", "valid"):
            like.supply.recorded.fill(like.supply.examples[split])
        for power in POWERS:
            phases = [replace(p, lrs=tuple(lr * 10.0**power for lr in p.lrs)) for p in like.plan.phases]
            for remedies in (None, starts(like.network.family)):
                with untouched(like.network.module):
                    made = Training(
                        like.network,
                        like.task,
                        like.data,
                        replace(like.plan, phases=tuple(phases)),
                        labels=like.labels,
                        device="cpu",
                        examples=like.supply.examples,
                        recorded=like.supply.recorded,
                        replaying=like.supply.replaying,
                        remedies=remedies,
                    )
                    try:
                        for _ in made:
                            pass
                        ended = str(made.progress.ended)
                    except (Diverged, NothingLearned) as stop:
                        ended = type(stop).__name__
                best = made.progress.best
                told = [event["trouble"] for event in made.progress.remedies]
                row = {"score": best["score"] if best else None, "ended": ended, "remedies": told}
                yield f"{name} {power} {'with' if remedies else 'without'}", row


def rows(kept: dict[str, Any]) -> Iterator[str]:
    """A line of a table for each rate: the best validation without remedies and with them."""
    yield "| rate, times the family's | " + " | ".join(SETS) + " |"
    yield "|---|" + "---|" * len(SETS)
    for power in POWERS:
        cells = []
        for name in SETS:
            pair = [kept.get(f"{name} {power} {way}") for way in ("without", "with")]
            said = [f"{row['score']:.3f}" if row and row["score"] is not None else "none" for row in pair]
            done = ", ".join(pair[1]["remedies"]) if pair[1] else ""
            cells.append(f"{said[0]} → {said[1]}{f' ({done})' if done else ''}")
        yield f"| 1e{power:+d} | " + " | ".join(cells) + " |"


def main(names: list[str]) -> None:
    """Measure what is not there yet, and print the table."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in names or SETS:
        if all(f"{name} {p} {way}" in kept for p in POWERS for way in ("without", "with")):
            continue
        for key, row in outcomes(name):
            kept[key] = row
            print(key, row, flush=True)
            RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print("\n".join(rows(kept)))


if __name__ == "__main__":
    main(sys.argv[1:])
