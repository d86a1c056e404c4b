"""Spans of words: how each type is found, and texts with what was marked beside the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tunesmith.data.tags import Answer
from tunesmith.reports.content import Content, Shown
from tunesmith.reports.figures import score_of, span
from tunesmith.reports.kinds.kind import Had
from tunesmith.reports.kinds.parts import Parts
from tunesmith.reports.rendering import Table, capital, named, number
from tunesmith.reports.words import Words

if TYPE_CHECKING:
    from tunesmith.tasks.tagged_words import Found

SHOWN: Final = 6  # texts of the best and of the worst
LONGEST: Final = 600  # characters of one
OF_TYPE: Final = ("precision", "recall", "f1")

Pieces = tuple[tuple[str, str], ...]  # a text in pieces, each with its type, or none


@dataclass(frozen=True)
class Marked:
    """A text with the spans that are there and those that were found."""

    id: str
    truth: Pieces
    guess: Pieces


@dataclass(frozen=True)
class OfTags:
    """What the page of a run tells of spans. counts: those in the test split, by type."""

    counts: dict[str, int]
    best: tuple[Marked, ...]
    worst: tuple[Marked, ...]


class Tags(Parts):
    """Spans of words; see `kind.Kind`."""

    sections = ("types", "worst", "best")
    template = "tags.html.jinja"

    def gather(self, had: Had) -> Any:
        """Spans by type, and the texts that were marked worst and best."""
        types = [name[2:] for name in had.labels.names[1::2]]
        truth = [own.spans() for own in had.test.targets]
        guess = [own.spans() for own in had.test.answers]
        counts = Counter(types[one.type] for own in truth for one in own if one.type < len(types))
        pairs = [({one[:3] for one in a}, {one[:3] for one in b}) for a, b in zip(truth, guess, strict=True)]
        wrong = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0] ^ pairs[i][1]))
        right = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]))
        texts = _texts(had)

        def marked(rows: Iterable[int]) -> tuple[Marked, ...]:
            found = []
            for row in rows:
                if (text := texts.get(had.test.ids[row])) is not None:
                    own = (_pieces(text, spans[row], types) for spans in (truth, guess))
                    found.append(Marked(had.test.ids[row], *own))
            return tuple(found[:SHOWN])

        return OfTags(
            dict(counts),
            marked(row for row in right if pairs[row][0] and pairs[row][0] == pairs[row][1]),
            marked(row for row in wrong if pairs[row][0] != pairs[row][1]),
        )

    def examples(self, had: Had) -> tuple[Shown, ...]:
        """Some of the training split, with their spans in words."""
        data = had.showing.data
        if data is None:
            return ()
        found = []
        for one in super().examples(had):
            text = one.text or ""
            spans = Answer.of(one.truth or "").spans()
            said = "; ".join(f"{named(text[s.start : s.end])} ({s.type})" for s in spans)
            found.append(Shown(one.id, said or "–", text=text))
        return tuple(found)

    def drawn(self, content: Content, words: Words) -> dict[str, Any]:
        """The table of types, and the marked texts."""
        own: OfTags = content.own
        return {"types": _table(content, own, words), "worst": own.worst, "best": own.best}


def _texts(had: Had) -> dict[str, str]:
    """The texts of the test split, as far as they can still be read."""
    data = had.showing.data
    if data is None:
        return {}
    return dict(zip(data.test["id"][:], data.test["item"][:], strict=True))


def _pieces(text: str, spans: Sequence[Found], types: Sequence[str]) -> Pieces:
    """The text in pieces; what follows its first 600 characters is left out."""
    pieces: list[tuple[str, str]] = []
    at = 0
    for one in spans:
        if one.start >= LONGEST:
            break
        kind = types[one.type] if one.type < len(types) else "?"
        pieces += [(text[at : one.start], ""), (text[one.start : one.end], kind)]
        at = one.end
    rest = text[at : max(at, LONGEST)]
    pieces.append((rest + ("…" if at + len(rest) < len(text) else ""), ""))
    return tuple(piece for piece in pieces if piece[0])


def _table(content: Content, own: OfTags, words: Words) -> Table:
    """Precision, recall and F1 of each type on the test split, the weakest first; untested ones not."""
    told = content.scores["test"]["metrics"]
    tested = [name for name in own.counts if f"f1/{name}" in told]
    rows = []
    for name in sorted(tested, key=lambda kind: (told[f"f1/{kind}"]["value"], kind)):
        scores = {metric: score_of(told[f"{metric}/{name}"]) for metric in OF_TYPE}
        numbers = [number(scores[metric].value) for metric in OF_TYPE]
        rows.append((named(name), f"{own.counts[name]:,}", *numbers, span(scores["f1"], words)))
    metrics = [capital(words.named("metric", metric)) for metric in OF_TYPE]
    interval = f"{words.named('metric', 'f1')}: {words('scores.interval')}"
    heading = (words("types.type"), words("types.spans"), *metrics, interval)
    return Table(heading, tuple(rows), frozenset(range(1, len(heading))))
