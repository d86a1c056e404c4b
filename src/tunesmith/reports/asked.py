"""What of a network's outputs is explained: the odds of a class, or a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

Asked = Callable[["Tensor"], "Tensor"]  # outputs [B, K] to what is explained of each, [B]


def odds_of(answer: int) -> Asked:
    """The log odds of a class, log p / (1 - p): what all logits share says nothing of the answer."""

    def asked(logits: Tensor) -> Tensor:
        others = torch.cat([logits[:, :answer], logits[:, answer + 1 :]], dim=1)
        return logits[:, answer] - others.logsumexp(1)

    return asked


def number_of(column: int, *, up: bool = True) -> Asked:
    """A column's number; up: whether what raises it is asked for, or what lowers it."""
    sign = 1.0 if up else -1.0
    return lambda outputs: sign * outputs[:, column]
