"""Read a shelf as a whole and compare every record with its digest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.store import places
from tunesmith.store.frames import FRAME, Entry, digest, unpack
from tunesmith.store.meta import read_meta
from tunesmith.store.shards import names


@dataclass(frozen=True)
class Checked:
    """What a complete reading of a shelf found.

    records: that were compared. damaged: those with a wrong digest, or cut off, that the shelf does not
    have a second time. torn: entries of the index that are incomplete or invalid.
    problem: why the shelf counts as absent; "" for a sound one.
    """

    key: str
    about: Mapping[str, Any]
    records: int
    damaged: int
    torn: int
    problem: str = ""

    @property
    def sound(self) -> bool:
        """Nothing has to be computed again."""
        return not (self.damaged or self.torn or self.problem)


def check(shelf: Path) -> Checked:
    """Read everything in a shelf, a record at a time; the shelf is not evicted meanwhile."""
    about, problem = read_meta(shelf)
    if problem:
        return Checked(shelf.name, {}, 0, 0, 0, problem)
    try:
        place = places.enter(shelf)
    except OSError as error:
        return Checked(shelf.name, about or {}, 0, 0, 0, f"it cannot be read ({error.strerror})")
    try:
        records, torn = 0, 0
        right: set[bytes] = set()
        wrong: set[bytes] = set()
        for name in names(path.name for path in shelf.iterdir()):
            entries, bad = _entries(shelf / f"{name}.idx")
            if bad:  # or was just being written
                entries, bad = _entries(shelf / f"{name}.idx")
            torn += bad
            records += len(entries)
            for key, entry in entries:
                (right if _holds(shelf / f"{name}.bin", key, entry) else wrong).add(key)
    finally:
        places.leave(place)
    return Checked(shelf.name, about or {}, records, len(wrong - right), torn)


def _entries(index: Path) -> tuple[list[tuple[bytes, Entry]], int]:
    try:
        data = index.read_bytes()
    except OSError:
        return [], 0
    rows, valid = unpack(data)
    found = [(key, Entry(*rest)) for key, *rest in FRAME.iter_unpack(rows[valid].tobytes())]
    return found, len(rows) - len(found) + bool(len(data) % FRAME.size)


def _holds(data: Path, key: bytes, entry: Entry) -> bool:
    try:
        with data.open("rb") as file:
            if os.fstat(file.fileno()).st_size < entry.offset + entry.length:
                return False
            file.seek(entry.offset)
            return digest(key, file.read(entry.length)) == entry.digest
    except OSError:
        return False
