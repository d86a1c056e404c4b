"""Scores with intervals, and paired differences between two sets of predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.tasks.task import Labels, Task, less_is_better

if TYPE_CHECKING:
    from tunesmith.tasks.task import Outcomes

Groups = Sequence[Any] | NDArray[Any] | None  # equal where units belong together; None: each stands alone

SAMPLES = 1000
LEVEL = 0.95
MOST = 1000  # classes of which a confusion matrix is kept


@dataclass(frozen=True)
class Score:
    """A metric and the interval that holds it in 95 of 100 repetitions of the experiment."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return self.told("")

    def told(self, metric: str) -> str:
        """In as many digits as the metric's unit calls for."""
        value, low, high = (figure(own, metric) for own in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True)
class Scores:
    """Every metric of one set of predictions.

    count: how many units were scored. confusion: rows are true classes, columns guesses; None where
    the task has no classes, or more than a thousand.
    """

    metrics: Mapping[str, Score]
    count: int
    confusion: tuple[tuple[int, ...], ...] | None = None

    def __getitem__(self, metric: str) -> Score:
        return self.metrics[metric]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def evaluate(
    task: Task,
    predictions: Sequence[Any],
    targets: Sequence[Any],
    labels: Labels,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    groups: Groups = None,
) -> Scores:
    """Score predictions; intervals by the percentile bootstrap over units (Efron 1979).

    predictions, targets: one per example, in the same order.
    samples: bootstrap samples. seed: of their draw, so that the interval can be repeated.
    groups: one per unit; units of a group (a patient, an author) are drawn together.
    """
    outcomes = task.outcomes(predictions, targets)
    value = task.score(outcomes, labels)
    count = len(next(iter(outcomes.values())))
    drawn = np.empty((samples, len(value)))  # not a list of mappings: there may be thousands of classes
    for sample, rows in zip(drawn, draws(count, samples, seed, groups), strict=True):
        found = task.score({k: v[rows] for k, v in outcomes.items()}, labels)
        sample[:] = [found.get(name, middle) for name, middle in value.items()]
    lows, highs = np.percentile(drawn, (50 - 50 * LEVEL, 50 + 50 * LEVEL), axis=0)
    metrics = {
        name: Score(middle, float(low), float(high))
        for (name, middle), low, high in zip(value.items(), lows, highs, strict=True)
    }
    return Scores(metrics, count, _confusion(outcomes, labels))


def difference(
    task: Task,
    ours: Sequence[Any],
    theirs: Sequence[Any],
    targets: Sequence[Any],
    labels: Labels,
    metric: str,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Score:
    """How much better `ours` is than `theirs` on the same units, with its paired bootstrap interval.

    Above 0 is better, also for metrics of which less is better.
    """
    both = task.outcomes(ours, targets), task.outcomes(theirs, targets)
    count = len(next(iter(both[0].values())))
    drawn = [gap(task, *both, labels, metric, rows) for rows in draws(count, samples, seed)]
    low, high = np.percentile(drawn, (50 - 50 * LEVEL, 50 + 50 * LEVEL))
    return Score(gap(task, *both, labels, metric), float(low), float(high))


def gap(
    task: Task, ours: Outcomes, theirs: Outcomes, labels: Labels, metric: str, rows: Any = slice(None)
) -> float:
    """How much better `ours` is than `theirs` on some units; above 0 is better, also for losses.

    ours, theirs: outcomes of the task for the same units. rows: of a bootstrap sample, or all.
    """
    first, second = (
        task.score({name: own[rows] for name, own in outcomes.items()}, labels, only=metric)[metric]
        for outcomes in (ours, theirs)
    )
    return sign_of(metric) * (first - second)


def sign_of(metric: str) -> float:
    """1 where more is better, -1 for losses and errors."""
    return -1.0 if less_is_better(metric) else 1.0


def groups_in(dataset: Any) -> list[str] | None:
    """What belongs together in a split; an example without a group is its own. None without such a column."""
    if "group" not in dataset.column_names:
        return None
    own = dataset["group"][:]
    return [f"row {row}" if group is None else f"group {group}" for row, group in enumerate(own)]


def figure(value: float, metric: str, *, sign: bool = False) -> str:
    """A value in as many digits as say something: three decimals, or four digits of what has a unit.

    >>> figure(0.91, "accuracy"), figure(1234567.0, "rmse"), figure(0.000123, "mae/dose", sign=True)
    ('0.910', '1,234,567', '+0.0001230')
    """
    decimals = 3
    if metric.partition("/")[0] in ("rmse", "mae"):
        decimals = 3 - math.floor(math.log10(abs(value))) if math.isfinite(value) and value else 3
        if not -5 < decimals < 10:  # beyond ten million, or a millionth: nobody counts zeros
            return f"{value:{'+' if sign else ''}.3e}"
    return f"{value:{'+' if sign else ''},.{max(decimals, 0)}f}"


def draws(count: int, samples: int, seed: int, groups: Groups = None) -> Iterator[Any]:
    """The rows of each bootstrap sample; of whole groups where units are not independent."""
    random = np.random.default_rng(seed)
    if groups is None:
        return (random.integers(0, count, count) for _ in range(samples))
    _, own = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(own, kind="stable"), np.cumsum(np.bincount(own))[:-1])
    return (
        np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])
        for _ in range(samples)
    )


def _confusion(outcomes: Mapping[str, Any], labels: Labels) -> tuple[tuple[int, ...], ...] | None:
    K = len(labels.names)
    if "guess" not in outcomes or K > MOST:
        return None
    flat = np.bincount(outcomes["truth"] * K + outcomes["guess"], minlength=K * K)
    return tuple(tuple(int(n) for n in row) for row in flat.reshape(K, K))
