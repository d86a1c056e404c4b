"""A shelf: the records of one product, such as one network's activations at one cut."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.errors import BadOption
from tunesmith.store import places
from tunesmith.store.frames import FRAME, digest, padded
from tunesmith.store.index import Index
from tunesmith.store.keys import KEY_BYTES
from tunesmith.store.meta import read_meta, write_meta
from tunesmith.store.places import Claim, Place
from tunesmith.store.shards import Maps, Shard, Writer, as_bytes, names

SHARD_BYTES = 256 << 20
AT_A_TIME = 4 << 20  # bytes joined for one write

Record = bytes | memoryview | np.ndarray
Room = Callable[[int], tuple[int, str]]  # bytes wanted -> bytes that may be written, and why not all


class Shelf:
    """Records by 16-byte keys, shared with every process that opens the same shelf.

    Made by Store.shelf. Threads may share one. Nothing here raises because of a disk.

    about: what the records are, as the shelf's first writer said, and what was noted since.
    full: why no more is stored, in words; "" while storing goes on.
    damaged: records found with a wrong digest in this process, which are missing since.
    """

    def __init__(self, folder: Path | None, about: Mapping[str, Any], room: Room, *, full: str = "") -> None:
        """folder: None for a shelf that holds nothing and takes nothing, for the reason in `full`."""
        self.about = dict(about)
        self.full = full
        self.damaged = 0
        self._folder = folder
        self._room = room
        self._index = Index()
        self._shards: list[Shard] = []
        self._known: set[str] = set()
        self._maps = Maps()
        self._writer: Writer | None = None
        self._lost = False
        self._place = places.enter(folder) if folder else Place(None)
        self._place.touch()

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def missing(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Which records are still to be computed: [N]. Sees what other processes stored until now.

        keys: 16 bytes each (see keys.record_key); BadOption for others.
        """
        _check(keys)
        with self._place.lock:
            self._refresh()
            return ~self._index.has(keys)

    def claim(self, keys: Sequence[bytes]) -> Claim:
        """Which missing records this caller is to compute; the others are there or somebody else's.

        `with shelf.claim(keys) as claim: ...` computes where claim.mine [N] is true and puts before the
        block ends; then asks `missing` for the rest. Never waits. The claims of a process that died are
        free again. Meant for a batch, not for a whole data set: the kernel keeps locks in a list.

        keys: one that stands twice is granted once at most.
        """
        _check(keys)
        return Claim(self._place, keys, self.missing)

    def put(self, keys: Sequence[bytes], records: Sequence[Record]) -> int:
        """Append records; others can read them at once, and after `commit` they survive a power cut.

        records: bytes, or an array, of which the bytes are kept, row-major.

        Returns how many were stored, the first ones: fewer when the store's limit or the disk is reached.
        Then `full` says so, and later calls store nothing. Raises BadOption for keys that are not 16
        bytes, or not as many as records.
        """
        _check(keys)
        if len(keys) != len(records):
            raise BadOption(f"put takes a key for each record; found {len(keys)} and {len(records)}.")
        stored = 0
        with self._place.lock:
            for some, data in _chunks(keys, records):
                done = 0 if self.full else self._append(some, data)
                stored += done
                if done < len(some):
                    break
        return stored

    def commit(self) -> bool:
        """Have the disk hold what was put: data first, then index.

        Returns whether everything that this shelf took survives a power cut. False after an error of the
        disk: some records may be lost then, and will be missing.
        """
        with self._place.lock:
            if self._writer is not None and self._ours():
                try:
                    self._writer.commit()
                except OSError as error:
                    self._abandon(error)
            self._place.touch()
            return not self._lost

    def get(self, key: bytes) -> memoryview | None:
        """A record's bytes, read-only, in the memory map of its shard; None when it is missing.

        Its digest is compared at the first call in this process. A wrong one counts in `damaged`, and the
        record is missing from then on, unless the shelf has it a second time. Sees what this shelf put and
        what the last `missing` or `claim` saw. A view keeps its map (up to 256 MB of addresses and one
        descriptor) as long as it lives: copy what is kept.
        """
        _check([key])
        while True:
            with self._place.lock:
                entry = self._index.newest(key)
                if entry is None:
                    return None
                shard = self._shards[entry.shard]
                view = self._maps.view(shard, entry)
            if view is not None:
                known = shard.checked[entry.number] and not shard.suspect
                if known or digest(key, view) == entry.digest:
                    shard.checked[entry.number] = 1
                    return view
            with self._place.lock:
                if self._index.drop(key, entry):
                    self.damaged += 1

    def note(self, **facts: Any) -> None:
        """Add facts to `about`, here and in meta.json: seconds per record, the engine that was chosen.

        What other processes noted is kept; of two values for one name, the later call's. A disk that
        refuses leaves them in this process only.
        """
        self.about |= facts
        if self._folder is None:
            return
        with self._place.writing_meta(), suppress(OSError):
            noted, problem = read_meta(self._folder)
            if problem is None:
                self.about = {**self.about, **(noted or {}), **facts}
                write_meta(self._folder, self.about)

    def close(self) -> None:
        """Commit and let go: the shelf may then be evicted. Views that were handed out stay valid."""
        if self._folder is None:
            return
        self.commit()
        with self._place.lock:
            if self._writer is not None:
                self._writer.close()
            self._writer, self._folder = None, None
            self._index, self._maps = Index(), Maps()
            self.full = self.full or "the shelf was closed"
        places.leave(self._place)
        self._place = Place(None)

    def _refresh(self) -> None:
        if self._folder is None:
            return
        try:
            found = [entry.name for entry in os.scandir(self._folder)]
        except OSError:
            return
        for name in names(found):
            if name not in self._known:
                self._add_shard(name)
        for shard in self._shards:
            rows = shard.news()
            if len(rows):
                self._index.add(rows)

    def _add_shard(self, name: str) -> Shard:
        assert self._folder is not None
        shard = Shard(self._folder, name, len(self._shards))
        self._shards.append(shard)
        self._known.add(name)
        return shard

    def _append(self, keys: list[bytes], records: list[memoryview]) -> int:
        """Store some records, and return how many; whatever keeps from it goes into `full`."""
        sizes = np.cumsum([padded(record.nbytes) + FRAME.size for record in records])
        room, why = self._room(int(sizes[-1]))
        fit = int(np.searchsorted(sizes, room, side="right"))
        if fit < len(keys):
            self.full = why
        if fit == 0:
            return 0
        try:
            writer, shard = self._open_writer(int(sizes[fit - 1]))
        except OSError as error:
            self._abandon(error)
            return 0
        rows, failure = writer.append(keys[:fit], records[:fit])
        rows["shard"] = shard.number
        shard.position = writer.entries * FRAME.size
        shard.checked.extend(bytes(writer.entries - len(shard.checked)))
        self._index.add(rows)
        if failure is not None:
            self._abandon(failure)
        return len(rows)

    def _open_writer(self, size: int) -> tuple[Writer, Shard]:
        """The shard to append to; a new one after a fork, or when the old one would grow too large."""
        assert self._folder is not None
        writer = self._writer
        if writer is not None and not self._ours():
            writer.close()  # the parent goes on writing to it
            writer = None
        if writer is not None and writer.size and writer.size + size > SHARD_BYTES:
            writer.commit()
            writer.close()
            writer = None
        if writer is None:
            self._writer = None
            writer = self._writer = Writer(self._folder)
            return writer, self._add_shard(writer.name)
        return writer, next(s for s in reversed(self._shards) if s.data.stem == writer.name)

    def _ours(self) -> bool:
        return self._writer is not None and self._writer.pid == os.getpid()

    def _abandon(self, error: OSError) -> None:
        """Write no more after an error of the disk; save what can be saved of what was written."""
        self.full = f"the disk failed while records were stored ({error.strerror or error})"
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            if writer.failed:
                raise error
            writer.commit()
        except OSError:
            self._lost = True
            for shard in self._shards:
                if shard.data.stem == writer.name:
                    shard.suspect = True
        writer.close()


def _check(keys: Sequence[bytes]) -> None:
    for key in keys:
        if len(key) != KEY_BYTES:
            raise BadOption(f"a record's key has {KEY_BYTES} bytes; found {key!r}. record_key makes them.")


def _chunks(
    keys: Sequence[bytes], records: Sequence[Record]
) -> Iterator[tuple[list[bytes], list[memoryview]]]:
    """Keys and bytes, as many at a time as are worth one write."""
    some: list[bytes] = []
    data: list[memoryview] = []
    size = 0
    for key, record in zip(keys, records, strict=True):
        some.append(key)
        data.append(as_bytes(record))
        size += data[-1].nbytes
        if size >= AT_A_TIME:
            yield some, data
            some, data, size = [], [], 0
    if some:
        yield some, data
