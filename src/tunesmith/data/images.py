"""Images: from a path or bytes to RGB pixels, and which ones cannot be read."""

from __future__ import annotations

import io
import math
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.data.data import Finding
from tunesmith.errors import BadData, BadOption

if TYPE_CHECKING:
    import datasets
    from numpy.typing import NDArray
    from PIL import Image

FORMATS: Final = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
DRAFTED: Final = ("JPEG", "MPO")  # MPO: a JPEG with others behind it
MOST_PIXELS: Final = 50_000_000
MOST_WORK: Final = 20 * MOST_PIXELS  # pixels times scans; a progressive JPEG has about 10 scans
_AT_A_TIME: Final = 64
_SIDEWAYS: Final = (5, 6, 7, 8)


def decode(
    item: Mapping[str, Any], *, at_least: tuple[int, int] | None = None, name: str = ""
) -> NDArray[np.uint8]:
    """The pixels of an image: uint8 [H, W, 3], RGB, upright.

    EXIF orientation is applied, transparency lies over white, 16-bit grey is scaled to 8 bits, and
    an animation gives its first frame. Colour profiles are not applied, as torchvision and timm
    do not either: the networks were trained so. Orientation that cannot be read is none.

    item: {"path": str | None, "bytes": bytes | None}; bytes win.
    at_least: (H, W) in pixels that the result must still cover. A larger JPEG is then decoded at
        1/2, 1/4 or 1/8 of its size, which is several times faster; None decodes at full size.
    name: what a message calls the image; its path when empty.

    Raises BadData, with the reason, for a file that is missing, damaged, no image of a known
    format, or of more than 50 million pixels. A JPEG that is not progressive may have more, up to PIL's
    own 179 million, if it has fewer at the scale that it is decoded at.
    """
    name = name or item.get("path") or "an image in memory"
    try:
        with _quiet():
            return _decoded(item, at_least)
    except BadData as error:
        raise BadData(f"{name} {error}") from None
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        verb = "be read" if error.strerror else "be decoded as an image"
        raise BadData(f"{name} cannot {verb} ({reason}).") from error
    # PIL's readers let through whatever a damaged file makes them stumble on: struct.error,
    # SyntaxError, IndexError and others have been seen.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadData(f"{name} cannot be decoded as an image ({reason}).") from error


def unreadable(dataset: datasets.Dataset, *, threads: int = 2) -> list[Finding]:
    """A finding for every image that cannot be decoded, in the order of the dataset.

    Every image is decoded, at reduced size where its format can do so; only a few lie in memory at
    a time. The result does not depend on the number of threads.
    """
    if threads < 1:
        raise BadOption(f"threads counts from 1; found {threads!r}.")
    findings: list[Finding] = []
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for batch in _batches(dataset):
            found = pool.map(_finding, batch["id"], batch["item"])
            findings.extend(finding for finding in found if finding is not None)
    return findings


def _batches(dataset: datasets.Dataset) -> Iterator[dict[str, list[Any]]]:
    yield from dataset.select_columns(["id", "item"]).iter(batch_size=_AT_A_TIME)


def _finding(name: str, item: Mapping[str, Any]) -> Finding | None:
    try:
        decode(item, at_least=(1, 1), name=name)
    except BadData as error:
        return Finding("unreadable", name, str(error))
    return None


def _decoded(item: Mapping[str, Any], at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    source: Any
    if item.get("bytes") is not None:
        size, source = len(item["bytes"]), io.BytesIO(item["bytes"])
    else:
        path = item["path"]
        if not os.path.isfile(path):  # noqa: PTH113 (a Path per image costs more than the call)
            raise BadData("is not there any more.")
        size, source = os.path.getsize(path), path  # noqa: PTH202
    if size == 0:
        raise BadData("is empty (0 bytes).")
    try:
        opened = Image.open(source, formats=FORMATS)
    except UnidentifiedImageError:
        raise BadData(f"is no image of a known format ({', '.join(FORMATS)}).") from None
    except Image.DecompressionBombError:
        raise BadData(f"has more than {MOST_PIXELS:,} pixels, the most allowed; make it smaller.") from None
    with opened as image:
        if image.info.get("progressive") and size > 1000:
            _check_scans(image, item)
        width, height = image.size
        if width * height <= MOST_PIXELS or _row_by_row(image, item):
            _draft(image, at_least)
        if image.width * image.height > MOST_PIXELS:
            scale = math.sqrt(MOST_PIXELS / (width * height))
            raise BadData(
                f"has {width:,} × {height:,} pixels, more than the {MOST_PIXELS:,} allowed; make it "
                f"smaller, of {max(1, int(width * scale)):,} × {max(1, int(height * scale)):,} at the most."
            )
        image.load()
        return np.array(_rgb(_upright(image)), dtype=np.uint8)


def _check_scans(image: Image.Image, item: Mapping[str, Any]) -> None:
    """Every scan of a progressive JPEG goes over all pixels, and takes ten bytes of a file to ask for."""
    scans = _content(item).count(b"\xff\xda")
    if scans * image.width * image.height > MOST_WORK:
        raise BadData(f"has {scans:,} scans, which take longer to decode than any photo does; save it again.")


def _content(item: Mapping[str, Any]) -> bytes:
    inside: bytes | None = item.get("bytes")
    return Path(item["path"]).read_bytes() if inside is None else inside


def _row_by_row(image: Image.Image, item: Mapping[str, Any]) -> bool:
    """Whether this is a JPEG that is decoded a few rows at a time: all its colours lie in one scan.

    Of others libjpeg holds 6 bytes a pixel, however small the scale that it is asked for.
    """
    if image.format not in DRAFTED or image.info.get("progressive"):
        return False
    content, place = _content(item), 2
    while content[place : place + 1] == b"\xff":
        marker, length = content[place + 1 : place + 2], content[place + 2 : place + 4]
        if marker == b"\xda":
            return content[place + 4 : place + 5] == bytes([len(image.getbands())])
        place += 2 + int.from_bytes(length, "big")
    return False


def _draft(image: Image.Image, at_least: tuple[int, int] | None) -> None:
    """Have a JPEG decoded at the smallest scale that still covers `at_least`, either way up."""
    if at_least is None or image.format not in DRAFTED:
        return
    height, width = at_least
    if _orientation(image) in _SIDEWAYS:
        height, width = width, height
    image.draft(None, (width, height))


def _orientation(image: Image.Image) -> int:
    """EXIF's number from 1 (upright) to 8; 1 where there is none that can be read."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # noqa: BLE001 (PIL's readers raise anything here, and the pixels are sound)
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """The image turned and mirrored as its EXIF data say; a TIFF is so once it is loaded."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, scaled; floats and 32-bit integers are taken to be 0..1 or 0..65535."""
    from PIL import Image

    with np.errstate(invalid="ignore"):  # of a signalling NaN, which the next line finds
        values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise BadData("holds values that are not finite.")
    top = 1.0 if image.mode == "F" and values.max(initial=0.0) <= 1.0 else 65535.0
    scaled = np.round(np.clip(values / top, 0.0, 1.0) * 255.0)
    clear = image.info.get("transparency")
    if isinstance(clear, int):  # the one grey of a 16-bit PNG that is transparent
        scaled[values == clear] = 255.0
    return Image.fromarray(scaled.astype(np.uint8))


_PASSED_OVER = ("ignore", None, Warning, re.compile("PIL"), 0)
_lock = threading.Lock()
_inside = 0


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of PIL's: the answer is an image or BadData, whatever a reader stumbled on.

    `warnings.catch_warnings` is not for threads: here the first one in adds a filter that concerns
    PIL alone, and the last one out takes it away.
    """
    global _inside
    _silence()
    with _lock:
        if _inside == 0:
            warnings.filterwarnings("ignore", module="PIL")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                with suppress(ValueError):  # somebody else put other filters in place
                    warnings.filters.remove(_PASSED_OVER)  # type: ignore[attr-defined]


@cache
def _silence() -> None:
    """Keep libtiff, and PIL's log where nobody listens to it, from writing to standard error."""
    import ctypes
    import logging

    from PIL import _imaging

    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(OSError, AttributeError):  # where PIL hides its libtiff
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)
