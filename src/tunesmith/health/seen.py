"""One pass over the data: a content address for every example, and a look at every image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.data.data import SPLITS, Data
from tunesmith.data.data import Finding as Unusable
from tunesmith.errors import BadData
from tunesmith.health.looks import MODES, SIDE, Look, hashes, look, unpacked
from tunesmith.health.roll import Roll, rolled
from tunesmith.store import Shelf, Store
from tunesmith.store.keys import item_key, shelf_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

Check = Callable[[Data], list[Unusable]]
AT_A_TIME: Final = 64  # items of which the bytes lie in memory
THREADS: Final = 2


@dataclass(frozen=True)
class Seen:
    """What one pass over the data tells.

    roll: every example, with those that cannot be used and why.
    keys: [N], a content address each; None for a file that cannot be read.
    looks: of images; None for texts.
    """

    data: Data
    roll: Roll
    keys: list[bytes | None]
    looks: Looks | None = None

    def content(self, place: int) -> Any:
        """An example's item, read again."""
        split = SPLITS[int(self.roll.splits[place])]
        return self.data.splits[split][int(self.roll.rows[place])]["item"]

    def close(self) -> None:
        """Let the shelf of thumbnails go."""
        if self.looks is not None and self.looks.shelf is not None:
            self.looks.shelf.close()

    def thumbnail(self, place: int) -> NDArray[np.uint8]:
        """The thumbnail of an image that could be read; from the store where it is kept."""
        key = self.keys[place]
        assert self.looks is not None
        record = None if self.looks.shelf is None or key is None else self.looks.shelf.get(key)
        return look(self.content(place)).thumbnail if record is None else unpacked(record).thumbnail


@dataclass
class Looks:
    """Of every image what a comparison of all with all needs: 21 bytes each, so memory stays small.

    sizes: int64 [N, 2], width and height. modes: [N], places in `looks.MODES`. hashes: [N].
    shelf: where thumbnails are kept; None: nowhere.
    """

    sizes: NDArray[np.int64]
    modes: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    shelf: Shelf | None = field(default=None, repr=False)


def see(
    data: Data,
    store: Store,
    known: dict[str, bytes],
    *,
    check: Check,
    decoder: str,
    progress: Callable[[int], None] | None = None,
) -> Seen:
    """Read every example once; an image that was looked at before, by anybody, is not decoded again.

    known: content addresses of files, by path; grows. check: a task's, of what cannot be used; images are
    looked at instead. decoder: what decodes images, so that a change of it looks anew. progress: called with
    the examples just done.
    """
    if data.takes != "image":
        return _read_all(data, check, progress)
    about = {"what": "looks at images", "decoder": decoder, "side": SIDE}
    shelf = store.shelf(shelf_key(about), about)
    try:
        return _look_at_all(data, shelf, known, progress)
    except BaseException:
        shelf.close()
        raise


def _read_all(data: Data, check: Check, progress: Callable[[int], None] | None) -> Seen:
    said = {finding.where: finding.message for finding in check(data)}
    keys: list[bytes | None] = []
    bad: dict[str, dict[int, str]] = {}
    for split, start, names, items in _blocks(data, 1000):
        keys += [item_key(item) for item in items]
        bad.setdefault(split, {}).update(
            {start + i: _without(said[name], name) for i, name in enumerate(names) if name in said}
        )
        if progress:
            progress(len(items))
    return Seen(data, rolled(data, bad), keys)


def _look_at_all(
    data: Data, shelf: Shelf, known: dict[str, bytes], progress: Callable[[int], None] | None
) -> Seen:
    count = sum(len(data.splits[split]) for split in SPLITS)
    looks = Looks(
        np.zeros((count, 2), np.int64), np.zeros(count, np.uint8), np.zeros(count, np.uint64), shelf
    )
    bad: dict[str, dict[int, str]] = {}
    keys: list[bytes | None] = []
    with ThreadPoolExecutor(max_workers=THREADS) as threads:
        for split, start, names, items in _blocks(data, AT_A_TIME):
            own = list(threads.map(partial(_key, known=known), items))
            shelf.missing([key for key in own if key is not None])  # what other processes wrote
            found = list(threads.map(partial(_look, shelf=shelf), items, own, names))
            thumbnails = np.zeros((len(items), SIDE, SIDE), np.uint8)
            for i, (seen, _) in enumerate(found):
                place = len(keys) + i
                if isinstance(seen, str):
                    bad.setdefault(split, {})[start + i] = seen
                    continue
                thumbnails[i] = seen.thumbnail
                looks.sizes[place] = seen.width, seen.height
                looks.modes[place] = MODES.index(seen.mode)
            looks.hashes[len(keys) : len(keys) + len(items)] = hashes(thumbnails)
            fresh = {
                key: seen.packed()
                for key, (seen, new) in zip(own, found, strict=True)
                if new and key is not None and not isinstance(seen, str)
            }
            shelf.put(list(fresh), list(fresh.values()))
            keys += own
            if progress:
                progress(len(items))
    return Seen(data, rolled(data, bad), keys, looks)


def _blocks(data: Data, size: int) -> Iterator[tuple[str, int, list[str], list[Any]]]:
    for split in SPLITS:
        dataset = data.splits[split].select_columns(["id", "item"])
        for start in range(0, len(dataset), size):
            block = dataset[start : start + size]
            yield split, start, block["id"], block["item"]


def _key(item: Mapping[str, Any], known: dict[str, bytes]) -> bytes | None:
    with suppress(BadData):
        return item_key(item, known)
    return None


def _look(item: Mapping[str, Any], key: bytes | None, name: str, shelf: Shelf) -> tuple[Look | str, bool]:
    """A look, or why there is none; and whether it was taken now."""
    record = None if key is None else shelf.get(key)
    if record is not None:
        return unpacked(record), False
    try:
        return look(item, name), True
    except BadData as error:
        return _without(str(error), name), True


def _without(message: str, name: str) -> str:
    """A message without the name that it begins with."""
    return message.removeprefix(f"{name} ")
