"""Locks of a shelf: who has it open, and who computes which record.

POSIX record locks belong to a process and vanish when it closes any descriptor of the file, so each
process has one descriptor per shelf, in a table. The kernel drops all locks of a process that dies.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.files import sync_folder

POSIX: Final[bool] = os.name == "posix"  # elsewhere every process computes what it needs, and stores it
if POSIX:
    import fcntl

IN_USE = "in-use"
CLAIMS = "claims"
Missing = Callable[[Sequence[bytes]], NDArray[np.bool_]]
_KEYS = 2**62  # offsets of claims; the byte after them guards meta.json


class Place:
    """What a process holds open of one shelf; None for a shelf that cannot be opened.

    lock: for the threads of this process. While the place is open, nobody evicts the shelf.
    """

    def __init__(self, folder: Path | None) -> None:
        self.lock = threading.RLock()
        self.users = 0
        self.held: set[int] = set()
        self._claims: int | None = None
        self._in_use: int | None = None
        if folder is not None:
            self._in_use = _shared(folder)
            with suppress(OSError):  # a shelf that may only be read needs no claims
                self._claims = os.open(folder / CLAIMS, os.O_RDWR | os.O_CREAT, 0o600)

    def claim(self, key: bytes) -> bool:
        """Take the right to compute a record unless somebody has it; never blocks."""
        offset = _offset(key)
        with self.lock:
            if offset in self.held:
                return False
            if POSIX and self._claims is not None:
                try:
                    fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
                except (BlockingIOError, PermissionError):
                    return False
                except OSError:  # a file system without locks: twice the work, the same result
                    pass
            self.held.add(offset)
            return True

    def release(self, key: bytes) -> None:
        """Give a claim back."""
        offset = _offset(key)
        with self.lock:
            self.held.discard(offset)
            if POSIX and self._claims is not None:
                with suppress(OSError):
                    fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, offset)

    @contextmanager
    def writing_meta(self) -> Iterator[None]:
        """Among all processes, be the one that reads and rewrites meta.json; waits."""
        with self.lock:
            self._lock_meta(wait=True)
            try:
                yield
            finally:
                self._lock_meta(wait=False)

    def _lock_meta(self, *, wait: bool) -> None:
        if POSIX and self._claims is not None:
            with suppress(OSError):
                fcntl.lockf(self._claims, fcntl.LOCK_EX if wait else fcntl.LOCK_UN, 1, _KEYS)

    def touch(self) -> None:
        """Note that the shelf is used now."""
        if self._in_use is not None:
            with suppress(OSError, TypeError, NotImplementedError):
                os.utime(self._in_use)

    def close(self) -> None:
        """Drop every lock."""
        for descriptor in (self._claims, self._in_use):
            if descriptor is not None:
                with suppress(OSError):
                    os.close(descriptor)
        self._claims = self._in_use = None


class Claim:
    """The right to compute some records, taken at the start of a `with` block and given back at its end.

    mine: [N], the keys that this block is to compute.
    """

    def __init__(self, place: Place, keys: Sequence[bytes], missing: Missing) -> None:
        self.mine = np.zeros(len(keys), np.bool_)
        self._place = place
        self._keys = keys
        self._missing = missing
        self._held: list[bytes] = []

    def __enter__(self) -> Claim:
        try:
            for i, key in enumerate(self._keys):
                if self._place.claim(key):
                    self._held.append(key)
                    self.mine[i] = True
            # Looked at again under the lock: its last owner may have stored the record just before.
            self.mine &= self._missing(self._keys)
            wanted = {self._keys[i] for i in np.flatnonzero(self.mine).tolist()}
            self._release([key for key in self._held if key not in wanted])
            self._held = list(wanted)
        except BaseException:
            self._release(self._held)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._release(self._held)
        self._held = []

    def _release(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self._place.release(key)


_PLACES: dict[str, Place] = {}
_GUARD = threading.Lock()


def enter(folder: Path) -> Place:
    """The one place of this process in a shelf, opened when needed; `leave` it as often.

    Raises OSError if the folder cannot be made or read.
    """
    name = os.path.realpath(folder)
    with _GUARD:
        if name not in _PLACES:
            _PLACES[name] = Place(folder)
        place = _PLACES[name]
        place.users += 1
        return place


def leave(place: Place) -> None:
    """Undo one `enter`; the last one drops the locks."""
    with _GUARD:
        place.users -= 1
        if place.users <= 0:
            for name in [n for n, other in _PLACES.items() if other is place]:
                del _PLACES[name]
            place.close()


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether nobody has this shelf open, in this process or another; none can open it meanwhile."""
    if os.path.realpath(folder) in _PLACES:
        yield False
        return
    if not POSIX:
        yield True
        return
    path = folder / IN_USE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            got = _is(descriptor, path)
        except OSError:
            got = False
        yield got
    finally:
        os.close(descriptor)


def _shared(folder: Path) -> int:
    """A descriptor of the file `in-use` with a shared lock, of the folder that lies there now."""
    path = folder / IN_USE
    while True:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # evicted since the line above
            if folder.parent.is_dir():
                continue
            raise
        except OSError:
            descriptor = os.open(path, os.O_RDONLY)
        if not POSIX:
            return descriptor
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # an eviction of this shelf takes milliseconds
        if _is(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _offset(key: bytes) -> int:
    return int.from_bytes(key, "little") % _KEYS


def _after_fork() -> None:
    """A forked child holds none of its parent's claims, and no thread of it is inside a lock."""
    global _GUARD
    _GUARD = threading.Lock()
    for place in _PLACES.values():
        place.lock = threading.RLock()
        place.held = set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
