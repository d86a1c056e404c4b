"""How much of the features' variance lies between classes: tr(Σ⁻¹ Σ_between).

H-score: Bao et al. 2019 (arXiv:2212.10082). Shrunk: Ibrahim et al. 2021 (arXiv:2110.06893), with the
covariance of Ledoit & Wolf 2004. The plain one equals K - 1 for any features once there are as many as
examples, and noise adds (K - 1) D / N before that: read it where N is several times D only.
"""

from __future__ import annotations

import numpy as np

from tunesmith.choosing.scores.score import Score, checked, spectrum


def h_score(features: np.ndarray, targets: np.ndarray) -> float:
    """Between 0 and K - 1; the pseudo-inverse where features depend on each other."""
    X, y = checked(features, targets, takes=("classes",))
    Z, eigenvalues = spectrum(X)
    kept = eigenvalues > 1e-10 * max(float(eigenvalues.max()), 1e-300)
    if not kept.any():
        return 0.0
    # In whitened coordinates the covariance is 1, so the trace is the mean squared norm of class means.
    means, shares = _means(Z[:, kept] / np.sqrt(eigenvalues[kept] / len(X)), y)
    return float(shares @ (means**2).sum(1))


def h_score_shrunk(features: np.ndarray, targets: np.ndarray) -> float:
    """The same with the covariance shrunk towards the identity: (1 - a) tr(((1 - a) Σ + a I)⁻¹ Σ_between).

    Shrinking moves no principal axis, so that it costs no more than the plain one once these are known.
    """
    X, y = checked(features, targets, takes=("classes",))
    Z, eigenvalues = spectrum(X)
    variances = eigenvalues / len(X)
    if not variances.any():
        return 0.0
    shrinkage = shrinkage_of(Z, variances)
    means, shares = _means(Z, y)
    shrunk = (1 - shrinkage) * variances + shrinkage
    return float((1 - shrinkage) * shares @ (means**2 / np.maximum(shrunk, 1e-12)).sum(1))


def shrinkage_of(rotated: np.ndarray, variances: np.ndarray) -> float:
    """Ledoit & Wolf's weight of the identity, from 0 to 1, for standardised features on their principal axes.

    Their distances are sums over eigenvalues and lengths of rows, since no rotation changes them; the
    variances of standardised features sum to how many there are, and their mean is 1.
    """
    N, D = len(rotated), float(variances.sum())
    squares = float((variances**2).sum())
    distance = squares / D - 1  # from the identity
    error = (float(((rotated**2).sum(1) ** 2).mean()) - squares) / (D * N)  # of the covariance itself
    return min(max(error, 0.0) / distance, 1.0) if distance > 0 else 0.0


def _means(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each class, [K, D], and the share of the examples that it has, [K]."""
    counts = np.bincount(targets)
    members = np.eye(len(counts))[targets]
    return (members.T @ features) / counts[:, None], counts / len(targets)


H_SCORE = Score(
    "h_score", h_score, "features", ("classes",), True, False, "Bao et al. 2019, arXiv:2212.10082"
)
H_SCORE_SHRUNK = Score(
    "h_score_shrunk",
    h_score_shrunk,
    "features",
    ("classes",),
    True,
    True,
    "Ibrahim et al. 2021, arXiv:2110.06893",
)
