"""A language model that is read by pooling its tokens, as sentence encoders are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

POOLINGS = ("mean", "cls", "last", "max")


class Pooled(nn.Module):
    """backbone -> pooling over the tokens of each text -> head.

    backbone: gives `last_hidden_state` [B, T, D] for token ids and an attention mask [B, T].
    pooling: "mean" of a text's tokens (Reimers & Gurevych 2019, arXiv:1908.10084), "cls" its first,
        "last" its last, "max" over them.
    """

    def __init__(self, backbone: nn.Module, pooling: str, features: int, outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pool = Pool(pooling)
        self.head = nn.Linear(features, outputs)

    def forward(self, **inputs: Any) -> Tensor:
        """Token tensors [B, T] to [B, K]."""
        states = self.backbone(**inputs).last_hidden_state
        return self.head(self.pool(states, inputs["attention_mask"]))  # type: ignore[no-any-return]


class Pool(nn.Module):
    """One vector per text from its tokens' states; padding does not count."""

    def __init__(self, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States [B, T, D] and mask [B, T] (1 token, 0 padding) to [B, D]."""
        if self.pooling == "cls":
            return states[:, 0]
        if self.pooling == "last":
            # shape, not len(): the latter would write the batch's size into an exported graph.
            return states[torch.arange(states.shape[0], device=states.device), mask.sum(1) - 1]
        weights = mask.unsqueeze(-1).to(states.dtype)
        if self.pooling == "max":
            return states.masked_fill(weights == 0, -torch.inf).amax(1)
        return mean_of_tokens(states, mask)


def mean_of_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """States [B, T, D] averaged over the tokens that mask [B, T] marks with 1, to [B, D]."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)
