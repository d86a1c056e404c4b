"""From the rows of a table to examples: paths are resolved, labels become strings."""

from __future__ import annotations

import datetime
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Final

from tunesmith.data.columns import Columns, choose
from tunesmith.data.image_names import by_name
from tunesmith.data.labels import group_of, label_of, missing, short, weight_of
from tunesmith.data.numbers import number_of, written
from tunesmith.data.pairs import together
from tunesmith.data.questions import found_in_questions, holds_questions
from tunesmith.data.rows import SPLIT_WORDS, Asked, Found, Row, split_of
from tunesmith.data.tables import Table, Unread, Values
from tunesmith.data.tagged import found_in_spans
from tunesmith.errors import BadData

LONGEST_TEXT: Final = 64_000_000  # bytes of a text in a file of its own
CLASS_FILES: Final = ("class.txt", "classes.txt", "class_names.txt", "labels.txt")


def found_in(table: Table, asked: Asked, *, name: str, split: str | None = None) -> Found:
    """The examples of a table.

    split: the split that the whole table is, when the source says so.

    Raises BadData if the columns cannot be found out.
    """
    if holds_questions(table, asked):
        return found_in_questions(table, asked, name=name, split=split)
    tagged = found_in_spans([(split, table)], asked, name=name)
    if tagged is not None:
        return tagged
    table, asked = by_name(table, asked)
    columns = choose(table, asked)
    used = ", ".join(columns.used())
    names, named_by = _class_names(table, columns)
    unused = [c for c in table.columns if c not in columns.items] if asked.others else []
    places = [table.columns.index(name) for name in unused]
    return Found(
        name,
        columns.takes,
        f"{table.name} (columns {used})" if table.columns != ("item", "label") else table.name,
        lambda: _rows(table, columns, split, names, places, asked.labelled),
        [f"class names from {named_by}"] if names else [],
        tuple(unused),
        columns.answers,
        columns.targets if columns.answers == "numbers" else (),
        pairs=columns.second is not None,
    )


def _class_names(table: Table, columns: Columns) -> tuple[list[str], str]:
    """The names that a file beside the table gives to labels 0, 1, 2 ..., one a line.

    Read only if every label of the first rows is such a number.
    """
    if table.folder is None or len(columns.targets) != 1 or columns.answers == "numbers":
        return [], ""
    for file in CLASS_FILES:
        path = table.folder / file
        if path.is_file() and file != table.name:
            names = [line.strip() for line in text_in(path, file).splitlines() if line.strip()]
            place = table.columns.index(columns.targets[0])
            labels = {str(values[place]).strip() for values in table.head()}
            if all(_place(label) < len(names) for label in labels):
                return names, file
    return [], ""


def _place(label: str) -> int:
    """The number that a label is; one that no list is long enough for, if it is none."""
    return int(label) if label.isdecimal() and len(label) < 10 else 10**9


def _rows(
    table: Table, columns: Columns, split: str | None, names: list[str], others: list[int], labelled: bool
) -> Iterator[Row]:
    items = [table.columns.index(name) for name in columns.items]
    in_split, group, weight = (
        None if name is None else table.columns.index(name)
        for name in (columns.split, columns.group, columns.weight)
    )
    label_in = _reader(columns, [table.columns.index(name) for name in columns.targets], names)
    to_item = _pair if columns.second else _image if columns.takes == "image" else _text
    for where, values in table.rows():
        if isinstance(values, Unread):
            yield values.row(where, split)
            continue
        name, content, fault = to_item([values[place] for place in items], table, where)
        label, without = label_in(values, where)
        lacks = "number" if columns.answers == "numbers" else "label"
        yield Row(
            name,
            where,
            content,
            label,
            split if in_split is None else _split(values, in_split, columns, where),
            None if group is None else group_of(values[group], where),
            None if weight is None else weight_of(values[weight], where),
            fault or (without if labelled else None),
            tuple(_as_text(values[place]) for place in others),
            "item" if fault else lacks,
        )


def _reader(
    columns: Columns, places: list[int], names: list[str]
) -> Callable[[Values, str], tuple[str | None, str | None]]:
    """What reads a row's label: the label, and why what is there is none."""

    def of_class(values: Values, where: str) -> tuple[str | None, str | None]:
        try:
            return _named(label_of(values[places[0]], where), names, where), None
        except BadData as error:
            return None, str(error)

    def of_numbers(values: Values, where: str) -> tuple[str | None, str | None]:
        return numbers_or_fault([values[place] for place in places], columns.targets, where)

    if not places:
        return lambda _, __: (None, None)
    return of_numbers if columns.answers == "numbers" else of_class


def numbers_or_fault(
    values: Sequence[Any], names: Sequence[str], where: str
) -> tuple[str | None, str | None]:
    """The label that some cells make as numbers, and None; or None, and what is wrong with one."""
    found = []
    for value, name in zip(values, names, strict=True):
        number = number_of(value)
        if isinstance(number, str):
            place = f" (column {short(name)})" if name else ""
            return None, f"{where}{place} has {number}."
        found.append(number)
    return written(found), None


def _named(label: str | None, names: list[str], where: str) -> str | None:
    if label is None or not names:
        return label
    if _place(label) >= len(names):
        raise BadData(
            f"{where}: the label {label!r} is none of the numbers 0 to {len(names) - 1} that the "
            "file of class names beside the table stands for."
        )
    return names[int(label)]


def _split(values: Values, index: int, columns: Columns, where: str) -> str:
    split = split_of(values[index])
    if split is None:
        raise BadData(
            f"{where}: the column {columns.split!r} holds {short(values[index])}, which names no split; "
            f"the words are {', '.join(SPLIT_WORDS)}."
        )
    return split


def _as_text(value: Any) -> str | None:
    plain = isinstance(value, str | numbers.Number | datetime.date | datetime.time)
    return str(value) if plain and not missing(value) else None


def _pair(values: Sequence[Any], table: Table, where: str) -> tuple[str, str, str | None]:
    (_, first, fault), (_, second, other) = (_text([value], table, where) for value in values)
    return where, together(first, second), fault or other


def _text(values: Sequence[Any], table: Table, where: str) -> tuple[str, str, str | None]:
    (value,) = values
    if missing(value):
        return where, "", None  # said by `empty_texts`, with every other text of no words
    if isinstance(value, PurePath):
        return str(value), *text_or_fault(Path(value), where)
    if isinstance(value, str):
        if value.endswith(".txt") and table.folder is not None and "\n" not in value:
            path = table.folder / value
            if os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises for long texts)
                return value, *text_or_fault(path, where)
        return where, value, None
    if isinstance(value, int | float):
        return where, str(value), None
    return where, "", f"{where} holds a {type(value).__name__} where a text is expected."


def text_or_fault(path: Path, where: str) -> tuple[str, str | None]:
    """The text of a file and None; or no text, and why it cannot be had."""
    try:
        return text_in(path, where), None
    except BadData as error:
        return "", str(error)


def text_in(path: Path, where: str) -> str:
    """The text of a file. Raises BadData if it is not UTF-8, too long, no file, or cannot be read."""
    try:
        if not path.is_file():
            raise BadData(f"{where} is no file that a text can be read from.")
        if (size := path.stat().st_size) > LONGEST_TEXT:
            raise BadData(f"{where} has {size:,} bytes, more than the {LONGEST_TEXT:,} of a text; divide it.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadData(f"{where}: line {line} is not UTF-8 text; save the file as UTF-8.") from error
    except OSError as error:
        raise BadData(f"{where} cannot be read ({error.strerror}).") from error


def image_item(value: Any, where: str) -> bytes | None:
    """Encoded bytes of an image that is in memory; None if it is no image.

    value: bytes, a PIL image, an array or a tensor.

    Raises BadData, naming `where`, for an array or a PIL image that cannot be used.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    from tunesmith.data.pictures import encoded

    return encoded(value, where)


def _image(values: Sequence[Any], table: Table, where: str) -> tuple[str, str | bytes, str | None]:
    (value,) = values
    if isinstance(value, dict):
        value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
    if isinstance(value, str | PurePath) and str(value).strip():
        return *_located(str(value).strip(), table), None
    if missing(value) or isinstance(value, str):
        return where, "", f"{where} names no image; every row needs one."
    content = image_item(value, where)
    if content is None:
        raise BadData(
            f"{where} holds a {type(value).__name__} where an image is expected: "
            "a path, bytes, an array or a PIL image."
        )
    return where, content, None


def _located(value: str, table: Table) -> tuple[str, str]:
    """The id and the absolute path of an image that a table names."""
    folder = table.folder or Path.cwd()
    value = value.replace("\\", "/") if os.sep == "/" and "\\" in value else value
    path = os.path.normpath(os.path.join(folder, os.path.expanduser(value)))  # noqa: PTH111, PTH118
    if not os.path.isabs(value):  # noqa: PTH117
        return value, os.path.abspath(path)  # noqa: PTH100
    below = os.path.relpath(path, folder) if table.folder else value
    return (value if below.startswith("..") else below), path
