"""Linear heads solved in closed form: the baseline that every fine-tuned network has to beat.

Targets are classes, int [N], or numbers, float [N, K]: what they are made of says which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAMBDAS = tuple(10.0**e for e in np.arange(-4, 5.01, 0.5))  # per example, on standardised features


@dataclass(frozen=True)
class Ridge:
    """A linear head on standardised features.

    mean, scale: [D]. weights: [D, K]. bias: [K]. sharpness: what the scores of classes are multiplied by
    before a softmax makes them probabilities; None for numbers. penalty: the one whose leave-one-out error is
    least.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    sharpness: float | None
    penalty: float

    def answers(self, features: np.ndarray) -> list[np.ndarray]:
        """Features [N, D] to probabilities, or to numbers, [K] per example."""
        scores = ((features - self.mean) / self.scale) @ self.weights + self.bias
        return list(scores if self.sharpness is None else _softmax(scores * self.sharpness))


def ridge(features: np.ndarray, targets: np.ndarray, outputs: int) -> Ridge:
    """Least squares on one-hot classes, or on numbers, with the penalty of least exact leave-one-out error.

    features: float [N, D]. targets: int [N] below `outputs`, or float [N, outputs]. One
    eigendecomposition serves every penalty: the leave-one-out residual is r / (1 - h), h the leverage (Allen
    1974, PRESS; Rifkin & Lippert 2007).
    Works for D above N as for N above D.
    """
    N = len(features)
    mean = features.mean(0)
    spread = features.std(0)
    scale = np.where(spread > 1e-4 * max(float(spread.max()), 1e-30), spread, np.inf)
    X = (features - mean) / scale
    Y = encoded(targets, outputs)
    bias = Y.mean(0)
    Y = Y - bias
    Z, values, V = decomposed(X)
    best: tuple[float, float, np.ndarray] | None = None
    for penalty in (N * lam for lam in LAMBDAS):
        loo = left_out(Z, values, Y, penalty)
        error = float(((Y - loo) ** 2).mean())
        if best is None or error < best[0]:
            best = error, penalty, loo
    assert best is not None
    _, penalty, loo = best
    weights = V @ ((Z.T @ Y) / (values + penalty)[:, None])
    sharpness = None if are_numbers(targets) else _sharpness(loo + bias, targets)
    return Ridge(mean, scale, weights, bias, sharpness, penalty / N)


def are_numbers(targets: np.ndarray) -> bool:
    """Whether targets are numbers, float [N, K], and not classes, int [N]."""
    return targets.ndim == 2


def encoded(targets: np.ndarray, outputs: int) -> np.ndarray:
    """What a linear head is fitted to, float64 [N, K]: classes as rows of 0 and one 1, numbers as they are.

    >>> encoded(np.array([1, 0]), 2).tolist(), encoded(np.array([[0.5], [2.0]]), 1).tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [[0.5], [2.0]])
    """
    return targets.astype(np.float64) if are_numbers(targets) else np.eye(outputs)[targets]


def decomposed(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Z, values and V with X = Z Vᵀ and Zᵀ Z = diag(values), by the smaller of XᵀX and XXᵀ.

    features: X, [N, D]; R is the smaller of N and D. Returns [N, R], [R] from 0 on, [D, R].
    """
    X = features
    N, D = X.shape
    if D <= N:
        values, V = np.linalg.eigh(X.T @ X)
        return X @ V, np.clip(values, 0, None), V
    values, U = np.linalg.eigh(X @ X.T)
    values = np.clip(values, 0, None)
    V = X.T @ (U / np.sqrt(np.maximum(values, 1e-12 * max(values.max(), 1e-30))))
    return U * np.sqrt(values), values, V


def left_out(rotated: np.ndarray, values: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """What a ridge fitted to all other examples says of each one, [N, K].

    rotated, values: Z and values of centered features, as `decomposed` gives them.
    targets: [N, K], centered; the intercept is fitted anew, and not punished, each time.
    """
    Z, Y = rotated, targets
    shrunk = 1 / (values + penalty)
    fitted = Z @ (shrunk[:, None] * (Z.T @ Y))
    leverage = (Z * Z) @ shrunk + 1 / len(Z)
    return Y - (Y - fitted) / np.maximum(1 - leverage, 1e-9)[:, None]  # type: ignore[no-any-return]


def _sharpness(scores: np.ndarray, targets: np.ndarray) -> float:
    """The factor that makes leave-one-out scores the best probabilities (temperature scaling)."""

    def surprise(factor: float) -> float:
        own = _softmax(scores * factor)[np.arange(len(targets)), targets]
        return float(-np.log(np.clip(own, 1e-12, 1)).mean())

    return float(min(np.geomspace(0.5, 64, 43), key=surprise))


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)  # type: ignore[no-any-return]
