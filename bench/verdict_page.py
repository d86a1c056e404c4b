"""The part of docs/numbers.md that speaks of verdicts: false alarms, planted cases, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS = {
    "alike": "all that is compared is equally good",
    "worth": "and pretraining removes exactly a fifth of the random twin's mistakes",
}


def verdicts(results: Mapping[str, Any]) -> list[str]:
    """Its lines; none where nothing was measured."""
    lines = ["## Verdicts\n"] if {"nulls", "planted"} & results.keys() else []
    if "nulls" in results:
        lines += [
            "Simulated runs of which nothing is wrong (see verdict.md), and how many raised any false alarm, "
            "all alarms together (the 95 % upper bound was to be 6.5 % at most):\n",
            "| setting | runs | with a false alarm | rate | upper bound |\n|---|---|---|---|---|",
        ]
        for name, words in SETTINGS.items():
            own = results["nulls"]["summary"][name]
            rates = f"{own['rate']:.1%} | {own['upper']:.1%}"
            lines.append(f"| {name}: {words} | {own['pairs']:,} | {own['false']} | {rates} |")
        lines.append(f"\n`{results['nulls']['command']}`\n")
    if "planted" in results:
        lines += [
            "Planted on real data (128 pixels):\n",
            "| planted | data, network | alarm | what was kept | passes added to those needed |",
            "|---|---|---|---|---|",
        ]
        for name, own in results["planted"].items():
            named = "; ".join(f"{kind} (p {told['p']:.1g})" for kind, told in own["alarms"].items())
            asked, passes = own["asked"], own["passes"]
            network = asked["model"].rpartition("/")[2].removesuffix(".safetensors")
            share = passes["added"] / passes["needed"]
            missed = "" if set(own["wanted"]) <= own["alarms"].keys() else f" (was to be: {own['wanted'][0]})"
            lines.append(
                f"| {name} | {asked['data']}, {network} | {named or 'none'}{missed} | "
                f"{own['kept']['what']} | {passes['added']:,} to {passes['needed']:,} ({share:.0%}) |"
            )
        lines.append("\n`python bench/planted.py`\n")
    if "cost" in results:
        lines += [
            "What choosing and judging add to forward passes (trashnet, seconds of one core; a ranking's "
            "passes are those of six networks). Own passes are those that nothing else would need: a "
            "pilot's, forward and backward, without which there is no gradient, and the random twin's, "
            "which cannot be judged without. Added: they and the rest, over the passes over the data. "
            "Overhead, which was to be 15 % at most: the rest alone, over all passes.\n",
            "| what | passes over the data | own passes | the rest | added | overhead |",
            "|---|---|---|---|---|---|",
        ]
        for name, own in results["cost"]["steps"].items():
            seconds = " | ".join(f"{own[kind]:.1f}" for kind in ("passes", "own", "rest"))
            name += " (on a shared machine)" if own.get("shared") else ""
            lines.append(f"| {name} | {seconds} | {own['added']:.0%} | {own['share']:.0%} |")
        lines.append(f"\n`{results['cost']['command']}`\n")
    return lines
