"""Random changes to training images that leave their label true: transforms v2 on uint8 batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def shaken(tensor: Tensor, strength: float = 0.2, *, axis: int | None = None) -> Tensor:
    """Stored activations with each channel of each example scaled by 1 ± strength at random.

    tensor: [B, D], token states [B, T, D], maps [B, C, H, W] or [B, H, W, C]. axis: of maps the dimension of
    the channels; None: what their shape says, of square images. Changes of brightness per channel were the
    best of twenty in Bär et al. 2024 (FroFA, arXiv:2403.10519). Numbers are drawn from torch's global
    generator.
    """
    import torch

    from tunesmith.networks.kinds import axis_of_maps

    shape = [tensor.shape[0], *[1] * (tensor.ndim - 1)]
    channel = axis_of_maps(tensor, axis) if tensor.ndim == 4 else tensor.ndim - 1
    shape[channel] = tensor.shape[channel]
    return tensor * (1 + strength * (2 * torch.rand(shape, device=tensor.device) - 1))


def augmentation(name: str, size: int) -> Callable[[Tensor], Tensor] | None:
    """A function on uint8 images [B, 3, H, W], or None for "none".

    "flip": mirrors half of them. "standard": a crop of 50 to 100 % of the area (Szegedy et al. 2014,
    arXiv:1409.4842, with a milder scale, for small data), mirrored, brightness, contrast and
    saturation by up to 20 %. Every image draws its own numbers, from torch's global generator.
    """
    if name == "none":
        return None
    import torch
    from torchvision.transforms import v2

    steps: list[object] = [v2.RandomHorizontalFlip()]
    if name == "standard":
        steps = [
            v2.RandomResizedCrop(size, scale=(0.5, 1.0), antialias=True),
            *steps,
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
        ]
    change = v2.Compose(steps)
    return lambda images: torch.stack([change(image) for image in images])
