"""A batch of images beside PIL's own resize: the same pixels within two levels, the same refusals."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tunesmith.data.images import decode
from tunesmith.errors import BadData
from tunesmith.networks.pixels import covering, middle, stacked

NEAR = 2  # levels of 255: torch's weights have 16 bits, PIL's 22


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def scene(width: int, height: int, seed: int) -> Image.Image:
    """Hard edges, a slope and noise, in colour."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 60, (height, width, 3))
    pixels[: height // 2, : width // 3] += 190
    pixels[..., 1] += np.linspace(0, 100, width, dtype=int)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def item(content: bytes) -> dict[str, Any]:
    return {"path": None, "bytes": content}


def raw(content: bytes, *, size: int = 56, resize: int = 64, interpolation: str = "bicubic") -> np.ndarray:
    """One image, [size, size, 3]."""
    batch = stacked([item(content)], size=size, resize=resize, interpolation=interpolation)
    return batch[0].permute(1, 2, 0).numpy()


def by_pil(content: bytes, interpolation: str, size: int = 56, resize: int = 64) -> np.ndarray:
    """The reference: decoded, resized and cropped by PIL alone."""
    image = Image.fromarray(decode(item(content), at_least=(resize, resize)))
    scale = resize / min(image.size)
    width, height = (max(resize, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling[interpolation.upper()])
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


# -- the same pixels ----------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("width", "height"), [(90, 70), (300, 200), (40, 50), (200, 64), (1000, 700)])
def test_a_resized_image_is_two_levels_or_less_from_pils(
    width: int, height: int, interpolation: str, seed: int
) -> None:
    content = encoded(scene(width, height, seed), quality=95)
    found = raw(content, interpolation=interpolation)
    assert apart(found, by_pil(content, interpolation)) <= NEAR


def test_the_bound_tells_filters_and_crops_apart(seed: int) -> None:
    """The control: another filter, or a crop one pixel aside, is far outside the bound."""
    content = encoded(scene(300, 200, seed), quality=95)
    assert apart(raw(content), by_pil(content, "bilinear")) > 5 * NEAR
    assert apart(raw(content), np.roll(by_pil(content, "bicubic"), 1, axis=1)) > 5 * NEAR


@pytest.mark.parametrize("interpolation", ["nearest", "lanczos"])
def test_what_torch_has_no_filter_for_is_pils_to_the_last_bit(interpolation: str, seed: int) -> None:
    content = encoded(scene(300, 200, seed))
    assert np.array_equal(raw(content, interpolation=interpolation), by_pil(content, interpolation))


def test_an_image_on_its_side_is_set_upright_before_it_is_resized(seed: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(scene(300, 200, seed), exif=exif)
    assert apart(raw(content), by_pil(content, "bicubic")) <= NEAR
    assert apart(raw(content), by_pil(encoded(scene(300, 200, seed)), "bicubic")) > 5 * NEAR


@pytest.mark.parametrize("form", ["grey", "cmyk", "16 bits", "palette with alpha", "animated"])
def test_the_unusual_kinds_come_out_as_pils_within_the_bound(form: str, seed: int) -> None:
    image = scene(120, 90, seed)
    contents = {
        "grey": encoded(image.convert("L")),
        "cmyk": encoded(image.convert("CMYK")),
        "16 bits": encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG"),
        "palette with alpha": encoded(image.quantize(16), "PNG", transparency=3),
        "animated": encoded(image, "GIF", save_all=True, append_images=[scene(120, 90, seed + 1)]),
    }
    assert apart(raw(contents[form]), by_pil(contents[form], "bicubic")) <= NEAR


def test_the_batch_is_contiguous_and_no_image_depends_on_its_neighbours(seed: int) -> None:
    contents = [encoded(scene(80 + 7 * i, 90, seed + i)) for i in range(4)]
    batch = stacked([item(c) for c in contents], size=56, resize=64, interpolation="bicubic")
    assert batch.dtype == torch.uint8
    assert batch.is_contiguous()
    for one, content in zip(batch, contents, strict=True):
        assert np.array_equal(one.permute(1, 2, 0).numpy(), raw(content))
    assert not torch.equal(batch[0], batch[1])


def test_the_number_of_torchs_threads_changes_no_pixel(seed: int) -> None:
    content = encoded(scene(700, 500, seed))
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(raw(content))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0], found[1])


def test_the_middle_of_an_odd_side_leaves_the_larger_rest_after_it() -> None:
    pixels = np.arange(5, dtype=np.uint8).reshape(1, 5, 1).repeat(5, 0).repeat(3, 2)
    assert middle(pixels, 2)[0, :, 0].tolist() == [1, 2]


def test_an_image_of_the_right_size_is_not_touched() -> None:
    pixels = np.zeros((64, 80, 3), dtype=np.uint8)
    assert covering(pixels, 64, "bicubic") is pixels


# -- the same refusals --------------------------------------------------------------------------


def huge_png() -> bytes:
    """A header of 9,000 x 9,000 pixels and hardly anything behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def damaged(seed: int) -> Iterator[bytes]:
    image = scene(120, 90, seed)
    for form in ("JPEG", "PNG", "WEBP"):
        content = encoded(image, form)
        yield from (content[: len(content) * tenth // 10] for tenth in range(10))
    yield encoded(image, progressive=True)[:-400]
    yield b"<!DOCTYPE html><html><body>404</body></html>"
    yield huge_png()


def answer(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    try:
        stacked([{"path": str(path), "bytes": None}], size=56, resize=64, interpolation="bicubic")
    except BadData as error:
        return str(error)
    return ""


def refusal(path: Path) -> str:
    try:
        decode({"path": str(path), "bytes": None})
    except BadData as error:
        return str(error)
    return ""


def test_what_cannot_be_decoded_whole_is_refused_in_the_words_of_decode(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.jpg"
    for content in damaged(seed):
        assert answer(content, path).startswith(str(path))
        assert answer(content, path) == refusal(path)


def test_a_whole_file_is_not_refused(tmp_path: Path, seed: int) -> None:
    """The control of the test above."""
    assert answer(encoded(scene(120, 90, seed)), tmp_path / "a.jpg") == ""


def test_more_than_50_million_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    assert "9,000 × 9,000 pixels" in answer(huge_png(), tmp_path / "a.png")


def test_flipped_bits_give_an_image_or_a_refusal(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    content = encoded(scene(120, 90, seed))
    answers = set()
    for _ in range(60):
        flipped = bytearray(content)
        for place in random.integers(2, len(content), 3):
            flipped[place] ^= 1 << int(random.integers(8))
        answers.add(answer(bytes(flipped), tmp_path / "a.jpg") == "")
    assert answers == {True, False}
