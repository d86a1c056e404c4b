"""Texts that are nearly the same: shared pieces of five characters, found by MinHash, checked exactly."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

LENGTH: Final = 5  # characters of a shingle
ALIKE: Final = 0.8  # Jaccard similarity from which two texts are nearly the same
# 24 bands of 6 minima: two texts at 0.8 share a band with probability 1 - (1 - 0.8^6)^24 > 0.999,
# two at 0.3 with 0.017.
BANDS: Final = 24
MINIMA: Final = 6
COMPARED: Final = 64  # texts of a band's bucket that each one is compared with, at most
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


def shingles(text: str) -> NDArray[np.uint64]:
    """The different pieces of five characters in a text, each as a number, sorted.

    Case, the forms of Unicode and the amount of white space do not count (Broder 1997, "On the
    resemblance and containment of documents"). A shorter text is one piece.

    >>> len(shingles("Hello  World")), len(shingles("hi"))
    (7, 1)
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
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
    & Ullman 2014, "Mining of Massive Datasets", 3.4). Memory does not grow with the texts' length.
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


def alike(text: Callable[[int], str], signed: NDArray[np.uint64], splits: Ints) -> Ints:
    """Pairs of texts in different splits whose shingles have a Jaccard similarity of 0.8 or more: [P, 2].

    text: gives the text of a row. signed: the `signatures` of all. splits: [N].
    """
    candidates: set[tuple[int, int]] = set()
    for band in range(signed.shape[1]):
        values = signed[:, band]
        order = np.argsort(values, kind="stable")
        cuts = np.flatnonzero(np.diff(values[order])) + 1
        for bucket in np.split(order, cuts):
            if len(bucket) > 1:
                candidates.update(_crossing(bucket, splits))
    pieces: dict[int, NDArray[np.uint64]] = {}
    found = []
    for i, j in sorted(candidates):
        for place in (i, j):
            if place not in pieces:
                pieces[place] = shingles(text(place))
        if jaccard(pieces[i], pieces[j]) >= ALIKE:
            found.append((i, j))
    return np.asarray(found, np.int64).reshape(-1, 2)


def jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """The share of all pieces that two sets have in common, 0 to 1.

    >>> jaccard(np.arange(4, dtype=np.uint64), np.arange(2, 6, dtype=np.uint64))
    0.3333333333333333
    """
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _crossing(bucket: Ints, splits: Ints) -> Iterable[tuple[int, int]]:
    """Pairs of a bucket that lie in different splits; of a large bucket not all, but some of each text."""
    for split in (1, 2):
        own, others = bucket[splits[bucket] == split], bucket[splits[bucket] < split]
        for i in own.tolist():
            for j in others[:COMPARED].tolist():
                yield (i, j) if i < j else (j, i)
