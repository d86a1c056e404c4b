"""Streamed linear heads: scikit-learn's optimum, the ridge of heads.py, any blocks, flat memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tunesmith.errors import BadData, BadOption
from tunesmith.training import solvers
from tunesmith.training.heads import LAMBDAS, ridge
from tunesmith.training.solvers import (
    Block,
    Blocks,
    Linear,
    best_penalty,
    least_squares,
    log_loss,
    logistic,
)

SHAPES = [(90, 6), (60, 60), (40, 70)]


def drawn(N: int, D: int, seed: int, K: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes of unequal size; features of unlike means and scales."""
    random = np.random.default_rng([seed, N, D])
    targets = np.minimum(np.arange(N) % (K + 1), K - 1)
    features = random.normal(size=(N, D)) + targets[:, None] * random.normal(size=D) * 0.4
    return (features * random.uniform(0.1, 20, D) + random.normal(size=D) * 30).astype(np.float32), targets


def cut(features: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None, n: int = 17) -> Blocks:
    def blocks() -> Iterator[Block]:
        for i in range(0, len(features), n):
            rows = slice(i, i + n)
            yield features[rows], targets[rows], None if weights is None else weights[rows]

    return blocks


def standardised(features: np.ndarray) -> np.ndarray:
    wide = features.astype(np.float64)
    return np.asarray((wide - wide.mean(0)) / wide.std(0))


def theirs(X: np.ndarray, targets: np.ndarray, C: float, weights: np.ndarray | None = None) -> np.ndarray:
    """scikit-learn's coefficients [D, K], and below them the intercept, made to sum to 0."""
    fit = LogisticRegression(C=C, tol=1e-12, max_iter=20000, solver="lbfgs")
    fit.fit(X, targets, sample_weight=weights)
    coefficients, intercept = fit.coef_, fit.intercept_
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    return np.concatenate([coefficients.T, (intercept - intercept.mean())[None]])


def inside(head: Linear, features: np.ndarray) -> np.ndarray:
    """A head's coefficients for standardised features, as `theirs` gives them."""
    wide = features.astype(np.float64)
    bias = head.bias + wide.mean(0) @ head.weights
    return np.concatenate([head.weights * wide.std(0)[:, None], (bias - bias.mean())[None]])


def objective(coefficients: np.ndarray, X: np.ndarray, targets: np.ndarray, penalty: float) -> float:
    logits = X @ coefficients[:-1] + coefficients[-1]
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    own = logs[np.arange(len(targets)), targets]
    return float(-own.mean() + penalty / 2 * (coefficients[:-1] ** 2).sum())


# -- logistic -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("N", "D"), SHAPES)
@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_the_optimum_is_scikit_learns(N: int, D: int, penalty: float, seed: int) -> None:
    features, targets = drawn(N, D, seed)
    X = standardised(features)
    found = logistic(cut(features, targets), 3, penalty=penalty, tolerance=1e-8)
    expected = theirs(X, targets, 1 / (N * penalty))
    assert found.converged
    assert np.abs(inside(found, features) - expected).max() < 1e-4
    assert found.loss == pytest.approx(objective(expected, X, targets, penalty), abs=1e-6)
    other = theirs(X, targets, 1 / (N * penalty * 1.1))  # the control: another penalty is seen
    assert np.abs(inside(found, features) - other).max() > 1e-3


def test_the_default_tolerance_is_close_enough_to_scikit_learn(seed: int) -> None:
    features, targets = drawn(90, 6, seed)
    found = logistic(cut(features, targets), 3, penalty=0.01)
    expected = theirs(standardised(features), targets, 1 / (90 * 0.01))
    assert np.abs(inside(found, features) - expected).max() < 1e-4


def test_two_classes_have_the_optimum_of_twice_their_c(seed: int) -> None:
    features, targets = drawn(90, 6, seed, K=2)
    found = logistic(cut(features, targets), 2, penalty=0.05, tolerance=1e-8)
    assert (
        np.abs(inside(found, features) - theirs(standardised(features), targets, 2 / (90 * 0.05))).max()
        < 1e-4
    )


def test_separable_classes_have_an_optimum(seed: int) -> None:
    features, targets = drawn(40, 70, seed)
    found = logistic(cut(features, targets), 3, penalty=1e-4)
    assert found.converged
    assert np.isfinite(found.weights).all()
    assert ((features @ found.weights + found.bias).argmax(1) == targets).all()


def test_a_solver_that_is_stopped_early_says_so(seed: int) -> None:
    features, targets = drawn(90, 6, seed)
    stopped = logistic(cut(features, targets), 3, penalty=1e-3, iterations=2)
    assert not stopped.converged
    assert stopped.iterations <= 2
    assert logistic(cut(features, targets), 3, penalty=1e-3).converged


def test_a_start_at_the_optimum_needs_no_iteration(seed: int) -> None:
    features, targets = drawn(90, 6, seed)
    cold = logistic(cut(features, targets), 3, penalty=0.01)
    warm = logistic(cut(features, targets), 3, penalty=0.01, start=cold)
    assert warm.iterations <= 1 < cold.iterations
    assert warm.loss == pytest.approx(cold.loss, abs=1e-9)


def test_a_class_without_examples_is_never_the_answer(seed: int) -> None:
    features, targets = drawn(90, 6, seed)
    for head in (
        logistic(cut(features, targets), 4, penalty=0.01),
        least_squares(cut(features, targets), 4),
    ):
        assert (features @ head.weights + head.bias).argmax(1).max() == 2


# -- least squares ------------------------------------------------------------------------------


@pytest.mark.parametrize(("N", "D"), SHAPES)
def test_least_squares_is_the_ridge_of_heads(N: int, D: int, seed: int) -> None:
    features, targets = drawn(N, D, seed)
    wide = features.astype(np.float64)
    expected = ridge(wide, targets, 3)
    found = least_squares(cut(features, targets), 3)
    weights = expected.weights * expected.sharpness / expected.scale[:, None]
    assert found.penalty == expected.penalty or found.penalty == pytest.approx(expected.penalty)
    assert np.abs((found.weights - weights) * wide.std(0)[:, None]).max() < 1e-6
    assert probabilities(found, wide) == pytest.approx(np.array(expected.answers(wide)), abs=1e-6)
    blunt = np.array(ridge(wide[1:], targets[1:], 3).answers(wide))  # the control: one example less
    assert np.abs(probabilities(found, wide) - blunt).max() > 1e-5


def probabilities(head: Linear, features: np.ndarray) -> np.ndarray:
    raised = np.exp(features @ head.weights + head.bias)
    return raised / raised.sum(1, keepdims=True)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("N", "D"), [(50, 6), (30, 45)])
def test_weighted_leave_one_out_errors_are_those_of_refits(N: int, D: int, seed: int) -> None:
    """Each example goes with all its weight; the penalty of least error over refits is the one taken."""
    features, targets = drawn(N, D, seed)
    weights = np.random.default_rng(seed).uniform(0.1, 5, N)
    total, share = weights.sum(), weights / weights.sum()
    wide = features.astype(np.float64)
    mean = share @ wide
    X = (wide - mean) / np.sqrt(share @ (wide - mean) ** 2)
    Y = np.eye(3)[targets]
    errors = np.zeros(len(LAMBDAS))
    for i in range(N):
        rest = np.arange(N) != i
        w, A = weights[rest], X[rest]
        middle, level = w @ A / w.sum(), w @ Y[rest] / w.sum()
        values, V = np.linalg.eigh((A - middle).T @ ((A - middle) * w[:, None]))
        cross = V.T @ ((A - middle).T @ ((Y[rest] - level) * w[:, None]))
        for j, penalty in enumerate(LAMBDAS):
            said = (X[i] - middle) @ V @ (cross / (values + total * penalty)[:, None]) + level
            errors[j] += weights[i] * ((Y[i] - said) ** 2).sum()
    assert least_squares(cut(features, targets, weights), 3).penalty == LAMBDAS[int(np.argmin(errors))]


def test_features_that_are_all_constant_give_the_class_shares() -> None:
    features, targets = np.ones((8, 3), np.float32), np.array([0, 0, 0, 1] * 2)
    found = logistic(cut(features, targets), 2, penalty=0.1, tolerance=1e-10)
    assert not found.weights.any()
    assert probabilities(found, features[:1])[0] == pytest.approx([0.75, 0.25])
    assert not least_squares(cut(features, targets), 2).weights.any()


# -- both ---------------------------------------------------------------------------------------


def solved(blocks: Blocks, iterations: int = 1000) -> list[Linear]:
    return [
        logistic(blocks, 3, penalty=0.01, tolerance=1e-11, iterations=iterations),
        least_squares(blocks, 3, penalties=[0.1]),
    ]


def test_the_size_of_the_blocks_does_not_matter(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 8 iterations: at the optimum losses agree to 1e-16, and weights therefore to 1e-8 only."""
    features, targets = drawn(90, 6, seed)

    def gaps(blocks: Blocks) -> list[float]:
        pairs = zip(solved(blocks, 8), expected, strict=True)
        return [float(np.abs(inside(a, features) - inside(b, features)).max()) for a, b in pairs]

    expected = solved(cut(features, targets, n=90), 8)
    for n in (1, 7, 64):
        assert max(gaps(cut(features, targets, n=n))) < 1e-8
    assert min(gaps(cut(features[:-1], targets[:-1]))) > 1e-6  # the control: one example less is seen
    monkeypatch.setattr(solvers, "_ROWS", 13)
    assert max(gaps(cut(features, targets, n=90))) < 1e-8


def test_a_weight_of_two_is_an_example_twice(seed: int) -> None:
    features, targets = drawn(60, 8, seed)
    times = np.random.default_rng(seed).integers(0, 4, 60)
    repeated = cut(np.repeat(features, times, axis=0), np.repeat(targets, times))
    weighted = cut(features, targets, times.astype(np.float32))
    plain = cut(features, targets)
    for a, b, c in zip(solved(weighted), solved(repeated), solved(plain), strict=True):
        # The sharpness of least squares is chosen on left-out answers, where twins stay in: leave it out.
        assert a.weights / np.abs(a.weights).max() == pytest.approx(
            b.weights / np.abs(b.weights).max(), abs=1e-7
        )
        assert np.abs(a.weights / np.abs(a.weights).max() - c.weights / np.abs(c.weights).max()).max() > 1e-3
    fit = logistic(weighted, 3, penalty=0.01, tolerance=1e-10)
    assert fit.weights == pytest.approx(
        logistic(repeated, 3, penalty=0.01, tolerance=1e-10).weights, abs=1e-7
    )


def test_weights_are_scikit_learns_sample_weights(seed: int) -> None:
    features, targets = drawn(90, 6, seed)
    weights = np.array([1.0, 3.0, 0.5])[targets]
    share = weights / weights.sum()
    wide = features.astype(np.float64)
    mean = share @ wide
    scale = np.sqrt(share @ (wide - mean) ** 2)
    found = logistic(cut(features, targets, weights), 3, penalty=0.02, tolerance=1e-8)
    expected = theirs((wide - mean) / scale, targets, 1 / (weights.sum() * 0.02), weights)
    assert np.abs(found.weights * scale[:, None] - expected[:-1]).max() < 1e-4
    unweighted = theirs((wide - mean) / scale, targets, 1 / (90 * 0.02))
    assert np.abs(found.weights * scale[:, None] - unweighted[:-1]).max() > 1e-2


def test_memory_does_not_grow_with_the_examples(seed: int) -> None:
    """20 times the examples, drawn block by block; the control holds them all."""

    def peak(blocks: int, *, hold: bool = False) -> int:
        def draw() -> Iterator[Block]:
            random = np.random.default_rng(seed)
            for _ in range(blocks):
                targets = random.integers(0, 3, 256)
                yield (random.normal(size=(256, 32)) + targets[:, None]).astype(np.float32), targets, None

        tracemalloc.start()
        kept = list(draw()) if hold else None
        least_squares(draw if kept is None else lambda: kept, 3, penalties=[0.1, 1.0])
        logistic(draw if kept is None else lambda: kept, 3, penalty=0.1, iterations=3)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(80) < 1.2 * peak(4)
    assert peak(80, hold=True) > 1.5 * peak(4, hold=True)


def test_the_best_penalty_has_the_least_log_loss_on_the_validation_data(seed: int) -> None:
    features, targets = drawn(240, 30, seed)
    train, valid = cut(features[:120], targets[:120]), cut(features[120:], targets[120:])
    grid = [1e-4, 1.0, 1e-2, 1e-1, 1e-3]
    found = best_penalty(train, valid, 3, penalties=grid)
    losses = {p: log_loss(valid, logistic(train, 3, penalty=p)) for p in grid}
    assert found.penalty == min(losses, key=lambda p: losses[p])
    assert log_loss(valid, found) == pytest.approx(losses[found.penalty], abs=1e-5)
    assert found.penalty not in (min(grid), max(grid))  # or the grid would choose, not the data


def test_log_loss_of_a_head_that_knows_nothing_is_that_of_even_odds() -> None:
    features, targets = np.ones((4, 2), np.float32), np.array([0, 1, 2, 1])
    head = Linear(np.zeros((2, 3)), np.zeros(3), 1.0, 0, True, 0.0)
    assert log_loss(cut(features, targets), head) == pytest.approx(np.log(3))


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan"), float("inf")])
def test_a_penalty_not_above_zero_is_refused(penalty: float, seed: int) -> None:
    blocks = cut(*drawn(20, 3, seed))
    with pytest.raises(BadOption, match=r"penalty must be a number above 0"):
        logistic(blocks, 3, penalty=penalty)
    with pytest.raises(BadOption, match=r"penalties must be numbers above 0"):
        least_squares(blocks, 3, penalties=[1.0, penalty])


def test_bad_data_are_refused_with_what_was_found(seed: int) -> None:
    features, targets = drawn(20, 3, seed)
    spoiled = features.copy()
    spoiled[3, 1] = np.nan
    used_up = iter(list(cut(features, targets)()))
    for blocks, said in [
        (cut(features, targets + 1), r"targets must lie in 0\.\.2; found \d to 3"),
        (cut(spoiled, targets), r"features hold NaN or infinity"),
        (cut(features, targets, -np.ones(20)), r"not below 0; found -1"),
        (cut(features, targets, np.zeros(20)), r"found 20 examples and a total weight of 0"),
        (cut(features[:0], targets[:0]), r"found 0 examples"),
        (lambda: used_up, r"held 20 examples at the first pass and 0 at a later one"),
        (lambda: [(features, targets[1:], None)], r"found features of shape \(20, 3\), 19 targets"),
    ]:
        with pytest.raises(BadData, match=said):
            least_squares(blocks, 3)
