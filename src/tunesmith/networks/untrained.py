"""The same architecture with random weights: what a network is worth without its pretraining."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tunesmith.networks.network import Network


def untrained(network: Network, *, seed: int) -> Network:
    """A copy of the network whose every stage begins from random numbers.

    Layers that know how are reset the way they were made (`reset_parameters`: linear, convolution,
    normalisation with its statistics, embedding). Parameters that stand outside of such layers (tokens and
    positions of vision transformers, scales of a block) are drawn anew from a normal distribution with the
    mean and spread that they have. The original is left alone, and so is the generator of random numbers.

    Raises what `copy.deepcopy` raises where a module cannot be copied.
    """
    module = copy.deepcopy(network.module)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for layer in module.modules():
            _reset(layer)
    return replace(network, module=module, origin=f"{network.origin} with random weights")


def _reset(layer: nn.Module) -> None:
    reset: Any = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.bias is None:
            # Normalised in training, but not by the fresh statistics of a network that never trained:
            # torch's own draw would let the signal die out over tens of layers; this one keeps its size
            # (He et al. 2015, arXiv:1502.01852).
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        return
    for weight in layer.parameters(recurse=False):
        if weight.is_floating_point() and weight.numel() > 1:
            spread, mean = torch.std_mean(weight.float())
            drawn = torch.randn(weight.shape) * spread.cpu() + mean.cpu()
            weight.copy_(drawn.to(weight))
