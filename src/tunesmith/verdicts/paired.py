"""Two sets of answers to the same units: how far apart they are, and whether chance explains it.

Units of one group (a patient, an author) are resampled and swapped together, because they are not
independent of each other; without a group column each unit is its own group.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation import SAMPLES, Groups, Score, draws, gap

if TYPE_CHECKING:
    from tunesmith.tasks.task import Labels, Outcomes, Task

Bools = NDArray[np.bool_]

SWAPS: Final = 4999  # random swaps, at most; the least p is 1 in 5,000
ENOUGH: Final = 20  # swaps that look as bad, after which the count is known well enough
POWER: Final = 2.8  # standard errors: 1.96 for 5 % two-sided and 0.84 for being found 4 times of 5
LEAST: Final = 10  # examples of a class that is tested by itself


@dataclass(frozen=True)
class Pair:
    """Answers of two to the same units.

    ours, theirs: outcomes of a task, arrays with a row per unit. groups: [n], equal where units belong
    together; None: each unit stands alone.
    """

    task: Task
    labels: Labels
    ours: Outcomes
    theirs: Outcomes
    groups: Groups = None

    @property
    def count(self) -> int:
        """How many units both answered."""
        return len(next(iter(self.ours.values())))

    def gap(self, metric: str, rows: Any = slice(None)) -> float:
        """How much better `ours` is on some units; above 0 is better, also for losses."""
        return gap(self.task, self.ours, self.theirs, self.labels, metric, rows)


@dataclass(frozen=True)
class Gap:
    """How much better one is than the other, above 0 is better.

    score: with its paired bootstrap interval. error: the standard error, from the same draws.
    detectable: a true difference of this size would be proven 4 times of 5.
    """

    score: Score
    error: float
    detectable: float


def pair(
    task: Task,
    labels: Labels,
    ours: Sequence[Any],
    theirs: Sequence[Any],
    targets: Sequence[Any],
    groups: Groups = None,
) -> Pair:
    """Predictions of two, in the order of the targets, ready to be compared."""
    return Pair(task, labels, task.outcomes(ours, targets), task.outcomes(theirs, targets), groups)


def measured(two: Pair, metric: str, *, samples: int = SAMPLES, seed: int = 0) -> Gap:
    """The difference with its interval: percentile bootstrap over units or groups (Efron 1979).

    The interval is for reading; whether a difference is proven `p_worse` says, exactly.
    """
    drawn = [two.gap(metric, rows) for rows in draws(two.count, samples, seed, two.groups)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    error = float(np.std(drawn))
    plain = metric == "accuracy" and two.groups is None and _has_guesses(two)
    seen = detectable(discordance(two), two.count) if plain else POWER * error
    return Gap(Score(two.gap(metric), float(low), float(high)), error, seen)


def error_if_none(two: Pair, metric: str) -> float:
    """The standard error of the difference if there were none: a single example's gain is no more than it.

    Of accuracy in closed form, groups counted whole; of other metrics from the bootstrap.
    """
    if metric == "accuracy" and _has_guesses(two):
        members = _numbered(two.groups, two.count)
        gaps = np.bincount(members, right(two.ours).astype(float) - right(two.theirs))
        return math.sqrt(float((gaps**2).sum())) / two.count
    found = measured(two, metric)
    number = int(_numbered(two.groups, two.count).max()) + 1
    return math.hypot(found.error, found.score.value / math.sqrt(number))


def discordance(two: Pair) -> float:
    """The share of units that one of the two alone has right."""
    return float((right(two.ours) != right(two.theirs)).mean())


def detectable(discordant: float, count: int) -> float:
    """The difference in accuracy that would be proven 4 times of 5, two-sided at 5 %.

    discordant: share of units that one of two alone has right; taken to be 3 / count at least, because
    none seen among `count` does not show that there are none.

    >>> [round(detectable(share, 200), 3) for share in (0.05, 0.1, 0.2)]
    [0.044, 0.063, 0.089]
    """
    return POWER * math.sqrt(max(discordant, 3 / count) / count)


def right(outcomes: Outcomes) -> Bools:
    """Which units were answered right, bool [n]."""
    found: Bools = np.asarray(outcomes["guess"] == outcomes["truth"])
    return found


def mistakes(outcomes: Outcomes) -> NDArray[np.float64]:
    """How wrong each unit's answer is, [n]: 0 or 1 of classes, of numbers the squared error in spreads.

    Of a task of parts what it says itself, from 0 to 1.
    """
    if "mistakes" in outcomes:
        return np.asarray(outcomes["mistakes"], np.float64)
    if "answer" in outcomes:
        found: NDArray[np.float64] = ((outcomes["answer"] - outcomes["target"]) ** 2).mean(1)
        return found
    return (~right(outcomes)).astype(float)


def better_alone(two: Pair, metric: str) -> tuple[int, int]:
    """How many units each of the two answers better than the other.

    Classes: right where the other is wrong; numbers: nearer to the truth; anything else: with the better
    score in `metric`, taken of each unit alone.
    """
    if {"truth", "target"} & two.ours.keys():
        gaps = mistakes(two.theirs) - mistakes(two.ours)
    else:
        gaps = np.asarray([two.gap(metric, [row]) for row in range(two.count)])
    return int((gaps > 0).sum()), int((gaps < 0).sum())


def p_worse(two: Pair, metric: str, *, swaps: int = SWAPS, seed: int = 0) -> float:
    """How often `ours` would look this much worse, or more, if the two were equally good; one-sided.

    Accuracy without groups: McNemar's exact test (1947). Else the answers of whole groups are swapped at
    random (Noreen 1989; approximate randomization), which holds its level at every number of groups, where
    a percentile interval does not. Swapping ends after 20 results as bad (Besag & Clifford 1991).
    """
    if metric == "accuracy" and _has_guesses(two):
        return fewer_right(right(two.ours), right(two.theirs), two.groups, swaps=swaps, seed=seed)
    seen = two.gap(metric)
    random, members = np.random.default_rng(seed), _numbered(two.groups, two.count)
    as_bad = 0
    for done in range(1, swaps + 1):
        swapped = random.random(members.max() + 1)[members] < 0.5
        if _swapped(two, swapped).gap(metric) <= seen + 1e-12:
            as_bad += 1
            if as_bad == ENOUGH:
                return as_bad / done
    return (as_bad + 1) / (swaps + 1)


def fewer_right(
    ours: Bools, theirs: Bools, groups: Groups = None, *, swaps: int = SWAPS, seed: int = 0
) -> float:
    """How often `ours` would be right this seldom, or more so, if both were right equally often.

    ours, theirs: which units each has right, bool [n].

    >>> fewer_right(np.array([0, 0, 0, 0, 1]) > 0, np.array([1, 1, 1, 1, 1]) > 0)
    0.0625
    """
    if groups is None:
        from scipy.stats import binomtest  # type: ignore[import-untyped]

        alone, others = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
        if alone + others == 0:
            return 1.0
        return float(binomtest(alone, alone + others, alternative="less").pvalue)
    members = _numbered(groups, len(ours))
    gaps = np.bincount(members, ours.astype(float) - theirs)
    gaps = gaps[gaps != 0]
    if not len(gaps):
        return 1.0
    random, as_bad, done = np.random.default_rng(seed), 0, 0
    while done < swaps:
        some = min(100 if done == 0 else 1000, swaps - done)
        signs = random.integers(0, 2, (some, len(gaps))) * 2 - 1
        counted = as_bad + np.cumsum(signs @ gaps <= gaps.sum() + 1e-9)
        if counted[-1] >= ENOUGH:
            return ENOUGH / (done + 1 + int(np.searchsorted(counted, ENOUGH)))
        as_bad, done = int(counted[-1]), done + some
    return (as_bad + 1) / (swaps + 1)


@dataclass(frozen=True)
class ClassGap:
    """One class: how many test units it has, how many each of two has right, and p that ours is worse."""

    label: str
    count: int
    ours: int
    theirs: int
    p: float


def by_class(two: Pair, *, least: int = LEAST) -> tuple[ClassGap, ...]:
    """Every class of which there are enough units to be tested; p is not corrected (see `holm`)."""
    truth, mine, others = two.ours["truth"], right(two.ours), right(two.theirs)
    groups = None if two.groups is None else np.asarray(two.groups)
    found = []
    for k, label in enumerate(two.labels.names):
        rows = np.flatnonzero(truth == k)
        if len(rows) < least:
            continue
        p = fewer_right(mine[rows], others[rows], None if groups is None else groups[rows], seed=k)
        found.append(ClassGap(label, len(rows), int(mine[rows].sum()), int(others[rows].sum()), p))
    return tuple(found)


def holm(ps: Sequence[float]) -> list[float]:
    """P of each test, corrected for there being several (Holm 1979); their order is kept.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order, found, worst = sorted(range(len(ps)), key=lambda i: ps[i]), [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[i]))
        found[i] = worst
    return found


def _has_guesses(two: Pair) -> bool:
    return {"guess", "truth"} <= two.ours.keys()


def _numbered(groups: Groups, count: int) -> NDArray[np.int64]:
    """Groups as numbers from 0, int [n]; without groups each unit is one."""
    if groups is None:
        return np.arange(count)
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)


def _swapped(two: Pair, rows: Bools) -> Pair:
    def mixed(kept: Outcomes, other: Outcomes) -> Mapping[str, NDArray[Any]]:
        return {
            name: np.where(rows.reshape(-1, *[1] * (own.ndim - 1)), other[name], own)
            for name, own in kept.items()
        }

    return Pair(two.task, two.labels, mixed(two.ours, two.theirs), mixed(two.theirs, two.ours))
