from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tunesmith.data.images import decode, unreadable
from tunesmith.data.read import read, read_items
from tunesmith.errors import BadData, BadOption


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> dict[str, Any]:
    file = io.BytesIO()
    image.save(file, form, **options)
    return {"path": None, "bytes": file.getvalue()}


def test_pixels_come_back_as_rgb(pixels: np.ndarray) -> None:
    array = decode(encoded(Image.fromarray(pixels)))
    assert array.dtype == np.uint8
    assert (array == pixels).all()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_pixel(pixels: np.ndarray, form: str) -> None:
    assert (decode(encoded(Image.fromarray(pixels), form)) == pixels).all()


def test_an_image_on_its_side_is_set_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = Image.new("RGB", (40, 20))
    assert decode(encoded(wide, "JPEG", exif=exif)).shape == (40, 20, 3)


def test_transparency_lies_over_white() -> None:
    clear = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    half = Image.new("LA", (1, 1), (0, 128))
    assert decode(encoded(clear)).tolist() == [[[255, 255, 255]]]
    assert decode(encoded(half)).tolist() == [[[127, 127, 127]]]


def test_a_transparent_colour_of_a_palette_lies_over_white() -> None:
    image = Image.new("P", (1, 1), 0)
    image.putpalette([10, 20, 30])
    assert decode(encoded(image)).tolist() == [[[10, 20, 30]]]
    assert decode(encoded(image, transparency=0)).tolist() == [[[255, 255, 255]]]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    image = Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.uint16))
    assert decode(encoded(image))[0, :, 0].tolist() == [0, 128, 255]


def test_cmyk_becomes_rgb() -> None:
    red = decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(red[4, 4].astype(int) - [255, 0, 0]).max() < 6


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    item = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(item)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("at_least", "shape"), [(None, (800, 1600)), ((100, 200), (100, 200)), ((101, 200), (200, 400))]
)
def test_a_large_jpeg_is_decoded_at_a_scale_that_still_covers(
    at_least: tuple[int, int] | None, shape: tuple[int, int]
) -> None:
    item = encoded(Image.new("RGB", (1600, 800)), "JPEG")
    assert decode(item, at_least=at_least).shape == (*shape, 3)


def test_what_is_to_be_covered_is_meant_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    item = encoded(Image.new("RGB", (1600, 800)), "JPEG", exif=exif)
    assert decode(item, at_least=(200, 100)).shape == (200, 100, 3)


def bad(kind: str) -> bytes:
    whole = encoded(Image.effect_noise((64, 64), 50), "JPEG")["bytes"]
    png = encoded(Image.effect_noise((64, 64), 50))["bytes"]
    kinds: dict[str, bytes] = {
        "text": b"hello, I am no image",
        "empty": b"",
        "truncated JPEG": whole[: len(whole) // 2],
        "truncated PNG": png[: len(png) // 2],
        "header only": whole[:20],
        "damaged PNG": png[:60] + b"\xff" * 40 + png[100:],
        "PDF": b"%PDF-1.4",
    }
    return kinds[kind]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("text", "is no image of a known format"),
        ("empty", r"is empty \(0 bytes\)"),
        ("truncated JPEG", "truncated"),
        ("truncated PNG", "truncated"),
        ("header only", "cannot be decoded|no image"),
        ("damaged PNG", "cannot be decoded"),
        ("PDF", "is no image of a known format"),
    ],
)
def test_what_cannot_be_decoded_has_a_reason(tmp_path: Path, kind: str, reason: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(bad(kind))
    with pytest.raises(BadData, match=rf"a\.jpg .*({reason})"):
        decode({"path": str(path), "bytes": None})


def test_any_cut_of_a_file_is_an_error_or_an_image_but_no_traceback() -> None:
    for form in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"):
        whole = encoded(Image.effect_noise((16, 16), 50).convert("RGB"), form)["bytes"]
        for end in range(0, len(whole), 37):
            try:
                assert decode({"bytes": whole[:end]}, name="cut").shape[2] == 3
            except BadData as error:
                assert str(error).startswith("cut ")  # noqa: PT017


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"gone\.jpg is not there any more"):
        decode({"path": str(tmp_path / "gone.jpg"), "bytes": None})


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    item = encoded(Image.new("1", (8000, 7000)))
    with pytest.raises(BadData, match=r"8,000 × 7,000 pixels, more than the 50,000,000 allowed"):
        decode(item)


def test_a_photo_of_a_camera_with_many_pixels_is_decoded_at_a_smaller_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tunesmith.data.images.MOST_PIXELS", 5_000)
    wide = Image.new("RGB", (200, 100))
    assert decode(encoded(wide, "JPEG"), at_least=(12, 12)).shape == (13, 25, 3)
    refused = r"has 200 × 100 pixels, more than the 5,000 allowed; make it smaller, of 100 × 50 at the most"
    for item, at_least in [
        (encoded(wide, "JPEG"), None),
        (encoded(wide, "JPEG"), (60, 60)),
        (encoded(wide, "PNG"), (12, 12)),
        # libjpeg holds all of these two, at whatever scale.
        (encoded(wide, "JPEG", progressive=True), (12, 12)),
        (in_three_scans(encoded(wide, "JPEG")), (12, 12)),
    ]:
        with pytest.raises(BadData, match=refused):
            decode(item, at_least=at_least)


def in_three_scans(item: dict[str, Any]) -> dict[str, Any]:
    """A JPEG whose first scan says that it holds one colour only."""
    content = item["bytes"]
    place = content.index(b"\xff\xda")
    first = b"\xff\xda\0\x08\x01" + content[place + 5 : place + 7] + b"\0\x3f\0"
    length = int.from_bytes(content[place + 2 : place + 4], "big")
    return {"path": None, "bytes": content[:place] + first + content[place + 2 + length :]}


def test_a_photo_with_others_behind_it_is_decoded_at_a_smaller_scale(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (1600, 800), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "MPO"
    pixels = decode({"path": str(tmp_path / "a.jpg"), "bytes": None}, at_least=(100, 100))
    assert pixels.shape == (100, 200, 3)
    assert pixels[50, 100, 0] > 250


def test_unreadable_images_are_found_in_order(photos: Path) -> None:
    (photos / "cat" / "3.jpg").write_bytes(bad("truncated JPEG"))
    (photos / "dog" / "1.png").write_bytes(b"")
    rows = read_items(photos, takes="image")
    found = unreadable(rows, threads=1)
    assert [(f.kind, f.where) for f in found] == [
        ("unreadable", "cat/3.jpg"),
        ("unreadable", "dog/1.png"),
    ]
    assert found[1].message == "dog/1.png is empty (0 bytes)."
    assert unreadable(rows, threads=4) == found


def test_no_finding_where_every_image_is_whole(photos: Path) -> None:
    assert unreadable(read(photos).train) == []


def test_threads_count_from_1(photos: Path) -> None:
    with pytest.raises(BadOption, match="threads counts from 1"):
        unreadable(read(photos).train, threads=0)
