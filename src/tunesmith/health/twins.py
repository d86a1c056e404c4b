"""Images that are nearly the same: hashes that are close, thumbnails that agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

CLOSE: Final = 8  # of 64 bits that may differ
AGREE: Final = 0.95  # correlation of thumbnails from which two images are nearly the same
AT_ONCE: Final = 1 << 24  # distances that lie in memory


def close(hashed: NDArray[np.uint64], splits: Ints, *, most: int = CLOSE) -> Ints:
    """Pairs of hashes in different splits of which at most 8 bits differ: [P, 2]. All are compared."""
    found = [np.empty((0, 2), np.int64)]
    for split in (1, 2):
        own, others = np.flatnonzero(splits == split), np.flatnonzero(splits < split)
        step = max(1, AT_ONCE // max(1, len(others)))
        for start in range(0, len(own), step):
            some = own[start : start + step]
            distance = np.bitwise_count(hashed[some, None] ^ hashed[None, others])
            i, j = np.nonzero(distance <= most)
            found.append(np.stack([some[i], others[j]], axis=1))
    return np.concatenate(found)


def agreeing(pairs: Ints, thumbnail: Callable[[int], NDArray[np.uint8]], *, least: float = AGREE) -> Ints:
    """The pairs whose thumbnails have a correlation of 0.95 or more: [P, 2]."""
    kept = [pair for pair in pairs.tolist() if correlation(*(thumbnail(place) for place in pair)) >= least]
    return np.asarray(kept, np.int64).reshape(-1, 2)


def correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """How far two thumbnails are brighter and darker in the same places: -1 to 1; flat ones have none, 0.

    >>> correlation(np.array([[0, 10]], np.uint8), np.array([[5, 90]], np.uint8))
    1.0
    """
    a, b = (image.astype(np.float64) - image.mean() for image in (one, other))
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
