"""Scores by number of labels rise where labels help, and say what twice as many are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.choosing.learning_curve import MOST, forecast, learning_curve, sizes
from tunesmith.training.heads import ridge


def drawn(N: int, seed: int, *, apart: float = 0.35) -> tuple[Any, Any]:
    """Features of three classes in 20 dimensions, and the classes."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 3, N)
    return random.normal(size=(N, 20)) + apart * np.eye(3, 20)[targets] * 4, targets


def score_of(truth: Any) -> Any:
    return lambda answers: float((np.argmax(answers, axis=1) == truth).mean())


@pytest.mark.parametrize("count", [2, 7, 90, 299, 300, 1000, 1750, 5000, 80_000])
def test_sizes_end_with_half_of_the_labels_and_all(count: int) -> None:
    found = sizes(count)
    assert found[-1] == min(count, MOST)
    assert found[-2] == found[-1] // 2
    assert list(found) == sorted(set(found))


def test_more_labels_are_better_and_noise_stays_where_it_is(seed: int) -> None:
    known, targets = drawn(1000, seed)
    asked, truth = drawn(2000, seed + 1)
    real = learning_curve(known, targets, asked, score_of(truth), 3, seed=seed)
    assert real.sizes == (100, 300, 500, 1000)
    assert real.values[-1] > real.values[0] + 0.02
    noise = learning_curve(known[:, 3:], targets, asked[:, 3:], score_of(truth), 3, seed=seed)
    assert max(noise.values) < 0.45
    assert forecast(noise.sizes, noise.values) < 0.03


def test_the_last_answers_are_those_of_a_head_on_everything(seed: int) -> None:
    known, targets = drawn(200, seed)
    asked, truth = drawn(50, seed + 1)
    found = learning_curve(known, targets, asked, score_of(truth), 3, seed=seed)
    assert np.array_equal(found.whole, ridge(known, targets, 3).answers(asked))
    assert not np.array_equal(found.half, found.whole)
    assert found.values[-1] == score_of(truth)(found.whole)


def test_a_head_on_everything_that_is_known_is_not_solved_again(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.choosing import learning_curve as module

    solved: list[int] = []

    def counted(features: Any, *others: Any) -> Any:
        solved.append(len(features))
        return ridge(features, *others)

    known, targets = drawn(200, seed)
    asked, truth = drawn(50, seed + 1)
    whole = ridge(known, targets, 3).answers(asked)
    monkeypatch.setattr(module, "ridge", counted)
    found = learning_curve(known, targets, asked, score_of(truth), 3, seed=seed, whole=whole)
    assert max(solved) == 100
    assert found.whole is whole
    assert found.values[-1] == score_of(truth)(whole)


def test_a_forecast_follows_a_power_of_the_number_of_labels() -> None:
    counts = (100, 300, 1000, 3000)
    values = tuple(1 - 2 * n**-0.5 for n in counts)
    assert forecast(counts, values) == pytest.approx(2 * 3000**-0.5 - 2 * 6000**-0.5)
    assert forecast((100, 200), (0.9, 0.8)) == 0.0
    assert forecast((100, 200), (0.9, 1.0)) == 0.0
