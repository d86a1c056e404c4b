"""Which column of a table is the item, which the label."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from tunesmith.data.labels import missing
from tunesmith.data.numbers import hold_numbers
from tunesmith.data.pair_columns import PAIR_LABELS, items_in, known_pair
from tunesmith.data.rows import IMAGE_ENDINGS, Asked, some, split_of
from tunesmith.data.tables import INDEX, Table, Values
from tunesmith.errors import BadData
from tunesmith.registry import did_you_mean

LABEL_NAMES: Final = (
    "label", "labels", "target", "class", "category", "sentiment", "intent", "y",
)  # fmt: skip
TEXT_NAMES: Final = (
    "text", "sentence", "review", "content", "message", "title", "question", "utterance",
    "document", "body", "item",
)  # fmt: skip
PATH_NAMES: Final = ("path", "image", "image_path", "file", "filename", "filepath", "img")


@dataclass(frozen=True)
class Columns:
    """The columns that are used, by name; None where there is none.

    second: the column of the other text, where items are pairs.
    targets: the column of labels, or those of numbers. answers: which of the two: "classes" or "numbers".
    """

    takes: str
    item: str
    targets: tuple[str, ...]
    split: str | None
    group: str | None
    weight: str | None
    answers: str = "classes"
    second: str | None = None

    @property
    def items(self) -> tuple[str, ...]:
        """The column of items, or the two of pairs."""
        return (self.item,) if self.second is None else (self.item, self.second)

    @property
    def target(self) -> str | None:
        """The targets as they are asked for."""
        return ",".join(self.targets) or None

    def used(self) -> tuple[str, ...]:
        """The names, in the order item, label, split, group, weight."""
        every = (*self.items, *self.targets, self.split, self.group, self.weight)
        return tuple(dict.fromkeys(name for name in every if name is not None))


def choose(table: Table, asked: Asked) -> Columns:
    """The columns that were named, and the best guess for those that were not.

    Raises BadData if a named column is not there, or if nothing can be guessed.
    """
    named = targets_in(table, asked)
    items = items_in(table, asked)
    for name in (*items, *named, asked.split, asked.group, asked.weight):
        if name is not None and name not in table.columns:
            guess = did_you_mean(name, table.columns)
            raise BadData(
                f"{table.name} has no column {name!r}{guess or ';'} its columns are {_listed(table.columns)}."
            )
    head = table.head()
    if not head:
        raise BadData(f"{table.name} holds no rows; bring some examples.")
    split = asked.split or split_column(table)
    taken = {split, asked.group, asked.weight, *items, *named}
    free = [name for name in table.columns if name not in taken and not _numbers_rows(name, head, table)]
    targets = named or _target(free, head, table, asked)
    free = [name for name in free if name not in targets]
    items = items or _pair(free, table, asked, targets)
    if asked.pairs and not items:
        raise _undecided(table, head, "pair")
    item = items[0] if items else _item(free, head, table, asked)
    if item is None:
        raise _undecided(table, head, "item")
    if not targets:
        others = [name for name in free if name not in (item, *items)]
        if len(others) == 1 and _may_be_target(head, table.columns.index(others[0]), asked):
            targets = (others[0],)
    if not targets and asked.labelled:
        raise _undecided(table, head, "target")
    takes = _checked_kind(_cells(head, table.columns.index(item)), table, asked)
    if len(items) == 2:
        _check_texts(items, head, table)
    answers = asked.answers or _answers([_cells(head, table.columns.index(name)) for name in targets])
    second = items[1] if len(items) == 2 else None
    return Columns(takes, item, targets, split, asked.group, asked.weight, answers, second)


def targets_in(table: Table, asked: Asked) -> tuple[str, ...]:
    """The columns that were named as targets: one, or several with commas between."""
    if asked.target is None:
        return ()
    if asked.target in table.columns or "," not in asked.target or asked.answers == "classes":
        return (asked.target,)
    return tuple(dict.fromkeys(name.strip() for name in asked.target.split(",") if name.strip()))


def _pair(free: list[str], table: Table, asked: Asked, targets: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a pair, where pairs are asked for, or are plainly there with a label beside them."""
    decided = bool(targets) or not asked.labelled
    if asked.item is not None or not (decided or asked.pairs):
        return ()
    grouped = [name for name in table.columns if name in free or name == asked.group]  # by a pair's text
    return known_pair(grouped, asked, alone=False) or known_pair(free, asked, alone=decided)


def _check_texts(items: Sequence[str], head: list[Values], table: Table) -> None:
    """Raises BadData for a pair of which one is no text."""
    for name in items:
        if kind_of(_cells(head, table.columns.index(name))) == "image":
            raise BadData(f"a pair is of two texts, and the column {name!r} of {table.name} holds images.")


def _answers(columns: list[list[Any]]) -> str:
    return "numbers" if columns and hold_numbers(columns) else "classes"


def _may_be_target(head: list[Values], index: int, asked: Asked) -> bool:
    """Whether the only other column is that of the labels: its cells repeat, or are numbers."""
    if asked.answers != "classes" and (asked.answers or hold_numbers([_cells(head, index)])):
        return True
    return _repeats(head, index)


def kind_of(cells: Iterable[Any]) -> str:
    """What the first cell that is not empty holds: "image" or "text"."""
    first = next((cell for cell in cells if not (missing(cell) or (isinstance(cell, str) and not cell))), "")
    if isinstance(first, str | PurePath) and not is_image_path(first):
        return "text"
    return "image"


def _numbers_rows(name: str, head: list[Values], table: Table) -> bool:
    """Whether a column is the index that pandas and R write before the first, which nothing is read from."""
    if name != INDEX:
        return False
    cells = [str(cell) for cell in _cells(head, table.columns.index(name))]
    return all(cell.isdecimal() for cell in cells) and len(set(cells)) == len(cells)


def _checked_kind(cells: list[Any], table: Table, asked: Asked) -> str:
    """What the items are. Raises BadData if that is plainly not what was asked for."""
    seen = kind_of(cells)
    if asked.takes is None or asked.takes == seen:
        return seen
    first = next((str(cell) for cell in cells if isinstance(cell, str) and cell), "")
    place = os.path.join(table.folder or "", first)  # noqa: PTH118
    if seen == "text" and os.path.isfile(place):  # noqa: PTH113 (Path.is_file raises for long texts)
        return "image"  # one whose name has no ending
    raise BadData(f"{asked.takes}s were asked for, but {table.name} holds {seen}s.")


def is_image_path(value: object) -> bool:
    r"""Whether this is a path whose ending is that of an image.

    >>> is_image_path("cats/1.JPG"), is_image_path("I saw it in cat.jpg\n")
    (True, False)
    """
    if isinstance(value, PurePath):
        return value.suffix.lower() in IMAGE_ENDINGS
    return isinstance(value, str) and value[-5:].lower().endswith(IMAGE_ENDINGS)


def _target(free: list[str], head: list[Values], table: Table, asked: Asked) -> tuple[str, ...]:
    named = first_named(free, LABEL_NAMES)
    if named is None and asked.pairs is not False and (asked.pairs or known_pair(free, asked, alone=False)):
        named = first_named(free, PAIR_LABELS)
    if named is not None:
        return (named,)
    if asked.item is not None and len(free) == 1:
        only = table.columns.index(free[0])
        return (free[0],) if _may_be_target(head, only, asked) else ()
    return ()


def _item(free: list[str], head: list[Values], table: Table, asked: Asked) -> str | None:
    path = first_named(free, PATH_NAMES)
    text = first_named(free, TEXT_NAMES)
    if path is not None and asked.takes != "text":
        seen_as = kind_of(_cells(head, table.columns.index(path)))
        if text is None or asked.takes == "image" or seen_as == "image":
            return path
    if text is not None:
        return text
    return path or (free[0] if len(free) == 1 else None)


def split_column(table: Table) -> str | None:
    """A column called "split", if every value in it is the name of a split."""
    if "split" not in table.columns:
        return None
    index = table.columns.index("split")
    known = all(split_of(values[index]) for _, values in table.whole())
    return "split" if known else None


def first_named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column that is called by the first of these names that any is called by, in any case.

    >>> first_named(["Name", "Label"], ("target", "label"))
    'Label'
    """
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


def _cells(head: list[Values], index: int) -> list[Any]:
    return [values[index] for values in head]


def _repeats(head: list[Values], index: int) -> bool:
    cells = [str(cell) for cell in _cells(head, index)]
    return len(set(cells)) < max(2, len(cells))


def _undecided(table: Table, head: list[Values], what: str) -> BadData:
    if _looks_like_data(table.columns, head):
        first = ", ".join(repr(_shortened(name)) for name in table.columns[:3])
        return BadData(
            f"{table.name} seems to have no header: its first row is {first}; "
            f"name the columns with --columns {','.join(_suggested(table.columns, head)[:20])}"
        )
    there = f"its columns are {_listed(table.columns)}"
    if what == "pair":
        return BadData(
            f"no two columns of {table.name} are known to be a pair of texts: {there}; name them with "
            "--item FIRST,SECOND."
        )
    words = {"item": "the text or the image", "target": "the label"}[what]
    return BadData(
        f"no column of {table.name} is known to be {words}: {there}; name it with --{what} COLUMN."
    )


def _looks_like_data(columns: tuple[str, ...], head: list[Values]) -> bool:
    """Whether a header is made of what data are made of: long, numeric or repeated below."""
    for index, name in enumerate(columns):
        if len(name) > 40 or len(name.split()) > 4 or is_image_path(name):
            return True
        if name.replace(".", "").replace("-", "").isdigit():
            return True
        if any(isinstance(cell, str) and cell.strip() == name for cell in _cells(head, index)):
            return True
    return False


def _suggested(columns: tuple[str, ...], head: list[Values]) -> list[str]:
    """Names for columns without any: the longest is the item, the most repeated the label."""
    texts = [[str(cell) for cell in _cells(head, index)] for index in range(len(columns))]
    item = max(range(len(columns)), key=lambda i: sum(map(len, texts[i])))
    rest = [i for i in range(len(columns)) if i != item]
    names = [f"column{i + 1}" for i in range(len(columns))]
    names[item] = "path" if is_image_path(columns[item]) else "text"
    if rest:
        names[min(rest, key=lambda i: len(set(texts[i])))] = "label"
    return names


def _listed(names: Sequence[str]) -> str:
    return some([_shortened(name) for name in names], most=20)


def _shortened(name: str) -> str:
    return name if len(name) <= 30 else name[:27] + "..."
