"""Questions: the best and the worst answers, each in its context beside the true one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tunesmith.data.pairs import apart
from tunesmith.data.questions import answers_of
from tunesmith.reports.advice import Facts
from tunesmith.reports.content import Advice, Content, Shown
from tunesmith.reports.kinds.kind import Had, LearnedFrom
from tunesmith.reports.kinds.parts import Parts
from tunesmith.reports.words import Words

MOST: Final = 6  # answers of a list
AROUND: Final = 240  # characters of a context that are shown on either side of an answer


@dataclass(frozen=True)
class Answered:
    """One test question with its answer.

    before, said, after: the answer between its neighbours; said is "" where none was given, and the others
    are where the context is not at hand. truths: what is right; empty where there is no answer. f1: 0 to 1.
    score: how sure the answer was, of 1.
    """

    id: str
    question: str
    before: str
    said: str
    after: str
    truths: tuple[str, ...]
    f1: float
    score: float


@dataclass(frozen=True)
class OfQuestions:
    """The surest wrong answers and the surest right ones, the surest first."""

    worst: tuple[Answered, ...]
    best: tuple[Answered, ...]


class Questions:
    """Questions on contexts; see `kind.Kind`."""

    sections = ("answers",)
    template = "questions.html.jinja"

    def gather(self, had: Had) -> OfQuestions:
        """The answers that a person looks at."""
        outcomes, spans = had.test.outcomes(had.task), had.test.answers
        limit = had.labels.thresholds[0] if had.labels.thresholds else np.inf
        silent = outcomes["margin"] > limit
        f1 = np.where(silent, outcomes["none"], outcomes["f1"])
        sure = np.asarray(
            [
                own.chances()[1] if s else max(own.chances()[0], default=0.0)
                for own, s in zip(spans, silent, strict=True)
            ]
        )
        items = _items(had)
        worst, best = np.lexsort((-sure, f1)), np.lexsort((-sure, -f1))

        def shown(rows: Sequence[int]) -> tuple[Answered, ...]:
            return tuple(
                _answered(had, row, bool(silent[row]), items, float(f1[row]), float(sure[row]))
                for row in rows
            )

        return OfQuestions(
            shown([int(row) for row in worst[:MOST] if f1[row] < 1]),
            shown([int(row) for row in best[:MOST] if f1[row] > 0]),
        )

    def examples(self, had: Had) -> tuple[Shown, ...]:
        """Some, with the question in the label's place."""
        return tuple(
            Shown(one.id, f"{apart(one.text or '')[0]} → {_told(one.truth)}", text=apart(one.text or "")[1])
            for one in Parts().examples(had)
        )

    def advise(self, facts: Facts, own: OfQuestions) -> Iterable[Advice]:
        """Nothing beside what is advised of any run."""
        return Parts().advise(facts, own)

    def opening(self, content: Content, words: Words) -> list[str]:
        """The network, how many questions it learned from, and the score."""
        return Parts().opening(content, words)

    def learned_from(self, content: Content, words: Words) -> LearnedFrom:
        """Questions by split."""
        return Parts().learned_from(content, words)

    def drawn(self, content: Content, words: Words) -> dict[str, Any]:  # noqa: ARG002
        """The two lists."""
        return {"answers": content.own}


def _items(had: Had) -> dict[str, str]:
    """Question and context by id; empty where the data are gone."""
    data = had.showing.data
    return {} if data is None else dict(zip(data.test["id"][:], data.test["item"][:], strict=True))


def _answered(had: Had, row: int, silent: bool, items: dict[str, str], f1: float, score: float) -> Answered:
    name, span = had.test.ids[row], had.test.answers[row]
    question, context = apart(items.get(name, ""))
    truths = tuple(dict.fromkeys(text for text, _ in answers_of(had.test.truth[row])))
    if silent or not len(span.places):
        return Answered(name, question, context[: 2 * AROUND], "", "", truths, f1, score)
    start, end = span.places[0].tolist()
    before, after = context[max(start - AROUND, 0) : start], context[end : end + AROUND]
    return Answered(name, question, before, span.text(context), after, truths, f1, score)


def _told(label: str | None) -> str:
    return ", ".join(dict.fromkeys(text for text, _ in answers_of(label))) if label else ""
