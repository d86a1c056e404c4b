"""How much of the features' variance lies between classes: tr(Σ⁻¹ Σ_between).

H-score: Bao et al. 2019 (arXiv:2212.10082). Shrunk: Ibrahim et al. 2021 (arXiv:2110.06893), with Ledoit &
Wolf's estimate of the covariance. The plain one equals K - 1 for any features once there are as many as
examples, and noise adds (K - 1) D / N before that: read it where N is several times D only.
"""

from __future__ import annotations

import numpy as np

from tunesmith.choosing.scores.score import Score, checked, spectrum, standardised


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
    """The same with the covariance shrunk towards a multiple of the identity, solved by Cholesky."""
    from scipy.linalg import cho_factor, cho_solve  # type: ignore[import-untyped]
    from sklearn.covariance import ledoit_wolf

    X, y = checked(features, targets, takes=("classes",))
    X = standardised(X)
    if not X.any():
        return 0.0
    covariance, shrinkage = ledoit_wolf(X, assume_centered=True)
    means, shares = _means(X, y)
    # Features that repeat each other and are hardly shrunk: a little on the diagonal keeps them solvable.
    covariance[np.diag_indices_from(covariance)] += 1e-10
    solved = cho_solve(cho_factor(covariance, lower=True), means.T)
    return float((1 - shrinkage) * shares @ (means.T * solved).sum(0))


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
