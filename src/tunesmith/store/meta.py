"""What a shelf says about itself: meta.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.files import write_whole
from tunesmith.store.frames import LAYOUT

DAMAGED = "its meta.json is damaged"
NEWER = "a later version of tunesmith made it"


def read_meta(folder: Path) -> tuple[dict[str, Any] | None, str | None]:
    """What the records are, and what is wrong: (None, None) where no meta.json was written yet."""
    try:
        loaded = json.loads((folder / "meta.json").read_bytes())
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, RecursionError):
        return None, DAMAGED
    layout = loaded.get("layout") if isinstance(loaded, dict) else None
    if isinstance(layout, int) and layout > LAYOUT:
        return None, NEWER
    if layout != LAYOUT or not isinstance(loaded.get("about"), dict):
        return None, DAMAGED
    return loaded["about"], None


def write_meta(folder: Path, about: Mapping[str, Any]) -> None:
    """Write it whole; raises OSError."""
    write_whole(
        folder / "meta.json",
        json.dumps({"layout": LAYOUT, "about": dict(about)}, ensure_ascii=False, indent=1) + "\n",
    )
