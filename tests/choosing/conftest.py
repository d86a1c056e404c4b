"""Features whose worth is known, for the tests of scores and rankings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

Pair = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def telling() -> Callable[..., Pair]:
    """Draw features [N, D] of unit noise around class means that are `shift` apart, and classes [N].

    rare: how many examples the second of two classes has; None: all classes have equally many.
    """

    def draw(N: int, D: int, seed: int, *, K: int = 4, shift: float = 1.5, rare: int | None = None) -> Pair:
        random = np.random.default_rng([seed, N, D, K])
        if rare is None:
            targets = np.arange(N) % K
        else:
            K, targets = 2, (np.arange(N) < rare).astype(int)
        means = random.normal(size=(K, D)) * shift
        return random.normal(size=(N, D)) + means[targets], targets

    return draw


@pytest.fixture(scope="session")
def with_noise() -> Callable[..., np.ndarray]:
    """Put so many features of unit noise beside the features."""

    def wider(features: np.ndarray, count: int, seed: int) -> np.ndarray:
        noise = np.random.default_rng([seed, count]).normal(size=(len(features), count))
        return np.concatenate([features, noise], 1)

    return wider
