"""Which keys a shelf holds and where their records lie: about 64 bytes of memory a record."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.store.frames import FRAME, ROW, Entry, Rows

FEW = 1024


class Index:
    """Entries by key, most of them in a sorted array, the newest in a dictionary.

    Keys are digests, so their first 8 bytes sort them well. A key may have several entries: any of them
    that is not damaged will do.
    """

    def __init__(self) -> None:
        self._rows: Rows = np.empty(0, ROW)
        self._hi: NDArray[np.uint64] = np.empty(0, "<u8")  # rows["hi"], in one piece for the search
        self._recent: dict[bytes, list[Entry]] = {}
        self._waiting = 0

    def __len__(self) -> int:
        return len(self._rows) + self._waiting

    def add(self, rows: Rows) -> None:
        """Take in entries; they are newer than all before."""
        if self._waiting + len(rows) > max(FEW, len(self._rows) // 8):
            self._merge(rows)
            return
        for key, *rest in FRAME.iter_unpack(rows.tobytes()):
            self._recent.setdefault(key, []).append(Entry(*rest))
        self._waiting += len(rows)

    def newest(self, key: bytes) -> Entry | None:
        """The entry that was added last for a key, among those that were not dropped."""
        recent = self._recent.get(key)
        if recent:
            return recent[-1]
        at = self._in_rows(key)
        return _entry(self._rows[at[-1]]) if at else None

    def has(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Which of the keys have an entry: [N]."""
        found = np.fromiter((key in self._recent for key in keys), np.bool_, len(keys))
        if len(self._rows):
            halves = np.frombuffer(b"".join(keys), "<u8").reshape(-1, 2)
            at = np.minimum(np.searchsorted(self._hi, halves[:, 0]), len(self._rows) - 1)
            alike = self._hi[at] == halves[:, 0]
            same = alike & (self._rows["lo"][at] == halves[:, 1])
            for i in np.flatnonzero(
                alike & ~same
            ).tolist():  # another key of the same first half stands before it
                same[i] = bool(self._in_rows(keys[i]))
            found |= same
        return found

    def drop(self, key: bytes, entry: Entry) -> bool:
        """Forget one entry; False if that was done before."""
        recent = self._recent.get(key, [])
        if entry in recent:
            recent.remove(entry)
            self._waiting -= 1
            if not recent:
                del self._recent[key]
            return True
        for at in self._in_rows(key):
            if _entry(self._rows[at]) == entry:
                self._rows = np.delete(self._rows, at)
                self._hi = np.delete(self._hi, at)
                return True
        return False

    def _in_rows(self, key: bytes) -> list[int]:
        hi, lo = struct.unpack("<QQ", key)
        first = int(np.searchsorted(self._hi, np.uint64(hi)))
        found = []
        while first < len(self._hi) and self._hi[first] == hi:
            if self._rows["lo"][first] == lo:
                found.append(first)
            first += 1
        return found

    def _merge(self, rows: Rows) -> None:
        waiting = b"".join(FRAME.pack(key, *e) for key, entries in self._recent.items() for e in entries)
        every = np.concatenate([self._rows, np.frombuffer(waiting, ROW), rows])
        self._rows = every[np.argsort(every["hi"], kind="stable")]
        self._hi = np.ascontiguousarray(self._rows["hi"])
        self._recent, self._waiting = {}, 0


def _entry(row: np.void) -> Entry:
    return Entry(*FRAME.unpack(row.tobytes())[1:])
