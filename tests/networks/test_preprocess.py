"""From a picture or a text to what a network takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tunesmith.errors import BadOption
from tunesmith.networks.preprocess import ImagePreprocess, TextPreprocess, restore


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[int, int], dict[str, object]]:
    """An item of random pixels, width by height."""

    def make(width: int, height: int) -> dict[str, object]:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path = tmp_path / f"{width}x{height}.png"
        Image.fromarray(pixels).save(path)
        return {"path": str(path), "bytes": None}

    return make


def test_a_picture_of_the_right_size_keeps_its_pixels(picture: Callable[..., dict[str, object]]) -> None:
    item = picture(16, 16)
    raw = ImagePreprocess(16, 16).raw([item])
    assert raw.dtype == torch.uint8
    assert np.array_equal(raw[0].permute(1, 2, 0).numpy(), np.asarray(Image.open(str(item["path"]))))


def test_the_crop_is_the_middle(picture: Callable[..., dict[str, object]]) -> None:
    item = picture(20, 16)
    pixels = np.asarray(Image.open(str(item["path"])))
    raw = ImagePreprocess(8, 16).raw([item])[0].permute(1, 2, 0).numpy()
    assert np.array_equal(raw, pixels[4:12, 6:14])
    assert not np.array_equal(raw, pixels[:8, :8])


@pytest.mark.parametrize(("width", "height"), [(100, 30), (30, 100), (9, 9), (200, 201)])
def test_every_picture_becomes_the_size_of_the_network(
    picture: Callable[..., dict[str, object]], width: int, height: int
) -> None:
    assert ImagePreprocess(24, 28).raw([picture(width, height)]).shape == (1, 3, 24, 24)


def test_the_interpolation_is_the_one_that_is_named(picture: Callable[..., dict[str, object]]) -> None:
    item = picture(64, 64)
    image = Image.open(str(item["path"]))
    for name, kind in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        raw = ImagePreprocess(16, 16, name).raw([item])[0].permute(1, 2, 0).numpy()
        assert np.abs(raw.astype(int) - np.asarray(image.resize((16, 16), kind))).max() <= 2
    assert np.abs(raw.astype(int) - np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))).max() > 2


def test_ready_scales_and_normalises_by_hand_arithmetic() -> None:
    form = ImagePreprocess(8, 8, mean=(0.5, 0.0, 1.0), std=(0.5, 1.0, 2.0))
    ready = form.ready(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))
    assert isinstance(ready, torch.Tensor)
    assert ready[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_a_network_that_takes_its_images_by_name_gets_them_so() -> None:
    ready = ImagePreprocess(8, 8, argument="pixel_values").ready(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert list(ready) == ["pixel_values"]


@pytest.mark.parametrize(("size", "resize"), [(4, 8), (5000, 5000), (32, 31)])
def test_a_size_that_makes_no_sense_is_refused_with_what_was_found(size: int, resize: int) -> None:
    with pytest.raises(BadOption, match=f"between 8 and 4096 .*found size {size}, resize {resize}"):
        ImagePreprocess(size, resize)


def test_an_image_form_comes_back_from_its_words(tmp_path: Path) -> None:
    form = ImagePreprocess(32, 36, "lanczos", (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), "pixel_values")
    assert restore(form.spec(), tmp_path) == form


@pytest.fixture
def texts(tiny_text: Callable[[str], Path]) -> TextPreprocess:
    """A word-piece tokenizer of letters, cut at 8 tokens."""
    transformers = pytest.importorskip("transformers")
    return TextPreprocess(transformers.AutoTokenizer.from_pretrained(tiny_text("bert")), 8)


def test_texts_are_padded_to_the_longest_of_the_batch(texts: TextPreprocess) -> None:
    raw = texts.raw(["a b", "a b c d"])
    assert raw["attention_mask"].sum(1).tolist() == [2, 4]
    assert raw["input_ids"].shape == (2, 4)


def test_texts_are_cut_at_the_window(texts: TextPreprocess) -> None:
    assert texts.raw(["a " * 50])["input_ids"].shape == (1, 8)


def test_lengths_count_tokens_before_the_cut(texts: TextPreprocess) -> None:
    assert texts.lengths(["a b", "a " * 50]) == [2, 50]


def test_a_text_form_comes_back_from_its_folder(texts: TextPreprocess, tmp_path: Path) -> None:
    texts.save(tmp_path)
    again = restore(texts.spec(), tmp_path)
    assert torch.equal(texts.raw(["a bc def"])["input_ids"], again.raw(["a bc def"])["input_ids"])  # type: ignore[index]
