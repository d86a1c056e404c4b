"""What was understood of the data, in at most five lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.data import SPLITS
from tunesmith.data.numbers import numbers_in, told
from tunesmith.data.rows import Found, counted
from tunesmith.errors import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray


def described(
    found: Found,
    labels: NDArray[Any],
    names: Sequence[str],
    splits: NDArray[Any],
    how: str,
    dataset: Any = None,
) -> tuple[str, ...]:
    """The lines that a person reads before anything trains.

    labels, splits: [N], the class and the split (0, 1, 2) of each row. dataset: the rows.
    how: where the splits come from, in words.
    """
    if found.answers == "numbers":
        return _of_numbers(found, labels, names, splits, how)
    if found.answers == "parts":
        lines = [f"{found.name}: {counted(len(labels), found.takes)}, read from {found.read_from}"]
        lines = lines if found.told is None else found.told(dataset, found.name, found.read_from)
        return tuple(map(shown, [*lines, _splits(splits, how), *found.notes]))
    counts = np.bincount(labels, minlength=len(names))
    order = sorted(range(len(names)), key=lambda k: (-counts[k], names[k]))
    lines = [
        f"{shown(found.name)}: {counted(len(labels), found.noun)} in {counted(len(names), 'class')}, "
        f"read from {shown(found.read_from)}",
        f"classes: {_classes(order, counts, names)}",
        _splits(splits, how),
    ]
    first, last = order[0], order[-1]
    if counts[first] > 1.5 * counts[last]:
        ratio = counts[first] / counts[last]
        lines.append(
            f"imbalance: {ratio:.1f} : 1 between the largest class and the smallest, "
            f"{counts[first] / len(labels):.0%} of all are {_short(names[first])}"
        )
    if found.notes:
        lines.append(shown("; ".join(found.notes)))
    return tuple(lines)


def _of_numbers(
    found: Found, labels: NDArray[Any], names: Sequence[str], splits: NDArray[Any], how: str
) -> tuple[str, ...]:
    columns = ", ".join(_short(name) for name in found.targets)
    classes = f"{found.takes}{'-pair' if found.pairs else ''}-classification"
    each = f"{counted(len(found.targets), 'number')} each ({columns})"
    lines = [
        f"{shown(found.name)}: {counted(len(labels), found.noun)} with {each}, read from "
        f"{shown(found.read_from)}",
        f"numbers: {shown(told(found.targets, numbers_in(names)[labels]))}",
        _splits(splits, how),
        f"understood as numbers; --task {classes} would take whole ones as classes",
    ]
    if found.notes:
        lines.append(shown("; ".join(found.notes)))
    return tuple(lines)


def _splits(splits: NDArray[Any], how: str) -> str:
    sizes = np.bincount(splits, minlength=3)
    parts = ", ".join(f"{name} {int(n):,}" for name, n in zip(SPLITS, sizes, strict=True))
    return f"splits: {parts}, {how}"


def _classes(order: list[int], counts: NDArray[Any], names: Sequence[str]) -> str:
    parts = [f"{_short(names[k])} {int(counts[k]):,}" for k in order]
    if len(parts) <= 10:
        return ", ".join(parts)
    return f"{', '.join(parts[:5])}, ... {parts[-1]}"


def _short(name: str) -> str:
    return shown(name if len(name) <= 40 else name[:37] + "...")
