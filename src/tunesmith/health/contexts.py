"""Questions: which contexts are asked about in more than one split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.data import SPLITS
from tunesmith.data.pairs import apart
from tunesmith.health.finding import Finding
from tunesmith.health.repeats import TEST, leaks, sets

if TYPE_CHECKING:
    from tunesmith.health.seen import Seen


def shared_contexts(seen: Seen) -> list[Finding]:
    """Contexts in two splits or more, with a question of each: who learned from one has read it."""
    roll = seen.roll
    number: dict[str, int] = {}
    context = np.empty(len(roll), np.int64)
    place = 0
    for split in SPLITS:
        for block in seen.data.splits[split].select_columns(["item"]).iter(batch_size=1000):
            for item in block["item"]:
                context[place] = number.setdefault(apart(item)[1], len(number))
                place += 1
    across = [group for group in sets(context, roll.usable) if len(set(roll.splits[group])) > 1]
    if not across:
        return []
    first = [group[np.sort(np.unique(roll.splits[group], return_index=True)[1])] for group in across]
    asked = int((leaks(roll, across) & (roll.splits == TEST)).sum())
    return [roll.finding("contexts_across", "warning", first, leaked=asked)]
