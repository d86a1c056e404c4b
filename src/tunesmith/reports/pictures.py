"""Pictures with what an answer rests on laid over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tunesmith.networks.preprocess import ImagePreprocess

STRENGTH: Final = 0.7  # of the colour over the warmest place
WARM: Final = ((120, 0, 90), (255, 90, 0), (255, 235, 90))  # from cool to hot


def warmed(
    pixels: NDArray[np.uint8], heat: NDArray[np.float64], preprocess: ImagePreprocess
) -> NDArray[np.uint8]:
    """The picture [H, W, 3] with a heat map over the square that the network saw; outside it nothing.

    heat: [h, w], 0 to 1, of any size.
    """
    from PIL import Image

    H, W = pixels.shape[:2]
    side = max(1, round(min(H, W) * preprocess.size / preprocess.resize))
    top, left = (H - side) // 2, (W - side) // 2
    grey = Image.fromarray(heat.astype(np.float32))
    grown = np.asarray(grey.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
    places = np.linspace(0, 1, len(WARM))
    colour = np.stack([np.interp(grown, places, channel) for channel in zip(*WARM, strict=True)], -1)
    share = STRENGTH * grown[..., None]
    out = pixels.astype(np.float64)
    seen = out[top : top + side, left : left + side]
    out[top : top + side, left : left + side] = (1 - share) * seen + share * colour
    result: NDArray[np.uint8] = out.round().astype(np.uint8)
    return result
