"""Parts of examples as rows of features, which a probe in closed form can be asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Parts of a batch's examples: words, tokens, boxes, pixels.

    states: [n, D], what a stage hands on at each part.
    of: int64 [n], the row of the batch that each is a part of.
    targets: classes, int64 [n]; or float [n, K] of 0 and 1, where one of the parts of a batch's row is the
        answer to each of K questions (where does it begin, where does it end).
    places: int64 [n] from 0 on, what tells a part from others of its example whatever the network: its first
        character, its pixel.
    background: the class of parts that are nothing; None: there is none.
    """

    states: Tensor
    of: Tensor
    targets: Tensor
    places: Tensor
    background: int | None = None
