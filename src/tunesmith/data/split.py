"""Three splits: as they were given, or made here, stratified, grouped and seeded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.data.data import SPLITS
from tunesmith.data.labels import said_alike
from tunesmith.data.numbers import said_numbers
from tunesmith.data.rows import counted, some
from tunesmith.errors import BadData, BadOption

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

TRAIN, VALID, TEST = range(3)
MOST: Final = 10  # strata of numbers
LEAST: Final = 20  # examples of one
WORDS: Final = {"valid": "validation", "test": "test"}


def check_sizes(valid_size: float, test_size: float) -> None:
    """Raises BadOption if the shares leave nothing to learn from."""
    for name, size in (("valid_size", valid_size), ("test_size", test_size)):
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < 0.9:
            raise BadOption(f"{name} is a share of the whole, above 0 and below 0.9; found {size!r}.")
    if valid_size + test_size >= 1:
        raise BadOption(
            f"valid_size {valid_size:g} and test_size {test_size:g} leave nothing to train on; "
            "0.15 each is usual."
        )


def complete(
    given: Ints,
    labels: Ints,
    groups: Ints | None,
    *,
    same: Ints | None = None,
    sizes: tuple[float, float],
    seed: int,
) -> Ints:
    """The split of every row, [N] of 0 (train), 1 (valid), 2 (test).

    Splits that are missing are drawn from the training rows; splits that are there stay as they
    are. Every class keeps a training example. Without groups a class with an example to spare has
    one in test, then one in valid, even where that makes a split a little larger than asked; with
    groups no group is in two splits.

    given: [N], the split of each row, or -1 in every row when the source has no splits.
    labels: [N], the class of each row.
    groups: [N], the group of each row, or None.
    same: [N], equal numbers where rows hold the same item; without groups these stay together, or
        what was learned would be asked again.
    sizes: the shares of valid and test in the whole.

    Raises BadData if there is nothing to train on, or too little to draw from.

    >>> given, labels = np.full(20, -1), np.repeat([0, 1], 10)
    >>> splits = complete(given, labels, None, sizes=(0.2, 0.2), seed=0)
    >>> [int((splits[labels == k] == s).sum()) for k in (0, 1) for s in (0, 1, 2)]
    [6, 2, 2, 6, 2, 2]
    """
    splits = np.where(given < 0, TRAIN, given)
    there = {int(split) for split in np.unique(splits)}
    if TRAIN not in there:
        names = " and ".join(SPLITS[split] for split in sorted(there))
        raise BadData(
            f"there is a {names} split but none to train on; add a split called train, or give "
            "one file or folder alone, and its splits are made here."
        )
    wanted = {split: sizes[split - 1] for split in (TEST, VALID) if split not in there}
    if wanted:
        pool = np.flatnonzero(splits == TRAIN)
        counts = {split: max(1, round(share * len(splits))) for split, share in wanted.items()}
        _check_enough(len(pool), counts)
        random = np.random.default_rng(seed)
        if groups is None:
            drawn = _together(labels[pool], None if same is None else same[pool], counts, random)
        else:
            drawn = _grouped(labels[pool], groups[pool], counts, random)
        splits[pool] = drawn
    return splits


def strata(targets: NDArray[Any]) -> Ints:
    """What every split and every sample takes its share of, [N] from 0 on: the classes, or tenths of numbers.

    targets: classes, int [N], which come back as they are; or numbers, float [N] or [N, K], whose first
    column is cut into tenths of equal size; into fewer where a tenth had fewer than 20 examples.

    >>> strata(np.array([2, 0])).tolist(), np.bincount(strata(np.arange(60.0))).tolist()
    ([2, 0], [20, 20, 20])
    """
    if targets.ndim == 1 and targets.dtype.kind != "f":
        return targets.astype(np.int64)
    first = targets if targets.ndim == 1 else targets[:, 0]
    N = len(first)
    parts = min(max(N // LEAST, 1), MOST)
    rank = np.empty(N, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(N)
    return rank * parts // max(N, 1)


def check_classes(splits: Ints, labels: Ints, names: Sequence[str]) -> None:
    """Raises BadData for classes that cannot be learned and tested: alone, single, or unseen."""
    counts = np.bincount(labels, minlength=len(names))
    if len(names) == 1:
        raise BadData(f"every example has the label {names[0]!r}; classification needs two classes or more.")
    single = [names[int(k)] for k in np.flatnonzero(counts == 1)]
    if single:
        word = "class has" if len(single) == 1 else f"{len(single):,} classes have"
        raise BadData(
            f"{word} a single example ({some(single)}), which cannot be both learned and tested"
            f"{said_alike(single, names) or said_numbers(single)}; add examples, or leave these out."
        )
    learned = np.bincount(labels[splits == TRAIN], minlength=len(names))
    for split in (VALID, TEST):
        unseen = np.flatnonzero(
            (learned == 0) & (np.bincount(labels[splits == split], minlength=len(names)) > 0)
        )
        if len(unseen):
            lost = [names[int(k)] for k in unseen]
            raise BadData(
                f"{some(lost)} {'is' if len(lost) == 1 else 'are'} in {SPLITS[split]} but not in train"
                f"{said_alike(lost, names)}; what is not learned cannot be recognised."
            )


def check_numbers(splits: Ints) -> None:
    """Raises BadData for a split with a single example: no share of its spread can be explained."""
    for split in (TRAIN, VALID, TEST):
        count = int((splits == split).sum())
        if count < 2:
            raise BadData(
                f"{SPLITS[split]} holds {counted(count, 'example')}, and numbers need two or more in every "
                "split; add examples, or make valid_size and test_size larger."
            )


def check_filled(splits: Ints) -> None:
    """Raises BadData if a split that was made here has no example."""
    empty = [SPLITS[split] for split in (VALID, TEST) if not (splits == split).any()]
    if empty:
        raise BadData(
            f"nothing is left for {' and '.join(empty)}: every class keeps an example to train on, and "
            "there are too few different ones beyond that; a class needs three or more."
        )


def check_groups(splits: Ints, groups: Ints, names: Sequence[str]) -> None:
    """Raises BadData if a group lies in two of the splits that were given."""
    seen = np.zeros((len(names), 3), dtype=bool)
    seen[groups, splits] = True
    shared = np.flatnonzero(seen.sum(axis=1) > 1)
    if len(shared):
        first = int(shared[0])
        where = " and ".join(SPLITS[split] for split in np.flatnonzero(seen[first]))
        raise BadData(
            f"the group {names[first]!r} is in {where} ({counted(len(shared), 'group')} in two "
            "splits or more), so the score would flatter; mend the splits, or leave out --group."
        )


def _check_enough(pool: int, counts: dict[int, int]) -> None:
    drawn = sum(counts.values())
    if drawn >= pool:
        words = " and ".join(f"{WORDS[SPLITS[s]]} {counts[s]:,}" for s in sorted(counts))
        raise BadData(
            f"there {'is' if pool == 1 else 'are'} {counted(pool, 'example')} to draw from, too few for "
            f"{words}; add examples, or make valid_size and test_size smaller."
        )


def _together(labels: Ints, same: Ints | None, counts: dict[int, int], random: np.random.Generator) -> Ints:
    """Stratified over different items; a repeat follows the first one of its kind."""
    if same is None:
        return _stratified(labels, counts, random)
    _, first, inverse = np.unique(same, return_index=True, return_inverse=True)
    order = np.argsort(first)  # in the order of the rows, whatever the numbers are
    share = len(first) / len(labels)
    fewer = {split: max(1, round(count * share)) for split, count in counts.items()}
    drawn = np.empty(len(first), dtype=np.int64)
    drawn[order] = _stratified(labels[first[order]], fewer, random)
    _, sizes = np.unique(labels, return_counts=True)
    for rows in np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1]):
        mine = inverse[rows]  # a class may only have repeats of another class's items
        if not (drawn[mine] == TRAIN).any():
            drawn[mine[0]] = TRAIN
    return drawn[inverse]


def _stratified(labels: Ints, counts: dict[int, int], random: np.random.Generator) -> Ints:
    splits = np.full(len(labels), TRAIN)
    classes, sizes = np.unique(labels, return_counts=True)
    spare = sizes - 1  # one of each class stays in train
    quotas = {}
    for split, count in counts.items():
        share = (sizes * (count / len(labels))).astype(np.float64)
        quotas[split] = _apportioned(share, np.minimum(spare, len(labels)), count)
        spare = spare - quotas[split]
    rows_of = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    for place in range(len(classes)):
        rows = random.permutation(rows_of[place])
        start = 0
        for split, quota in quotas.items():
            stop = start + int(quota[place])
            splits[rows[start:stop]] = split
            start = stop
    return splits


def _apportioned(share: NDArray[np.float64], most: Ints, count: int) -> Ints:
    """Whole numbers close to the shares: at least 1 and at most `most`, summing to count if so.

    >>> _apportioned(np.array([4.5, 1.2, 0.3]), np.array([29, 7, 1]), 6)
    array([4, 1, 1])
    """
    quota = np.minimum(np.maximum(np.floor(share).astype(np.int64), 1), most)
    by_need = np.argsort(-(share - quota), kind="stable")
    for place in by_need:
        if quota.sum() >= count:
            break
        quota[place] += quota[place] < most[place]
    return quota


def _grouped(labels: Ints, groups: Ints, counts: dict[int, int], random: np.random.Generator) -> Ints:
    """Whole groups, the largest first, each to the split that it brings closest to its share.

    How far a split is from its share is chi-squared over classes, (has - should)² / should, as
    StratifiedGroupKFold does with variances, but for splits of unequal size.
    """
    order = [TRAIN, *counts]
    names, inverse = np.unique(groups, return_inverse=True)
    if len(names) < len(order):
        raise BadData(
            f"there are {counted(len(names), 'group')} for {len(order)} splits, and a group is "
            "never in two; add groups, or leave out --group."
        )
    classes, codes = np.unique(labels, return_inverse=True)
    rows_of = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    shares = np.array([len(labels) - sum(counts.values()), *counts.values()]) / len(labels)
    should = shares[:, None] * np.bincount(codes)[None, :]
    has = np.zeros_like(should)
    place_of = np.zeros(len(names), dtype=np.int64)
    shuffled = random.permutation(len(names))
    sizes = np.array([len(rows_of[g]) for g in shuffled])
    for group in shuffled[np.argsort(-sizes, kind="stable")]:
        present, extra = np.unique(codes[rows_of[group]], return_counts=True)
        further = extra * (2 * (has[:, present] - should[:, present]) + extra)
        place = int(np.argmin((further / should[:, present]).sum(axis=1)))
        has[place, present] += extra
        place_of[group] = place
    _keep_learnable(place_of, rows_of, codes, has)
    missing = [SPLITS[order[place]] for place in range(len(order)) if not (place_of == place).any()]
    if missing:
        raise BadData(
            f"no group is left for {' and '.join(missing)} when every class keeps a training "
            f"example ({counted(len(names), 'group')}, {counted(len(classes), 'class')}); "
            "add groups, or leave out --group."
        )
    return np.array(order)[place_of[inverse]]


def _keep_learnable(place_of: Ints, rows_of: list[Ints], codes: Ints, has: NDArray[np.float64]) -> None:
    """Move the smallest group of every class that train lacks into train."""
    for k in np.flatnonzero(has[0] == 0):
        if has[0, k]:  # an earlier move brought it
            continue
        holders = [g for g, rows in enumerate(rows_of) if (codes[rows] == k).any()]
        group = min(holders, key=lambda g: len(rows_of[g]))
        moved = np.bincount(codes[rows_of[group]], minlength=has.shape[1])
        has[place_of[group]] -= moved
        has[0] += moved
        place_of[group] = 0
