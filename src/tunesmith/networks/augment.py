"""Random changes to training images that leave their label true: transforms v2 on uint8 batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
