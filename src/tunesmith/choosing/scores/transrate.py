"""The mutual information of features and classes, by rates of lossy coding.

Huang et al. 2022 (arXiv:2106.09362). A rate grows with the number of features and with their spread; the
spread is divided out here, the number is not: of networks that differ in width the wider one is favoured.
"""

from __future__ import annotations

import numpy as np

from tunesmith.choosing.scores.score import Score, checked


def transrate(features: np.ndarray, targets: np.ndarray, *, distortion: float = 1e-4) -> float:
    """R(F) - Σ share · R(F of a class), in nats; R = ½ log det(I + FᵀF / (n · distortion)).

    Features are centered, and scaled so that the mean squared length of a row is 1.
    """
    X, y = checked(features, targets, takes=("classes",))
    X = X - X.mean(0)
    X = X / max(float(np.abs(X).max()), 1e-300)
    X = X / max(float(np.sqrt((X**2).sum(1).mean())), 1e-300)
    inside = sum((y == k).mean() * _rate(X[y == k], distortion) for k in range(int(y.max()) + 1))
    return _rate(X, distortion) - float(inside)


def _rate(features: np.ndarray, distortion: float) -> float:
    N, D = features.shape
    gram = features.T @ features if D <= N else features @ features.T  # the same determinant
    values = np.clip(np.linalg.eigvalsh(gram), 0, None)
    return 0.5 * float(np.log1p(values / (N * distortion)).sum())


TRANSRATE = Score(
    "transrate", transrate, "features", ("classes",), True, False, "Huang et al. 2022, arXiv:2106.09362"
)
