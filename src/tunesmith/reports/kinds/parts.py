"""Answers that have parts (tags, spans, boxes, texts), where a task has no sections of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tunesmith.reports.advice import Facts
from tunesmith.reports.chosen import EXAMPLES, evenly
from tunesmith.reports.content import Advice, Content, Shown
from tunesmith.reports.figures import SPLITS
from tunesmith.reports.kinds.kind import Had, LearnedFrom
from tunesmith.reports.summary import made_of, noun, scored
from tunesmith.reports.words import Words


class Parts:
    """What can be said of any task: how much it learned from, and how good it is. See `kind.Kind`."""

    sections: tuple[str, ...] = ()
    template: str | None = None

    def gather(self, had: Had) -> None:
        """Nothing of its own."""

    def examples(self, had: Had) -> tuple[Shown, ...]:
        """Some, spread evenly over the training split, with their labels as the data have them."""
        data = had.showing.data
        if data is None:
            return ()
        return tuple(had.showing.example("train", row) for row in evenly(len(data.train), EXAMPLES))

    def advise(self, facts: Facts, own: Any) -> Iterable[Advice]:  # noqa: ARG002
        """Nothing beside what is advised of any run."""
        return ()

    def opening(self, content: Content, words: Words) -> list[str]:
        """The network, how many examples it learned from, and the score."""
        return [made_of(content, words, f"short.{content.takes}.parts"), scored(content, words)]

    def learned_from(self, content: Content, words: Words) -> LearnedFrom:
        """Examples by split."""
        sizes = {split: f"{content.sizes[split]:,}" for split in SPLITS}
        total = words.many(sum(content.sizes.values()), noun(content))
        return LearnedFrom(words("data.lead.sizes", total=total, **sizes))

    def drawn(self, content: Content, words: Words) -> dict[str, Any]:  # noqa: ARG002
        """Nothing."""
        return {}
