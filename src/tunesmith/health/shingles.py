"""Texts that are nearly the same: shared pieces of five characters, found by MinHash, checked exactly."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

READ: Final = 100_000  # characters of a text that are looked at, the first ones
LENGTH: Final = 5  # characters of a shingle
ALIKE: Final = 0.8  # Jaccard similarity from which two texts are nearly the same
# 24 bands of 6 minima: two texts at 0.8 share a band with probability 1 - (1 - 0.8^6)^24 > 0.999,
# two at 0.3 with 0.017.
BANDS: Final = 24
MINIMA: Final = 6
COMPARED: Final = 64  # texts of a band's bucket that each one is compared with, at most
PAIRS: Final = 200_000  # that share a band; where there are more, texts are made from one template
HELD: Final = 1 << 24  # pieces that lie in memory, 128 MB
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


def shingles(text: str) -> NDArray[np.uint64]:
    """The different pieces of five characters in a text, each as a number, sorted.

    Case, the forms of Unicode and the amount of white space do not count (Broder 1997, "On the
    resemblance and containment of documents"). A shorter text is one piece; of a longer one than
    100,000 characters the rest is not looked at.

    >>> len(shingles("Hello  World")), len(shingles("hi"))
    (7, 1)
    """
    plain = " ".join(unicodedata.normalize("NFKC", text[:READ]).casefold().split())[:READ]
    points = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    if len(points) < LENGTH:
        points = np.concatenate([points, np.zeros(LENGTH - len(points), np.uint64)])
    numbers = np.zeros(len(points) - LENGTH + 1, np.uint64)
    for i in range(LENGTH):
        numbers = (numbers ^ points[i : len(points) - LENGTH + 1 + i]) * _MULTIPLIER
        numbers ^= numbers >> np.uint64(29)
    return np.unique(numbers)


def signatures(texts: Iterable[str]) -> NDArray[np.uint64]:
    """A number per text and band, equal in some band for texts that share most shingles: [N, 24].

    The minima of 144 random orders of a text's shingles (Broder 1997), six to a band (Leskovec, Rajaraman
    & Ullman 2014, "Mining of Massive Datasets", 3.4). Memory does not grow with the texts' length, for of
    each no more than 100,000 characters are looked at.
    """
    random = np.random.default_rng(0)
    factors = random.integers(0, 2**63, BANDS * MINIMA, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    mixes = random.integers(0, 2**63, MINIMA, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    found = []
    for text in texts:
        pieces = shingles(text)
        minima = np.full(len(factors), np.iinfo(np.uint64).max, np.uint64)
        for start in range(0, len(pieces), 4096):
            orders = factors[:, None] * pieces[None, start : start + 4096]
            minima = np.minimum(minima, orders.min(axis=1))
        found.append(((minima >> np.uint64(7)).reshape(BANDS, MINIMA) * mixes).sum(axis=1))
    return np.stack(found) if found else np.empty((0, BANDS), np.uint64)


def alike(text: Callable[[int], str], signed: NDArray[np.uint64], splits: Ints) -> Ints | None:
    """Pairs of texts in different splits whose shingles have a Jaccard similarity of 0.8 or more: [P, 2].

    None where over 200,000 pairs would have to be compared: texts that are made from one template.

    text: gives the text of a row. signed: the `signatures` of all. splits: [N].
    """
    pairs = _candidates(signed, splits)
    if pairs is None:
        return None
    pieces: dict[int, NDArray[np.uint64]] = {}
    kept, held, before = np.zeros(len(pairs), bool), 0, -1
    for row, (i, j) in enumerate(pairs.tolist()):
        if i != before:  # pairs are sorted, so the one before does not come again
            held -= len(pieces.pop(before, ()))
            before = i
        if held > HELD:
            pieces.clear()
            held = 0
        for place in (i, j):
            if place not in pieces:
                pieces[place] = shingles(text(place))
                held += len(pieces[place])
        kept[row] = jaccard(pieces[i], pieces[j]) >= ALIKE
    return pairs[kept]


def jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """The share of all pieces that two sets have in common, 0 to 1.

    >>> jaccard(np.arange(4, dtype=np.uint64), np.arange(2, 6, dtype=np.uint64))
    0.3333333333333333
    """
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _candidates(signed: NDArray[np.uint64], splits: Ints) -> Ints | None:
    """Pairs in different splits that share a band, the lower place first, sorted: [P, 2]; None for too many.

    Of a large bucket not all are pairs, but each text with some of the others.
    """
    count = max(1, len(signed))
    numbers = np.empty(0, np.int64)  # of pairs: lower place * count + higher place
    for band in range(signed.shape[1]):
        fresh, room = [numbers], PAIRS
        for bucket in _buckets(signed[:, band]):
            for split in (1, 2):
                own = bucket[splits[bucket] == split]
                others = bucket[splits[bucket] < split][:COMPARED]
                room -= len(own) * len(others)  # a pair is in one bucket of a band at most
                if room < 0:
                    return None
                lower, higher = np.minimum.outer(own, others), np.maximum.outer(own, others)
                fresh.append((lower * count + higher).ravel())
        numbers = np.unique(np.concatenate(fresh))
        if len(numbers) > PAIRS:
            return None
    return np.stack(np.divmod(numbers, count), axis=1)


def _buckets(values: NDArray[np.uint64]) -> Iterator[Ints]:
    """The places that share a value, where two or more do."""
    order = np.argsort(values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])) + 1, len(order))
    starts = np.append(0, ends[:-1])
    for k in np.flatnonzero(ends - starts > 1):
        yield order[starts[k] : ends[k]]
