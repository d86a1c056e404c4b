"""Alarms: what went wrong with a fine-tuned network, named only where it is proven.

Each alarm is a test on the examples of the test split, with a p of its own; Holm's step-down over all of
them keeps the chance of any false alarm, all together, at 5 %. What each one is false of (its null):

below_probe     the trained network is at least as good as its own linear probe
harmed_classes  of no class does it find fewer than the probe does
below_twin      the pretrained features are at least as good as those of random weights
below_scratch   the trained network is at least as good as one that began from random weights
better_start    no other ranked network has better features
no_gain         pretrained features remove at least a fifth of the mistakes that random ones leave

The last is no test for a difference but for the lack of one: a gain that is not proven would be named in
95 of 100 runs whose two sides are alike, and in every run with a small test split. It is named where a gain
worth having is excluded; two networks that are truly alike are what it is there to find.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation import figure
from tunesmith.verdicts.paired import ClassGap, Gap, Pair, by_class, holm, mistakes, p_worse

LEVEL: Final = 0.05  # of any false alarm, all alarms together
WORTH: Final = 0.2  # share of the twin's mistakes that pretraining removes where it is worth having
FEWEST: Final = 10  # groups below which a mean's spread is not known

KINDS: Final = ("below_probe", "harmed_classes", "below_twin", "below_scratch", "better_start", "no_gain")


@dataclass(frozen=True)
class Suspicion:
    """One thing that may have gone wrong, before it is known whether it is proven.

    against: what the network is compared with, in words. p: of the test. gap: how far apart the two are;
    None where it was not asked for. count: units that both answered. classes: of harmed_classes alone.
    """

    kind: str
    against: str
    p: float
    count: int
    gap: Gap | None = None
    classes: tuple[ClassGap, ...] = ()


@dataclass(frozen=True)
class Alarm:
    """One thing that did go wrong. p: corrected for all that was tested. told: what sentences are made of."""

    kind: str
    p: float
    sentence: str
    told: Mapping[str, Any] = field(default_factory=dict)


def below(kind: str, two: Pair, metric: str, against: str, *, gap: Gap | None = None) -> Suspicion:
    """Whether the first of two is worse than the second, by the metric of the run."""
    return Suspicion(kind, against, p_worse(two, metric), two.count, gap)


def harmed_classes(two: Pair, against: str) -> Suspicion:
    """Whether the first of two finds fewer of some class; p is that of the worst one, for all of them."""
    found = by_class(two)
    p = min(1.0, len(found) * min(own.p for own in found)) if found else 1.0
    return Suspicion("harmed_classes", against, p, two.count, classes=found)


def no_gain(two: Pair, metric: str, *, gap: Gap | None = None) -> Suspicion:
    """Whether pretrained features (the first of two) are proven to gain nothing worth having.

    p is that of a mean below 0, one-sided, of `the twin's mistakes - ours - share of the twin's mistakes`,
    with groups as units; of numbers a mistake is the squared error. One example that speaks for the
    pretrained network is added, so that few examples on which the two agree prove nothing (after Agresti &
    Min 2005). Where the gain itself is proven, p is 1.
    Where the metric weighs classes alike, so do the means here.
    """
    against = "random twin"
    swapped = Pair(two.task, two.labels, two.theirs, two.ours, two.groups)
    if p_worse(swapped, metric) <= LEVEL:
        return Suspicion("no_gain", against, 1.0, two.count, gap)
    ours, theirs = mistakes(two.ours), mistakes(two.theirs)
    each = ((1 - WORTH) * theirs - ours) * _weights(two, metric)
    groups = np.arange(two.count) if two.groups is None else np.asarray(two.groups)
    number = np.unique(groups, return_inverse=True)[1]
    heaviest = float(_weights(two, metric).max())
    heaviest *= float(theirs.mean()) if "answer" in two.ours else 1.0  # of numbers a usual mistake
    sums = np.append(np.bincount(number, each), (1 - WORTH) * heaviest)
    sizes = np.append(np.bincount(number), 1)
    return Suspicion("no_gain", against, _p_below_zero(sums, sizes), two.count, gap)


def proven(suspicions: Sequence[Suspicion], metric: str, *, level: float = LEVEL) -> tuple[Alarm, ...]:
    """The alarms: what Holm's step-down proves over all suspicions, the surest first.

    Of classes those are named that a second step-down among them proves at the level that their alarm
    was proven at. Features below those of random weights bring no gain either; that is not said twice.
    """
    corrected = holm([one.p for one in suspicions])
    order = sorted(range(len(suspicions)), key=lambda i: suspicions[i].p)
    kinds = {suspicions[i].kind for i in order if corrected[i] <= level}
    found = []
    for rank, i in enumerate(order):
        one = suspicions[i]
        if corrected[i] > level or (one.kind == "no_gain" and "below_twin" in kinds):
            continue
        within = holm([own.p for own in one.classes])
        at = level / (len(suspicions) - rank)
        harmed = [own for own, p in zip(one.classes, within, strict=True) if p <= at]
        found.append(_alarm(one, corrected[i], metric, harmed))
    return tuple(found)


def _weights(two: Pair, metric: str) -> NDArray[np.float64]:
    """How much each unit counts: all alike, or all classes alike; mean 1."""
    if metric == "accuracy" or "truth" not in two.ours:
        return np.ones(two.count)
    truth = two.ours["truth"]
    counts = np.bincount(truth)
    weights: NDArray[np.float64] = len(truth) / (np.count_nonzero(counts) * counts[truth])
    return weights


def _p_below_zero(sums: NDArray[np.float64], sizes: NDArray[Any]) -> float:
    """P that a mean over units is below 0, from the sums of their groups (Student's t, one-sided)."""
    from scipy.stats import t  # type: ignore[import-untyped]

    G = len(sums)
    if G < FEWEST:
        return 1.0
    mean = float(sums.sum() / sizes.sum())
    spread = float(((sums - mean * sizes) ** 2).sum()) * G / (G - 1)
    error = math.sqrt(spread) / float(sizes.sum())
    return float(t.cdf(mean / error, G - 1)) if error > 0 else 1.0


def _alarm(one: Suspicion, p: float, metric: str, harmed: Sequence[ClassGap]) -> Alarm:
    told: dict[str, Any] = {"against": one.against, "count": one.count}
    if one.gap is not None:
        own = one.gap.score
        told |= {"gap": own.value, "low": own.low, "high": own.high}
    if one.kind == "harmed_classes":
        told["classes"] = {
            own.label: {"count": own.count, "found": own.ours, "found_by_probe": own.theirs} for own in harmed
        }
    return Alarm(one.kind, p, _sentence(one, metric, harmed), told)


def _sentence(one: Suspicion, metric: str, harmed: Sequence[ClassGap]) -> str:
    gap = "" if one.gap is None else figure(one.gap.score.value, metric, sign=True)
    by = f" ({metric.replace('_', ' ')} {gap})" if gap else ""
    if one.kind == "below_probe":
        return f"destructive fine-tuning: training left the network below its own {one.against}{by}."
    if one.kind == "harmed_classes":
        names = ", ".join(f"{own.label} ({own.ours} of {own.count}, was {own.theirs})" for own in harmed[:5])
        more = f" and {len(harmed) - 5} more" if len(harmed) > 5 else ""
        return (
            f"harmed classes: training made the network find fewer of {names}{more} than its {one.against}."
        )
    if one.kind == "below_twin":
        return f"negative transfer: the pretrained features are worse than those of random weights{by}."
    if one.kind == "below_scratch":
        return f"negative transfer: the network is worse than one that was trained from scratch{by}."
    if one.kind == "better_start":
        return f"a better start was at hand: {one.against} has better features for these data{by}."
    return (
        f"no gain over the random twin: the pretrained features remove less than {WORTH:.0%} of the mistakes "
        f"that random weights leave{by}."
    )
