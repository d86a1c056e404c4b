"""The section of docs/numbers.md on questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {"exact_match": "exact match", "f1": "F1"}


def questions(found: Mapping[str, Any]) -> list[str]:
    """What `bench/questions.py` measured, as far as it is there."""
    lines = ["## Questions\n"]
    told = found.get("compared")
    if told:
        lines += [
            f"xquad-en, split by article; {told['count']} test questions of {told['articles']} articles. "
            "all-MiniLM-L6-v2, its last two blocks unfrozen, 3 epochs, 3e-4, batches of 16, windows of 256 "
            "tokens; the difference is paired, its interval drawn over articles.\n",
            "| metric | tunesmith | Trainer's recipe | difference |\n|---|---|---|---|",
        ]
        for metric, name in NAMES.items():
            own = told[metric]
            lines.append(
                f"| {name} | {own['ours']:.3f} | {own['trainer']:.3f} | "
                f"{own['gap']:+.3f} [{own['low']:+.3f}, {own['high']:+.3f}] |"
            )
        clock = "cpu_seconds" if all("cpu_seconds" in found[w] for w in ("ours", "trainer")) else "seconds"
        seconds = [found[who][clock] for who in ("ours", "trainer")]
        which = "of the processor" if clock == "cpu_seconds" else "of the clock, on a core with other work"
        plain = ", ".join(f"{name} {value:.3f}" for name, value in found["ours"]["baselines"].items())
        lines += [
            f"| seconds {which} (ours with baselines) | {seconds[0]:,.0f} | {seconds[1]:,.0f} | |",
            f"\nF1 of the baselines: {plain}. So few questions do not lift F1 far off that floor; whether "
            "the network learns at all the next line says.\n",
        ]
    if "overfit" in found:
        own = found["overfit"]
        lines.append(
            f"32 questions learned by heart, the upper half unfrozen: exact match {own['exact_match']:.3f} "
            f"after {own['epochs']} epochs. That loss and gradients are of transformers' own class is a "
            "test (`tests/real/test_questions_real.py`).\n"
        )
    if "cmrc" in found:
        own = found["cmrc"]
        scores = ", ".join(
            f"{NAMES[name]} {told['value']:.3f} [{told['low']:.3f}, {told['high']:.3f}]"
            for name, told in own["metrics"].items()
        )
        plain = ", ".join(f"{name} {value:.3f}" for name, value in own["baselines"].items())
        lines.append(
            f"cmrc2018-zh, end to end with a random BERT of two blocks over characters, one epoch: {scores} "
            f"on {own['count']} questions (F1 without a network: {plain}), {own['seconds']:,.0f} seconds.\n"
        )
    return [*lines, "`python bench/questions.py`\n"]
