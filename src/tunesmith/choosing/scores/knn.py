"""What the nearest other examples say of each one, by the cosine of standardised features.

A long-standing test of features; in a study of 42,000 runs on 16 image data sets it followed fine-tuned
accuracy best of 23 scores (2025, arXiv:2503.18528).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tunesmith.choosing.scores.score import (
    Score,
    checked,
    explained,
    kind_of,
    macro_precision,
    recalls,
    standardised,
)

NEIGHBOURS: Final = 5
AT_ONCE: Final = 1 << 22  # similarities that lie in memory


def neighbours(
    features: np.ndarray, *, count: int = NEIGHBOURS, groups: np.ndarray | None = None
) -> np.ndarray:
    """The rows nearest to each row, itself and its group left out: int [N, count], the nearest first.

    -1 where there are fewer. Memory does not grow with N²: rows are compared a block at a time.
    """
    X = standardised(features)
    X = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-30)
    N = len(X)
    count = min(count, N - 1)
    kin = np.arange(N) if groups is None else np.unique(groups, return_inverse=True)[1]
    found = np.empty((N, count), np.int64)
    step = max(1, AT_ONCE // N)
    for start in range(0, N, step):
        rows = np.arange(start, min(start + step, N))
        near = X[rows] @ X.T
        near[kin[rows][:, None] == kin[None, :]] = -np.inf
        some = np.argpartition(-near, count - 1, axis=1)[:, :count]
        closeness = np.take_along_axis(near, some, 1)
        order = np.argsort(-closeness, axis=1, kind="stable")
        found[rows] = np.where(
            np.isfinite(np.take_along_axis(closeness, order, 1)), np.take_along_axis(some, order, 1), -1
        )
    return found


def votes(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    count: int = NEIGHBOURS,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """The mean of the neighbours' targets, [N, K]: of classes one-hot, of labels, or of numbers."""
    X, y = checked(features, targets, takes=("classes", "labels", "real"))
    Y = np.eye(int(y.max()) + 1)[y] if kind_of(y) == "classes" else y.reshape(len(y), -1).astype(np.float64)
    near = neighbours(X, count=count, groups=groups)
    there = (near >= 0)[..., None]
    return (Y[near] * there).sum(1) / np.maximum(there.sum(1), 1)  # type: ignore[no-any-return]


def knn(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    count: int = NEIGHBOURS,
    groups: np.ndarray | None = None,
) -> float:
    """Balanced accuracy of classes; mean average precision of labels; R² of real targets."""
    answers = votes(features, targets, count=count, groups=groups)
    y = np.asarray(targets)
    kind = kind_of(y)
    if kind == "classes":
        return float(recalls(answers.argmax(1), np.unique(y, return_inverse=True)[1]).mean())
    if kind == "labels":
        return macro_precision(answers, y)
    return explained(answers, y.reshape(len(y), -1))


KNN = Score("knn", knn, "features", ("classes", "labels", "real"), True, True, "arXiv:2503.18528")
