"""Linear heads solved to convergence on features that stream by: memory does not grow with the examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.errors import BadData, BadOption
from tunesmith.training.heads import LAMBDAS, are_numbers

# Each call goes once over the data, and over the same data each time, in blocks of any size:
# features float [n, D], targets int [n] (classes) or float [n, K] (numbers), and the weight of each example,
# float [n], or None for 1.
Block = tuple[np.ndarray, np.ndarray, np.ndarray | None]
Blocks = Callable[[], Iterable[Block]]

PENALTIES = tuple(10.0**e for e in range(0, -7, -1))  # strong to weak: each start is near its end
_ROWS = 2048  # examples that lie in memory as float64 at a time
_CURVATURE = 0.25  # of the cross-entropy along one logit, at most
_FACTORS = np.geomspace(0.5, 64, 43)


@dataclass(frozen=True)
class Linear:
    """A linear head on raw features: features @ weights + bias are logits or numbers, ready for an nn.Linear.

    weights: float64 [D, K]. bias: float64 [K]. penalty: per example, on standardised features.
    iterations: of the solver; 0 for a closed form. converged: False if the solver stopped before its
    tolerance. loss: what was minimised (`logistic`), or the log-loss of the leave-one-out answers
    (`least_squares`), of numbers their mean squared error. numbers: whether that is what it gives.
    """

    weights: np.ndarray
    bias: np.ndarray
    penalty: float
    iterations: int
    converged: bool
    loss: float
    numbers: bool = False

    def answers(self, features: np.ndarray) -> np.ndarray:
        """Features [n, D] to probabilities, or to numbers, [n, K]."""
        scores: np.ndarray = features.astype(np.float64) @ self.weights + self.bias
        return scores if self.numbers else np.exp(_log_softmax(scores))


def logistic(
    blocks: Blocks,
    classes: int,
    *,
    penalty: float,
    tolerance: float = 1e-6,
    iterations: int = 1000,
    start: Linear | None = None,
) -> Linear:
    """Multinomial logistic regression by L-BFGS on the full-batch loss and gradient.

    Minimises the weighted mean cross-entropy + penalty / 2 · |W|² on standardised features; the bias
    is not punished. scikit-learn's LogisticRegression minimises the same with C = 1 / (N · penalty)
    for three classes and more, and with C = 2 / (N · penalty) for two, where it keeps one vector.

    penalty: above 0, so that separable classes have an optimum too.
    tolerance: of the largest entry of the gradient. iterations: at most so many, each one or two
        passes over the blocks.
    start: where to begin; None: the solution of `least_squares`.
    Raises BadOption for a penalty that is not above 0, BadData as `least_squares` does.
    Sources: Liu & Nocedal 1989 (L-BFGS, as in scipy.optimize), in coordinates in which the bound of
    Böhning 1992 on the Hessian, from the Gram matrix, is the identity: several times fewer passes.
    """
    data = _standardised(blocks, classes)
    return _descended(data, _decomposed(data), penalty, tolerance, iterations, start)


def best_penalty(
    train: Blocks,
    valid: Blocks,
    classes: int,
    *,
    penalties: Sequence[float] = PENALTIES,
    tolerance: float = 1e-6,
    iterations: int = 1000,
) -> Linear:
    """The `logistic` head whose penalty gives the least log-loss on `valid`.

    The penalties are taken from strong to weak, each from where the one before ended; two in a row
    that are worse than the best end the search.
    """
    if not penalties:
        raise BadOption("penalties is empty; give at least one number above 0.")
    data = _standardised(train, classes)
    gram = _decomposed(data)
    start: Linear | None = None
    best: tuple[float, Linear] | None = None
    worse = 0
    for penalty in sorted(penalties, reverse=True):
        start = _descended(data, gram, penalty, tolerance, iterations, start)
        found = log_loss(valid, start)
        if best is None or found < best[0]:
            best, worse = (found, start), 0
        else:
            worse += 1
        if worse == 2:
            break
    assert best is not None
    return best[1]


def least_squares(blocks: Blocks, outputs: int, *, penalties: Sequence[float] = LAMBDAS) -> Linear:
    """The head of `heads.ridge`, from sums over the data: D² numbers in memory instead of N · D.

    The penalty has the least exact leave-one-out error, weighted by the examples' weights; an example
    is left out with all its weight (Allen 1974, PRESS; with weight w its leverage is w times as large).
    Passes: mean and spread; the Gram matrix; the leave-one-out errors of all penalties; of classes the
    factor that makes the scores of the best one probabilities.

    penalties: per unit of weight, on standardised features.
    Raises BadData for no examples, targets outside 0..K-1, features that are not finite, weights that
    are negative or all 0, and blocks that are not the same at each call. BadOption for penalties not above 0.
    """
    if not penalties or not all(_positive(penalty) for penalty in penalties):
        raise BadOption(f"penalties must be numbers above 0; found {list(penalties)}.")
    data = _standardised(blocks, outputs)
    return _solved(data, _decomposed(data), penalties)


def log_loss(blocks: Blocks, head: Linear) -> float:
    """The weighted mean cross-entropy of a head on some data, in nats."""
    classes = len(head.bias)
    total = lost = 0.0
    for features, targets, w in _pieces(blocks, classes):
        logs = _log_softmax(features @ head.weights + head.bias)
        lost -= float(w @ logs[np.arange(len(targets)), targets])
        total += float(w.sum())
    if total <= 0:
        raise BadData("the data to measure the log-loss on hold no example with a weight above 0.")
    return lost / total


@dataclass(frozen=True)
class _Data:
    """Blocks, what standardises them, the mean of each output, and the rows and total weight seen.

    shares: [K], of each class, or the mean of each number.
    """

    blocks: Blocks
    mean: np.ndarray
    scale: np.ndarray
    shares: np.ndarray
    total: float
    rows: int

    def pieces(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Standardised features, targets and weights, a piece at a time."""
        rows = 0
        for X, targets, w in _pieces(self.blocks, len(self.shares)):
            X -= self.mean
            X /= self.scale
            rows += len(X)
            yield X, targets, w
        if rows != self.rows:
            raise BadData(
                f"the blocks held {self.rows} examples at the first pass and {rows} at a later one; "
                f"every call must begin anew (return a fresh iterator, not one that is used up)."
            )

    def centered(self, targets: np.ndarray) -> np.ndarray:
        if are_numbers(targets):
            return targets - self.shares  # type: ignore[no-any-return]
        Y = np.tile(-self.shares, (len(targets), 1))
        Y[np.arange(len(targets)), targets] += 1
        return Y

    def raw(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and bias for features as they come, from those for standardised ones."""
        weights = weights / self.scale[:, None]
        return weights, bias - self.mean @ weights

    def inside(self, head: Linear) -> tuple[np.ndarray, np.ndarray]:
        """Weights and bias for standardised features; constant features have no weight."""
        kept = np.where(np.isfinite(self.scale), self.scale, 0.0)
        return head.weights * kept[:, None], head.bias + self.mean @ head.weights


@dataclass(frozen=True)
class _Gram:
    """Xᵀ X = V diag(values) Vᵀ of weighted, standardised features, and Vᵀ Xᵀ Y."""

    values: np.ndarray
    vectors: np.ndarray
    cross: np.ndarray


def _standardised(blocks: Blocks, classes: int) -> _Data:
    """Mean and spread by merging those of the pieces (Chan, Golub & LeVeque 1979)."""
    total, rows, shares = 0.0, 0, np.zeros(classes)
    mean = squares = np.zeros(0)
    for X, targets, w in _pieces(blocks, classes):
        rows += len(X)
        weight = float(w.sum())
        if weight == 0:
            continue
        shares += w @ targets if are_numbers(targets) else np.bincount(targets, w, minlength=classes)
        own = w @ X / weight
        X -= own
        if total == 0:
            mean, squares = np.zeros_like(own), np.zeros_like(own)
        gap, share = own - mean, weight / (total + weight)
        squares += w @ (X * X) + gap * gap * (total * share)
        mean += gap * share
        total += weight
    if total == 0:
        raise BadData(f"no example to solve a head on: found {rows} examples and a total weight of 0.")
    spread = np.sqrt(squares / total)
    # A constant feature says nothing; `heads.ridge` draws the line at the same place.
    scale = np.where(spread > 1e-4 * max(float(spread.max()), 1e-30), spread, np.inf)
    return _Data(blocks, mean, scale, shares / total, total, rows)


def _decomposed(data: _Data) -> _Gram:
    D, K = len(data.mean), len(data.shares)
    gram, cross = np.zeros((D, D)), np.zeros((D, K))
    for X, targets, w in data.pieces():
        weighted = X * w[:, None]
        gram += X.T @ weighted
        cross += weighted.T @ data.centered(targets)
    values, vectors = np.linalg.eigh(gram)
    return _Gram(np.clip(values, 0, None), vectors, vectors.T @ cross)


def _solved(data: _Data, gram: _Gram, penalties: Sequence[float]) -> Linear:
    strengths = data.total * np.array(penalties)

    def left_out(Z: np.ndarray, Y: np.ndarray, w: np.ndarray, strength: float) -> np.ndarray:  # noqa: N803
        """What a fit to all other examples says of these; compare `heads.left_out`."""
        shrunk = 1 / (gram.values + strength)
        fitted = Z @ (shrunk[:, None] * gram.cross)
        leverage = w * ((Z * Z) @ shrunk + 1 / data.total)
        answers: np.ndarray = Y - (Y - fitted) / np.maximum(1 - leverage, 1e-9)[:, None]
        return answers

    errors, numbers = np.zeros(len(penalties)), False
    for X, targets, w in data.pieces():
        numbers = are_numbers(targets)
        Z, Y = X @ gram.vectors, data.centered(targets)
        for i, strength in enumerate(strengths):
            errors[i] += float(w @ ((Y - left_out(Z, Y, w, strength)) ** 2).sum(1))
    best = int(np.argmin(errors))
    W = gram.vectors @ (gram.cross / (gram.values + strengths[best])[:, None])
    if numbers:
        loss = float(errors[best] / data.total / len(data.shares))
        return Linear(*data.raw(W, data.shares), float(penalties[best]), 0, True, loss, numbers=True)
    losses = np.zeros(len(_FACTORS))
    for X, targets, w in data.pieces():
        scores = left_out(X @ gram.vectors, data.centered(targets), w, strengths[best]) + data.shares
        for i, factor in enumerate(_FACTORS):
            own = np.exp(_log_softmax(scores * factor)[np.arange(len(targets)), targets])
            losses[i] -= float(w @ np.log(np.clip(own, 1e-12, 1)))
    sharpest = int(np.argmin(losses))
    weights, bias = data.raw(W * _FACTORS[sharpest], data.shares * _FACTORS[sharpest])
    return Linear(weights, bias, float(penalties[best]), 0, True, float(losses[sharpest] / data.total))


def _descended(
    data: _Data, gram: _Gram, penalty: float, tolerance: float, iterations: int, start: Linear | None
) -> Linear:
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    if not _positive(penalty):
        raise BadOption(f"penalty must be a number above 0; found {penalty!r}.")
    W, bias = data.inside(_solved(data, gram, LAMBDAS) if start is None else start)
    D, K = W.shape
    # W = `turn` @ U: the loss is about equally curved along every coordinate of U.
    curvature = np.sqrt(gram.values / data.total * _CURVATURE + penalty)
    turn = gram.vectors / curvature
    steepest = np.inf

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal steepest
        W, bias = turn @ flat[: D * K].reshape(D, K), flat[D * K :]
        loss, pull, pull_bias = 0.0, np.zeros((D, K)), np.zeros(K)
        for X, targets, w in data.pieces():
            rows = np.arange(len(targets))
            logs = _log_softmax(X @ W + bias)
            loss -= float(w @ logs[rows, targets])
            residual = np.exp(logs)
            residual[rows, targets] -= 1
            residual *= w[:, None]
            pull += X.T @ residual
            pull_bias += residual.sum(0)
        pull, pull_bias = pull / data.total + penalty * W, pull_bias / data.total
        steepest = max(float(np.abs(pull).max()), float(np.abs(pull_bias).max()))
        slope = np.concatenate([(turn.T @ pull).ravel(), pull_bias])
        return loss / data.total + penalty / 2 * float((W * W).sum()), slope

    def enough(_: np.ndarray) -> None:
        if steepest <= tolerance:  # of the gradient by W, which its size by U does not tell
            raise StopIteration

    begin = np.concatenate([(curvature[:, None] * (gram.vectors.T @ W)).ravel(), bias])
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "gtol": 0.0, "ftol": 0.0, "maxcor": 20}
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", callback=enough, options=options)
    loss, _ = objective(found.x)  # the solver may end on another point than the one tried last
    weights, bias = data.raw(turn @ found.x[: D * K].reshape(D, K), found.x[D * K :])
    return Linear(weights, bias, penalty, int(found.nit), steepest <= tolerance, loss)


def _pieces(blocks: Blocks, classes: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Checked pieces of at most _ROWS examples: float64 copies [n, D], targets as given, float64 [n]."""
    for features, targets, weights in blocks():
        for begin in range(0, len(features), _ROWS):
            rows = slice(begin, begin + _ROWS)
            X = np.array(features[rows], dtype=np.float64)
            labels = np.asarray(targets[rows])
            w = np.ones(len(X)) if weights is None else np.asarray(weights[rows], dtype=np.float64)
            _check(X, labels, w, classes)
            yield X, labels, w


def _check(features: np.ndarray, targets: np.ndarray, w: np.ndarray, classes: int) -> None:
    X = features
    if X.ndim != 2 or len(targets) != len(X) or len(w) != len(X):
        raise BadData(
            f"a block needs features [n, D] and as many targets and weights; found features of shape "
            f"{X.shape}, {len(targets)} targets and {len(w)} weights."
        )
    if are_numbers(targets):
        if targets.shape[1] != classes or not np.isfinite(targets).all():
            raise BadData(f"targets must be {classes} finite numbers an example; found {targets.shape[1]}.")
    elif targets.min() < 0 or targets.max() >= classes:
        raise BadData(
            f"targets must lie in 0..{classes - 1}; found {targets.min()} to {targets.max()}: "
            f"is the number of classes right?"
        )
    if not np.isfinite(X.sum()):
        raise BadData("features hold NaN or infinity; find the examples whose features the network spoils.")
    if not np.isfinite(w).all() or w.min() < 0:
        raise BadData(f"weights of examples must be finite and not below 0; found {w.min()}.")


def _positive(number: float) -> bool:
    return math.isfinite(number) and number > 0


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(1, keepdims=True)
    logs: np.ndarray = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return logs
