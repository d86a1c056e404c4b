"""The best spans of a context: from a network's logits, joined over windows, and their texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

BEST: Final = 20  # starts and ends that are combined, and spans that are kept
TOKENS: Final = 30  # of a span, at most
AROUND: Final = 20  # characters that are shown on either side of a span
NEVER: Final = -1e4  # the score of no answer, where there is always one


@dataclass(frozen=True, eq=False)
class Spans:
    """The best spans of one context, the likeliest first.

    places: int64 [n, 2], the characters from start to end in the whole context. scores: float64 [n], each the
    sum of a logit as start and one as end. none: the same sum for no answer. said: what each span says; None
    where that is not at hand. around: the first one in brackets between its neighbours.
    """

    places: Ints
    scores: Floats
    none: float
    said: tuple[str, ...] | None = None
    around: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and (
            np.array_equal(self.places, other.places)
            and np.allclose(self.scores, other.scores, rtol=1e-6, atol=1e-9)
            and bool(np.isclose(self.none, other.none, rtol=1e-6, atol=1e-9))
            and self.said == other.said
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def best(self) -> float:
        """The score of the best span; less than any where there is none."""
        return float(self.scores[0]) if len(self.scores) else NEVER

    @property
    def margin(self) -> float:
        """How much likelier no answer is than the best span, in logits."""
        return self.none - self.best

    def chances(self) -> tuple[Floats, float]:
        """What the spans, and no answer, are given of 1 among themselves."""
        every = np.append(self.scores, self.none)
        share = np.exp(every - every.max())
        share /= share.sum()
        return share[:-1], float(share[-1])

    def texts(self, context: str = "") -> list[str]:
        """What each span says. context: where that is not at hand."""
        if self.said is not None:
            return list(self.said)
        return [context[start:end] for start, end in self.places.tolist()]

    def text(self, context: str = "") -> str:
        """What the best span says; "" where there is none."""
        return next(iter(self.texts(context)), "")


def one_span(start: int, end: int, context: str | None = None) -> Spans:
    """An answer that was not weighed against others."""
    said = None if context is None else (context[start:end],)
    return Spans(np.asarray([[start, end]], np.int64), np.zeros(1), NEVER, said)


def written(spans: Spans) -> str:
    """The spans as JSON, to be read again."""
    rows = [
        {"text": text, "start": start, "end": end, "logit": score}
        for text, (start, end), score in zip(
            spans.texts(), spans.places.tolist(), spans.scores.tolist(), strict=True
        )
    ]
    return json.dumps({"spans": rows, "none": spans.none}, ensure_ascii=False)


def read(text: str) -> Spans:
    """The spans that `written` wrote. Raises KeyError or ValueError for other texts."""
    found = json.loads(text)
    rows = found["spans"]
    return Spans(
        np.asarray([[row["start"], row["end"]] for row in rows], np.int64).reshape(-1, 2),
        np.asarray([row["logit"] for row in rows], np.float64),
        float(found["none"]),
        tuple(str(row["text"]) for row in rows),
    )


def no_span() -> Spans:
    """No answer."""
    return Spans(np.zeros((0, 2), np.int64), np.zeros(0), 0.0, ())


def best_spans(logits: Floats, pieces: Ints, window: tuple[str, int] | None = None) -> Spans:
    """Of one window: its best 20 starts with its best 20 ends, wherever they make a span of 1 to 30 tokens.

    logits: [T, 2], of start and end. pieces: [T, 3]; spans lie in part 1, and the first token is no answer's
    (Devlin et al. 2019, arXiv:1810.04805). window: its text, and the character at which that begins.
    """
    none = float(logits[0].sum())
    inside = np.flatnonzero(pieces[:, 0] == 1)
    if not len(inside):
        return Spans(np.zeros((0, 2), np.int64), np.zeros(0), none, ())
    starts, ends = (inside[np.argsort(-logits[inside, k], kind="stable")[:BEST]] for k in (0, 1))
    length = ends[None, :] - starts[:, None]
    scores = logits[starts, 0][:, None] + logits[ends, 1][None, :]
    scores = np.where((length >= 0) & (length < TOKENS), scores, -np.inf)
    order = np.argsort(-scores, axis=None, kind="stable")[:BEST]
    order = order[np.isfinite(scores.flat[order])]
    first, last = np.unravel_index(order, scores.shape)
    places = np.stack([pieces[starts[first], 1], pieces[ends[last], 2]], 1)
    ordered = scores.flat[order].astype(np.float64)
    if window is None:
        return Spans(places, ordered, none)
    text, begin = window
    said = tuple(text[start - begin : end - begin] for start, end in places.tolist())
    return Spans(places, ordered, none, said, shown_in(text, *(places[0] - begin).tolist()))


def joined(windows: Sequence[Spans]) -> Spans:
    """Of several windows of one context: the best spans of all, each once; no answer if no window has one."""
    if len(windows) == 1:
        return windows[0]
    scores = np.concatenate([own.scores for own in windows])
    places = np.concatenate([own.places for own in windows])
    order = np.argsort(-scores, kind="stable")
    _, first = np.unique(places[order], axis=0, return_index=True)
    kept = order[np.sort(first)][:BEST]
    texts = None
    if all(own.said is not None for own in windows):
        every = [text for own in windows for text in own.texts()]
        texts = tuple(every[place] for place in kept.tolist())
    around = max(windows, key=lambda own: own.best).around
    return Spans(places[kept], scores[kept], min(own.none for own in windows), texts, around)


def best_threshold(margins: Floats, answered: Floats, empty: Floats) -> float:
    """The margin above which no answer is given, such that the mean score is the highest.

    margins: [n]. answered, empty: [n], the score of each question if its best span is answered, and if
    nothing is. Of equal thresholds the one nearest to 0.
    """
    order = np.argsort(margins, kind="stable")
    sorted_ = margins[order]
    gains = np.concatenate([[0.0], np.cumsum(answered[order] - empty[order])])  # the first k are answered
    allowed = np.concatenate([[True], sorted_[1:] > sorted_[:-1], [True]])
    gains[~allowed] = -np.inf
    cuts = np.concatenate([[sorted_[0] - 1], (sorted_[1:] + sorted_[:-1]) / 2, [sorted_[-1] + 1]])
    best = np.flatnonzero(gains >= gains.max() - 1e-12)
    return float(min(cuts[best], key=abs))


def shown_in(context: str, start: int, end: int) -> str:
    """A span between its neighbours, in brackets.

    >>> shown_in("The Panthers defense gave up just 308 points that season, ranking sixth.", 34, 37)
    '...ense gave up just [308] points that season,...'
    """
    before, after = context[max(start - AROUND, 0) : start], context[end : end + AROUND]
    dots = "..." if start > AROUND else "", "..." if end + AROUND < len(context) else ""
    return f"{dots[0]}{before}[{context[start:end]}]{after}{dots[1]}".replace("\n", " ")
