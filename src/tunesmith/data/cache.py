"""Where tunesmith keeps what it can make again: Arrow copies of data, extracted archives."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tunesmith.errors import BadOption, DiskFailed
from tunesmith.files import disk_failures

DAY: Final = 86_400  # seconds


def cache_folder(part: str = "") -> Path:
    """The folder of everything that can be made again, or a part of it; created when missing.

    TUNESMITH_CACHE names it; else it is `tunesmith` in the platform's folder for caches.

    Raises BadOption if it cannot be written: set TUNESMITH_CACHE to another folder.
    """
    named = os.environ.get("TUNESMITH_CACHE")
    folder = (Path(named).expanduser() if named else _platform_folder() / "tunesmith") / part
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOption(
            f"the cache folder {folder} cannot be made ({error.strerror}); "
            "set TUNESMITH_CACHE to a folder that can be written."
        ) from error
    return folder.resolve()


@contextmanager
def cache_failures(folder: Path) -> Iterator[None]:
    """What the disk of the cache refuses inside the block, as DiskFailed with the cure."""
    try:
        with disk_failures(folder, verb="used"):
            yield
    except DiskFailed as error:
        said = str(error).rstrip(".")
        raise DiskFailed(f"{said}; TUNESMITH_CACHE names the folder of the cache.") from error


def clear_leftovers(shelf: Path) -> None:
    """Remove what processes that were killed while writing left behind a day ago or more."""
    for path in shelf.glob("writing-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > DAY:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _platform_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
