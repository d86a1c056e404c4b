"""Images that are legal come out right to the last pixel; all others are refused, silently and cheaply."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tunesmith.data.images import decode
from tunesmith.errors import BadData

FORMS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")


def item(content: bytes) -> dict[str, Any]:
    return {"path": None, "bytes": content}


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG written by hand; rows begin with 0. colour: 0 grey, 2 RGB, 3 palette, 4 LA, 6 RGBA."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + b"".join(more)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory: (tag, type, count, value)."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0) + tail


# -- right pixels -----------------------------------------------------------------------------------

TURNED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
    9: lambda a: a,  # no such orientation
    0: lambda a: a,
}


@pytest.mark.parametrize("number", TURNED)
@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_every_orientation_is_set_upright(number: int, form: str, options: dict[str, Any]) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    exif = Image.Exif()
    exif[0x0112] = number
    content = encoded(Image.fromarray(pixels), form, exif=exif, **options)
    assert np.array_equal(decode(item(content)), TURNED[number](pixels))


def test_an_orientation_that_cannot_be_read_is_none() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for broken in (
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02",
    ):
        assert np.array_equal(decode(item(encoded(Image.fromarray(pixels), exif=broken))), pixels)


def test_cmyk_is_mixed_as_inks_are() -> None:
    """(255 - C)(255 - K) / 255, by hand."""
    inks = Image.frombytes("CMYK", (2, 1), bytes([51, 102, 0, 0, 0, 255, 51, 51]))
    content = encoded(inks, "TIFF")
    assert decode(item(content)).tolist() == [[[204, 153, 255], [204, 0, 163]]]


def test_sixteen_bits_of_grey_are_scaled() -> None:
    """round(v / 257): 0x1234 = 4660 is 18.13, 0x80ff = 33023 is 128.49."""
    rows = b"\0" + struct.pack(">4H", 0, 0x1234, 0x80FF, 0xFFFF)
    assert decode(item(png(4, 1, 16, 0, rows)))[0, :, 0].tolist() == [0, 18, 128, 255]


def test_a_transparent_grey_of_sixteen_bits_lies_over_white() -> None:
    rows = b"\0" + struct.pack(">3H", 0, 0x1234, 0x1235)
    clear = chunk(b"tRNS", struct.pack(">H", 0x1234))
    assert decode(item(png(3, 1, 16, 0, rows, clear)))[0, :, 0].tolist() == [0, 255, 18]


def test_sixteen_bits_of_colour_keep_their_upper_eight() -> None:
    rows = b"\0" + struct.pack(">3H", 0x1234, 0x8000, 0xFFFF)
    assert decode(item(png(1, 1, 16, 2, rows)))[0, 0].tolist() == [0x12, 0x80, 0xFF]


def test_a_palette_with_alpha_lies_over_white() -> None:
    """255 - alpha (255 - colour) / 255: half of (0, 100, 255) is (127, 177, 255)."""
    palette = chunk(b"PLTE", bytes([0, 100, 255] * 3))
    alpha = chunk(b"tRNS", bytes([0, 128, 255]))
    found = decode(item(png(3, 1, 8, 3, b"\0\0\1\2", palette, alpha)))[0]
    assert np.abs(found.astype(int) - [[255, 255, 255], [127, 177, 255], [0, 100, 255]]).max() <= 1


@pytest.mark.parametrize(
    ("colour", "row"), [(4, struct.pack(">2H", 0, 0x8000)), (6, struct.pack(">4H", 0, 0, 0, 0x8000))]
)
def test_sixteen_bits_with_alpha_lie_over_white(colour: int, row: bytes) -> None:
    found = decode(item(png(1, 1, 16, colour, b"\0" + row)))
    assert np.abs(found.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    options = {"lossless": True} if form == "WEBP" else {}
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert decode(item(content))[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("profile", [b"no profile at all", b"\0" * 200])
def test_a_colour_profile_changes_no_pixel(profile: bytes) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    for form in ("PNG", "TIFF"):
        content = encoded(Image.fromarray(pixels), form, icc_profile=profile)
        assert profile in content or form == "PNG"  # PNG packs it
        assert np.array_equal(decode(item(content)), pixels)


@pytest.mark.parametrize("form", FORMS)
def test_one_pixel_is_an_image(form: str) -> None:
    assert decode(item(encoded(Image.new("RGB", (1, 1), (0, 0, 0)), form))).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (3, 10_001)])
def test_a_very_long_image_is_cut_before_it_is_resized(size: tuple[int, int]) -> None:
    """Left of the middle it is black, right of it white: so is the square in the middle.

    Of an odd number of columns the one in the middle is white: half of it lies left of the middle.
    """
    from tunesmith.networks.pixels import seen, stacked

    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[height // 2 if height > width else 0 :, width // 2 if width > height else 0 :] = 255
    assert max(seen(pixels).shape) <= 16 * min(size) + 1
    content = encoded(Image.fromarray(pixels))
    square = stacked([item(content)], size=32, resize=36, interpolation="bilinear")[0, 0].numpy()
    square = square.T if height > width else square
    assert square[:, :4].max() < square[:, -4:].min()
    white = 16 + max(size) % 2 * 36 / min(size) / 2
    assert abs(float(square.mean()) - 255 * white / 32) < 2


def test_a_photo_is_not_cut_before_it_is_resized() -> None:
    """The control: sides of up to 16 to 1 keep every pixel, so their results stay what they were."""
    from tunesmith.networks.pixels import seen

    panorama = np.zeros((10, 160, 3), np.uint8)
    assert seen(panorama) is panorama


# -- refusals -----------------------------------------------------------------------------------------


def noisy(form: str, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    return encoded(Image.fromarray(random.integers(0, 255, (60, 80, 3), dtype=np.uint8)), form)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_at_any_tenth_is_refused(form: str, tmp_path: Path, seed: int) -> None:
    whole = noisy(form, seed)
    path = tmp_path / "cut.jpg"
    for tenth in range(10):
        path.write_bytes(whole[: len(whole) * tenth // 10])
        with pytest.raises(BadData, match=r"cut\.jpg .*\."):
            decode({"path": str(path), "bytes": None})
    path.write_bytes(whole)  # the control
    assert decode({"path": str(path), "bytes": None}).shape == (60, 80, 3)


def test_a_page_that_is_called_a_photo_is_said_to_be_none() -> None:
    with pytest.raises(BadData, match="is no image of a known format"):
        decode(item(b"<!DOCTYPE html><html><body>404</body></html>"))


def test_a_photo_under_a_wrong_ending_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(Image.new("RGB", (2, 2), (9, 8, 7))))
    assert decode({"path": str(tmp_path / "a.jpg"), "bytes": None})[0, 0].tolist() == [9, 8, 7]


def test_a_progressive_photo_of_thousands_of_scans_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = encoded(Image.effect_noise((64, 64), 50), "JPEG", progressive=True)
    scan = content.rindex(b"\xff\xda")
    last = content[scan:-2]
    assert decode(item(content)).shape == (64, 64, 3)
    monkeypatch.setattr("tunesmith.data.images.MOST_WORK", 64 * 64 * 20)
    assert decode(item(content)).shape == (64, 64, 3)
    with pytest.raises(BadData, match=r"has 2\d\d scans, .* save it again"):
        decode(item(content[:-2] + last * 200 + content[-2:]))


def bombs() -> dict[str, bytes]:
    """Small files that ask for hundreds of megabytes."""
    wide = png(9000, 9000, 1, 0, b"\0" * 6)
    gif = (
        b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
        + b"\x2c"
        + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
    )
    webp = encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True)
    place = webp.index(b"VP8L") + 9
    tags = [(256, 4, 1, 20), (257, 4, 1, 20)]
    return {
        "9,000 x 9,000": wide,
        "12,000 x 12,000": png(12_000, 12_000, 8, 2, b"\0" * 6),
        "200,000 x 200,000": png(200_000, 200_000, 8, 2, b"\0" * 6),
        "gif": gif + b"\x02\x00\x3b",
        "webp": webp[:place] + b"\xff\xff\xff\x0f" + webp[place + 4 :],
        "bmp": b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 70, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 1, 1, 0, 0),
        "ppm": b"P6 60000 60000 255\n\0",
        "tiff": tiff((256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (273, 4, 1, 8)),
        "tiff of tags": tiff(*tags, *((1000 + i, 1, 600_000, 0) for i in range(60_000))),
        "tiff of counts": tiff(
            *tags, (273, 4, 0x3FFFFFFF, 8), (279, 4, 0x3FFFFFFF, 8), (258, 3, 0xFFFFFFF, 8)
        ),
        "tiff that loops": b"II*\0" + struct.pack("<IHI", 8, 0, 8),
        "texts": png(4, 4, 8, 2, b"\0" * 52, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(b"0" * 10**6))] * 80),
        "profile": png(
            4, 4, 8, 2, b"\0" * 52, chunk(b"iCCP", b"a\0\0" + zlib.compress(b"0" * 60 * 10**6, 9))
        ),
    }


def test_the_smallest_bomb_has_no_more_than_74_bytes() -> None:
    assert len(bombs()["9,000 x 9,000"]) <= 74


def test_bombs_are_refused_before_they_go_off(tmp_path: Path, probe: Callable[..., list[str]]) -> None:
    for number, content in enumerate(bombs().values()):
        (tmp_path / f"{number:02d}.png").write_bytes(content)
    (tmp_path / "99.png").write_bytes(noisy("PNG", 0))  # the control: this one is read
    said = probe(
        """
        from tunesmith.data.images import decode
        from tunesmith.errors import BadData

        def look(path):
            try:
                decode({"path": str(path), "bytes": None})
            except BadData as error:
                return "refused"
            return "read"

        paths = sorted(Path(sys.argv[1]).iterdir())
        look(paths[-1])
        for path in paths:
            answers = []
            print(round(grown(lambda: answers.append(look(path)))), *answers)
        """,
        tmp_path,
    )
    found = dict(zip([*bombs(), "control"], (line.split() for line in said), strict=True))
    assert {name: int(mib) for name, (mib, _) in found.items() if int(mib) >= 50} == {}
    assert [name for name, (_, answer) in found.items() if answer == "read"] == ["control"]


def noisy_files(seed: int) -> Iterator[bytes]:
    """What makes PIL, libtiff and libjpeg speak."""
    random = np.random.default_rng(seed)
    for form, options in (("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {}), ("JPEG", {}), ("PNG", {})):
        exif = Image.Exif()
        exif[0x0112] = 6
        content = encoded(Image.effect_noise((40, 30), 50).convert("RGB"), form, exif=exif, **options)
        for _ in range(40):
            spoiled = bytearray(content)
            for place in random.integers(0, len(content), 6):
                spoiled[place] ^= int(random.integers(1, 256))
            yield bytes(spoiled)
    yield tiff((256, 4, 1, 9), (257, 4, 1, 9), (259, 3, 1, 5), (273, 4, 1, 9), (21057, 49, 1, 3))


def test_no_decoder_says_a_word(capfd: pytest.CaptureFixture[str], seed: int) -> None:
    """libtiff writes to standard error past Python; PIL warns."""
    answers = set()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for content in noisy_files(seed):
            try:
                answers.add(decode(item(content)).ndim)
            except BadData:
                answers.add(0)
        with pytest.warns(UserWarning, match="the control"):
            warnings.warn("the control", stacklevel=1)
    assert answers == {0, 3}
    assert [str(w.message) for w in warned] == []
    assert capfd.readouterr().err == ""


def test_what_pil_warns_elsewhere_is_left_alone() -> None:
    decode(item(noisy("PNG", 0)))
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(png(12_000, 12_000, 8, 2, b"\0" * 6)))


@pytest.mark.full
def test_ten_thousand_damaged_photos_leave_nothing_in_memory(probe: Callable[..., list[str]]) -> None:
    said = probe(
        """
        import io, random
        from PIL import Image
        from tunesmith.data.images import decode
        from tunesmith.errors import BadData

        file = io.BytesIO()
        Image.effect_noise((96, 96), 60).save(file, "JPEG")
        whole = file.getvalue()

        def some(count):
            for _ in range(count):
                spoiled = bytearray(whole)
                for _ in range(4):
                    spoiled[random.randrange(2, len(whole))] = random.randrange(256)
                try:
                    decode({"path": None, "bytes": bytes(spoiled[: random.randrange(len(whole))])})
                except BadData:
                    pass

        random.seed(0)
        some(200)
        print(grown(lambda: some(10_000)))
        """
    )
    assert float(said[0]) < 20
