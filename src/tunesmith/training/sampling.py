"""Some rows of many, the same ones for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.split import strata

Ints = NDArray[np.int64]


def drawn(rows: int, count: int, *, seed: int) -> Ints:
    """At most so many of some rows, sorted, whatever their classes."""
    if count >= rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def sampled(targets: NDArray[Any], count: int, *, seed: int) -> Ints:
    """At most so many rows, sorted, each class (or tenth of the numbers) with its share.

    >>> sampled(np.array([0, 0, 0, 0, 1, 1]), 3, seed=0).shape
    (3,)
    """
    N = len(targets)
    if count >= N:
        return np.arange(N)
    order = np.random.default_rng(seed).permutation(N)
    order = order[np.argsort(strata(targets)[order], kind="stable")]
    return np.sort(order[np.arange(count) * N // count])
