"""Images at the size that a network takes: decoded, resized and cropped, a batch as one tensor.

PIL decodes, so that what is refused, and in which words, is said in one place (`data/images`); it
is as fast at that as torchvision and gives the same bytes. Its resize took three quarters of the
time: torch has the same antialiased filters for uint8, four times as fast on a processor with AVX2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.data.images import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BY_TORCH: Final = ("bilinear", "bicubic")
FAR: Final = 16  # times longer than wide; no photo is


def stacked(items: Sequence[Mapping[str, Any]], *, size: int, resize: int, interpolation: str) -> Tensor:
    """The middle of every image: uint8 [B, 3, size, size], contiguous.

    The same file gives the same pixels in every batch, process and thread, on processors with and
    without AVX2. One core works, however many threads torch has: the others belong to the training
    beside it. (Decoding on two threads gained a fifth for half as much work again.)

    items: {"path", "bytes"} as the data hold them.
    size: pixels a side of the square that is cut from the middle.
    resize: pixels of the shorter side before the cut, at least size.
    interpolation: as PIL calls it; see `covering`.

    Raises BadData, with the reason, for the first image that cannot be decoded.
    """
    import torch

    batch = np.empty((len(items), 3, size, size), dtype=np.uint8)
    for i, item in enumerate(items):
        pixels = covering(seen(decode(item, at_least=(resize, resize))), resize, interpolation)
        # numpy copies on this thread; Tensor.copy_ would wake torch's pool for 150,000 values.
        batch[i] = middle(pixels, size).transpose(2, 0, 1)
    return torch.from_numpy(batch)


def covering(pixels: NDArray[np.uint8], resize: int, interpolation: str) -> NDArray[np.uint8]:
    """The image [H, W, 3] with `resize` pixels on its shorter side, in its own proportions.

    "bilinear" and "bicubic" are torch's, antialiased: at most 2 of 255 levels from PIL's, as its
    weights have 16 bits instead of 22. Images over twice as high as wide may differ by more, in
    hard edges: PIL works on their height first since version 13, torch always on the width.
    "nearest" and "lanczos" are PIL's.
    """
    H, W = pixels.shape[:2]
    scale = resize / min(H, W)
    shape = max(resize, round(H * scale)), max(resize, round(W * scale))
    if shape == (H, W):
        return pixels
    return (_by_torch if interpolation in BY_TORCH else _by_pil)(pixels, shape, interpolation)


def seen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part of [H, W, 3] that a square in the middle can be cut from; most images are that part.

    One of 1 x 60,000 pixels would have 13 million columns when 224 pixels high: of sides over 16
    times as long as the other, what lies further from the middle goes before the resize.
    """
    H, W = pixels.shape[:2]
    most = FAR * min(H, W)
    if max(H, W) <= most:
        return pixels
    most += (max(H, W) - most) % 2  # as much on either side
    top, left = max(0, (H - most) // 2), max(0, (W - most) // 2)
    return pixels[top : top + most, left : left + most]


def middle(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The square of `size` pixels a side in the middle of [H, W, 3]."""
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


def _by_torch(pixels: NDArray[np.uint8], shape: tuple[int, int], interpolation: str) -> NDArray[np.uint8]:
    import torch
    from torch.nn.functional import interpolate

    # [1, 3, H, W] by strides alone: torch resizes interleaved channels without sorting them first.
    image = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
    resized = interpolate(image, shape, mode=interpolation, antialias=True)
    result: NDArray[np.uint8] = resized[0].permute(1, 2, 0).numpy()
    return result


def _by_pil(pixels: NDArray[np.uint8], shape: tuple[int, int], interpolation: str) -> NDArray[np.uint8]:
    from PIL import Image

    height, width = shape
    kind = Image.Resampling[interpolation.upper()]
    return np.asarray(Image.fromarray(pixels).resize((width, height), kind))
