"""Noise, decoys, imbalance, few examples, bad input: what scores hold out against, and what they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunesmith.choosing.scores import SCORES
from tunesmith.choosing.scores.h_score import h_score
from tunesmith.choosing.scores.logme import logme
from tunesmith.choosing.scores.transrate import transrate
from tunesmith.errors import BadData

Draw = Callable[..., Any]
FEATURES = [name for name in SCORES.names() if SCORES.load(name).needs == "features"]
PROOF = [name for name in FEATURES if SCORES.load(name).noise_proof]
CASES: dict[str, dict[str, Any]] = {
    "more features than examples": {"N": 120, "D": 300},
    "thirty examples": {"N": 30, "D": 64, "K": 3},
    "usual": {"N": 400, "D": 64},
    "one in a hundred": {"N": 1010, "D": 64, "rare": 10},
}


def value(name: str, features: np.ndarray, targets: np.ndarray) -> float:
    score = SCORES.load(name)
    found: float = score(features, targets)
    return found if score.larger_is_better else -found


def published_logme(features: np.ndarray, targets: np.ndarray) -> float:
    """The fixed point as it was published: the prior's log counts D times, the determinant k times."""
    N, D = features.shape
    U, s, _ = np.linalg.svd(features, full_matrices=False)
    found = []
    for k in range(int(targets.max()) + 1):
        y = (targets == k).astype(float)
        z, total = (U.T @ y) ** 2, float(y @ y)
        alpha, beta = 1.0, 1.0
        for _ in range(11):
            ratio = alpha / beta
            gamma = (s**2 / (s**2 + ratio)).sum()
            length = (s**2 * z / (s**2 + ratio) ** 2).sum()
            left = (z / (1 + s**2 / ratio) ** 2).sum() + total - z.sum()
            alpha, beta = gamma / (length + 1e-5), (N - gamma) / (left + 1e-5)
        value = D / 2 * np.log(alpha) + N / 2 * np.log(beta) - np.log(alpha + beta * s**2).sum() / 2
        found.append((value - beta / 2 * left - alpha / 2 * length - N / 2 * np.log(2 * np.pi)) / N)
    return float(np.mean(found))


def test_logme_puts_noise_below_signal_where_the_published_code_inverts_them(
    seed: int, telling: Draw
) -> None:
    signal, y = telling(100, 256, seed, K=5, shift=0.6)
    noise = np.random.default_rng(seed).normal(size=(100, 2048))
    assert logme(noise, y) < logme(signal, y)
    assert not published_logme(noise, y) < published_logme(signal, y)  # the control has the bug


def test_the_control_without_its_bug_would_pass(seed: int, telling: Draw) -> None:
    """Where the rank is the dimension the published form is right: the control fails for its bug alone."""
    signal, y = telling(400, 16, seed, K=5, shift=0.6)
    noise = np.random.default_rng(seed).normal(size=(400, 16))
    assert published_logme(noise, y) < published_logme(signal, y)
    assert logme(noise, y) < logme(signal, y)


def values(names: list[str], features: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Every score of the same features: their axes are found once."""
    return {name: value(name, features, targets) for name in names}


@pytest.mark.parametrize("case", CASES)
def test_scores_are_finite_and_stable(case: str, seed: int, telling: Draw) -> None:
    features, y = telling(seed=seed, **CASES[case])
    found = values(FEATURES, features, y)
    assert np.isfinite(list(found.values())).all()
    random = np.random.default_rng(seed)
    order = random.permutation(len(y))
    assert values(FEATURES, features[order], y[order]) == pytest.approx(found, rel=1e-6, abs=1e-9)
    assert values(FEATURES, features, y) == found  # bit for bit
    moved = features * (1 + 1e-9 * random.normal(size=features.shape))
    assert values(FEATURES, moved, y) == pytest.approx(found, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_decoys_are_last_for_every_score_that_claims_it(
    case: str, seed: int, telling: Draw, with_noise: Draw
) -> None:
    features, y = telling(seed=seed, **CASES[case])
    own = values(PROOF, features, y)
    random = np.random.default_rng(seed)
    for decoy in (random.normal(size=features.shape), random.normal(size=(len(y), 1500))):
        found = values(PROOF, decoy, y)
        assert [name for name in PROOF if found[name] >= own[name]] == []
    crowded = values(PROOF, with_noise(features, 1000, seed), y)
    # With the noise too nearly every guess may be right.
    assert [n for n in PROOF if crowded[n] >= own[n] and min(crowded[n], own[n]) <= 0.99] == []


def test_plain_h_score_saturates_as_documented(seed: int, telling: Draw) -> None:
    signal, y = telling(200, 20, seed)
    noise = np.random.default_rng(seed).normal(size=(200, 400))
    assert h_score(noise, y) == pytest.approx(3.0, abs=1e-6)  # K - 1, of features that tell nothing
    assert h_score(noise, y) > h_score(signal, y)


def test_transrate_favours_width_as_documented(seed: int, telling: Draw, with_noise: Draw) -> None:
    features, y = telling(200, 20, seed)
    assert transrate(with_noise(features, 1000, seed), y) > transrate(features, y)


@pytest.mark.parametrize("name", FEATURES)
class TestBadInput:
    def test_features_that_are_not_finite_are_refused_by_row(
        self, name: str, seed: int, telling: Draw
    ) -> None:
        features, y = telling(30, 5, seed)
        features[17, 2] = np.nan
        with pytest.raises(BadData, match=r"row 17 .*\(1 such rows\)"):
            value(name, features, y)

    def test_one_class_is_refused(self, name: str, seed: int, telling: Draw) -> None:
        with pytest.raises(BadData, match="one class"):
            value(name, telling(30, 5, seed)[0], np.full(30, 3))

    def test_classes_that_are_absent_do_not_count(self, name: str, seed: int, telling: Draw) -> None:
        features, y = telling(30, 5, seed, K=3)
        assert value(name, features, np.array([1, 4, 9])[y]) == value(name, features, y)

    def test_features_that_are_constant_tell_nothing(self, name: str, seed: int, telling: Draw) -> None:
        features, y = telling(40, 5, seed)
        constant = value(name, np.full((40, 5), 7.0), y)
        assert np.isfinite(constant)
        assert constant < value(name, features, y)
        padded = np.concatenate([features, np.full((40, 3), 2.0)], 1)
        assert value(name, padded, y) == pytest.approx(value(name, features, y), rel=1e-9)

    def test_a_class_of_one_example_is_scored(self, name: str, seed: int, telling: Draw) -> None:
        features, y = telling(30, 5, seed, K=3)
        y = np.where(np.arange(30) == 0, 3, y)
        assert np.isfinite(value(name, features, y))

    def test_counts_that_differ_are_refused(self, name: str, seed: int, telling: Draw) -> None:
        features, y = telling(30, 5, seed)
        with pytest.raises(BadData, match="N targets"):
            value(name, features, y[:-1])


def test_posteriors_that_are_logits_are_refused(seed: int, telling: Draw) -> None:
    logits, y = telling(30, 5, seed)
    for name in ("leep", "nce"):
        with pytest.raises(BadData, match="softmax"):
            value(name, logits, y)


def test_one_group_is_refused(seed: int, telling: Draw) -> None:
    features, y = telling(30, 5, seed)
    with pytest.raises(BadData, match="one group"):
        SCORES.load("ridge_loo")(features, y, groups=np.zeros(30, int))


def test_numbers_are_refused_where_classes_are_needed(seed: int, telling: Draw) -> None:
    features, y = telling(30, 5, seed)
    with pytest.raises(BadData, match="defined for classes"):
        h_score(features, y.astype(float))
