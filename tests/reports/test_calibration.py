"""Calibration: bins and errors by hand and beside torchmetrics; a temperature that was planted is found."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.reports.calibration import bins, calibrate, error, scaled, temperature


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))


def drawn(seed: int, count: int = 20_000, K: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes drawn with the probabilities that they state."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, K)) * 1.5
    stated = softmax(logits).cumsum(1)
    return logits, (random.random((count, 1)) > stated).sum(1).clip(0, K - 1)


def test_the_error_is_that_of_torchmetrics(seed: int) -> None:
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, truth = drawn(seed, 3000)
    for sharpness in (0.5, 1.0, 3.0):
        stated = softmax(sharpness * logits)
        theirs = multiclass_calibration_error(
            torch.from_numpy(stated), torch.from_numpy(truth), num_classes=4, n_bins=10, norm="l1"
        )
        assert error(bins(stated, truth)) == pytest.approx(float(theirs), abs=1e-6)


def test_the_bins_hold_every_example_once(seed: int) -> None:
    logits, truth = drawn(seed, 500)
    assert sum(count for _, _, count in bins(softmax(logits), truth)) == 500


def test_certainty_falls_into_the_last_tenth() -> None:
    assert bins(np.array([[1.0, 0.0], [0.95, 0.05]]), np.array([0, 1])) == ((0.975, 0.5, 2),)


def test_a_network_that_is_three_times_too_sure_gets_the_temperature_three(seed: int) -> None:
    logits, truth = drawn(seed)
    assert temperature(softmax(3 * logits), truth) == pytest.approx(3, rel=0.03)


def test_honest_probabilities_get_the_temperature_one(seed: int) -> None:
    """The control: were 3 found whatever is stated, the test above would be blind."""
    logits, truth = drawn(seed)
    assert temperature(softmax(logits), truth) == pytest.approx(1, rel=0.03)


def test_a_temperature_of_validation_mends_the_test_split(seed: int) -> None:
    logits, truth = drawn(seed)
    stated = softmax(3 * logits)
    found = calibrate(stated[::2], truth[::2], stated[1::2], truth[1::2])
    assert found.ece > 0.1
    assert found.after_ece < 0.02
    swapped = calibrate(stated[::2], np.roll(truth[::2], 1), stated[1::2], truth[1::2])
    assert swapped.after_ece > 0.1  # classes that have nothing to do with the answers teach another one


def test_no_temperature_changes_a_guess(seed: int) -> None:
    stated = softmax(drawn(seed, 200)[0])
    for heat in (0.1, 1.0, 7.0):
        assert (scaled(stated, heat).argmax(1) == stated.argmax(1)).all()
        assert scaled(stated, heat).sum(1) == pytest.approx(np.ones(200))


def test_probabilities_of_zero_and_one_have_a_temperature() -> None:
    stated = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert 0.05 <= temperature(stated, np.array([0, 0, 1])) <= 20
    assert temperature(stated, np.array([0, 1, 1])) > 10  # one certain answer was wrong
