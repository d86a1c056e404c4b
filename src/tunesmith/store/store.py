"""The store: a folder of shelves that together stay within bounds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import BadOption
from tunesmith.store import places
from tunesmith.store.checking import Checked, check
from tunesmith.store.keys import canonical
from tunesmith.store.meta import DAMAGED, read_meta, write_meta
from tunesmith.store.shelf import Shelf
from tunesmith.store.space import KEY, ShelfInfo, describe, evict, occupied, remove, shelf_folders

# Bytes are granted ahead of use, so that the folder is not counted before each write.
AHEAD = 64 << 20
WRITERS = 8


@dataclass(frozen=True)
class Cleared:
    """What `Store.clear` did: the keys it removed, their bytes, and the keys that a process has open."""

    removed: tuple[str, ...]
    size: int
    left: tuple[str, ...]


class Store:
    """Shelves of records in a folder, which may be shared by any number of processes.

    folder: made when missing, for this user alone (mode 0700).
    limit: bytes that it may occupy; None: no bound. Up to 8 processes that write at once keep it.
    spare: bytes of the disk that stay free.

    What is over either is made room for by evicting shelves that no process has open (see space.evict).

    Raises BadOption for a folder that is a file, or for a limit or spare below 0.
    """

    def __init__(self, folder: Path, *, limit: int | None = None, spare: int = 1 << 30) -> None:
        if spare < 0 or (limit is not None and limit < 0):
            raise BadOption(f"limit and spare of a store count bytes from 0; found {limit} and {spare}.")
        self.folder = Path(folder).absolute()
        self.limit = limit
        self.spare = spare
        self._granted = 0
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise BadOption(
                f"the store {folder} is a file or lies in one; name a folder, or a path that is free."
            ) from None
        except OSError:
            pass  # its shelves will say so in `full`

    def shelf(self, key: str, about: Mapping[str, Any]) -> Shelf:
        """The shelf of a product; begun when it is not there.

        key: hexadecimal digits in lower case, from keys.shelf_key.
        about: JSON values, written when the shelf is begun: what, model, cut, engine, dtype, shapes,
            seconds (to compute a record: what is cheap is evicted first).

        A shelf that is damaged is begun anew; one that a later version made, or that the disk refuses,
        holds nothing and takes nothing, and its `full` says why.
        Raises BadOption for another key, or for values that JSON cannot hold.
        """
        if not KEY.fullmatch(key):
            raise BadOption(f"a shelf's key is hexadecimal digits in lower case; found {key!r}.")
        canonical(about)
        folder = self.folder / key
        try:
            if read_meta(folder)[1] == DAMAGED:
                remove(folder)
            return self._open(folder, about)
        except OSError as error:
            return Shelf(None, about, self.room, full=f"{folder} cannot be used ({error.strerror or error})")

    def _open(self, folder: Path, about: Mapping[str, Any]) -> Shelf:
        shelf = Shelf(folder, about, self.room)
        try:
            known, problem = read_meta(folder)
            if known is None and problem is None:
                place = places.enter(folder)
                try:
                    with place.writing_meta():  # two processes may begin it at once
                        known, problem = read_meta(folder)
                        if known is None and problem is None:
                            write_meta(folder, about)
                finally:
                    places.leave(place)
        except OSError:
            shelf.close()
            raise
        if problem:
            shelf.close()
            return Shelf(None, about, self.room, full=f"the shelf {folder} is not used: {problem}")
        shelf.about = dict(about) if known is None else known
        return shelf

    def shelves(self) -> list[ShelfInfo]:
        """Every shelf, by key, without reading its records."""
        return [describe(shelf) for shelf in shelf_folders(self.folder)]

    def verify(self, keys: Sequence[str] = ()) -> list[Checked]:
        """Read every record of every shelf and compare it with its digest.

        keys: only shelves whose keys begin so.
        """
        return [check(shelf) for shelf in self._named(keys)]

    def clear(self, keys: Sequence[str] = ()) -> Cleared:
        """Remove every shelf, or those whose keys begin so; never one that a process has open."""
        removed: list[str] = []
        left: list[str] = []
        size = 0
        for shelf in self._named(keys):
            freed = remove(shelf)
            (left if freed is None else removed).append(shelf.name)
            size += freed or 0
        self._granted = 0
        return Cleared(tuple(removed), size, tuple(left))

    def room(self, wanted: int) -> tuple[int, str]:
        """How many of the bytes wanted may be written now, after evicting if need be; and why not all."""
        if wanted > self._granted:
            left, why = self._left()
            if left < wanted and evict(self.folder, wanted - left):
                left, why = self._left()
            self._granted = max(min(left, wanted), min(left // WRITERS, AHEAD))
            if self._granted < wanted:
                granted, self._granted = self._granted, 0
                return granted, why
        self._granted -= wanted
        return wanted, ""

    def _left(self) -> tuple[int, str]:
        try:
            left = shutil.disk_usage(self.folder).free - self.spare
        except OSError as error:
            return 0, f"the disk of {self.folder} cannot be asked ({error.strerror})"
        why = f"the disk is full: {self.spare:,} bytes of it are kept free"
        if self.limit is not None and self.limit - (used := occupied(self.folder)) < left:
            left = self.limit - used
            why = f"the store is full: it may occupy {self.limit:,} bytes (`tunesmith store` manages them)"
        return max(left, 0), why

    def _named(self, keys: Sequence[str]) -> list[Path]:
        chosen = tuple(keys)
        return [s for s in shelf_folders(self.folder) if not chosen or s.name.startswith(chosen)]
