"""What was computed once and kept: list it, check it, remove it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import BadOption, NoData, UnknownName
from tunesmith.registry import did_you_mean

if TYPE_CHECKING:
    from tunesmith.store import Store

ACTIONS = ("ls", "verify", "clear")
ASKED = "it can be computed again, but that takes its time"


def store(
    action: str = "ls", keys: Sequence[str] | None = None, *, folder: str | None = None, yes: bool = False
) -> list[dict[str, Any]]:
    """What is kept of frozen stages and decoded data: list it, check it or remove it.

    A row per shelf, with its key and what it holds. ls adds records, bytes and last use; verify reads
    everything and adds the records that are damaged; clear says whether the shelf was removed, which one
    that a process uses is not. Nothing in a store is needed: what is missing is computed again.

    action: ls, verify or clear.
    keys: only shelves whose keys begin so; all of them when none is named.
    folder: where the store lies; by default in tunesmith's cache.
    yes: clear without asking.
    """
    if action not in ACTIONS:
        raise UnknownName(
            f"no action {action!r}{did_you_mean(action, ACTIONS) or ';'} store can {', '.join(ACTIONS)}."
        )
    opened, chosen = _opened(folder), tuple(keys or ())
    known = {info.key: info for info in opened.shelves()}
    for start in chosen:
        if not any(key.startswith(start) for key in known):
            raise UnknownName(
                f"no shelf in {opened.folder} has a key that begins with {start!r}; "
                f"`tunesmith store ls` lists them."
            )
    within = {key: info for key, info in known.items() if not chosen or key.startswith(chosen)}
    if action == "verify":
        return [
            _named(c.key, c.about)
            | {
                "records": c.records,
                "damaged": c.damaged,
                "torn": c.torn,
                "sound": c.sound,
                "problem": c.problem,
            }
            for c in opened.verify(chosen)
        ]
    if action == "clear":
        if within and not yes:
            total = sum(info.size for info in within.values())
            what = "1 shelf" if len(within) == 1 else f"{len(within)} shelves"
            raise BadOption(
                f"clear would remove {what} with {total:,} bytes ({ASKED}); "
                f"say --yes (in Python yes=True) if they should go."
            )
        removed = opened.clear(chosen).removed
        if not chosen:  # which engine was chosen for which network: chosen anew with the next fit
            from tunesmith.store import CHOICES

            shutil.rmtree(opened.folder / CHOICES, ignore_errors=True)
        return [
            _named(key, info.about) | {"size": info.size, "removed": key in removed}
            for key, info in within.items()
        ]
    return [
        _named(key, info.about)
        | {
            "records": info.records,
            "size": info.size,
            "last_used": _time(info.last_used),
            "problem": info.problem,
        }
        for key, info in within.items()
    ]


def _opened(folder: str | None) -> Store:
    from tunesmith.data.cache import cache_folder
    from tunesmith.store import Store

    if folder is not None and not Path(folder).expanduser().is_dir():
        raise NoData(f"there is no folder {folder}; without --folder the store in the cache is meant.")
    return Store(Path(folder).expanduser() if folder is not None else cache_folder() / "store")


def _named(key: str, about: Any) -> dict[str, Any]:
    """The key of a shelf and what its about says, where it says it."""
    return {"key": key} | {name: about.get(name) for name in ("what", "model", "cut", "engine")}


def _time(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds") if seconds else None
