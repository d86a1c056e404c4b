"""The evidence of Bayesian linear regression on the features, at its best prior and noise (LogME).

You et al. 2021 (arXiv:2102.11005). Three things differ from their code: the log-determinant counts every
direction of the prior, so that features of a rank below their dimension (fewer examples than features, dead
units) are not rewarded for it; features are standardised and targets centered, so that offsets and units
change nothing; and the maximum is sought along one line instead of by a fixed point.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tunesmith.choosing.scores.score import Score, checked, kind_of, spectrum

RANGE: Final = (-18.0, 18.0)  # of log(prior precision / noise precision / largest eigenvalue)
STEPS: Final = 73


def logme(features: np.ndarray, targets: np.ndarray) -> float:
    """Log evidence per example, averaged over classes (one-hot) or target columns."""
    X, y = checked(features, targets, takes=("classes", "labels", "real"))
    Y = np.eye(int(y.max()) + 1)[y] if kind_of(y) == "classes" else y.reshape(len(y), -1).astype(np.float64)
    axes, projections, outside = spectral(*spectrum(X), Y)
    n = len(X) - 1  # centering takes one degree of freedom: the intercept, integrated out under a flat prior
    found = [best_evidence(axes, z, rest, n)[0] for z, rest in zip(projections.T, outside, strict=True)]
    return float(np.mean(found))


def spectral(
    rotated: np.ndarray, eigenvalues: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of features F, as `spectrum` gives them, and targets [N, T] all that the evidence depends on.

    Returns the eigenvalues above 0 of FᵀF, [k], scaled so that the largest is 1; (uᵢᵀy)² for their vectors,
    [k, T]; and what of yᵀy no features reach, [T]. The scale is the prior's to choose, and tells nothing.
    """
    Y = values - values.mean(0)
    largest = max(float(eigenvalues.max()), 1e-300)
    kept = eigenvalues > 1e-12 * len(rotated) * largest
    U = rotated[:, kept] / np.sqrt(eigenvalues[kept])
    sums = (Y * Y).sum(0)
    there = sums > 0
    reached = (U.T @ Y[:, there]) ** 2
    outside = sums[there] - reached.sum(0)
    outside[outside < 1e-10 * sums[there]] = 0.0  # what is left there of a perfect fit is rounding
    return eigenvalues[kept] / largest, reached, outside


def evidence(
    ratio: float | np.ndarray, axes: np.ndarray, projections: np.ndarray, outside: float, n: int
) -> np.ndarray:
    """Log evidence per example where the prior's precision is `ratio` times that of the noise.

    The noise is at its best for that ratio: its precision is n / (outside + Σ (uᵢᵀy)² ratio / (ratio + σᵢ)).
    """
    t = np.atleast_1d(np.asarray(ratio, np.float64))[:, None]
    left = np.maximum(outside + (t / (t + axes)) @ projections, 1e-300)
    # ½ D log α - ½ Σ over all D of log(α + β σᵢ): directions with σᵢ = 0 cancel, so k of them remain.
    volume = 0.5 * (np.log(t) - np.log(t + axes)).sum(1)
    return (volume - 0.5 * n * (np.log(left / n) + 1 + np.log(2 * np.pi))) / n  # type: ignore[no-any-return]


def best_evidence(axes: np.ndarray, projections: np.ndarray, outside: float, n: int) -> tuple[float, float]:
    """The largest evidence over all ratios, and its ratio."""
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    logs = np.linspace(*RANGE, STEPS)
    best = int(evidence(np.exp(logs), axes, projections, outside, n).argmax())
    around = logs[max(best - 1, 0)], logs[min(best + 1, STEPS - 1)]
    found = minimize_scalar(
        lambda log: -float(evidence(np.exp(log), axes, projections, outside, n)[0]),
        bounds=around,
        method="bounded",
        options={"xatol": 1e-8},
    )
    return -float(found.fun), float(np.exp(found.x))


LOGME = Score(
    "logme", logme, "features", ("classes", "labels", "real"), True, True, "You et al. 2021, arXiv:2102.11005"
)
