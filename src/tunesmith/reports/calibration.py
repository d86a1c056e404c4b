"""Whether stated probabilities can be believed: reliability by tenths, and one number that mends most."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.reports.content import Calibration

TENTHS: Final = 10
SMALLEST: Final = 1e-300  # a probability of 0 has no logarithm; a float64 softmax goes down to here
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are looked at

Floats = NDArray[np.float64]


def calibrate(
    valid: Floats, valid_truth: NDArray[np.int64], test: Floats, truth: NDArray[np.int64]
) -> Calibration:
    """Reliability on the test split, as stated and after temperature scaling on the validation split.

    valid, test: probabilities [N, K]. valid_truth, truth: the index of each example's class [N].
    """
    heat = temperature(valid, valid_truth)
    softened = scaled(test, heat)
    before, after = bins(test, truth), bins(softened, truth)
    return Calibration(before, error(before), heat, after, error(after))


def bins(probabilities: Floats, truth: NDArray[np.int64]) -> tuple[tuple[float, float, int], ...]:
    """Mean probability of the guess, share that was right, and count, by tenths; empty ones left out.

    A tenth holds what lies above its lower edge, up to its upper one.

    >>> bins(np.array([[.9, .1], [.2, .8], [.85, .15], [.45, .55]]), np.array([0, 1, 1, 1]))
    ((0.55, 1.0, 1), (0.8, 1.0, 1), (0.875, 0.5, 2))
    """
    sure = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    tenth = np.clip(np.ceil(sure * TENTHS).astype(int) - 1, 0, TENTHS - 1)
    return tuple(
        (round(float(sure[here].mean()), 12), float(right[here].mean()), int(here.sum()))
        for here in (tenth == i for i in range(TENTHS))
        if here.any()
    )


def error(found: tuple[tuple[float, float, int], ...]) -> float:
    """Expected calibration error, 0 to 1: |share right - stated|, weighted by count (Naeini et al. 2015).

    >>> round(error(((0.6, 1.0, 1), (0.9, 0.5, 3))), 3)
    0.4
    """
    total = sum(count for _, _, count in found)
    return sum(abs(right - stated) * count for stated, right, count in found) / max(total, 1)


def temperature(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """What to divide logits by so that log loss is least (Guo et al. 2017, arXiv:1706.04599).

    Above 1 where the network was too sure of itself, below 1 where it was not sure enough; no guess
    changes. Between 0.05 and 20: where every answer is right, the best would be 0.

    probabilities: [N, K]; their logarithms are logits, up to a number that softmax does not see.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    rows = np.arange(len(truth))

    def loss(log_heat: float) -> float:
        own = scaled(probabilities, float(np.exp(log_heat)))[rows, truth]
        return float(-np.log(np.maximum(own, SMALLEST)).mean())

    edges = float(np.log(COLDEST)), float(np.log(HOTTEST))
    return float(np.exp(minimize_scalar(loss, bounds=edges, method="bounded").x))


def scaled(probabilities: Floats, heat: float) -> Floats:
    """The probabilities [N, K] that come of logits divided by a temperature."""
    logits = np.log(np.maximum(probabilities, SMALLEST)) / heat
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    result: Floats = shifted / shifted.sum(1, keepdims=True)
    return result
