"""Images that are not files yet: arrays, tensors and PIL images, turned into PNG bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.errors import BadData

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encoded(value: Any, where: str) -> bytes | None:
    """PNG bytes of a PIL image, an array or a tensor; None if it is none of these.

    Raises BadData, naming `where`, for an array that is no image.
    """
    if hasattr(value, "getexif") and hasattr(value, "save"):
        return png_of_picture(value, where)
    if callable(getattr(value, "detach", None)) and callable(getattr(value, "cpu", None)):
        return png_of_array(value.detach().cpu().numpy(), where, channels_first=True)
    if isinstance(value, np.ndarray):
        return png_of_array(value, where)
    return None


def png_of_array(array: NDArray[Any], where: str, *, channels_first: bool = False) -> bytes:
    """PNG bytes of pixels.

    array: [H, W], [H, W, C] or [C, H, W] with C of 1, 3 or 4; whole numbers from 0 to 255, 16-bit
        numbers (scaled), truth values, or floats from 0 to 1.
    channels_first: how an array is read that could be either.

    Raises BadData, naming `where`, for other shapes and values.
    """
    from PIL import Image

    pixels = _eight_bits(_channels_last(array, where, channels_first), where)
    if pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return _png(Image.fromarray(np.ascontiguousarray(pixels)))


def png_of_picture(picture: Any, where: str) -> bytes:
    """PNG bytes of a PIL image, upright. Raises BadData if it cannot be read."""
    from PIL import ImageOps

    try:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        if upright.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
            upright = upright.convert("I;16" if upright.mode == "I" else "RGB")
        return _png(upright)
    except (OSError, SyntaxError, ValueError) as error:
        raise BadData(f"{where}: the image cannot be read ({error}).") from error


def _channels_last(array: NDArray[Any], where: str, channels_first: bool) -> NDArray[Any]:
    shape = array.shape
    if len(shape) == 2 and array.size:
        return array[:, :, None]
    if len(shape) == 3 and array.size:
        first, last = shape[0] in (1, 3, 4), shape[2] in (1, 3, 4)
        if first and (channels_first or not last):
            return array.transpose(1, 2, 0)
        if last:
            return array
    raise BadData(
        f"{where}: an array of shape {list(shape)} is no image; "
        "an image is [H, W], [H, W, C] or [C, H, W] with C of 1, 3 or 4."
    )


def _eight_bits(array: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "uif":
        raise BadData(f"{where}: an array of {array.dtype} is no image.")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # false for NaN too
            raise BadData(
                f"{where}: floats of an image lie between 0 and 1; found {low:g} to {high:g}; "
                "give the image as it is before it is normalised."
            )
        return np.round(array * 255.0).astype(np.uint8)
    if array.dtype == np.uint16:
        return np.round(array / 257.0).astype(np.uint8)
    if low < 0 or high > 255:
        raise BadData(f"{where}: pixels lie between 0 and 255; found {low} to {high}.")
    return array.astype(np.uint8)


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=1)
    return file.getvalue()
