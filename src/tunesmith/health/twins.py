"""Images that are nearly the same: hashes that are close, thumbnails that agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Pixels = NDArray[np.uint8]

CLOSE: Final = 8  # of 64 bits that may differ
AGREE: Final = 0.95  # correlation of thumbnails from which two images are nearly the same
PAIRS: Final = 200_000  # with close hashes; where there are more, hashes tell nothing apart
AT_ONCE: Final = 1 << 21  # differences of hashes that lie in memory, 16 MB
COMPARED: Final = 2048  # pairs of thumbnails that lie in memory as numbers, 32 MB


def close(hashed: NDArray[np.uint64], splits: Ints, *, most: int = CLOSE) -> Ints | None:
    """Pairs of hashes in different splits of which at most 8 bits differ: [P, 2]. All are compared.

    None where there are over 200,000: shots of one scene, which each look like all others.
    """
    found = [np.empty((0, 2), np.int64)]
    room = PAIRS
    for split in (1, 2):
        own, others = np.flatnonzero(splits == split), np.flatnonzero(splits < split)
        step = max(1, AT_ONCE // max(1, len(others)))
        for start in range(0, len(own), step):
            some = own[start : start + step]
            near = np.bitwise_count(hashed[some, None] ^ hashed[None, others]) <= most
            room -= int(np.count_nonzero(near))
            if room < 0:
                return None
            i, j = np.nonzero(near)
            found.append(np.stack([some[i], others[j]], axis=1))
    return np.concatenate(found)


def agreeing(pairs: Ints, thumbnail: Callable[[int], Pixels], *, least: float = AGREE) -> Ints:
    """The pairs whose thumbnails have a correlation of 0.95 or more: [P, 2].

    Each thumbnail is asked for once and lies in memory, a kilobyte each.
    """
    if not len(pairs):
        return pairs
    places, rows = np.unique(pairs, return_inverse=True)
    thumbnails = np.stack([thumbnail(place) for place in places.tolist()])
    rows = rows.reshape(-1, 2)
    kept = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), COMPARED):
        some = rows[start : start + COMPARED]
        alike = correlations(thumbnails[some[:, 0]], thumbnails[some[:, 1]])
        kept[start : start + COMPARED] = alike >= least
    return pairs[kept]


def correlations(ones: Pixels, others: Pixels) -> NDArray[np.float64]:
    """How far two thumbnails are brighter and darker in the same places: -1 to 1; flat ones have none, 0.

    ones, others: [P, H, W]. Returns [P].

    >>> correlations(np.array([[[0, 10]]], np.uint8), np.array([[[5, 90]]], np.uint8)).tolist()
    [1.0]
    """
    a, b = (images.reshape(len(images), -1).astype(np.float64) for images in (ones, others))
    a -= a.mean(1, keepdims=True)
    b -= b.mean(1, keepdims=True)
    scale = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    found = np.zeros(len(a))
    np.divide((a * b).sum(1), scale, out=found, where=scale > 0)
    return found
