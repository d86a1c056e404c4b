"""The section of docs/numbers.md on `--strategy auto` beside what people do otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

CONTENDERS = ("auto", "linear probe", "full", "gradual", "fastai fine_tune", "Trainer, defaults")
SAMPLES = 2000


def section(results: Mapping[str, Any]) -> list[str]:
    """A row per data set: test accuracies, and the paired gap of auto to each, with its 95 % interval."""
    found = {n.removeprefix("auto_"): r["runs"] for n, r in results.items() if n.startswith("auto_")}
    rows = [_row(name, runs) for name, runs in found.items() if "answers" in runs.get("auto", {})]
    if not rows:
        return []
    return [
        "## auto beside what people do otherwise, in equal time\n",
        "Test accuracy, and below it how much better auto is on the same examples, with its 95 % interval. "
        "Everybody has one core and as much of its time as auto took, or one epoch where that is less "
        "(fastai: one of the head and one of everything). 1,000 examples at most to learn from, "
        "two minutes for auto, which ends by itself where a rung stops gaining; linear probe is a head "
        "trained in steps, its own probe is auto's baseline in closed form.\n",
        f"| data | rung kept | auto | its own probe | {' | '.join(CONTENDERS[1:])} |",
        "|---" * (len(CONTENDERS) + 3) + "|",
        *rows,
        "\n`python bench/auto.py`\n",
    ]


def _row(name: str, runs: Mapping[str, Any]) -> str:
    auto = runs["auto"]
    truth = np.asarray(auto["truth"])
    cells = [f"{auto['accuracy']:.3f}", _own_probe(auto)]
    for other in CONTENDERS[1:]:
        run = runs.get(other, {})
        if "answers" not in run:
            cells.append("failed" if "failed" in run else "")
            continue
        gap, low, high = paired(auto["answers"], run["answers"], truth)
        cells.append(f"{run['accuracy']:.3f}<br>{gap:+.3f} [{low:+.3f}, {high:+.3f}]")
    return f"| {name} | {auto['kept']['phase']} | {' | '.join(cells)} |"


def _own_probe(auto: Mapping[str, Any]) -> str:
    gap = auto["difference"]
    if gap["baseline"] != "linear probe":
        return "kept"
    return f"{auto['probe']:.3f}<br>{gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]"


def paired(ours: list[int], theirs: list[int], truth: Any) -> tuple[float, float, float]:
    """Difference of accuracies on the same examples, with its percentile bootstrap interval."""
    gap = (np.asarray(ours) == truth).astype(float) - (np.asarray(theirs) == truth).astype(float)
    random = np.random.default_rng(0)
    drawn = [gap[random.integers(0, len(gap), len(gap))].mean() for _ in range(SAMPLES)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(gap.mean()), float(low), float(high)
