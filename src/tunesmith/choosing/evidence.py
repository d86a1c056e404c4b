"""What a network's features tell of the probe set, example by example, so that it can be drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from tunesmith.choosing.scores import SCORES
from tunesmith.choosing.scores.knn import votes
from tunesmith.choosing.scores.logme import logme
from tunesmith.choosing.scores.ridge_loo import fitted
from tunesmith.data.split import strata
from tunesmith.training.heads import are_numbers

WEIGHTS: Final[Mapping[str, float]] = {"ridge_loo": 0.5, "ridge_mse": 0.2, "knn": 0.15, "logme": 0.15}


class ByExample:
    """What all evidence has in common, whatever its targets are.

    weights: how much each part of it counts, by name.
    """

    targets: np.ndarray
    weights: ClassVar[Mapping[str, float]] = WEIGHTS

    @property
    def least_prior(self) -> float:
        """The share of the prior in a ranking, at least."""
        return 0.0

    @property
    def strata(self) -> np.ndarray:
        """Of what each bootstrap sample takes its share, [N] or [N, K]."""
        return self.targets

    def over(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """The evidence by name, [R] each, with example n counted counts[r, n] times."""
        raise NotImplementedError

    def scores(self) -> dict[str, float]:
        """What decides, as the scores of these names give it; R² is against the mean of all others."""
        found = {name: float(value[0]) for name, value in self.over(np.ones((1, len(self.strata)))).items()}
        return {**found, "ridge_mse": -found["ridge_mse"]}


@dataclass(frozen=True)
class Evidence(ByExample):
    """Leave-one-out answers of two probes, and what the Bayesian one says of all examples together.

    targets: classes, int [N], none of 0 to K - 1 absent. right, near: bool [N], whether a ridge probe's guess
    and the 5 nearest others' are right. errors, nulls: [N], squared, of the ridge probe and of class shares.
    log_evidence: LogME's.
    """

    targets: np.ndarray
    right: np.ndarray
    near: np.ndarray
    errors: np.ndarray
    nulls: np.ndarray
    log_evidence: float

    probed: ClassVar[str] = "balanced accuracy"

    def over(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """The evidence by name, [R] each, the larger the better, with example n counted counts[r, n] times.

        LogME has no part per example: it stays what it is over all of them.
        """
        members = np.eye(int(self.targets.max()) + 1)[self.targets]
        there = counts @ members
        return {
            "ridge_loo": _balanced(counts @ (members * self.right[:, None]), there),
            "ridge_mse": -(counts @ self.errors) / np.maximum(counts @ self.nulls, 1e-300),
            "knn": _balanced(counts @ (members * self.near[:, None]), there),
            "logme": np.full(len(counts), self.log_evidence),
        }


@dataclass(frozen=True)
class EvidenceOfNumbers(ByExample):
    """The same of numbers, where explained shares (R²) stand for balanced accuracies.

    targets: float [N, K]. errors, near, nulls: [N], squared errors over all columns, of the ridge probe, of
    the mean of the 5 nearest others, and of the mean of all others. log_evidence: LogME's.
    """

    targets: np.ndarray
    errors: np.ndarray
    near: np.ndarray
    nulls: np.ndarray
    log_evidence: float

    probed: ClassVar[str] = "R²"

    def over(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """The evidence by name, [R] each, as `Evidence.over` gives it."""
        whole = np.maximum(counts @ self.nulls, 1e-300)
        ridge, near = counts @ self.errors / whole, counts @ self.near / whole
        return {
            "ridge_loo": 1 - ridge,
            "ridge_mse": -ridge,
            "knn": 1 - near,
            "logme": np.full(len(counts), self.log_evidence),
        }


def evidence_of(
    features: np.ndarray, targets: np.ndarray, *, groups: np.ndarray | None = None
) -> Evidence | EvidenceOfNumbers:
    """The evidence of features [N, D] for classes [N], or for numbers [N, K].

    groups: [N], examples that are left out together, since each would give the other's answer away.
    Raises BadData for features that are not finite, and for a single class or group.
    """
    if are_numbers(targets):
        found = fitted(features, targets, groups=groups)
        near_errors = ((votes(features, targets, groups=groups) - targets) ** 2).sum(1)
        return EvidenceOfNumbers(targets, found.errors, near_errors, found.nulls, logme(features, targets))
    y = np.unique(targets, return_inverse=True)[1]
    ridge = fitted(features, y, groups=groups)
    near = votes(features, y, groups=groups).argmax(1)
    return Evidence(y, ridge.guesses == y, near == y, ridge.errors, ridge.nulls, logme(features, y))


def other_scores(
    features: np.ndarray, posteriors: np.ndarray | None, targets: np.ndarray
) -> dict[str, float | None]:
    """Every score that does not decide, by name; None where one needs a source head that is not there."""
    found: dict[str, float | None] = {}
    kind = "real" if are_numbers(targets) else "classes"
    for name in SCORES.names():
        score = SCORES.load(name)
        if name not in WEIGHTS and kind in score.targets:
            given = features if score.needs == "features" else posteriors
            found[name] = None if given is None else float(score(given, targets))
    return found


def drawn_again(
    targets: np.ndarray, draws: int, *, groups: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """How often each example is drawn in each bootstrap sample, float [draws, N].

    Each class, or tenth of numbers, keeps its number of examples; with groups whole groups are drawn,
    and classes vary with them.
    """
    random = np.random.default_rng(seed)
    counts = np.zeros((draws, len(targets)))
    if groups is not None and len(np.unique(groups)) < len(groups):
        inverse = np.unique(groups, return_inverse=True)[1]
        many = int(inverse.max()) + 1
        whole = random.multinomial(many, np.full(many, 1 / many), draws).astype(np.float64)
        return whole[:, inverse]
    targets = strata(targets)
    for k in np.unique(targets):
        rows = np.flatnonzero(targets == k)
        counts[:, rows] = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), draws)
    return counts


def _balanced(right: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The mean recall over the classes that are there, [R], of counts [R, K]."""
    recall = right / np.maximum(there, 1)
    return recall.sum(1) / np.maximum((there > 0).sum(1), 1)  # type: ignore[no-any-return]
