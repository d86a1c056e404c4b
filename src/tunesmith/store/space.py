"""How much the shelves of a store occupy, and which of them have to go first."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.files import clear_leftovers
from tunesmith.store import places
from tunesmith.store.frames import FRAME
from tunesmith.store.meta import NEWER, read_meta
from tunesmith.store.shards import names

KEY = re.compile(r"[0-9a-f]{1,128}")


@dataclass(frozen=True)
class ShelfInfo:
    """A shelf from outside.

    about: empty where it cannot be read. records: entries in its index. size: bytes on disk.
    last_used: seconds since 1970. problem: why it counts as absent; "" for a sound one.
    """

    key: str
    about: Mapping[str, Any]
    records: int
    size: int
    last_used: float
    problem: str = ""

    @property
    def seconds_per_byte(self) -> float:
        """What it costs to compute again; 0 where nobody noted the seconds per record."""
        seconds = self.about.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not self.size:
            return 0.0
        return seconds * self.records / self.size if math.isfinite(seconds) and seconds > 0 else 0.0


def shelf_folders(folder: Path) -> list[Path]:
    """The shelves of a store, by key."""
    try:
        found = [Path(e.path) for e in os.scandir(folder) if e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(path for path in found if KEY.fullmatch(path.name))


def occupied(folder: Path) -> int:
    """Bytes of all files in all shelves."""
    return sum(size for shelf in shelf_folders(folder) for size in _sizes(shelf).values())


def describe(shelf: Path) -> ShelfInfo:
    """What can be said about a shelf without reading its records."""
    about, problem = read_meta(shelf)
    sizes = _sizes(shelf)
    records = sum(size // FRAME.size for name, size in sizes.items() if name.endswith(".idx"))
    try:
        last_used = (shelf / places.IN_USE).stat().st_mtime
    except OSError:
        last_used = 0.0
    return ShelfInfo(shelf.name, about or {}, records, sum(sizes.values()), last_used, problem or "")


def evict(folder: Path, wanted: int) -> int:
    """Remove whole shards until so many bytes are free, or none is left that may go; returns the bytes.

    Shelves that are cheapest to compute again per byte go first, among equals those not used for longest;
    of a shelf the oldest shards. Never what a process has open, nor what a later version made.
    """
    freed = 0
    shelves = [info for info in map(describe, shelf_folders(folder)) if info.problem != NEWER]
    for info in sorted(shelves, key=lambda info: (info.seconds_per_byte, info.last_used)):
        if freed >= wanted:
            break
        shelf = folder / info.key
        with places.alone(shelf) as alone:
            if not alone:
                continue
            clear_leftovers(shelf)
            for name in _oldest_first(shelf):
                if freed < wanted:
                    freed += _unlink(shelf / f"{name}.idx", shelf / f"{name}.bin")
            if not names(_sizes(shelf)):
                _empty(shelf)
    return freed


def remove(shelf: Path) -> int | None:
    """Remove a shelf with all that is in it: the bytes; None if a process has it open."""
    with places.alone(shelf) as alone:
        if not alone:
            return None
        size = sum(_sizes(shelf).values())
        _empty(shelf)
    return size


def _empty(shelf: Path) -> None:
    # Index before data, and the file that carries the lock last: whoever waits for it then sees that
    # the folder is another one.
    order = sorted(_sizes(shelf), key=lambda name: (name == places.IN_USE, not name.endswith(".idx")))
    _unlink(*(shelf / name for name in order))
    with suppress(OSError):
        shelf.rmdir()


def _unlink(*paths: Path) -> int:
    freed = 0
    for path in paths:
        with suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed += size
    return freed


def _oldest_first(shelf: Path) -> Iterator[str]:
    ages = {}
    for name in names(_sizes(shelf)):
        try:
            ages[name] = (shelf / f"{name}.bin").stat().st_mtime
        except OSError:
            ages[name] = 0.0
    yield from sorted(ages, key=lambda name: (ages[name], name))


def _sizes(shelf: Path) -> dict[str, int]:
    sizes = {}
    with suppress(OSError):
        for entry in os.scandir(shelf):
            with suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
    return sizes
