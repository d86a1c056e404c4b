"""Linear heads for numbers: the same closed form as for classes, on targets that are not one-hot."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from tunesmith.errors import BadData
from tunesmith.training.baselines import by_looks, tf_idf
from tunesmith.training.heads import LAMBDAS, ridge
from tunesmith.training.sampling import sampled
from tunesmith.training.solvers import Block, least_squares


@pytest.fixture
def known(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """80 features of 12 columns and two numbers that are nearly linear in them."""
    random = np.random.default_rng(seed)
    features = random.normal(3, 2, (80, 12))
    numbers = features @ random.normal(size=(12, 2)) + random.normal(0, 0.5, (80, 2)) + [10.0, -4.0]
    return features, numbers


def theirs(features: np.ndarray, numbers: np.ndarray, penalty: float) -> Ridge:
    """scikit-learn's ridge with the same penalty per example, on standardised features."""
    return Ridge(alpha=penalty * len(features)).fit(StandardScaler().fit_transform(features), numbers)


def left_out_error(features: np.ndarray, numbers: np.ndarray, penalty: float) -> float:
    """The leave-one-out error by fitting as often as there are examples, features standardised once."""
    X = StandardScaler().fit_transform(features)
    errors = []
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        model = Ridge(alpha=penalty * len(X)).fit(X[rest], numbers[rest])
        errors.append((model.predict(X[i : i + 1])[0] - numbers[i]) ** 2)
    return float(np.mean(errors))


def test_a_head_for_numbers_is_scikit_learns_ridge(known: tuple[np.ndarray, np.ndarray]) -> None:
    features, numbers = known
    ours = ridge(features, numbers, 2)
    X = StandardScaler().fit_transform(features)
    expected = theirs(features, numbers, ours.penalty).predict(X)
    assert np.array(ours.answers(features)) == pytest.approx(expected, abs=1e-9)
    other = theirs(features, numbers, 10 * ours.penalty).predict(X)  # the control: another penalty
    assert np.abs(np.array(ours.answers(features)) - other).max() > 1e-6


def test_its_penalty_has_the_least_leave_one_out_error(known: tuple[np.ndarray, np.ndarray]) -> None:
    features, numbers = known
    errors = {penalty: left_out_error(features, numbers, penalty) for penalty in LAMBDAS[::2]}
    best = min(errors, key=lambda penalty: errors[penalty])
    found = ridge(features, numbers, 2).penalty
    assert best / 4 < found < best * 4


def test_the_streamed_head_is_the_one_in_memory(known: tuple[np.ndarray, np.ndarray]) -> None:
    features, numbers = known

    def blocks() -> list[Block]:
        return [(features[i : i + 17], numbers[i : i + 17], None) for i in range(0, 80, 17)]

    streamed, whole = least_squares(blocks, 2), ridge(features, numbers, 2)
    assert streamed.penalty == pytest.approx(whole.penalty)
    assert streamed.answers(features) == pytest.approx(np.array(whole.answers(features)), abs=1e-9)
    assert streamed.loss == pytest.approx(left_out_error(features, numbers, streamed.penalty), rel=0.05)


def test_an_example_of_weight_two_counts_as_two(known: tuple[np.ndarray, np.ndarray]) -> None:
    features, numbers = known
    weights = np.where(np.arange(80) < 10, 2.0, 1.0)
    twice = np.concatenate([np.arange(80), np.arange(10)])
    penalty = [LAMBDAS[6]]
    weighted = least_squares(lambda: [(features, numbers, weights)], 2, penalties=penalty)
    repeated = least_squares(lambda: [(features[twice], numbers[twice], None)], 2, penalties=penalty)
    plain = least_squares(lambda: [(features, numbers, None)], 2, penalties=penalty)
    assert weighted.weights == pytest.approx(repeated.weights, abs=1e-9)
    assert np.abs(weighted.weights - plain.weights).max() > 1e-6


def test_numbers_that_are_not_finite_are_refused(known: tuple[np.ndarray, np.ndarray]) -> None:
    features, numbers = known
    spoiled = numbers.copy()
    spoiled[3, 1] = np.nan
    with pytest.raises(BadData, match="2 finite numbers"):
        least_squares(lambda: [(features, spoiled, None)], 2)


def test_a_sample_of_numbers_holds_every_tenth_of_them_and_depends_on_the_seed() -> None:
    numbers = np.random.default_rng(0).exponential(1.0, (1000, 1))
    rows = sampled(numbers, 100, seed=0)
    tenth = np.argsort(np.argsort(numbers[:, 0])) // 100
    assert np.bincount(tenth[rows]).tolist() == [10] * 10
    assert not np.array_equal(rows, sampled(numbers, 100, seed=1))


def test_words_and_looks_answer_with_numbers(seed: int) -> None:
    random = np.random.default_rng(seed)
    stars = random.integers(1, 6, 120).astype(float)
    texts = [f"{'good ' * int(s)}{'bad ' * int(6 - s)}" for s in stars]
    answers = np.array(tf_idf(texts[:80], stars[:80, None], texts[80:], 1))
    assert answers.shape == (40, 1)
    assert ((answers[:, 0] - stars[80:]) ** 2).mean() < 0.2 * stars.var()
    looks = (stars[:, None] + random.normal(0, 0.1, (120, 3))).astype(np.float32)
    seen = np.array(by_looks(looks[:80], stars[:80, None], looks[80:], 1))
    assert ((seen[:, 0] - stars[80:]) ** 2).mean() < 0.1 * stars.var()
