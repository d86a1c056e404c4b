"""The part of docs/numbers.md that speaks of pairs of texts, and of numbers from texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TASKS = {
    "pairs": "banking77, do two questions mean the same (classes)",
    "numbers": "btc-ner, how many names are in a tweet (a number)",
}


def beside_the_trainer(results: Mapping[str, Any]) -> list[str]:
    """Its lines; none where nothing was measured."""
    kept = results.get("pairs", {})
    told = {kind: own for kind, own in kept.get("summary", {}).items() if own}
    if not told:
        return []
    recipe, sizes, loads = (
        kept["recipe"],
        kept["sizes"],
        [row["load_before"] for row in kept["runs"].values()],
    )
    lines = [
        "## Pairs of texts, and numbers from texts, beside the Trainer\n",
        f"MiniLM as BertForSequenceClassification, all of it trained for {recipe['epochs']} epochs at "
        f"{recipe['lr']:g} in batches of {recipe['batch']}, on {sizes['train']:,} examples from real data "
        f"(bench/pairs.py says how), scored on {sizes['test']:,}; means over seeds, each "
        f"with one thread; intervals draw test examples and seeds again. "
        f"Seconds are of whole processes, the processor's behind them; load average before a run "
        f"{min(loads):.1f} to {max(loads):.1f}, so the processor's are those to compare.\n",
        "| data | score | seeds | tunesmith | Trainer | difference, paired | seconds, tunesmith | Trainer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, own in told.items():
        gap, scores = own["difference"], own["scores"]
        spent = {
            who: f"{times['seconds']:.0f} ({times['cpu_seconds']:.0f})" for who, times in own["spent"].items()
        }
        lines.append(
            f"| {TASKS[kind]} | {own['metric']} | {own['seeds']} | {scores['tunesmith']:.3f} | "
            f"{scores['Trainer']:.3f} | {gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}] | "
            f"{spent['tunesmith']} | {spent['Trainer']} |"
        )
    return [*lines, f"\n`{kept['command']}`\n"]
