"""Where tunesmith keeps what it can make again: Arrow copies of data, extracted archives."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tunesmith.errors import BadOption


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


def _platform_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
