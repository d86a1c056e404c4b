"""What a run's page says that depends on what the answers are made of: classes, numbers, parts.

A page is the same for every task, but for its opening, the section on the data, and the sections in its
middle. These come from the task's kind of answers, a `kind.Kind`. To give a task sections of its own:

1. Write a module here with a class that has what `kind.Kind` lists. `gather` reads the run once, to plain
   values (`Content.own`); everything else is a reading of them in one language.
2. Fill its `sections` in a template of its own, `reports/templates/NAME.html.jinja`: one
   `{% call parts.section(w, "ID", shown, missing) %}` each, around what `drawn` gave for it (`own.ID`).
   parts.jinja has tables, figures and cards of examples. A section that `drawn` leaves out is not shown,
   unless `missing` says why it is empty.
3. Say its words in English and Chinese in a module of its own (`words_of_numbers.py`), and name its table
   in `words.OF_KINDS`; `run.ID` is the heading of section ID.
4. Add a line to KINDS: the name of the task, or its `answers` where all such tasks look alike. A third
   party adds the class by an entry point of that name in the group `tunesmith.pages`.

A task needs none of this to have a page: where `answers` are "parts" and no kind has the task's name, the
page has no middle. `Task.from_table` must read what `Task.table` wrote, as for a comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tunesmith.registry import Registry

if TYPE_CHECKING:
    from tunesmith.reports.kinds.kind import Kind
    from tunesmith.tasks.task import Task

KINDS: Final = Registry(
    "page",
    {
        "classes": "tunesmith.reports.kinds.classes:Classes",
        "numbers": "tunesmith.reports.kinds.numbers:Numbers",
        "parts": "tunesmith.reports.kinds.parts:Parts",
        "token-classification": "tunesmith.reports.kinds.tags:Tags",
        "question-answering": "tunesmith.reports.kinds.questions:Questions",
    },
)


def kind_name(task: Task) -> str:
    """The kind of a task's answers: the one of the task's name, else of its `answers`."""
    return task.name if task.name in KINDS.names() else task.answers


def kind_of(name: str) -> Kind:
    """The kind of this name. Raises UnknownName where there is none."""
    found: Kind = KINDS.load(name)()
    return found
