"""Classes: how many examples each has, whether the splits agree, whether two are one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tunesmith.data.data import SPLITS
from tunesmith.data.labels import plain
from tunesmith.health.finding import Finding
from tunesmith.health.roll import Roll

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTED: Final = 3.0  # times that the largest class is larger than the smallest: accuracy begins to mislead
WARNED: Final = 10.0
CHANCE: Final = 0.001  # splits that were drawn at random are called different so often
SMALL: Final = 0.1  # Cramér's V below which a difference is called small (Cohen 1988)
EXPECTED: Final = 5  # examples a cell, the least for which a chi-squared test holds (Cochran 1954)


def about_classes(roll: Roll) -> list[Finding]:
    """Labels that are written in two ways, shares that differ between splits, imbalance."""
    return [*labels_alike(roll), *prior_shifts(roll), *imbalance(roll)]


def labels_alike(roll: Roll) -> list[Finding]:
    """Labels that are the same without regard to case, spaces and the forms of Unicode."""
    written: dict[str, list[str]] = {}
    for name in roll.names:
        written.setdefault(plain(name), []).append(name)
    alike = [names for names in written.values() if len(names) > 1]
    if not alike:
        return []
    first = {name: int(np.flatnonzero(roll.codes == k)[0]) for k, name in enumerate(roll.names)}
    groups = [[first[name] for name in names] for names in alike]
    said = "; ".join(" = ".join(repr(name) for name in names) for names in alike[:5])
    return [roll.finding("labels_alike", "warning", groups, names=said)]


def prior_shifts(roll: Roll) -> list[Finding]:
    """For validation and for test: whether its class shares differ from those of train.

    A chi-squared test of independence (Pearson 1900) over the counts, and Cramér's V for how much: a
    split is named where chance gives such counts in fewer than 1 of 1,000 draws, and V is 0.1 or more.
    Classes of which fewer than 5 examples would be expected in a split count as one, and V is free of
    what chance alone gives many classes (Bergsma 2013, "A bias-correction for Cramér's V").
    """
    found = []
    for split in (1, 2):
        pair = roll.counts[:, [0, split]]
        if not pair.sum(0).all():
            continue
        pair = _pooled(pair[pair.sum(1) > 0])
        if len(pair) < 2:
            continue
        statistic, p = chi_squared(pair)
        effect = cramers_v(statistic, len(pair), int(pair.sum()))
        if p >= CHANCE or effect < SMALL:
            continue
        shares = roll.counts[:, [0, split]] / roll.counts[:, [0, split]].sum(0)
        k = int(
            np.argmax(np.round(np.abs(shares[:, 1] - shares[:, 0]), 9))
        )  # of two classes both change alike
        found.append(
            roll.finding(
                "prior_shift", "warning", label=roll.names[k], split=SPLITS[split], share=float(shares[k, 1]),
                train=float(shares[k, 0]), statistic=statistic, p=p, effect=effect,
            )
        )  # fmt: skip
    return found


def chi_squared(pair: NDArray[np.int64]) -> tuple[float, float]:
    """Pearson's statistic of counts [k, 2], and how often chance gives one as large.

    As scipy.stats.chi2_contingency without correction, whose package takes a second to import at the start
    of every fit.

    >>> [round(number, 4) for number in chi_squared(np.array([[30, 10], [20, 40]]))]
    [16.6667, 0.0]
    """
    from scipy.special import chdtrc  # type: ignore[import-untyped]

    expected = pair.sum(1, keepdims=True) * pair.sum(0) / pair.sum()
    statistic = float(((pair - expected) ** 2 / expected).sum())
    return statistic, float(chdtrc(len(pair) - 1, statistic))


def cramers_v(statistic: float, classes: int, count: int) -> float:
    """How far the shares of classes differ between two splits, 0 to 1, corrected for chance (Bergsma 2013).

    statistic: chi-squared of a table of two columns. count: examples in it.

    >>> round(cramers_v(99.0, 100, 6001), 3), round(cramers_v(10.0, 2, 100), 3)
    (0.0, 0.301)
    """
    phi = max(0.0, statistic / count - (classes - 1) / (count - 1))
    sides = min(classes - (classes - 1) ** 2 / (count - 1), 2 - 1 / (count - 1)) - 1
    return float(np.sqrt(phi / sides)) if sides > 0 else 0.0


def imbalance(roll: Roll) -> list[Finding]:
    """Whether the largest class of the training split is several times as large as the smallest."""
    train = roll.counts[:, 0]
    if not train.any():
        return []
    most, fewest = int(np.argmax(train)), _fewest(train)
    ratio = float(train[most] / train[fewest])
    if ratio < NOTED:
        return []
    return [
        roll.finding(
            "imbalance", "warning" if ratio >= WARNED else "note", largest=roll.names[most], ratio=ratio,
            smallest=roll.names[fewest], most=int(train[most]), fewest=int(train[fewest]),
        )
    ]  # fmt: skip


def _pooled(pair: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of classes in two splits, the rare classes as one row: [k, 2].

    Where those are too rare even together, the next larger classes go with them.
    """
    pair = pair[np.argsort(pair.sum(1), kind="stable")]
    expected = pair.sum(1) * (pair.sum(0).min() / pair.sum())  # in the smaller split
    rare = int(np.searchsorted(expected, EXPECTED))
    if rare == 0:
        return pair
    while rare < len(pair) and expected[:rare].sum() < EXPECTED:
        rare += 1
    return np.concatenate([pair[:rare].sum(0, keepdims=True), pair[rare:]])


def _fewest(train: NDArray[np.int64]) -> int:
    """The smallest class that the training split has."""
    return int(np.argmin(np.where(train > 0, train, np.iinfo(np.int64).max)))
