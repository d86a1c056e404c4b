"""The section of docs/numbers.md on Keras networks."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

SEEDS = (0, 1, 2)


def keras(found: Mapping[str, Any]) -> list[str]:
    """What TensorFlow answers from the exported files, and trained heads beside `model.fit`."""
    runs = found["runs"]
    networks = list(dict.fromkeys(key.partition(" ")[0] for key in runs))
    lines = [
        "## Keras networks on trashnet, 300 training photos, six epochs of Adam at 1e-3\n",
        "The exported `.keras` file opened by Keras on TensorFlow, in another environment: its answers to "
        "the whole test split beside the run's own.\n",
        "| network | strategy | equal answers | largest difference of a probability | frozen stages | "
        "accuracy of what was trained | of what was kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, row in runs.items():
        if "tensorflow" not in row:
            continue
        network, _, strategy = key.partition(" ")
        there, (value, low, high) = row["tensorflow"], row["accuracy"]
        frozen = "bit-identical" if row["frozen_bit_identical"] else "**changed**"
        lines.append(
            f"| {network} | {strategy} | {there['equal_answers']} of {there['count']} | "
            f"{there['largest_difference']:.1e} | {frozen} | {row['trained']:.3f} | "
            f"{value:.3f} [{low:.3f}, {high:.3f}] |"
        )
    lines += [
        "\nA linear head trained by steps beside `model.fit` on TensorFlow with the same frozen network, "
        "pixels, optimizer, rate, batches and epochs: test accuracies of three seeds, the mean first. "
        "tunesmith keeps the epoch that is best on validation; `model.fit` its last, and what its best would "
        "have had stands beside. Seconds are the processor's, of whole processes: tunesmith's read and check "
        "the photos and begin with an empty store, `model.fit`'s get pixels of the right size.\n",
        "| network | tunesmith | model.fit, last epoch | its best epoch | begun as small as ours | seconds | "
        "model.fit's |",
        "|---|---|---|---|---|---|---|",
    ]
    for network in networks:
        heads = [runs.get(f"{network} linear_probe {seed}", {}) for seed in SEEDS]
        fits = [runs.get(f"{network} model.fit {seed}", {}) for seed in SEEDS]
        small = [runs.get(f"{network} model.fit small {seed}", {}) for seed in SEEDS]
        if not all("accuracy" in row for row in (*heads, *fits, *small)):
            continue
        cells = [_all(rows, "accuracy") for rows in (heads, fits, small)]
        cells.insert(2, _all(fits, "accuracy_of_best_epoch"))
        cells += [f"{mean(row['cpu_seconds'] for row in rows):.1f}" for rows in (heads, fits)]
        lines.append(f"| {network} | {' | '.join(cells)} |")
    if twin := runs.get("timm-twin"):
        first, second = twin["accuracy"]
        photos, gap = twin["count"] + twin["learned"], twin["largest_difference"]
        lines.append(
            "\nThe same weights of MobileNetV2 alpha 0.35 as Keras' network and as timm's: features of "
            f"{photos:,} photos of trashnet differ by {gap:.1e} at most, where the largest is "
            f"{twin['largest_feature']:.1f}; a ridge probe learned from {twin['learned']:,} gives "
            f"{twin['equal_answers']} of {twin['count']} test photos the same answer "
            f"(accuracy {first:.3f} and {second:.3f})."
        )
    return [*lines, f"\n`{found['command']}`\n"]


def _all(rows: list[dict[str, Any]], name: str) -> str:
    values = [float(row[name]) for row in rows]
    return f"{mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})"
