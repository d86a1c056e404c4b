"""The form of a kind of answers, and what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tunesmith.reports.advice import Facts
    from tunesmith.reports.content import Advice, Content, Shown
    from tunesmith.reports.predictions import Predictions
    from tunesmith.reports.rendering import Table
    from tunesmith.reports.showing import Showing
    from tunesmith.reports.words import Words
    from tunesmith.tasks.task import Labels, Task


@dataclass(frozen=True)
class Had:
    """What a finished run has to tell of its answers.

    scores: scores.json as it is. learned: the labels of the training examples, as the data had them; None of
        a run that kept no list.
    valid, test: what the run answered; valid is None where that was not kept.
    showing: makes Shown of examples; what cannot be shown goes to its `missing`, with the reason as a key of
        `advice_words.MISSING`.
    """

    task: Task
    labels: Labels
    scores: Mapping[str, Any]
    learned: tuple[str, ...] | None
    valid: Predictions | None
    test: Predictions
    showing: Showing


@dataclass(frozen=True)
class LearnedFrom:
    """The section on the data: a sentence, a figure, what stands below it, and the same as a table.

    splits: whether the figure has a colour per split, which is then explained.
    """

    lead: str
    figure: Any = None
    below: str = ""
    table: Table | None = None
    splits: bool = False


class Kind(Protocol):
    """What a page says of one kind of answers; without state, and the same input gives the same page.

    sections: its own sections in reading order; they stand between the curves and how far stages moved.
    template: what fills them, in reports/templates; None without sections.
    """

    sections: tuple[str, ...]
    template: str | None

    def gather(self, had: Had) -> Any:
        """What this kind alone tells of a run, as plain values that can be compared: `Content.own`."""

    def examples(self, had: Had) -> tuple[Shown, ...]:
        """Some training examples as the data have them; none without the data (`had.showing.data`)."""

    def advise(self, facts: Facts, own: Any) -> Iterable[Advice]:
        """What to try next beside `advice.advise`; its sentences lie in `advice_words`.

        own: what `gather` gave.
        """

    def opening(self, content: Content, words: Words) -> list[str]:
        """What was made of what, and how good it is, in sentences that need no knowledge of the field."""

    def learned_from(self, content: Content, words: Words) -> LearnedFrom:
        """What the section on the data says."""

    def drawn(self, content: Content, words: Words) -> dict[str, Any]:
        """What the template fills each section with, by section; without those that have nothing to say."""
