"""A shard is a pair of files, records and their entries: how it is read, mapped and appended to."""

from __future__ import annotations

import mmap
import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from tunesmith.files import sync_folder
from tunesmith.store.frames import FRAME, ROW, Entry, Rows, digest, pack, padded, unpack

MAPPED = 64  # shards that stay mapped; each costs a descriptor


class Shard:
    """A shard as its readers know it.

    position: bytes of the index that were read. checked: by an entry's number, whether its record's
    digest was found right in this process. suspect: an fsync failed, so what the page cache shows may not
    be what the disk will give back later; such records are compared at each use.
    """

    def __init__(self, folder: Path, name: str, number: int) -> None:
        self.data = folder / f"{name}.bin"
        self.index = folder / f"{name}.idx"
        self.number = number
        self.position = 0
        self.checked = bytearray()
        self.suspect = False

    def news(self) -> Rows:
        """Valid entries that came since the last call.

        What is not valid at the end is looked at again next time: it may be just being written.
        """
        none = np.empty(0, ROW)
        try:
            if os.stat(self.index).st_size - self.position < FRAME.size:  # noqa: PTH116 (often called)
                return none
            with self.index.open("rb") as file:
                file.seek(self.position)
                data = file.read()
            end = self.data.stat().st_size  # after the entries were read: their data came before them
        except OSError:
            return none
        rows, valid = unpack(data)
        if not valid.any():
            return none
        rows["number"] = self.position // FRAME.size + np.arange(len(rows))
        rows["shard"] = self.number
        self.position += (int(np.flatnonzero(valid)[-1]) + 1) * FRAME.size
        self.checked.extend(bytes(self.position // FRAME.size - len(self.checked)))
        fits = (rows["length"] <= end) & (rows["offset"] <= end - np.minimum(rows["length"], end))
        found: Rows = rows[valid & fits]
        return found


class Maps:
    """Memory maps of the shards that were used last."""

    def __init__(self) -> None:
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()

    def view(self, shard: Shard, entry: Entry) -> memoryview | None:
        """A record's bytes, read-only; None if the file is not there or too short.

        A map that was made before the record came is made anew; the old one lives as long as views of it.
        """
        if entry.length == 0:
            return memoryview(b"")
        end = entry.offset + entry.length
        mapped = self._maps.get(shard.number)
        if mapped is None or len(mapped) < end:
            mapped = _mapped(shard.data)
            if mapped is None and self._maps:  # out of descriptors, perhaps
                self._maps.clear()
                mapped = _mapped(shard.data)
            if mapped is None or len(mapped) < end:
                return None
            self._maps[shard.number] = mapped
            if len(self._maps) > MAPPED:
                self._maps.popitem(last=False)
        self._maps.move_to_end(shard.number)
        return memoryview(mapped)[entry.offset : end]


class Writer:
    """The shard that one shelf of one process appends to; nobody else does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = uuid.uuid4().hex
        self.pid = os.getpid()
        self.size = 0  # of the records, padding included
        self.entries = 0
        self.failed = False  # an fsync did
        self._dirty = False
        self._named = False
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._data = os.open(folder / f"{self.name}.bin", how, 0o600)
        try:
            self._index = os.open(folder / f"{self.name}.idx", how, 0o600)
        except OSError:
            os.close(self._data)
            (folder / f"{self.name}.bin").unlink(missing_ok=True)
            raise

    def append(self, keys: Sequence[bytes], records: Sequence[memoryview]) -> tuple[Rows, OSError | None]:
        """Write records, then their entries: the rows of those that were stored, and what went wrong.

        After an error the shard takes no more.
        """
        frames: list[bytes] = []
        pieces: list[bytes | memoryview] = []
        offset = self.size
        for key, record in zip(keys, records, strict=True):
            frames.append(pack(key, digest(key, record), offset, record.nbytes))
            pieces += [record, bytes(padded(record.nbytes) - record.nbytes)]
            offset += padded(record.nbytes)
        self._dirty = True
        _, error = _write(self._data, b"".join(pieces))
        if error is not None:
            # No entry points there, so no reader touches what is cut off.
            with suppress(OSError):
                os.ftruncate(self._data, self.size)
            return np.empty(0, ROW), error
        index = b"".join(frames)
        written, error = _write(self._index, index)
        stored = written // FRAME.size
        if error is not None:
            # Whole entries may have been seen by others already: they stay, and so do the data.
            with suppress(OSError):
                os.ftruncate(self._index, (self.entries + stored) * FRAME.size)
        self.size, first = offset, self.entries
        self.entries += stored
        rows = np.frombuffer(index, ROW, stored).copy()
        rows["number"] = np.arange(first, first + stored)
        return rows, error

    def commit(self) -> None:
        """Have the disk hold what was appended: data, then entries, then the files' names.

        Raises OSError; the shard is then to be abandoned, since a second fsync on the same descriptor may
        report success for pages that were dropped (Rebello et al. 2020, USENIX ATC).
        """
        if not self._dirty:
            return
        self.failed = True
        os.fsync(self._data)
        os.fsync(self._index)
        self.failed = False
        if not self._named:
            sync_folder(self.folder)
            self._named = True
        self._dirty = False

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in (self._data, self._index):
            with suppress(OSError):
                os.close(descriptor)


def as_bytes(record: bytes | memoryview | np.ndarray) -> memoryview:
    """The bytes of a record, row-major, without a copy where they lie so already."""
    if isinstance(record, np.ndarray):
        return np.ascontiguousarray(record).reshape(-1).view(np.uint8).data
    view = memoryview(record)
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())


def names(files: Iterable[str]) -> list[str]:
    """The shards among the names of files in a shelf, in a fixed order."""
    return sorted({name[:-4] for name in files if name.endswith((".idx", ".bin"))})


def _mapped(path: Path) -> mmap.mmap | None:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # not there, empty, or no descriptor left
        return None


def _write(descriptor: int, data: bytes) -> tuple[int, OSError | None]:
    """Write all of it; how many bytes were written, and the error that ended it early."""
    view, done = memoryview(data), 0
    try:
        while done < len(data):
            done += os.write(descriptor, view[done:])
    except OSError as error:
        return done, error
    return done, None
