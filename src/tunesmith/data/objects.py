"""Data that are in memory already: frames, lists, dicts of lists, torch datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunesmith.data.rows import some
from tunesmith.data.tables import Table, Values
from tunesmith.errors import BadData

PAIR = ("item", "label")
TEXTS = ("first", "second", "label")


def table_of(source: Any, where: str = "row", *, pairs: bool | None = None) -> Table | None:
    """The table that an object is, or None if it is none that is understood.

    where: what goes before a row's number (from 0) in messages and ids.
    pairs: whether an item is two texts; None finds out.

    Raises BadData if the object is understood but crooked: columns of unequal length, rows that
    are no pairs.
    """
    package = type(source).__module__.partition(".")[0]
    if package == "pandas" and hasattr(source, "iloc") and hasattr(source, "columns"):
        return _pandas(source, where)
    if package == "polars":
        return _polars(source, where)
    if isinstance(source, Mapping):
        return _columns(source, where)
    if isinstance(source, list | tuple):
        return _list(source, where, pairs)
    if hasattr(source, "__len__") and hasattr(source, "__getitem__") and len(source):
        return _indexed(source, where)
    return None


def _pandas(frame: Any, where: str) -> Table:
    def rows() -> Iterator[tuple[str, Values]]:
        for start in range(0, len(frame), 1000):
            piece = frame.iloc[start : start + 1000]
            cells = piece.astype(object).where(piece.notna(), None)
            for number, values in enumerate(cells.itertuples(index=False, name=None), start):
                yield f"{where} {number}", values

    return Table("the pandas frame", _names(frame.columns, "the pandas frame"), rows)


def _polars(frame: Any, where: str) -> Table:
    if hasattr(frame, "collect"):  # a lazy frame
        frame = frame.collect()
    if not hasattr(frame, "iter_rows"):
        raise BadData("of polars a DataFrame is understood; found a Series.")

    def rows() -> Iterator[tuple[str, Values]]:
        for number, values in enumerate(frame.iter_rows()):
            yield f"{where} {number}", values

    return Table("the polars frame", _names(frame.columns, "the polars frame"), rows)


def _names(columns: Any, what: str) -> tuple[str, ...]:
    names = tuple(str(name) for name in columns)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(f"two columns of {what} are called {twice!r}; rename one of them.")
    return names


def _columns(source: Mapping[Any, Any], where: str) -> Table:
    lengths = {}
    for name, column in source.items():
        if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
            raise BadData(
                f"the dict holds a {type(column).__name__} under {name!r}; it must be from column "
                "names to lists of equal length, or from split names to data."
            )
        lengths[str(name)] = len(column)
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {count:,}" for name, count in lengths.items())
        raise BadData(f"the columns of the dict are of unequal length ({found}).")

    def rows() -> Iterator[tuple[str, Values]]:
        for number, values in enumerate(zip(*source.values(), strict=True)):
            yield f"{where} {number}", values

    return Table("the dict", tuple(lengths), rows)


def _list(source: Sequence[Any], where: str, pairs: bool | None) -> Table:
    if source and all(isinstance(row, Mapping) for row in source):
        columns = tuple(dict.fromkeys(str(key) for row in source[:1000] for key in row))

        def records() -> Iterator[tuple[str, Values]]:
            for number, row in enumerate(source):
                yield f"{where} {number}", tuple(row.get(column) for column in columns)

        return Table("the list", columns, records)

    columns = _columns_of(source[0], pairs) if source else PAIR

    def rows() -> Iterator[tuple[str, Values]]:
        for number, row in enumerate(source):
            yield f"{where} {number}", _parted(row, f"{where} {number}", columns)

    return Table("the list", columns, rows)


def _columns_of(row: Any, pairs: bool | None) -> tuple[str, ...]:
    """What the rows of a list are made of: (item, label), or, of two texts, these and perhaps a label."""
    own = _flat(row)
    texts = len(own) in (2, 3) and all(isinstance(text, str) for text in own[:2])
    if pairs is False or not texts or (len(own) == 2 and not pairs):
        return PAIR
    return TEXTS[: len(own)]


def _flat(row: Any) -> Values:
    """The parts of a row, with those of ((first, second), label) beside each other."""
    if not isinstance(row, list | tuple):
        return ()
    return (*row[0], row[1]) if len(row) == 2 and isinstance(row[0], list | tuple) else tuple(row)


def _parted(row: Any, where: str, columns: tuple[str, ...]) -> Values:
    own = tuple(row) if columns == PAIR and isinstance(row, list | tuple) else _flat(row)
    if len(own) == len(columns):
        return own
    found = f"has {len(own)} parts" if isinstance(row, list | tuple) else type(row).__name__
    what = "pair (item, label)" if columns == PAIR else f"tuple ({', '.join(columns)})"
    raise BadData(f"{where} of the list is no {what}: {found}.")


def _indexed(source: Any, where: str) -> Table | None:
    """A torch dataset, known by its form: source[i] is (item, label, ...) or a dict."""
    first = source[0]
    name = f"the dataset {type(source).__name__}"
    if isinstance(first, Mapping):
        columns = _names(first, name)

        def records() -> Iterator[tuple[str, Values]]:
            for number in range(len(source)):
                row = source[number]
                yield f"{where} {number}", tuple(row.get(column) for column in first)

        return Table(name, columns, records, guess_from=8)
    if not isinstance(first, list | tuple) or len(first) < 2:
        return None
    classes = getattr(source, "classes", None)

    def rows() -> Iterator[tuple[str, Values]]:
        for number in range(len(source)):
            item, label = source[number][:2]
            yield f"{where} {number}", (item, _class_name(label, classes, f"{where} {number}"))

    return Table(name, PAIR, rows, guess_from=8)


def _class_name(label: Any, classes: Any, where: str) -> Any:
    if not isinstance(classes, list | tuple):
        return label
    try:
        place = int(label)
    except (TypeError, ValueError):
        return label
    if not 0 <= place < len(classes):
        raise BadData(
            f"{where} has the label {place}, but the dataset has {len(classes)} classes "
            f"({some([str(name) for name in classes])})."
        )
    return str(classes[place])
