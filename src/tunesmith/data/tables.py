"""Tables: named columns and a stream of rows, from CSV, TSV, JSONL and Parquet files."""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tunesmith.data.json_tables import columns_of, records
from tunesmith.data.labels import short
from tunesmith.data.rows import Row, counted, some
from tunesmith.errors import BadData

ENDINGS: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
JSON: Final = ".json"  # a table too, but in a folder only where it shows: others lie beside data
INDEX: Final = "column 1"  # a first column without name: pandas and R write the rows' numbers there
LONGEST: Final = 16_000_000  # characters of a row; a longer one is a quote that was never closed
LONGEST_HEAD: Final = 8_000_000  # characters of the rows that are held to guess from
LARGEST_ROW: Final = 64_000_000  # bytes of a Parquet row, on average over a row group

Values = tuple[Any, ...]


class Unread(Values):
    """A row that could not be read: None in every column, and why, in a whole sentence."""

    fault: str

    @classmethod
    def of(cls, columns: Sequence[str], fault: str) -> Unread:
        """Such a row of a table with these columns."""
        row = cls((None,) * len(columns))
        row.fault = fault
        return row

    def row(self, where: str, split: str | None) -> Row:
        """What becomes of it: nothing but its fault."""
        return Row(where, where, "", None, split, fault=self.fault, lacks="row")


@dataclass(frozen=True)
class Table:
    """Rows with named columns, read as often as needed and never held in memory.

    name: as it stands in messages: "reviews.csv".
    folder: what relative image paths start from; None for tables that never were files.
    guess_from: how many rows to look at when guessing; few where a row is dear.
    rows: starts the stream of (where, values in the order of the columns); a row that is broken is `Unread`.
    """

    name: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[tuple[str, Values]]]
    folder: Path | None = None
    guess_from: int = 1000

    def whole(self) -> Iterator[tuple[str, Values]]:
        """The rows that could be read."""
        return (row for row in self.rows() if not isinstance(row[1], Unread))

    def head(self) -> list[Values]:
        """The first rows that could be read, to guess from; fewer where they are long.

        Raises BadData, with the fault of the first, if none of them could be.
        """
        rows: list[Values] = []
        held, fault = 0, ""
        for _, values in islice(self.rows(), self.guess_from):
            if isinstance(values, Unread):
                fault = fault or values.fault
                continue
            rows.append(values)
            held += sum(len(value) for value in values if isinstance(value, str | bytes))
            if held > LONGEST_HEAD:
                break
        if fault and not rows:
            raise BadData(fault)
        return rows


def open_table(path: Path, *, columns: tuple[str, ...] | None = None, name: str = "") -> Table:
    """The table in a file; its ending says how it is read.

    columns: the names of the columns of a file without header.
    A first column whose name is empty is called "column 1".
    A .txt file holds text, a tab and a label in each line, unless its first line is a header.

    Raises BadData, with file and line, when the file is no such table.
    """
    name = name or path.name
    ending = path.suffix.lower()
    if ending in (".jsonl", ".ndjson"):
        return _jsonl(path, name)
    if ending == ".parquet":
        return _parquet(path, name)
    if ending == JSON:
        return _json(path, name)
    return _delimited(path, name, columns)


def _delimited(path: Path, name: str, columns: tuple[str, ...] | None) -> Table:
    records = _records_of(path, name)
    with closing(records()) as stream:
        first = next(stream, None)
    if first is None:
        raise BadData(f"{name} is empty; a table needs a row of column names, then data.")
    line, header = first
    stripped = tuple(cell.strip() for cell in header)
    plain_text = path.suffix.lower() == ".txt" and columns is None
    if plain_text and len(header) != 2:
        raise BadData(
            f"{name}:{line} has {len(header)} fields; a .txt file of examples has a text, a tab "
            "and a label in each line (other tables end in .csv or .tsv)."
        )
    if plain_text and not {"text", "label"} & {cell.lower() for cell in stripped}:
        columns = ("text", "label")
    has_header = columns is None or tuple(columns) == stripped
    if columns is None and len(stripped) > 1 and not stripped[0]:
        stripped = (INDEX, *stripped[1:])
    names = stripped if columns is None else tuple(columns)
    _check_names(names, f"{name}:{line}" if has_header else "--columns")

    def rows() -> Iterator[tuple[str, Values]]:
        with closing(records()) as stream:
            for line, record in islice(stream, 1 if has_header else 0, None):
                where = f"{name}:{line}"
                if len(record) == len(names):
                    yield where, tuple(record)
                    continue
                cure = "put quotes around fields that hold a separator" if has_header else "name all of them"
                found = (
                    f"{counted(len(record), 'field')} where {len(names)} are expected ({some(list(names))})"
                )
                yield where, Unread.of(names, f"{where} has {found}; {cure}.")

    return Table(name, names, rows, path.parent)


def _check_names(names: Sequence[str], where: str) -> None:
    seen = set()
    for number, column in enumerate(names, start=1):
        if not column:
            raise BadData(f"{where}: column {number} has no name; give every column one.")
        if column in seen:
            raise BadData(f"{where}: two columns are called {short(column)}; rename one of them.")
        seen.add(column)


def _records_of(path: Path, name: str) -> Callable[[], Generator[tuple[int, list[str]], None, None]]:
    """The stream of (line on which the record starts, its fields); blank lines are passed over."""
    tabs = path.suffix.lower() in (".tsv", ".txt")
    if tabs and _one_record_a_line(path, name):
        return lambda: _tabbed(path, name)
    delimiter = "\t" if tabs else _delimiter(path, name)
    return lambda: _quoted(path, name, delimiter)


def _one_record_a_line(path: Path, name: str) -> bool:
    """Whether every line has as many tabs as the first: then no field spans lines.

    Tab separated files are often written without any quoting, so that a quote is just a sign.
    """
    try:
        with path.open("rb") as file:
            lines = iter(lambda: file.readline(LONGEST), b"")
            counts = (line.count(b"\t") for line in lines if line.strip())
            first = next(counts, 0)
            return all(count == first for count in counts)
    except OSError as error:
        raise BadData(f"{name} cannot be read ({error.strerror}).") from error


def _tabbed(path: Path, name: str) -> Generator[tuple[int, list[str]], None, None]:
    for number, line in enumerate(lines_in(path, name, ends="\n"), start=1):
        if line.strip():
            yield number, [_unquoted(cell) for cell in line.rstrip("\r\n").split("\t")]


def _unquoted(cell: str) -> str:
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        inner = cell[1:-1].replace('""', "\0")
        if '"' not in inner:
            return inner.replace("\0", '"')
    return cell


def _quoted(path: Path, name: str, delimiter: str) -> Generator[tuple[int, list[str]], None, None]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    held, start = 0, 1

    def lines() -> Iterator[str]:
        nonlocal held
        for line in lines_in(path, name):
            held += len(line)
            if held > LONGEST:
                raise _too_long(f"{name}:{start}")
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            held = 0
            if record:
                yield start, record
            start = reader.line_num + 1
    except csv.Error as error:
        raise BadData(
            f"{name}:{start}: the quotes of the record that starts here do not match ({error}); "
            'a field in quotes ends with a quote, and a quote within it is doubled ("").'
        ) from error


def _too_long(where: str) -> BadData:
    return BadData(
        f"{where}: the row that starts here has more than {LONGEST:,} characters, the most that a row may "
        "have; close its quotes, or give a table."
    )


def _delimiter(path: Path, name: str) -> str:
    """A comma, unless the header has none but has semicolons or tabs."""
    with closing(lines_in(path, name)) as lines:
        header = next((line for line in lines if line.strip()), "")
    return next((sign for sign in ",;\t" if sign in header), ",")


def lines_in(path: Path, name: str, ends: str = "") -> Generator[str, None, None]:
    """Lines of text, ends kept. Raises BadData at bytes that are not text, with their line.

    ends: what ends a line; "" is any of the usual ends.
    It is also BadData if a line has more than 16 million characters, or if the file is written to
    meanwhile: its first rows and its last would not belong together.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=ends) as file:
            before = os.fstat(file.fileno())
            for number, line in enumerate(iter(lambda: file.readline(LONGEST + 1), ""), start=1):
                if "\0" in line:
                    raise BadData(
                        f"{name}:{number} holds a NUL byte, so it is no text; save the table as UTF-8 text."
                    )
                if len(line) > LONGEST:
                    raise _too_long(f"{name}:{number}")
                yield line
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise BadData(f"{name} changed while it was read; read it again once nobody writes to it.")
    except UnicodeDecodeError as error:
        raise BadData(
            f"{name}:{_undecodable(path)} is not UTF-8 text ({error.reason}); save the table as UTF-8."
        ) from error
    except OSError as error:
        raise BadData(f"{name} cannot be read ({error.strerror}).") from error


def _undecodable(path: Path) -> int:
    """The number of the first line that is not UTF-8."""
    number, decoder = 1, codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                return number + error.object[: error.start].count(b"\n")
            number += piece.count(b"\n")
    return number


def _jsonl(path: Path, name: str) -> Table:
    def objects() -> Generator[tuple[str, dict[str, Any] | str], None, None]:
        for number, line in enumerate(lines_in(path, name), start=1):
            if line.strip():
                yield f"{name}:{number}", _object(line, f"{name}:{number}")

    with closing(objects()) as stream:
        first = [row for _, row in islice(stream, 1000)]
    columns = tuple(dict.fromkeys(key for row in first if isinstance(row, dict) for key in row))
    if not columns:
        fault = next((row for row in first if isinstance(row, str)), "")
        raise BadData(fault or f"{name} is empty; every line holds one JSON object.")

    def rows() -> Iterator[tuple[str, Values]]:
        with closing(objects()) as stream:
            for where, row in stream:
                if isinstance(row, str):
                    yield where, Unread.of(columns, row)
                else:
                    yield where, tuple(row.get(column) for column in columns)

    return Table(name, columns, rows, path.parent)


def _object(line: str, where: str) -> dict[str, Any] | str:
    """The object that a line of JSON holds, or why it holds none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"{where} is not JSON ({error}); every line holds one JSON object."
    if isinstance(value, dict):
        return value
    said = 'every line holds one JSON object, as {"text": ..., "label": ...}.'
    return f"{where} holds a {type(value).__name__}; {said}"


def _json(path: Path, name: str) -> Table:
    columns = columns_of(path, name)

    def rows() -> Iterator[tuple[str, Values]]:
        with closing(records(path, name)) as stream:
            for where, row in stream:
                yield where, tuple(row.get(column) for column in columns)

    return Table(name, columns, rows, path.parent)


def _parquet(path: Path, name: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            largest = max((g.total_byte_size / max(g.num_rows, 1) for g in groups), default=0)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadData(f"{name} is not a Parquet file that can be read ({error}).") from error
    if largest > LARGEST_ROW:
        raise BadData(f"{name} has rows of {largest:,.0f} bytes, more than the {LARGEST_ROW:,} allowed.")
    columns = tuple(schema.names)
    _check_names(columns, name)
    class_names = _class_names(schema)

    def rows() -> Iterator[tuple[str, Values]]:
        number = 0
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=1000):
                    # Arrow believes what a file says of where its texts begin; that is tried before.
                    batch.validate(full=True)
                    cells = [
                        named(batch.column(i).to_pylist(), class_names.get(column), f"{name}: {column}")
                        for i, column in enumerate(columns)
                    ]
                    for values in zip(*cells, strict=True):
                        number += 1
                        yield f"{name}:{number}", values
        except BadData:
            raise
        # ValueError: texts that are no UTF-8; OverflowError: dates that Python does not know.
        except (OSError, ValueError, OverflowError, TypeError, MemoryError, pa.ArrowException) as error:
            raise BadData(f"{name}: row {number + 1} cannot be read ({error}).") from error

    return Table(name, columns, rows, path.parent)


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Names of whole-number labels that Hugging Face datasets wrote beside the columns."""
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in info.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def named(values: Iterable[Any], names: Sequence[str] | None, where: str) -> list[Any]:
    """Whole numbers replaced by the names that they stand for; -1 and None stand for nothing.

    Raises BadData, naming `where`, for what is none of these numbers.

    >>> named([1, 0, -1, None], ["neg", "pos"], "a.parquet")
    ['pos', 'neg', None, None]
    """
    if names is None:
        return list(values)
    try:
        return [None if value is None or value < 0 else names[value] for value in values]
    except (TypeError, IndexError):
        raise BadData(
            f"{where} holds labels that are no numbers from 0 to {len(names) - 1}, though it comes with "
            f"the {len(names):,} names that such numbers stand for; write it again."
        ) from None
