"""How near data are to what a network was pretrained on, by what its weights keep of that.

A network with batch normalisation carries the mean and spread that each of its channels had over the
pretraining data. "shift" is how far the channels of these examples are from that, in standard deviations, as
the root mean square over channels and layers. Measured with a MobileNetV2 of ImageNet: 0.3 for photos, 0.6
to 0.7 for cells under a microscope and for drawings, 1.2 for noise. It needs no pretraining data and no head,
and means the same for all such networks. (Yin et al. 2020, arXiv:1912.08795, invert networks by it.)

Without batch normalisation, "confidence" is told where there is a source head: the mean probability of its
likeliest class (Hendrycks & Gimpel 2017, arXiv:1610.02136). It depends on how sure a network is by habit:
compare it between data sets, not between networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.networks.kinds import channel_axis, is_batch_norm
from tunesmith.networks.network import Network

SHIFT: Final = "shift"
CONFIDENCE: Final = "confidence"
EXAMPLES: Final = 16  # that run live for it: within 0.1 of what 48 give


@dataclass(frozen=True)
class Nearness:
    """A statistic, its value, and over how many examples."""

    statistic: str
    value: float
    examples: int

    def __str__(self) -> str:
        return f"{self.statistic} {self.value:.2f}"


def normalised(network: Network) -> list[nn.Module]:
    """The layers of the stages that keep statistics of the pretraining data."""
    inside = {m for stage in network.stages for path in stage.modules for m in _below(network, path)}
    return [m for m in network.module.modules() if m in inside and _keeps(m)]


def shift(network: Network, inputs: Any, *, chunk: int = 16) -> Nearness | None:
    """How far channels are from their pretraining; None for a network without batch normalisation.

    inputs: as a task's collate makes them, images uint8 [B, 3, H, W]. They run through the live network.
    """
    layers = normalised(network)
    if not layers:
        return None
    sums: dict[nn.Module, list[Tensor]] = {layer: [] for layer in layers}

    def watch(layer: nn.Module) -> Callable[..., None]:
        axis = channel_axis(layer)

        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            x = given[0].detach()
            var, mean = torch.var_mean(x, [d for d in range(x.ndim) if d != axis], correction=0)
            count, var, mean = x.numel() / x.shape[axis], var.double(), mean.double()
            sums[layer].append(count * torch.stack([mean, var + mean**2, torch.ones_like(mean)]))

        return hook

    hooks = [layer.register_forward_pre_hook(watch(layer)) for layer in layers]
    device = next(network.module.parameters()).device
    was = network.module.training
    network.module.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(inputs), chunk):
                network(inputs[start : start + chunk].to(device))
    finally:
        for hook in hooks:
            hook.remove()
        network.module.train(was)
    found = [_distance(layer, torch.stack(own).sum(0)) for layer, own in sums.items() if own]
    return Nearness(SHIFT, float(np.sqrt(np.mean(found))), len(inputs)) if found else None


def confidence(posteriors: np.ndarray) -> Nearness:
    """The mean of the largest source posterior, rows [N, S]."""
    return Nearness(CONFIDENCE, float(posteriors.max(1).mean()), len(posteriors))


def source_posteriors(network: Network, features: np.ndarray) -> np.ndarray | None:
    """What the head that the network was pretrained with makes of pooled features [N, D]: [N, S], or None.

    None where there is none, or where it takes anything but pooled features (a convolution, two layers).
    """
    head = network.source_head
    if head is None or head.in_features != features.shape[1]:
        return None
    W = head.weight.detach().cpu().double().numpy()
    logits = features.astype(np.float64) @ W.T
    if head.bias is not None:
        logits += head.bias.detach().cpu().double().numpy()
    chances = np.exp(logits - logits.max(1, keepdims=True))
    return chances / chances.sum(1, keepdims=True)  # type: ignore[no-any-return]


def _distance(layer: Any, sums: Tensor) -> float:
    """Squared distance of two Gaussians per channel, in the layer's own units; the channels' mean."""
    total, squares, count = sums
    mean = total / count
    spread = (squares / count - mean**2).clamp(min=0).sqrt()
    kept = layer.running_var.double()
    gap = (mean - layer.running_mean.double()) ** 2 + (spread - kept.sqrt()) ** 2
    return float((gap / (kept + layer.eps)).mean())


def _keeps(module: nn.Module) -> bool:
    return is_batch_norm(module) and module.running_mean is not None and bool(module.running_var is not None)


def _below(network: Network, path: str) -> list[nn.Module]:
    return list(network.module.get_submodule(path).modules())
