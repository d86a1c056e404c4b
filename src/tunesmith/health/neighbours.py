"""Examples in different splits that a network can hardly tell apart: nearest neighbours in its features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

AROUND: Final = 10  # further neighbours that say how far apart examples usually lie here
CLOSER: Final = 0.4  # share of their mean distance below which a neighbour is no stranger
AT_ONCE: Final = 1 << 24  # similarities that lie in memory


def neighbours(features: NDArray[np.float32], splits: Ints) -> Ints:
    """Pairs of examples in different splits that are far closer than what else lies around them: [P, 2].

    An example of test (or validation) and its nearest neighbour in the splits before it are a pair where
    their distance is under 0.4 of the mean distance to the neighbours after that one: the ratio test of
    Lowe 2004 ("Distinctive image features from scale-invariant keypoints"), with ten neighbours in the place
    of one, so that the copies of a thing do not hide each other. It has no unit, so it holds for any network.

    features: [N, D], of different examples; they are centred, and their lengths do not count.
    """
    unit = features - features.mean(0)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    found = [np.empty((0, 2), np.int64)]
    for split in (1, 2):
        own, others = np.flatnonzero(splits == split), np.flatnonzero(splits < split)
        if len(others) <= 2 * AROUND:
            continue
        step = max(1, AT_ONCE // len(others))
        for start in range(0, len(own), step):
            some = own[start : start + step]
            alike = unit[some] @ unit[others].T
            places = np.argpartition(-alike, AROUND, axis=1)[:, : AROUND + 1]
            likeness = np.take_along_axis(alike, places, axis=1)
            order = np.argsort(-likeness, axis=1)
            likeness = np.take_along_axis(likeness, order, axis=1)
            distance = np.sqrt(np.maximum(2 - 2 * likeness, 0))
            near = distance[:, 0] < CLOSER * distance[:, 1:].mean(1)
            nearest = np.take_along_axis(places, order, axis=1)[:, 0]
            found.append(np.stack([some[near], others[nearest[near]]], axis=1))
    return np.concatenate(found)
