"""Everything that can be said of the data, gathered: findings, facts, and what was not looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.data.data import SPLITS
from tunesmith.data.questions import TASK as QUESTIONS
from tunesmith.data.tagged import TASK
from tunesmith.health import shingles, twins
from tunesmith.health.classes import about_classes
from tunesmith.health.contexts import shared_contexts
from tunesmith.health.finding import Finding, Health, Item, Level
from tunesmith.health.neighbours import neighbours
from tunesmith.health.numbers import about_numbers
from tunesmith.health.repeats import TEST, leaks, repeats, same_bytes, sets
from tunesmith.health.roll import SHOWN, Roll
from tunesmith.health.seen import Seen
from tunesmith.health.shapes import about_images, about_texts, about_tokens
from tunesmith.health.sides import Alone, about_pairs, both_alike
from tunesmith.health.suspects import FOLDS, doubts
from tunesmith.health.tags import about_tags

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

ORDER: Final = ("error", "warning", "note")
COMPARISONS: Final = 500_000_000  # of hashes, about a second: no more before a fit
SIGNED: Final = 20_000  # texts, a few seconds: no more before a fit
CHARACTERS: Final = 20_000_000  # of texts that are looked at, a few seconds: no more before a fit
NEED_FEATURES: Final = ("suspected_labels", "near_features_across")


@dataclass(frozen=True)
class Features:
    """What a network says of every usable example, in the order of `roll.usable`.

    pooled: float32 [n, D]. tokens: of each text before anything is cut; None for images.
    window: tokens that the network reads at most.
    learned: whether it learned from these very labels, so that its doubts of them would tell nothing.
    """

    model: str
    pooled: NDArray[np.float32]
    tokens: Ints | None = None
    window: int | None = None
    learned: bool = False


@dataclass(frozen=True)
class Examined:
    """The health, and which test examples have a byte-equal or nearly equal one in train or valid.

    leaked: bool [n], over the test split as it was read.
    """

    health: Health
    leaked: NDArray[np.bool_]


def examine(
    seen: Seen,
    *,
    features: Features | None = None,
    alone: Sequence[Alone] = (),
    brief: bool = False,
    skip_bad: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Examined:
    """The health of data that were seen.

    features: of a network; without them what needs them is named as skipped.
    alone: of pairs, how far one text alone tells the answer, where that was tried.
    brief: before a fit: what grows with the square of the data, or takes long, is skipped where it is large.
    skip_bad: what cannot be used was left out, so it is a warning; else an error, for a fit stops at it.
    seed: of the folds of the label check. progress: called with the rounds just done, of suspects.ROUNDS.
    """
    roll = seen.roll
    same = same_bytes([key or b"unread %d" % place for place, key in enumerate(seen.keys)])
    lengths = np.empty(0, np.int64) if seen.looks else _lengths(seen)
    near, leaked, skipped = _near_duplicates(seen, same, lengths, brief=brief)
    facts, odd = about_images(roll, seen.looks) if seen.looks else about_texts(roll, lengths)
    unusable = [*_unusable(roll, skip_bad), *_absent(seen, skip_bad)]
    kind = seen.data.answers
    if kind != "classes":  # each number is a label of its own, of which a form of files tells nothing
        odd = [finding for finding in odd if finding.kind != "modes_tell"]
    answers: list[Finding] = []
    if kind == "numbers":
        answers = about_numbers(roll, seen.data.targets)
    elif seen.data.task == TASK:
        answers = about_tags(roll)
    elif kind == "classes":
        answers = about_classes(roll)
    elif seen.data.task == QUESTIONS:
        answers = shared_contexts(seen)
    found = [*unusable, *repeats(roll, same), *near, *answers, *odd]
    if roll.takes == "pair":
        paired, turned = about_pairs(roll, _texts(seen, roll.usable), alone)
        found, leaked = found + paired, leaked | turned
    if features is None:
        kinds = NEED_FEATURES if roll.takes == "image" else (*NEED_FEATURES, "truncated_texts")
        skipped |= dict.fromkeys(kinds, "needs_model")
    else:
        if features.tokens is not None and features.window is not None:
            more, cut = about_tokens(roll, features.tokens, features.window, features.model)
            facts = facts | more
            found += [] if kind == "parts" else cut  # those are read in windows
        found += _close_by(roll, same, features)
        if kind != "classes":
            skipped["suspected_labels"] = "numbers" if kind == "numbers" else "parts"
        elif features.learned:
            skipped["suspected_labels"] = "learned_from"
        elif (doubted := _doubted(roll, same, features, seed, progress)) is None:
            skipped["suspected_labels"] = "too_few"
        else:
            found, facts = found + doubted[0], facts | doubted[1]
    health = Health(
        seen.data.name,
        roll.takes,
        seen.data.understood,
        _counts(roll, (seen.data.task,) if seen.data.answers == "parts" else seen.data.targets),
        tuple(sorted(found, key=lambda finding: ORDER.index(finding.level))),
        facts,
        skipped,
        None if features is None else features.model,
        kind,
    )
    return Examined(health, leaked[roll.splits == TEST])


def _counts(roll: Roll, columns: Sequence[str]) -> dict[str, dict[str, int]]:
    """Usable examples by label and split; where the labels are no classes, all under one name."""
    if columns:
        return {", ".join(columns): dict(zip(SPLITS, roll.counts.sum(0).tolist(), strict=True))}
    rows = zip(roll.names, roll.counts, strict=True)
    return {name: dict(zip(SPLITS, row.tolist(), strict=True)) for name, row in rows}


def linked(pairs: Ints, count: int) -> list[Ints]:
    """Groups of places that pairs link, directly or through others; those with more members first.

    >>> [group.tolist() for group in linked(np.array([[0, 3], [3, 4], [1, 2]]), 5)]
    [[0, 3, 4], [1, 2]]
    """
    from scipy.sparse import coo_matrix  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    if not len(pairs):
        return []
    ones = np.ones(len(pairs), bool)
    graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    groups = sets(component.astype(np.int64), np.unique(pairs))
    return sorted(groups, key=lambda group: -len(group))


def _unusable(roll: Roll, skip_bad: bool) -> list[Finding]:
    if not roll.bad:
        return []
    kind = {"image": "unreadable", "text": "empty", "pair": "half_empty"}[roll.takes]
    groups = [[place] for place in sorted(roll.bad)]
    level: Level = "warning" if skip_bad else "error"
    return [roll.finding(kind, level, groups, roll.bad, count=len(groups), total=len(roll))]


def _absent(seen: Seen, skip_bad: bool) -> list[Finding]:
    """What the data name and `read` could not have; it never became an example."""
    level: Level = "warning" if skip_bad else "error"
    found = []
    for kind in ("broken_rows", "absent", "no_label", "no_number", "bad_tags", "misplaced"):
        lost = [(Item(f.where, note=f.message),) for f in seen.data.left_out if f.kind == kind]
        values = {"takes": seen.roll.takes, "groups": len(lost), "count": len(lost)}
        found += [Finding(kind, level, values, tuple(lost[:SHOWN]), len(lost))] if lost else []
    return found


def _near_duplicates(
    seen: Seen, same: Ints, lengths: Ints, *, brief: bool
) -> tuple[list[Finding], NDArray[np.bool_], dict[str, str]]:
    """The finding, which examples leak by equal bytes or by likeness [N], and what was skipped."""
    roll = seen.roll
    leaked = leaks(roll, sets(same, roll.usable))
    one_each = _one_each(roll, same)
    pairs = None if brief and _too_many(roll, one_each, lengths) else _near_pairs(seen, one_each)
    if pairs is None:
        return [], leaked, {"near_duplicates_across": "too_many"}
    groups = linked(pairs[same[pairs[:, 0]] != same[pairs[:, 1]]], len(roll))
    twin = leaks(roll, groups)
    twin |= np.isin(same, same[twin]) & (roll.splits == TEST)
    return _near(roll, "near_duplicates_across", groups, int(twin.sum())), leaked | twin, {}


def _one_each(roll: Roll, same: Ints) -> Ints:
    """Of byte-equal examples one in each split, in the data's order."""
    number = same[roll.usable] * len(SPLITS) + roll.splits[roll.usable]
    places: Ints = roll.usable[np.sort(np.unique(number, return_index=True)[1])]
    return places


def _too_many(roll: Roll, places: Ints, lengths: Ints) -> bool:
    """Whether comparing takes long. lengths: characters of each usable text, where the data are texts."""
    if roll.takes != "image":
        characters = np.minimum(lengths[np.searchsorted(roll.usable, places)], shingles.READ)
        return len(places) > SIGNED or int(characters.sum()) > CHARACTERS
    sizes: list[int] = np.bincount(roll.splits[places], minlength=len(SPLITS)).tolist()
    return sizes[1] * sizes[0] + sizes[2] * (sizes[0] + sizes[1]) > COMPARISONS


def _near_pairs(seen: Seen, places: Ints) -> Ints | None:
    """Pairs of places in different splits whose items are nearly the same: [P, 2]; None for too many."""
    splits = seen.roll.splits[places]
    if seen.looks is None:
        signed = shingles.signatures(_texts(seen, places))
        pairs = shingles.alike(lambda i: str(seen.content(int(places[i]))), signed, splits)
        if pairs is not None and seen.roll.takes == "pair":
            texts = ([str(seen.content(int(places[i]))) for i in pair] for pair in pairs)
            pairs = pairs[np.fromiter((both_alike(*own) for own in texts), bool, len(pairs))]
    else:
        pairs = twins.close(seen.looks.hashes[places], splits)
        if pairs is not None:
            pairs = twins.agreeing(pairs, lambda i: seen.thumbnail(int(places[i])))
    return None if pairs is None else places[pairs]


def _near(roll: Roll, kind: str, groups: Sequence[Ints], leaked: int, **values: Any) -> list[Finding]:
    if not groups:
        return []
    apart = [_apart_first(roll, group) for group in groups]
    return [roll.finding(kind, "warning", apart, leaked=leaked, **values)]


def _apart_first(roll: Roll, group: Ints) -> Ints:
    """A group with one example of each split in front: a person sees the first ones only."""
    first = np.sort(np.unique(roll.splits[group], return_index=True)[1])
    return np.concatenate([group[first], np.delete(group, first)])


def _close_by(roll: Roll, same: Ints, features: Features) -> list[Finding]:
    one_each = _one_each(roll, same)
    pooled = features.pooled[np.searchsorted(roll.usable, one_each)]
    pairs = one_each[neighbours(pooled, roll.splits[one_each])]
    groups = linked(pairs[same[pairs[:, 0]] != same[pairs[:, 1]]], len(roll))
    return _near(roll, "near_features_across", groups, int(leaks(roll, groups).sum()), model=features.model)


def _doubted(
    roll: Roll,
    same: Ints,
    features: Features,
    seed: int,
    progress: Callable[[int], None] | None,
) -> tuple[list[Finding], dict[str, Any]] | None:
    """Suspected labels, and a fact; None where too few classes have enough examples to look."""
    usable, codes = roll.usable, roll.codes[roll.usable]
    _, first = np.unique(np.stack([codes, same[usable]]), axis=1, return_index=True)
    enough = np.flatnonzero(np.bincount(codes[first], minlength=len(roll.names)) >= FOLDS)
    if len(enough) < 2:
        return None
    kept = np.isin(codes, enough)
    places = usable[kept]
    found = doubts(
        features.pooled[kept],
        np.searchsorted(enough, codes[kept]),
        same[places],
        seed=seed,
        progress=progress,
    )
    order = found.order[found.suspected[found.order]]
    facts = {"learned": found.learned} if found.learned < len(places) else {}
    if not len(order):
        return [], facts
    notes = {
        int(places[i]): f"looks like {roll.names[enough[found.guess[i]]]} ({found.sure[i]:.2f})"
        for i in order
    }
    groups = [[int(places[i])] for i in order]
    values = {"count": len(order), "total": len(places)}
    return [roll.finding("suspected_labels", "warning", groups, notes, **values)], facts


def _texts(seen: Seen, places: Ints) -> Iterator[str]:
    """The texts at some places, in their order, read a thousand at a time."""
    for start in range(0, len(places), 1000):
        some = places[start : start + 1000]
        for split, name in enumerate(SPLITS):
            rows = seen.roll.rows[some[seen.roll.splits[some] == split]]
            if len(rows):
                yield from (str(text) for text in seen.data.splits[name][rows.tolist()]["item"])


def _lengths(seen: Seen) -> Ints:
    """Characters of each usable text without white space at the ends."""
    return np.fromiter((len(text.strip()) for text in _texts(seen, seen.roll.usable)), np.int64)
