"""One look at each image: whether it can be read, its size and mode, and a thumbnail to compare it by."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from tunesmith.data.images import FORMATS, decode
from tunesmith.errors import BadData

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE: Final = 32  # pixels of the thumbnail, which perceptual hashes are made of
SHOWN: Final = 160  # pixels of the longer side on a page
QUALITY: Final = 80  # of JPEGs on a page
MODES: Final = ("RGB", "L", "RGBA", "CMYK", "P", "LA", "1", "I;16", "I", "F", "YCbCr", "PA", "other")
_HEADER: Final = struct.Struct("<IIB")


class Look(NamedTuple):
    """What one look at an image tells.

    width, height: in pixels, as the file says, before any rotation. mode: as PIL calls it.
    thumbnail: uint8 [32, 32], grey, upright, squeezed to a square.
    """

    width: int
    height: int
    mode: str
    thumbnail: NDArray[np.uint8]

    def packed(self) -> bytes:
        """The look as a record: 1,033 bytes."""
        return _HEADER.pack(self.width, self.height, MODES.index(self.mode)) + self.thumbnail.tobytes()


def unpacked(record: bytes | memoryview) -> Look:
    """The look that a record holds."""
    width, height, mode = _HEADER.unpack_from(record)
    pixels = np.frombuffer(record, np.uint8, offset=_HEADER.size).reshape(SIDE, SIDE)
    return Look(width, height, MODES[mode], pixels)


def look(item: Mapping[str, Any], name: str = "") -> Look:
    """Decode an image, at reduced size where its format can do so, and keep what there is to compare.

    Raises BadData, with the reason, for one that cannot be read; `name` is what the message calls it.
    """
    from PIL import Image

    pixels = decode(item, at_least=(SIDE, SIDE), name=name)  # checks size and format before anything else
    grey = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    width, height, mode = _header(item)
    return Look(width or pixels.shape[1], height or pixels.shape[0], mode, np.asarray(grey))


def _header(item: Mapping[str, Any]) -> tuple[int, int, str]:
    """Width, height and mode as the file says; 0, 0 and "other" where it cannot be asked a second time."""
    from PIL import Image

    source: Any = io.BytesIO(item["bytes"]) if item.get("bytes") is not None else item["path"]
    try:
        with Image.open(source, formats=FORMATS) as header:
            return header.width, header.height, header.mode if header.mode in MODES else "other"
    except Exception:  # noqa: BLE001 (PIL's readers raise anything, and the pixels are sound)
        return 0, 0, "other"


def hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A perceptual hash of each thumbnail: 64 bits that change little when an image does.

    The signs of the 8 × 8 lowest frequencies of a discrete cosine transform against their median (Zauner
    2010, "Implementation and benchmarking of perceptual image hash functions"); the mean brightness does
    not count.

    thumbnails: [N, 32, 32]. Returns [N].
    """
    from scipy.fft import dctn  # type: ignore[import-untyped]

    found = np.empty(len(thumbnails), np.uint64)
    for start in range(0, len(thumbnails), 4096):
        some = thumbnails[start : start + 4096].astype(np.float32)
        low = dctn(some, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(some), 64)
        bits = low > np.median(low[:, 1:], axis=1, keepdims=True)
        bits[:, 0] = False
        found[start : start + 4096] = np.packbits(bits, axis=1).view(">u8").ravel()
    return found


def small(item: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The pixels [H, W, 3] of an image as pages show it: upright, at most 160 a side.

    item: {"path", "bytes"} as the data hold it. Raises BadData if it cannot be decoded.
    """
    from PIL import Image

    image = Image.fromarray(decode(item, at_least=(SHOWN, SHOWN)))
    image.thumbnail((SHOWN, SHOWN))
    return np.asarray(image)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a JPEG file of [H, W, 3]."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def picture_of(item: Mapping[str, Any]) -> bytes | None:
    """An image as a small JPEG; None if it cannot be read."""
    try:
        return jpeg(small(item))
    except BadData:
        return None
