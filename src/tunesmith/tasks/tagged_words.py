"""What a network says of the words of a text: probabilities of tags, read as spans that begin and go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tunesmith.data.tags import Answer

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 1e-12  # probabilities are not below it, so that a surprise stays finite


class Found(NamedTuple):
    """A span in characters. type: a place among the types. probability: of the least sure of its words."""

    start: int
    end: int
    type: int
    probability: float = 1.0


@dataclass(frozen=True, eq=False)
class Tagged:
    """Words and the probability of each tag: O, then B and I of each type.

    words: int64 [W, 2], characters from start to end, rising. probabilities: float32 [W, 1 + 2 types].
    others: [1 + 2 types], of words that are not among these; None: they are O.
    """

    words: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    others: NDArray[np.float32] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tagged) and _equal(self, other)

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    def spans(self) -> list[Found]:
        """What is marked by the likeliest tags in which no I follows anything but B or I of its type."""
        tags = decoded(self.probabilities)
        own = self.probabilities[np.arange(len(tags)), tags]
        return spans_of(self.words, tags, own)


@dataclass(frozen=True, eq=False)
class Truth:
    """The true answer. tags: int64 [W], places among the tags; a type that was not learned is after all."""

    words: NDArray[np.int64]
    tags: NDArray[np.int64]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Truth) and _equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    def spans(self) -> list[Found]:
        """What is marked."""
        return spans_of(self.words, self.tags)


def _equal(one: Tagged | Truth, other: Tagged | Truth) -> bool:
    """Whether all arrays are equal; a dataclass would ask an array whether it is true."""
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all((a is None) == (b is None) and np.array_equal(a, b) for a, b in pairs if a is not b)


def truth_of(answer: Answer, types: Sequence[str]) -> Truth:
    """An answer in terms of the network; types that it does not know count as one more."""
    place = {name: 1 + 2 * i for i, name in enumerate(types)}
    last = 1 + 2 * len(types)
    codes = [0 if tag == "O" else place.get(tag[2:], last) + (tag[0] == "I") for tag in answer.tags]
    words = np.asarray(answer.words, np.int64).reshape(-1, 2)
    return Truth(words, np.asarray(codes, np.int64))


def spans_of(
    words: NDArray[np.int64], tags: NDArray[np.int64], probabilities: NDArray[Any] | None = None
) -> list[Found]:
    """The spans of tags (0: O; 1 + 2t: B of type t; 2 + 2t: I), in characters.

    probabilities: [W], of each word's tag; a span has the least of its words'.

    >>> spans_of(np.array([[0, 3], [4, 8], [9, 11]]), np.array([1, 2, 0]))
    [Found(start=0, end=8, type=0, probability=1.0)]
    """
    found: list[Found] = []
    open_ = -1  # the type of a span that the next word may go on
    for place in np.flatnonzero(tags):
        tag, (start, end) = int(tags[place]), words[place].tolist()
        kind = (tag - 1) // 2
        sure = 1.0 if probabilities is None else float(probabilities[place])
        goes_on = tag % 2 == 0 and open_ == kind and place > 0 and tags[place - 1] != 0
        if goes_on:
            last = found[-1]
            found[-1] = Found(last.start, end, kind, min(last.probability, sure))
        else:
            found.append(Found(start, end, kind, sure))
        open_ = kind
    return found


def decoded(probabilities: NDArray[Any]) -> NDArray[np.int64]:
    """The likeliest tags in which every I follows B or I of its type: int64 [W].

    probabilities: [W, 1 + 2 types], of each word by itself.
    Viterbi 1967, where what may not follow has no probability and all else is alike.

    >>> decoded(np.array([[0.6, 0.1, 0.3], [0.1, 0.4, 0.5]])).tolist()
    [0, 1]
    """
    best: NDArray[np.int64] = probabilities.argmax(1).astype(np.int64)
    if not len(best) or _consistent(best):
        return best
    logs = np.log(np.maximum(probabilities, SMALLEST))
    W, K = logs.shape
    inside = np.arange(2, K, 2)
    back = np.zeros((W, K), np.int64)
    score = logs[0].copy()
    score[inside] = -np.inf
    for word in range(1, W):
        last = int(score.argmax())
        after = np.where(score[inside - 1] >= score[inside], inside - 1, inside)
        back[word] = last
        back[word, inside] = after
        following = np.full(K, score[last])
        following[inside] = score[after]
        score = following + logs[word]
    tags = np.zeros(W, np.int64)
    tags[-1] = int(score.argmax())
    for word in range(W - 1, 0, -1):
        tags[word - 1] = back[word, tags[word]]
    return tags


def _consistent(tags: NDArray[np.int64]) -> bool:
    before = np.concatenate([[0], tags[:-1]])
    inside = (tags > 0) & (tags % 2 == 0)
    return bool(((before == tags) | (before == tags - 1))[inside].all())


def together(windows: Sequence[Tagged]) -> Tagged:
    """One prediction of those of overlapping windows: each word from the window that shows most around it.

    The ends of the whole text cut nothing off.
    """
    seen = [window for window in windows if len(window.words)]
    if len(seen) < 2:
        return seen[0] if seen else windows[0]
    words = np.concatenate([window.words for window in seen])
    probabilities = np.concatenate([window.probabilities for window in seen])
    around = np.concatenate(
        [_around(window.words, first=window is seen[0], last=window is seen[-1]) for window in seen]
    )
    order = np.lexsort((-around, words[:, 0]))
    first = np.concatenate([[True], np.diff(words[order, 0]) > 0])
    kept = order[first]
    return Tagged(words[kept], probabilities[kept])


def _around(words: NDArray[np.int64], *, first: bool, last: bool) -> NDArray[np.float64]:
    """How many characters a window shows on the side of each word where it shows least."""
    left = np.full(len(words), np.inf) if first else words[:, 0] - words[0, 0]
    right = np.full(len(words), np.inf) if last else words[-1, 1] - words[:, 1]
    found: NDArray[np.float64] = np.minimum(left, right).astype(np.float64)
    return found


def counts_of(tagged: Tagged, truth: Truth, types: int) -> tuple[NDArray[np.int64], ...]:
    """Spans that are right, that were marked, and that there are: int64 [types + 1] each.

    A span is right if its first and last character and its type are. The last place counts types that were
    not learned.
    """
    guessed, there = ({span[:3] for span in own.spans()} for own in (tagged, truth))
    sets = (guessed & there, guessed, there)
    return tuple(np.bincount([kind for _, _, kind in own], minlength=types + 1) for own in sets)


def surprise(tagged: Tagged, truth: Truth) -> tuple[float, int]:
    """The sum of -log of the true tags' probabilities, and over how many words it runs.

    Words that share their first piece with the one before, and so have no answer of their own, do not count;
    nor do tags that were not learned.
    """
    K = tagged.probabilities.shape[1]
    place = np.searchsorted(tagged.words[:, 0], truth.words[:, 0])
    there = place < len(tagged.words)
    there[there] = tagged.words[place[there], 0] == truth.words[there, 0]
    known = truth.tags < K
    rows = there & known
    own = tagged.probabilities[place[rows], truth.tags[rows]].astype(np.float64)
    if tagged.others is not None:
        own = np.concatenate([own, tagged.others[truth.tags[~there & known]]])
    return float(-np.log(np.maximum(own, SMALLEST)).sum()), len(own)
