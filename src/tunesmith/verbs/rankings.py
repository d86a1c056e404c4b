"""The latest ranking of some data: kept by `rank`, asked by a fit that names nothing to compare with."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tunesmith.data.cache import cache_folder
from tunesmith.files import write_whole

if TYPE_CHECKING:
    from tunesmith.choosing.ranking import Ranking
    from tunesmith.data.data import Data

RANKING: Final = "ranking.json"  # in a run's folder: the one that a fit made, or the latest of the same data
LARGEST: Final = 10_000_000  # bytes; a ranking of a thousand networks has one million


def keep(ranking: Ranking, data: Data) -> None:
    """Keep a ranking for fits to come; where the disk refuses, they go without."""
    with suppress(OSError):
        write_whole(cache_folder("rankings") / f"{data.fingerprint}.json", ranking.to_json())


def latest(data: Data) -> str | None:
    """The latest ranking of exactly these examples and splits, as JSON; None: there is none."""
    path = cache_folder("rankings") / f"{data.fingerprint}.json"
    with suppress(OSError, UnicodeDecodeError):
        if path.stat().st_size <= LARGEST:
            return path.read_text(encoding="utf-8")
    return None
