"""The closed-form probe: its leave-one-out answers are exact, its fit is scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as TheirRidge
from sklearn.linear_model import RidgeClassifierCV

from tunesmith.training.heads import LAMBDAS, decomposed, left_out, ridge

SHAPES = [(40, 5), (40, 39), (40, 40), (25, 60), (30, 1)]


def drawn(N: int, D: int, seed: int, K: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([seed, N, D])
    targets = np.arange(N) % K
    return random.normal(size=(N, D)) + targets[:, None] * random.normal(size=D), targets


def centered(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    X = (features - features.mean(0)) / features.std(0)
    Y = np.eye(3)[targets]
    return X, Y - Y.mean(0)


@pytest.mark.parametrize(("N", "D"), SHAPES)
@pytest.mark.parametrize("penalty", [0.01, 1.0, 300.0])
def test_leave_one_out_answers_are_those_of_refits(N: int, D: int, penalty: float, seed: int) -> None:
    X, Y = centered(*drawn(N, D, seed))
    Z, values, _ = decomposed(X)
    found = left_out(Z, values, Y, penalty)
    for i in range(N):
        rest = np.arange(N) != i
        refit = TheirRidge(alpha=penalty, solver="cholesky" if D < N else "svd").fit(X[rest], Y[rest])
        assert np.abs(found[i] - refit.predict(X[i : i + 1])[0]).max() < 1e-8
    fitted = TheirRidge(alpha=penalty).fit(X, Y).predict(X)
    assert np.abs(found - fitted).max() > 1e-4  # the control: what was left in says something else


@pytest.mark.parametrize(("N", "D"), SHAPES)
def test_a_decomposition_gives_the_features_back(N: int, D: int, seed: int) -> None:
    X, _ = centered(*drawn(N, D, seed))
    Z, values, V = decomposed(X)
    assert Z.shape == (N, min(N, D))
    assert np.allclose(Z @ V.T, X, atol=1e-6)
    assert np.allclose(Z.T @ Z, np.diag(values), atol=1e-8)


@pytest.mark.parametrize(("N", "D"), SHAPES)
def test_scores_are_those_of_scikit_learns_ridge(N: int, D: int, seed: int) -> None:
    features, targets = drawn(N, D, seed)
    ours = ridge(features, targets, 3)
    X = (features - features.mean(0)) / features.std(0)
    theirs = TheirRidge(alpha=ours.penalty * N, solver="svd").fit(X, np.eye(3)[targets])
    assert X @ ours.weights + ours.bias == pytest.approx(theirs.predict(X), abs=1e-8)


@pytest.mark.parametrize(("N", "D"), [(40, 5), (60, 20), (25, 60)])
def test_the_penalty_is_the_one_of_least_leave_one_out_error(N: int, D: int, seed: int) -> None:
    features, targets = drawn(N, D, seed)
    X, Y = centered(features, targets)
    errors = []
    for penalty in LAMBDAS:
        rows = [np.arange(N) != i for i in range(N)]
        answers = [
            TheirRidge(alpha=N * penalty, solver="svd").fit(X[r], Y[r]).predict(X[~r])[0] for r in rows
        ]
        errors.append(((Y - np.array(answers)) ** 2).mean())
    assert ridge(features, targets, 3).penalty == LAMBDAS[int(np.argmin(errors))]


def test_labels_are_those_of_ridge_classifier_cv(seed: int) -> None:
    """Theirs takes targets of -1 and 1 instead of 0 and 1: the same order of scores, the same penalty."""
    features, targets = drawn(80, 10, seed)
    X = (features - features.mean(0)) / features.std(0)
    theirs = RidgeClassifierCV(alphas=[80 * penalty for penalty in LAMBDAS]).fit(X, targets)
    ours = ridge(features, targets, 3)
    assert ours.penalty * 80 == pytest.approx(theirs.alpha_)
    new = np.random.default_rng(seed).normal(size=(200, 10)) * 3
    guesses = np.argmax(ours.answers(new), axis=1)
    assert (guesses == theirs.predict((new - features.mean(0)) / features.std(0))).all()
    assert len(set(guesses)) == 3


def test_probabilities_lie_between_zero_and_one_and_sum_to_one(seed: int) -> None:
    features, targets = drawn(40, 5, seed)
    found = np.array(ridge(features, targets, 3).answers(features))
    assert ((found >= 0) & (found <= 1)).all()
    assert found.sum(1) == pytest.approx(np.ones(40))


def test_a_constant_feature_says_nothing(seed: int) -> None:
    features, targets = drawn(40, 5, seed)
    padded = np.insert(features, 2, 7.0, axis=1)
    ours, theirs = ridge(padded, targets, 3), ridge(features, targets, 3)
    new = np.insert(features, 2, -1e6, axis=1)  # even where it is not constant any more
    assert np.array(ours.answers(new)) == pytest.approx(np.array(theirs.answers(features)))


def test_features_that_are_all_constant_give_the_class_shares() -> None:
    found = ridge(np.ones((4, 3)), np.array([0, 0, 0, 1]), 2)
    guess = np.array(found.answers(np.ones((2, 3))))
    assert np.isfinite(guess).all()
    assert (guess[:, 0] > guess[:, 1]).all()
    assert found.bias.tolist() == [0.75, 0.25]


def test_one_feature_is_enough_to_separate_two_classes() -> None:
    found = ridge(np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1]), 2)
    assert np.argmax(found.answers(np.array([[2.0], [9.0]])), axis=1).tolist() == [0, 1]


def test_more_repeats_of_the_data_do_not_change_the_penalty_per_example(seed: int) -> None:
    features, targets = drawn(60, 20, seed)
    once = ridge(features, targets, 3)
    twice = ridge(np.tile(features, (2, 1)), np.tile(targets, 2), 3)
    assert twice.weights.shape == once.weights.shape
    assert twice.penalty <= once.penalty  # every example has a twin, so less must be shrunk
