"""Rows on disk: streamed into an Arrow file, opened memory-mapped, so that memory stays flat."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.data.cache import cache_failures, cache_folder, clear_leftovers
from tunesmith.data.data import Finding
from tunesmith.data.pairs import apart
from tunesmith.data.rows import Found, Row
from tunesmith.errors import BadData, shown

if TYPE_CHECKING:
    import datasets

ROWS_AT_A_TIME: Final = 1_000
BYTES_AT_A_TIME: Final = 64 * 2**20
LONGEST_ITEM: Final = 2**30  # bytes or characters; a column of Arrow's strings ends at 2 GiB
NOWHERE: Final = -1
LACKING: Final = {  # kinds of finding
    "row": "broken_rows",
    "item": "absent",
    "label": "no_label",
    "number": "no_number",
    "tags": "bad_tags",
    "answer": "misplaced",
}
LABELS: Final = "give every row a label, or remove it"
OTHER: Final = "other "  # before the name of a column that is kept beside the examples


class Codes:
    """A column of few different strings, as one number a row (-1: none)."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.codes = array("i")
        self._code_of: dict[str, int] = {}

    def append(self, name: str | None) -> None:
        """Add a row."""
        if name is None:
            self.codes.append(-1)
            return
        code = self._code_of.get(name)
        if code is None:
            code = self._code_of[name] = len(self.names)
            self.names.append(name)
        self.codes.append(code)


@dataclass(frozen=True)
class Stored:
    """A source after its stream has run.

    dataset: every row, with the columns of `Data`, memory-mapped.
    labels: of each row; where answers have parts, its stratum.
    same: one number a row, equal where the texts, image bytes or image paths are equal; of pairs where both
        texts are, in either order.
    content: SHA-256 over everything but the splits; no path and no file time is in it.
    left_out: rows whose item could not be had, where that was allowed.
    """

    dataset: datasets.Dataset
    labels: Codes
    splits: Codes
    groups: Codes | None
    same: array[int]
    content: str
    left_out: tuple[Finding, ...]


def store(
    found: Found, *, group: bool, weight: bool, labelled: bool, skip_bad: bool = False, keep: bool = True
) -> Stored:
    """Stream the rows of a source to `<cache>/data/`, where they are shared by equal content.

    skip_bad: leave out rows that cannot be used, instead of stopping.
    keep: False leaves no file behind: it is gone from the folder once it is mapped into memory.

    Raises BadData if there are no rows, if an item cannot be had, or if `labelled` and a row has
    no label; the message names the first such row and counts the others. Raises DiskFailed if the
    disk of the cache refuses.
    """
    folder = cache_folder("data")
    clear_leftovers(folder)
    with cache_failures(folder):
        handle, name = tempfile.mkstemp(dir=folder, prefix="writing-", suffix=".arrow")
        os.close(handle)
    temporary = Path(name)
    labels, splits, groups, same = Codes(), Codes(), Codes(), array("q")
    content, located = hashlib.sha256(), hashlib.sha256()
    faults = _Faults(found.name, labelled, skip_bad)
    try:
        with _arrow_writer(temporary, found, group=group, weight=weight) as write:
            for row in found.rows():
                size = faults.size_of(row, found.takes)
                if size == NOWHERE:
                    continue
                labels.append(row.stratum if found.answers == "parts" else row.label)
                splits.append(row.split)
                same.append(hash(frozenset(apart(str(row.item))) if found.pairs else row.item))
                groups.append(row.group)
                content.update(_identity(row, size))
                if found.takes == "image" and isinstance(row.item, str):
                    located.update(row.item.encode())
                write(row)
        faults.raise_any(rows=len(labels.codes))
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if not keep:
        with cache_failures(folder):
            dataset = open_stored(temporary)
        if os.name == "posix":  # elsewhere a mapped file cannot be removed; the next store clears it
            temporary.unlink()
        return Stored(
            dataset, labels, splits, groups if group else None, same, content.hexdigest(), (*faults.left_out,)
        )
    located.update(content.digest() + repr((found.takes, group, weight)).encode())
    final = folder / f"{located.hexdigest()[:32]}.arrow"
    with cache_failures(folder):
        temporary.replace(final)
        dataset = open_stored(final)
    return Stored(
        dataset, labels, splits, groups if group else None, same, content.hexdigest(), (*faults.left_out,)
    )


def open_stored(path: Path) -> Any:
    """The dataset in an Arrow file, memory-mapped."""
    import datasets

    return datasets.Dataset.from_file(str(path))


def _identity(row: Row, size: int | None) -> bytes:
    """What may change a result, without the place where the data lie."""
    content: object
    if isinstance(row.item, bytes):
        content = hashlib.sha256(row.item).hexdigest()
    else:
        content = row.item if size is None else size
    return json.dumps([row.id, content, row.label, row.group, row.weight]).encode() + b"\n"


class _Faults:
    """Rows that cannot be used, gathered so that one message can count them all."""

    def __init__(self, source: str, labelled: bool, skip_bad: bool) -> None:
        self.source = source
        self.labelled = labelled
        self.skip_bad = skip_bad
        self.left_out: list[Finding] = []
        self.first = ("", "")
        self.faults = 0
        self.unlabelled: list[str] = []
        self.without_label = 0

    def size_of(self, row: Row, takes: str) -> int | None:
        """The bytes of the image file; None for what is not a file, NOWHERE if the item cannot be had."""
        if row.fault is not None:
            return self._fault(row, row.fault, kind=LACKING[row.lacks])
        if not _is_unicode(row):
            name = row.where.encode("utf-8", "replace").decode()
            what = f"{name} holds signs that are no Unicode"
            return self._fault(row._replace(id=name), what, "; rename or rewrite it", kind="broken_rows")
        if len(row.item) > LONGEST_ITEM:
            return self._fault(row, f"{row.where} has {len(row.item):,} bytes, more than {LONGEST_ITEM:,}.")
        if row.label is None and self.labelled:
            if self.skip_bad:
                named = row._replace(id=row.where)
                return self._fault(named, f"{row.where} has no label", f"; {LABELS}", kind="no_label")
            self.without_label += 1
            if not self.unlabelled:
                self.unlabelled.append(row.where)
        if takes != "image" or isinstance(row.item, bytes):
            return None
        try:
            return os.stat(row.item).st_size  # noqa: PTH116 (a Path per image costs more)
        except FileNotFoundError:
            if row.where == row.id:
                return self._fault(row, f"{row.where} is not there any more, or a link that leads nowhere.")
        except (OSError, ValueError) as error:
            if isinstance(error, PermissionError):
                return self._fault(row, f"{row.where} cannot be read ({error.strerror}).")
        cure = "; paths in a table start from the folder that the table lies in"
        return self._fault(row, f"{row.where} names the image {row.id}, which is not there", cure)

    def _fault(self, row: Row, what: str, cure: str = "", *, kind: str = "absent") -> int:
        what = what.rstrip(".")
        if self.skip_bad:
            self.left_out.append(Finding(kind, row.id, shown(f"{what}.")))
        if not self.faults:
            self.first = what, cure
        self.faults += 1
        return NOWHERE

    def raise_any(self, rows: int) -> None:
        if self.faults and not (rows and self.skip_bad):
            what, cure = self.first
            if self.labelled and rows:
                way = "pass --skip-bad (skip_bad=True) to leave out such rows"
                cure = f"{cure}, or {way}" if cure else f"; mend that, or {way}"
            raise BadData(f"{what}{_others(self.faults)}{cure}.")
        if not rows:
            raise BadData(f"{self.source} holds no examples.")
        if self.without_label:
            raise BadData(
                f"{self.unlabelled[0]} has no label{_others(self.without_label)}; {LABELS}, or pass "
                "--skip-bad (skip_bad=True) to leave out such rows."
            )


def _others(count: int) -> str:
    if count == 1:
        return ""
    return f", and {count - 1:,} other row{'s' if count > 2 else ''} likewise"


@contextmanager
def _arrow_writer(path: Path, found: Found, *, group: bool, weight: bool) -> Iterator[Any]:
    import pyarrow as pa

    takes = found.takes
    image = pa.struct([("path", pa.string()), ("bytes", pa.binary())])
    fields = [("id", pa.string()), ("item", image if takes == "image" else pa.string())]
    fields.append(("label", pa.string()))
    fields += [("group", pa.string())] if group else []
    fields += [("weight", pa.float64())] if weight else []
    fields += [(OTHER + name, pa.string()) for name in found.others]
    schema = pa.schema(fields)
    waiting: list[Row] = []
    held = 0

    def flush() -> None:
        nonlocal held
        columns: dict[str, list[Any]] = {
            "id": [row.id for row in waiting],
            "item": [_cell(row.item, takes) for row in waiting],
            "label": [row.label for row in waiting],
            "group": [row.group for row in waiting],
            "weight": [row.weight for row in waiting],
        }
        for place, name in enumerate(found.others):
            columns[OTHER + name] = [row.others[place] for row in waiting]
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        with cache_failures(path.parent):
            writer.write_batch(pa.record_batch(arrays, schema=schema))
        waiting.clear()
        held = 0

    def write(row: Row) -> None:
        nonlocal held
        waiting.append(row)
        held += len(row.item)
        if len(waiting) >= ROWS_AT_A_TIME or held >= BYTES_AT_A_TIME:
            flush()

    with cache_failures(path.parent):
        sink = pa.OSFile(str(path), "wb")
        writer = pa.RecordBatchStreamWriter(sink, schema)
    try:
        yield write
        if waiting:
            flush()
    finally:
        with cache_failures(path.parent), sink:
            writer.close()


def _cell(item: str | bytes, takes: str) -> object:
    if takes == "text":
        return item
    inside = isinstance(item, bytes)
    return {"path": None if inside else item, "bytes": item if inside else None}


def _is_unicode(row: Row) -> bool:
    """Whether Arrow can keep its texts: half of a pair of surrogates, as JSON may escape one, is no sign."""
    try:
        "".join(part for part in (*row, *row.others) if isinstance(part, str)).encode()
    except UnicodeEncodeError:
        return False
    return True
