"""Numbers as answers: which lie so far from all others that they may be slips of the pen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from tunesmith.data.numbers import numbers_in
from tunesmith.health.finding import Finding
from tunesmith.health.roll import Roll

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAR: Final = 10.0  # robust standard deviations from the median
TO_SIGMA: Final = 1.4826  # of a median distance, for normal values
EXAMPLES: Final = 10  # below which nobody can say what is usual


def about_numbers(roll: Roll, columns: Sequence[str]) -> list[Finding]:
    """Numbers more than 10 robust standard deviations from their column's median, the farthest first.

    The deviation is that of the median distance, which a few outliers do not move (Iglewicz & Hoaglin 1993);
    where half of the numbers are equal, that of the mean distance.
    """
    places = roll.usable
    if len(places) < EXAMPLES:
        return []
    numbers = numbers_in([roll.names[code] for code in roll.codes[places]])
    far = np.stack([_far(own) for own in numbers.T], 1)
    rows = np.flatnonzero(far.max(1) > FAR)
    order = rows[np.argsort(-far[rows].max(1), kind="stable")]
    if not len(order):
        return []
    notes = {}
    for row in order:
        k = int(np.argmax(far[row]))
        notes[int(places[row])] = f"{columns[k]} {numbers[row, k]:g}, usually {np.median(numbers[:, k]):g}"
    groups = [[int(places[row])] for row in order]
    return [roll.finding("outlying_numbers", "warning", groups, notes, count=len(order), total=len(places))]


def _far(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each number is from the median, in robust standard deviations."""
    distance = np.abs(numbers - np.median(numbers))
    spread = TO_SIGMA * float(np.median(distance)) or float(distance.mean())
    found: NDArray[np.float64] = distance / spread if spread > 0 else np.zeros(len(numbers))
    return found
