"""Rows that are made on the way, on disk: memory stays flat however many there are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.data.cache import cache_failures, cache_folder, clear_leftovers

if TYPE_CHECKING:
    import datasets

AT_A_TIME: Final = 1_000


def spilled(rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> datasets.Dataset:
    """A data set of these rows, memory-mapped from a file that is gone from its folder already.

    types: of each column, as Arrow calls it: "string", "int64".
    Raises DiskFailed if the disk of the cache refuses.
    """
    import datasets
    import pyarrow as pa

    folder = cache_folder("data")
    clear_leftovers(folder)
    schema = pa.schema([(name, pa.type_for_alias(alias)) for name, alias in types.items()])
    with cache_failures(folder):
        handle, name = tempfile.mkstemp(dir=folder, prefix="writing-", suffix=".arrow")
        os.close(handle)
    path = Path(name)
    try:
        with (
            cache_failures(folder),
            pa.OSFile(name, "wb") as sink,
            pa.RecordBatchStreamWriter(sink, schema) as writer,
        ):
            stream = iter(rows)
            while some := list(islice(stream, AT_A_TIME)):
                columns = {own: [row[own] for row in some] for own in types}
                arrays = [pa.array(columns[field.name], field.type) for field in schema]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
        with cache_failures(folder):
            return datasets.Dataset.from_file(name)
    finally:
        if os.name == "posix":  # elsewhere a mapped file cannot be removed; the next store clears it
            path.unlink(missing_ok=True)
