"""How little classes overlap when each is a Gaussian: the Bhattacharyya coefficients of all pairs.

Pándy et al. 2022 (arXiv:2111.12780), with their reduction to 64 principal components and one variance a
class. Classes of few examples have small variances by chance; the variance inside all classes together is
therefore mixed in with the weight of PRIOR examples, which the paper does not do.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tunesmith.choosing.scores.score import Score, checked, spectrum

COMPONENTS: Final = 64
PRIOR: Final = 2.0


def gbc(features: np.ndarray, targets: np.ndarray) -> float:
    """Minus the overlap of all ordered pairs of classes: 0 where none overlap, -K (K - 1) where all do."""
    X, y = checked(features, targets, takes=("classes",))
    Z, eigenvalues = spectrum(X)
    Z = Z[:, np.argsort(-eigenvalues, kind="stable")[:COMPONENTS]]
    counts = np.bincount(y)
    members = np.eye(len(counts))[y]
    means = (members.T @ Z) / counts[:, None]
    around = ((Z - means[y]) ** 2).mean(1)  # of each example, per component
    pooled = max(float(around.mean()), 1e-12 * max(float((Z**2).mean()), 1e-300))
    variances = (members.T @ around + PRIOR * pooled) / (counts + PRIOR)
    return -float(np.exp(-distances(means, variances))[~np.eye(len(counts), dtype=bool)].sum())


def distances(means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Bhattacharyya distances [K, K] of Gaussians with means [K, D] and one variance each, [K]."""
    D = means.shape[1]
    squares = (means**2).sum(1)
    gaps = np.clip(squares[:, None] + squares[None, :] - 2 * means @ means.T, 0, None)
    middle = (variances[:, None] + variances[None, :]) / 2
    volume = np.log(middle) - 0.5 * np.log(variances)[:, None] - 0.5 * np.log(variances)[None, :]
    return gaps / (8 * middle) + 0.5 * D * volume  # type: ignore[no-any-return]


GBC = Score("gbc", gbc, "features", ("classes",), True, False, "Pándy et al. 2022, arXiv:2111.12780")
