from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tunesmith.data.images import decode
from tunesmith.data.pictures import png_of_array
from tunesmith.data.read import read
from tunesmith.errors import BadData


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 5), dtype=np.uint8)


def test_medmnist_names_are_understood(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {}
    for split, count in (("train", 8), ("val", 4), ("test", 6)):
        arrays[f"{split}_images"] = images(count)
        arrays[f"{split}_labels"] = np.arange(count).reshape(-1, 1) % 2
    np.savez(tmp_path / "a.npz", **arrays)
    data = read(tmp_path / "a.npz")
    assert [len(split) for split in data.splits.values()] == [8, 4, 6]
    grey = decode(data.valid[3]["item"])
    assert (grey == images(4)[3][:, :, None]).all()
    assert (data.valid[3]["label"], data.valid[3]["id"]) == ("1", "a.npz:val_images[3]")


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels")])
def test_arrays_without_splits_are_split_here(tmp_path: Path, names: tuple[str, str]) -> None:
    arrays: dict[str, Any] = {names[0]: images(20), names[1]: np.arange(20) % 2}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    assert len(read(tmp_path / "a.npz").train) == 14


def test_x_train_and_y_train_are_understood(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        x_train=images(20), y_train=np.arange(20) % 2,
        x_test=images(4), y_test=np.arange(4) % 2,
    )  # fmt: skip
    assert len(read(tmp_path / "a.npz").test) == 4


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}, {}], dtype=object), y=np.arange(2))
    with pytest.raises(BadData, match="the array x is pickled, which could run code"):
        read(tmp_path / "a.npz")


def test_unequal_lengths_are_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=images(4), y=np.arange(3))
    with pytest.raises(BadData, match="4 items in x but 3 labels in y"):
        read(tmp_path / "a.npz")


def test_several_labels_an_item_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=images(4), y=np.zeros((4, 3), dtype=np.uint8))
    with pytest.raises(BadData, match=r"y has shape \[4, 3\]; one label an item"):
        read(tmp_path / "a.npz")


def test_unknown_arrays_are_listed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", foo=images(4), bar=np.arange(4))
    with pytest.raises(BadData, match="holds the arrays foo, bar; what is understood"):
        read(tmp_path / "a.npz")


def test_a_file_that_is_no_npz_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"hello")
    with pytest.raises(BadData, match=r"a\.npz is no npz archive"):
        read(tmp_path / "a.npz")


def test_an_array_in_fortran_order_keeps_its_pixels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(images(20)), y=np.arange(20) % 2)
    data = read(tmp_path / "a.npz")
    place = int(data.test[0]["id"].partition("[")[2][:-1])
    assert (decode(data.test[0]["item"])[:, :, 0] == images(20)[place]).all()


def shown(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)))


def test_channels_may_be_first_or_last(pixels: np.ndarray) -> None:
    assert (shown(png_of_array(pixels, "x")) == pixels).all()
    assert (shown(png_of_array(pixels.transpose(2, 0, 1), "x")) == pixels).all()


def test_floats_from_0_to_1_are_scaled() -> None:
    assert shown(png_of_array(np.array([[0.0, 0.5, 1.0]]), "x")).tolist() == [[0, 128, 255]]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    array = np.array([[0, 257, 65535]], dtype=np.uint16)
    assert shown(png_of_array(array, "x")).tolist() == [[0, 1, 255]]


@pytest.mark.parametrize("array", [np.array([[-2.0, 1.0]]), np.array([[np.nan]])])
def test_normalised_floats_are_refused(array: np.ndarray) -> None:
    with pytest.raises(BadData, match="row 3: floats of an image lie between 0 and 1"):
        png_of_array(array, "row 3")


def test_a_shape_that_is_no_image_is_refused() -> None:
    with pytest.raises(BadData, match=r"row 3: an array of shape \[2, 3, 4, 5\] is no image"):
        png_of_array(np.zeros((2, 3, 4, 5)), "row 3")
