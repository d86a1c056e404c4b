"""What every reader hands over: a stream of rows, and what a person should know about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tunesmith.errors import BadData

SPLIT_WORDS: Final = {
    "train": "train",
    "training": "train",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
IMAGE_ENDINGS: Final = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip


class Row(NamedTuple):
    """One example on its way from its source to the Arrow file.

    id: where it comes from, independent of where the data lie: "cat/1.jpg", "reviews.csv:37".
    where: the place to name in a message: "splits.csv:12"; often the id.
    item: a text; or an image, as an absolute path (str) or as encoded bytes.
    label: None where there is none.
    split: "train", "valid", "test", or None where the source does not say.
    fault: why the row cannot be used, in a whole sentence; None where it can.
    others: the cells of `Found.others`.
    lacks: what a fault leaves the row without: "row" (all of it), "item", "label", "number", "tags" or
        "answer".
    stratum: of which splits made here take their share, where labels are no classes.
    """

    id: str
    where: str
    item: str | bytes
    label: str | None
    split: str | None = None
    group: str | None = None
    weight: float | None = None
    fault: str | None = None
    others: tuple[str | None, ...] = ()
    lacks: str = "item"
    stratum: str = ""


@dataclass(frozen=True)
class Asked:
    """What the caller said about the source; None is "find out".

    pairs: whether an item is two texts. item: its column, or two with a comma between.
    labelled: whether every row must have a label (training) or may have one (predicting).
    others: whether a table's columns other than the item are kept beside the examples.
    answers: "classes", "numbers" or "parts". target: with numbers one column, or several with commas between.
    task: whose answers are parts; None is the one that the source is plainly for.
    """

    takes: str | None = None
    answers: str | None = None
    pairs: bool | None = None
    item: str | None = None
    target: str | None = None
    split: str | None = None
    group: str | None = None
    weight: str | None = None
    columns: tuple[str, ...] | None = None
    task: str | None = None
    labelled: bool = True
    others: bool = False


@dataclass(frozen=True)
class Found:
    """A source that was recognised.

    name: short, for titles: "trashnet".
    takes: "image" or "text".
    read_from: ends the sentence "2,527 images in 6 classes, read from ...".
    rows: starts the stream; every call starts it anew.
    notes: what was left out or decided, in words; complete once the stream has run.
    others: names of the columns that are kept beside the examples.
    answers: "classes", "numbers" or "parts". targets: the columns of numbers. task: that learns from it;
        empty where item and answers say so.
    pairs: whether items are two texts each (`tunesmith.data.pairs`).
    told: what was understood of answers with parts, in lines; None: how many rows. It
        is given the rows as a data set, `name` and `read_from`.
    apart: how splits made here divide it, where rows come with groups of their own: "no article in two".
    """

    name: str
    takes: str
    read_from: str
    rows: Callable[[], Iterator[Row]]
    notes: list[str] = field(default_factory=list)
    others: tuple[str, ...] = ()
    answers: str = "classes"
    targets: tuple[str, ...] = ()
    task: str = ""
    pairs: bool = False
    apart: str = ""
    told: Callable[[Any, str, str], list[str]] | None = None

    @property
    def noun(self) -> str:
        """One of its items, as a person says it."""
        return "pair" if self.pairs else self.takes


def refuse_columns(asked: Asked, name: str) -> None:
    """Raises BadData if columns were named for a source that has none."""
    for column in (asked.item, asked.target, asked.split, asked.group, asked.weight):
        if column is not None:
            raise BadData(f"{name} is no table, so it has no column {column!r}; leave it out.")
    if asked.columns is not None:
        raise BadData(f"{name} is no table, so --columns names nothing in it; leave it out.")


def split_of(word: object) -> str | None:
    """The split that a word stands for, or None.

    >>> split_of("Validation"), split_of("dev"), split_of("cats")
    ('valid', 'valid', None)
    """
    return SPLIT_WORDS.get(word.strip().lower()) if isinstance(word, str) else None


def split_in_name(stem: str) -> str | None:
    """The split that a file's name begins or ends with, or None.

    >>> split_in_name("train-00000-of-00002"), split_in_name("reviews_dev"), split_in_name("cats")
    ('train', 'valid', None)
    """
    words = stem.replace("-", " ").replace("_", " ").replace(".", " ").split()
    return (split_of(words[0]) or split_of(words[-1])) if words else None


def counted(count: float, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "image"), counted(2527, "image"), counted(2, "class"), counted(2.5, "epoch")
    ('1 image', '2,527 images', '2 classes', '2.5 epochs')
    """
    if count != 1:
        noun += "es" if noun.endswith("s") else "s"
    return f"{round(count, 2):,} {noun}".replace(".0 ", " ")


def some(names: list[str], most: int = 5) -> str:
    """The first few names and how many more there are.

    >>> some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more"
