"""What a ridge probe says of each example when it is fitted to all others, exactly.

One decomposition serves every penalty, class and left-out example (Allen 1974, PRESS; Rifkin & Lippert 2007).
With groups a whole group is left out: other photos of the same patient would give the answer away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tunesmith.choosing.scores.score import (
    Score,
    checked,
    explained,
    kind_of,
    macro_precision,
    recalls,
    spectrum,
)
from tunesmith.errors import BadData
from tunesmith.training.heads import LAMBDAS, left_out

KINDS: Final = ("classes", "labels", "real")
MANY: Final = (
    4  # times fewer rows than columns in a group, from which the form for many rows is the cheaper one
)


@dataclass(frozen=True)
class LeftOut:
    """Answers to examples that were left out.

    answers: [N, K], around 0: what is above the mean of the targets. targets: [N, K], centered (one-hot of
    classes). shares: [K], of each class. penalty: per example, the one of least error. errors, nulls: [N],
    squared and summed over K: of these answers, and of the mean of all others.
    """

    answers: np.ndarray
    targets: np.ndarray
    shares: np.ndarray
    penalty: float
    errors: np.ndarray
    nulls: np.ndarray

    @property
    def guesses(self) -> np.ndarray:
        """The class [N] whose share rises most: the guess of least balanced error.

        The likeliest class would be the largest one wherever classes are very unequal.
        """
        return (self.answers / self.shares).argmax(1)  # type: ignore[no-any-return]


def fitted(features: np.ndarray, targets: np.ndarray, *, groups: np.ndarray | None = None) -> LeftOut:
    """Leave-one-out answers on standardised features, at the penalty of least squared error.

    groups: [N], what is left out together; None: each example alone. The spread of the features is taken over
    all examples; the intercept is fitted anew each time.
    """
    X, y = checked(features, targets, takes=KINDS)
    Y = np.eye(int(y.max()) + 1)[y] if kind_of(y) == "classes" else y.reshape(len(y), -1).astype(np.float64)
    shares = Y.mean(0)
    Y = Y - shares
    N = len(Y)
    Z, values = spectrum(X)
    members = _members(groups)
    if members is not None and len(members) < 2:
        raise BadData("all examples are of one group, so none can be left out; name groups that differ.")
    left = None if members is None else [_Group(rows, Z) for rows in members]
    best: tuple[float, float, np.ndarray] | None = None
    for penalty in LAMBDAS:
        if left is None:
            answers = left_out(Z, values, Y, N * penalty)
        else:
            answers = _groups_left_out(Z, values, Y, N * penalty, left)
        error = float(((Y - answers) ** 2).mean())
        if best is None or error < best[0]:
            best = error, penalty, answers
    assert best is not None
    _, penalty, answers = best
    nulls = (Y * N / (N - 1)) if members is None else Y - _means_of_others(Y, members)
    safe = np.where(shares > 0, shares, np.inf)
    return LeftOut(answers, Y, safe, penalty, ((Y - answers) ** 2).sum(1), (nulls**2).sum(1))


def ridge_loo(features: np.ndarray, targets: np.ndarray, *, groups: np.ndarray | None = None) -> float:
    """Balanced accuracy of classes; mean average precision of labels; R² of real targets."""
    found = fitted(features, targets, groups=groups)
    y = np.asarray(targets)
    kind = kind_of(y)
    if kind == "classes":
        return float(recalls(found.guesses, np.unique(y, return_inverse=True)[1]).mean())
    if kind == "labels":
        return macro_precision(found.answers, y)
    return explained(found.answers, found.targets)


def ridge_mse(features: np.ndarray, targets: np.ndarray, *, groups: np.ndarray | None = None) -> float:
    """Squared error / squared error of the mean of all others: 0 is perfect, 1 tells nothing.

    Finer than accuracy: it still moves where every guess is right, or where all go to the largest class.
    """
    found = fitted(features, targets, groups=groups)
    return float(found.errors.sum() / max(float(found.nulls.sum()), 1e-300))


def _members(groups: np.ndarray | None) -> list[np.ndarray] | None:
    """The rows of each group; None where every example stands alone."""
    if groups is None:
        return None
    inverse = np.unique(groups, return_inverse=True)[1]
    rows = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    return None if len(rows) == len(inverse) else rows


class _Group:
    """Rows that are left out together, with a column of ones for the intercept; of many the Gram matrix."""

    def __init__(self, rows: np.ndarray, rotated: np.ndarray) -> None:
        self.rows = rows
        self.features = np.concatenate([rotated[rows], np.ones((len(rows), 1))], 1)
        many = len(rows) * MANY > self.features.shape[1]
        self.gram = self.features.T @ self.features if many else None


def _groups_left_out(
    rotated: np.ndarray, values: np.ndarray, targets: np.ndarray, penalty: float, groups: list[_Group]
) -> np.ndarray:
    """As `heads.left_out`, a group at a time: residuals become (I - H_gg)⁻¹ r_g, H the hat matrix.

    H_gg = U C⁻¹ Uᵀ, so that the inverse is I + U (C - UᵀU)⁻¹ Uᵀ too (Woodbury 1950): cheaper for many rows.
    """
    Z, Y = rotated, targets
    residuals = Y - Z @ ((Z.T @ Y) / (values + penalty)[:, None])
    C = np.append(values + penalty, len(Z))
    for group in groups:
        U, own = group.features, residuals[group.rows]
        if group.gram is not None:
            residuals[group.rows] += U @ np.linalg.solve(np.diag(C) - group.gram, U.T @ own)
        else:
            # A group that alone has a class could be fitted to the last digit: I - H is then singular.
            hat = (U / C) @ U.T
            residuals[group.rows] = np.linalg.lstsq(np.eye(len(U)) - hat, own, rcond=1e-9)[0]
    return Y - residuals  # type: ignore[no-any-return]


def _means_of_others(targets: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    means = np.empty_like(targets)
    total = targets.sum(0)
    for rows in members:
        means[rows] = (total - targets[rows].sum(0)) / (len(targets) - len(rows))
    return means


RIDGE_LOO = Score("ridge_loo", ridge_loo, "features", KINDS, True, True, "Allen 1974; Rifkin & Lippert 2007")
RIDGE_MSE = Score("ridge_mse", ridge_mse, "features", KINDS, False, True, "Allen 1974; Rifkin & Lippert 2007")
