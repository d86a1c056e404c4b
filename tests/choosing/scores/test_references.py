"""Every score agrees with an independent way of computing it, to 1e-6."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.linalg import helmert  # type: ignore[import-untyped]
from scipy.stats import multivariate_normal  # type: ignore[import-untyped]
from sklearn.linear_model import Ridge, RidgeClassifierCV
from sklearn.metrics import average_precision_score, balanced_accuracy_score, r2_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from tunesmith.choosing.scores import SCORES
from tunesmith.choosing.scores.gbc import distances, gbc
from tunesmith.choosing.scores.h_score import h_score, h_score_shrunk, shrinkage_of
from tunesmith.choosing.scores.knn import knn, neighbours
from tunesmith.choosing.scores.leep import leep
from tunesmith.choosing.scores.logme import best_evidence, evidence, logme, spectral
from tunesmith.choosing.scores.nce import nce
from tunesmith.choosing.scores.ridge_loo import fitted, ridge_loo, ridge_mse
from tunesmith.choosing.scores.score import spectrum
from tunesmith.choosing.scores.transrate import transrate
from tunesmith.training.heads import LAMBDAS

Draw = Callable[..., Any]
SHAPES = [(40, 6), (40, 40), (30, 70)]
CLOSE = 1e-6


def scaled(features: np.ndarray) -> np.ndarray:
    return (features - features.mean(0)) / features.std(0)  # type: ignore[no-any-return]


def one_hot(targets: np.ndarray) -> np.ndarray:
    return np.eye(int(targets.max()) + 1)[targets]  # type: ignore[no-any-return]


def posteriors(N: int, S: int, seed: int) -> np.ndarray:
    logits = np.random.default_rng([seed, N, S]).normal(size=(N, S)) * 2
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)  # type: ignore[no-any-return]


class TestRidge:
    @pytest.mark.parametrize(("N", "D"), SHAPES)
    def test_answers_and_penalty_are_those_of_ridge_classifier_cv(
        self, N: int, D: int, seed: int, telling: Draw
    ) -> None:
        features, y = telling(N, D, seed, shift=0.5)
        theirs = RidgeClassifierCV(alphas=N * np.array(LAMBDAS), store_cv_results=True)
        theirs.fit(scaled(features), y)
        errors = theirs.cv_results_.mean((0, 1)) / 4  # of targets -1 and 1: four times ours of 0 and 1
        found = fitted(features, y)
        assert found.penalty * N == pytest.approx(theirs.alpha_)
        assert found.errors.mean() / 4 == pytest.approx(errors.min(), rel=CLOSE)  # 4 classes
        assert errors.max() > errors.min() * 1.01  # the control: another penalty says something else

    @pytest.mark.parametrize(("N", "D"), SHAPES)
    def test_the_score_is_that_of_a_probe_fitted_once_per_example(
        self, N: int, D: int, seed: int, telling: Draw
    ) -> None:
        features, y = telling(N, D, seed, shift=0.3)
        found, X, Y = fitted(features, y), scaled(features), one_hot(y)
        answers, nulls = np.empty_like(Y), np.empty_like(Y)
        for i in range(N):
            rest = np.arange(N) != i
            probe = Ridge(alpha=found.penalty * N, solver="svd").fit(X[rest], Y[rest])
            answers[i], nulls[i] = probe.predict(X[i : i + 1])[0], Y[rest].mean(0)
        guesses = (answers / Y.mean(0)).argmax(1)
        assert ridge_loo(features, y) == pytest.approx(balanced_accuracy_score(y, guesses), abs=CLOSE)
        expected = ((Y - answers) ** 2).sum() / ((Y - nulls) ** 2).sum()
        assert ridge_mse(features, y) == pytest.approx(expected, rel=CLOSE)

    def test_a_group_is_left_out_as_a_whole(self, seed: int, telling: Draw) -> None:
        features, y = telling(36, 8, seed, shift=0.4)
        groups = np.arange(36) // 3
        found, X, Y = fitted(features, y, groups=groups), scaled(features), one_hot(y)
        answers = np.empty_like(Y)
        for group in range(12):
            rest = groups != group
            probe = Ridge(alpha=found.penalty * 36, solver="svd").fit(X[rest], Y[rest])
            answers[~rest] = probe.predict(X[~rest])
        assert np.abs(found.answers + Y.mean(0) - answers).max() < CLOSE
        alone = fitted(features, y)
        assert np.abs(found.answers - alone.answers).max() > 1e-3  # the control

    def test_groups_that_repeat_examples_would_flatter_without_being_named(
        self, seed: int, telling: Draw
    ) -> None:
        features, y = telling(40, 60, seed, shift=0.0)
        twice, labels, groups = np.tile(features, (2, 1)), np.tile(y, 2), np.tile(np.arange(40), 2)
        assert ridge_loo(twice, labels) > 0.9
        assert ridge_loo(twice, labels, groups=groups) < 0.5

    def test_regression_and_multi_label_answers_are_those_of_refits(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        features = random.normal(size=(40, 10))
        values = features @ random.normal(size=10) + random.normal(size=40)
        labels = (features[:, :3] + random.normal(size=(40, 3)) > 0).astype(int)
        X = scaled(features)
        for targets in (values, labels):
            Y = np.asarray(targets, float).reshape(40, -1)
            found = fitted(features, targets)
            answers = np.empty_like(Y)
            for i in range(40):
                rest = np.arange(40) != i
                answers[i] = (
                    Ridge(alpha=found.penalty * 40).fit(X[rest], Y[rest]).predict(X[i : i + 1]).ravel()
                )
            if targets is labels:
                expected = np.mean([average_precision_score(labels[:, j], answers[:, j]) for j in range(3)])
            else:
                expected = 1 - (1 - r2_score(values, answers)) * (39 / 40) ** 2  # their null knows the mean
            assert ridge_loo(features, targets) == pytest.approx(expected, abs=CLOSE)


class TestKnn:
    @pytest.mark.parametrize(("N", "D"), SHAPES)
    def test_guesses_are_those_of_scikit_learn_with_the_example_left_out(
        self, N: int, D: int, seed: int, telling: Draw, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tunesmith.choosing.scores.knn.AT_ONCE", 7 * N)  # several blocks
        features, y = telling(N, D, seed, shift=0.6)
        X, guesses = scaled(features), np.empty_like(y)
        for i in range(N):
            rest = np.arange(N) != i
            theirs = KNeighborsClassifier(5, metric="cosine", algorithm="brute").fit(X[rest], y[rest])
            guesses[i] = theirs.predict(X[i : i + 1])[0]
        assert knn(features, y) == pytest.approx(balanced_accuracy_score(y, guesses), abs=CLOSE)
        itself = KNeighborsClassifier(1, metric="cosine", algorithm="brute").fit(X, y).predict(X)
        assert balanced_accuracy_score(y, itself) == 1.0  # the control: what is left in answers for itself

    def test_regression_is_that_of_scikit_learn_with_the_example_left_out(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        features = random.normal(size=(40, 4))
        values = features[:, 0] + 0.1 * random.normal(size=40)
        X, answers = scaled(features), np.empty(40)
        for i in range(40):
            rest = np.arange(40) != i
            theirs = KNeighborsRegressor(5, metric="cosine", algorithm="brute").fit(X[rest], values[rest])
            answers[i] = theirs.predict(X[i : i + 1])[0]
        expected = 1 - (1 - r2_score(values, answers)) * (39 / 40) ** 2
        assert knn(features, values) == pytest.approx(expected, abs=CLOSE)

    def test_no_neighbour_is_of_the_same_group(self, seed: int, telling: Draw) -> None:
        features, _ = telling(30, 5, seed)
        groups = np.arange(30) // 10
        near = neighbours(features, groups=groups)
        assert (groups[near] != groups[:, None]).all()
        assert (neighbours(features, count=25, groups=groups) == -1).sum() == 30 * 5  # 20 others


class TestLogme:
    @pytest.mark.parametrize(("N", "D"), SHAPES)
    def test_the_evidence_is_the_exact_one_with_all_dimensions(
        self, N: int, D: int, seed: int, telling: Draw
    ) -> None:
        features, y = telling(N, D, seed, shift=0.4)
        Y = one_hot(y)
        axes, projections, outside = spectral(*spectrum(features), Y)
        # One degree of freedom goes to the intercept: in N - 1 contrasts there is none.
        F = helmert(N) @ scaled(features)
        F = F / np.sqrt(np.linalg.eigvalsh(F.T @ F).max())  # as `spectral` has it
        n = N - 1
        for k in range(4):
            value, ratio = best_evidence(axes, projections[:, k], float(outside[k]), n)
            beta = n / (outside[k] + (ratio / (ratio + axes)) @ projections[:, k])
            alpha = ratio * beta
            target = helmert(N) @ Y[:, k]
            A = alpha * np.eye(D) + beta * F.T @ F
            m = beta * np.linalg.solve(A, F.T @ target)
            exact = D / 2 * np.log(alpha) + n / 2 * np.log(beta) - np.linalg.slogdet(A)[1] / 2
            exact -= beta / 2 * ((F @ m - target) ** 2).sum() + alpha / 2 * m @ m + n / 2 * np.log(2 * np.pi)
            assert value == pytest.approx(exact / n, abs=CLOSE)
            covariance = np.eye(n) / beta + F @ F.T / alpha
            density = multivariate_normal(np.zeros(n), covariance, allow_singular=True).logpdf(target)
            assert value == pytest.approx(density / n, abs=CLOSE)

    def test_no_ratio_of_prior_to_noise_has_more_evidence(self, seed: int, telling: Draw) -> None:
        features, y = telling(40, 6, seed, shift=0.4)
        axes, projections, outside = spectral(*spectrum(features), one_hot(y))
        best, ratio = best_evidence(axes, projections[:, 0], float(outside[0]), 39)
        tried = evidence(np.geomspace(1e-9, 1e6, 4000), axes, projections[:, 0], float(outside[0]), 39)
        assert best >= tried.max() - 1e-9
        assert best > evidence(ratio * 10, axes, projections[:, 0], float(outside[0]), 39)[0] + 1e-3

    def test_an_offset_and_another_unit_of_the_features_change_nothing(
        self, seed: int, telling: Draw
    ) -> None:
        features, y = telling(40, 6, seed, shift=0.4)
        units = np.array([100.0, 0.1, 1, 1, 7, 1])
        assert logme(features * units + 5, y) == pytest.approx(logme(features, y), abs=CLOSE)


class TestOthers:
    @pytest.mark.parametrize(("N", "D"), [(60, 6), (60, 30)])
    def test_h_score_is_the_trace_of_its_definition(self, N: int, D: int, seed: int, telling: Draw) -> None:
        features, y = telling(N, D, seed)
        centered = features - features.mean(0)
        means = np.stack([centered[y == k].mean(0) for k in range(4)])[y]
        expected = np.trace(np.linalg.pinv(np.cov(centered.T, bias=True)) @ np.cov(means.T, bias=True))
        assert h_score(features, y) == pytest.approx(expected, rel=CLOSE)

    @pytest.mark.parametrize(("N", "D"), [(60, 6), (60, 90)])
    def test_shrunk_h_score_is_the_trace_of_its_definition(
        self, N: int, D: int, seed: int, telling: Draw
    ) -> None:
        from sklearn.covariance import LedoitWolf

        features, y = telling(N, D, seed)
        X = scaled(features)
        means = np.stack([X[y == k].mean(0) for k in range(4)])[y]
        theirs = LedoitWolf(assume_centered=True).fit(X)
        Z, eigenvalues = spectrum(features)
        assert shrinkage_of(Z, eigenvalues / N) == pytest.approx(theirs.shrinkage_, rel=CLOSE)
        assert 0.01 < theirs.shrinkage_ < 0.99  # or the test would be blind
        between = (1 - theirs.shrinkage_) * means.T @ means / N
        assert h_score_shrunk(features, y) == pytest.approx(
            np.trace(np.linalg.inv(theirs.covariance_) @ between), rel=CLOSE
        )

    @pytest.mark.parametrize(("N", "D"), [(60, 6), (30, 50)])
    def test_transrate_is_the_difference_of_its_log_determinants(
        self, N: int, D: int, seed: int, telling: Draw
    ) -> None:
        features, y = telling(N, D, seed)
        X = features - features.mean(0)
        X = X / np.sqrt((X**2).sum() / N)

        def rate(part: np.ndarray) -> float:
            inside = np.eye(D) + part.T @ part / (len(part) * 1e-4)
            return float(np.linalg.slogdet(inside)[1]) / 2

        expected = rate(X) - sum((y == k).mean() * rate(X[y == k]) for k in range(4))
        assert transrate(features, y) == pytest.approx(expected, rel=CLOSE)

    def test_a_bhattacharyya_distance_is_the_integral_that_it_stands_for(self) -> None:
        means, variances = np.array([[0.0], [1.5]]), np.array([1.0, 2.0])
        x = np.linspace(-30, 30, 200_001)
        first, second = (
            np.exp(-((x - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)
            for (m,), v in zip(means, variances, strict=True)
        )
        integral = np.trapezoid(np.sqrt(first * second), x)
        assert distances(means, variances)[0, 1] == pytest.approx(-np.log(integral), abs=CLOSE)

    def test_gbc_is_the_sum_over_pairs_with_covariances_written_out(self, seed: int, telling: Draw) -> None:
        features, y = telling(60, 10, seed, shift=0.3)
        X = scaled(features)
        X = X @ np.linalg.svd(X, full_matrices=False)[2].T
        means = [X[y == k].mean(0) for k in range(4)]
        inside = [((X[y == k] - means[k]) ** 2).mean() for k in range(4)]
        pooled = np.mean([v for v, k in zip(inside, range(4), strict=True) for _ in range((y == k).sum())])
        variances = [(15 * v + 2 * pooled) / 17 for v in inside]
        total = 0.0
        for i in range(4):
            for j in range(4):
                if i != j:
                    S1, S2 = variances[i] * np.eye(10), variances[j] * np.eye(10)
                    S, gap = (S1 + S2) / 2, means[i] - means[j]
                    volume = np.linalg.slogdet(S)[1] - np.linalg.slogdet(S1 @ S2)[1] / 2
                    total -= np.exp(-(gap @ np.linalg.inv(S) @ gap / 8 + volume / 2))
        assert gbc(features, y) == pytest.approx(total, rel=CLOSE)

    def test_leep_is_the_mean_log_of_an_expected_class(self, seed: int) -> None:
        theta, y = posteriors(50, 7, seed), np.arange(50) % 3
        total = 0.0
        for i in range(50):
            chance = 0.0
            for z in range(7):
                chance += theta[y == y[i], z].sum() / theta[:, z].sum() * theta[i, z]
            total += np.log(chance)
        assert leep(theta, y) == pytest.approx(total / 50, abs=CLOSE)
        assert abs(leep(theta, y) - np.exp(total / 50)) > 0.1  # the control: the form without its log

    def test_nce_is_the_difference_of_two_entropies(self, seed: int) -> None:
        theta, y = posteriors(50, 7, seed), np.arange(50) % 3
        z = theta.argmax(1)

        def entropy(values: np.ndarray) -> float:
            shares = np.unique(values, return_counts=True)[1] / 50
            return float(-(shares * np.log(shares)).sum())

        assert nce(theta, y) == pytest.approx(entropy(z) - entropy(y * 100 + z), abs=CLOSE)

    def test_a_source_class_that_is_never_used_changes_nothing(self, seed: int) -> None:
        theta, y = posteriors(50, 7, seed), np.arange(50) % 3
        more = np.concatenate([theta, np.zeros((50, 2))], 1)
        assert (leep(more, y), nce(more, y)) == (leep(theta, y), nce(theta, y))


def test_no_score_needs_torch() -> None:
    code = (
        "import sys\nfrom tunesmith.choosing.scores import SCORES\n"
        "for name in SCORES.names():\n    assert SCORES.load(name).name == name\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("name", SCORES.names())
def test_a_score_is_what_the_family_says(name: str) -> None:
    score = SCORES.load(name)
    assert score.needs in ("features", "posteriors")
    assert "classes" in score.targets
    assert any(char.isdigit() for char in score.paper)
