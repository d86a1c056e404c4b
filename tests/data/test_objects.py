from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tunesmith.data.hugging_face import reachable
from tunesmith.data.images import decode
from tunesmith.data.read import read
from tunesmith.errors import BadData, NoData

TEXTS = [f"text {n}" for n in range(20)]
LABELS = ["ab"[n % 2] for n in range(20)]


def test_a_pandas_frame_is_read() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas frames are tested where it is installed")
    data = read(pandas.DataFrame({"text": TEXTS, "label": LABELS}))
    assert data.train[0] == {"id": "row 0", "item": "text 0", "label": "a"}
    assert data.understood[0].endswith("read from the pandas frame (columns text, label)")


def test_whole_numbers_that_pandas_made_floats_are_whole_again() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas frames are tested where it is installed")
    frame = pandas.DataFrame({"text": TEXTS, "label": [float(n % 2) for n in range(20)]})
    assert set(read(frame).train["label"]) == {"0", "1"}


def test_a_missing_label_of_a_frame_is_named() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas frames are tested where it is installed")
    frame = pandas.DataFrame({"text": TEXTS, "label": [None, *LABELS[1:-1], None]})
    with pytest.raises(BadData, match="row 0 has no label, and 1 other row likewise"):
        read(frame)


def test_a_polars_frame_is_read() -> None:
    polars = pytest.importorskip("polars", reason="polars frames are tested where it is installed")
    data = read(polars.DataFrame({"text": TEXTS, "label": LABELS}))
    assert len(data.train) == 14


def test_pairs_are_read() -> None:
    assert len(read(list(zip(TEXTS, LABELS, strict=True))).train) == 14


def test_a_row_that_is_no_pair_is_named() -> None:
    with pytest.raises(BadData, match="row 1 of the list is no pair"):
        read([("a", "x"), ("b", "y", "z")])


def test_a_dict_of_lists_is_read() -> None:
    assert len(read({"text": TEXTS, "label": LABELS}).train) == 14


@pytest.mark.parametrize("empty", [[], {}, {"train": []}])
def test_nothing_is_no_data(empty: object) -> None:
    with pytest.raises(BadData, match="holds no rows"):
        read(empty)


def test_unequal_columns_are_counted() -> None:
    with pytest.raises(BadData, match=r"unequal length \(text 20, label 19\)"):
        read({"text": TEXTS, "label": LABELS[1:]})


def test_a_list_of_dicts_is_read() -> None:
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    assert len(read(rows).train) == 14


def test_arrays_pil_images_and_paths_are_images(photos: Path, pixels: np.ndarray) -> None:
    picture = Image.fromarray(pixels)
    pairs: list[Any] = [(pixels + n, "array") for n in range(4)]
    pairs += [(picture.rotate(90 * n), "picture") for n in range(4)]
    pairs += [(photos / "cat" / f"{n}.jpg", "path") for n in range(4)]
    data = read(pairs)
    assert data.takes == "image"
    item = next(row for row in data.train if row["label"] == "array")
    number = int(item["id"].split()[1])
    assert (decode(item["item"]) == pixels + number).all()


def test_a_dict_of_splits_holds_any_source(photos: Path) -> None:
    pairs = [(photos / "cat" / "0.jpg", "cat"), (photos / "dog" / "0.png", "dog")]
    data = read({"train": photos, "val": pairs, "test": pairs})
    assert [len(split) for split in data.splits.values()] == [16, 2, 2]
    assert (data.train[0]["id"], data.valid[0]["label"]) == ("train/cat/0.jpg", "cat")


def test_a_dict_of_images_and_texts_is_refused(photos: Path) -> None:
    with pytest.raises(BadData, match="images in one split and texts in another"):
        read({"train": photos, "test": [("a", "x")]})


class Digits:
    """As torchvision's datasets are: an image, the number of its class."""

    classes = ("zero", "one")

    def __len__(self) -> int:
        return 20

    def __getitem__(self, place: int) -> tuple[Any, int]:
        if not 0 <= place < 20:
            raise IndexError(place)
        return Tensor(np.full((3, 4, 5), place / 20, dtype=np.float32)), place % 2


class Tensor:
    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> np.ndarray:
        return self.array


def test_a_torch_dataset_is_known_by_its_form() -> None:
    data = read(Digits())
    assert set(data.train["label"]) == {"zero", "one"}
    number = int(data.test[0]["id"].split()[1])
    pixels = decode(data.test[0]["item"])
    assert pixels.shape == (4, 5, 3)
    assert (pixels == round(number / 20 * 255)).all()


def test_an_object_of_no_kind_is_refused() -> None:
    with pytest.raises(BadData, match="an object of type int cannot be read as data; give a path"):
        read(3)


def test_a_hugging_face_dataset_gives_names_for_class_numbers() -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    numbers = [n % 2 for n in range(20)]
    dataset = datasets.Dataset.from_dict({"text": TEXTS, "label": numbers}, features=features)
    assert set(read(dataset).train["label"]) == {"neg", "pos"}


def test_a_saved_dataset_dict_is_read_without_a_bar(
    tmp_path: Path, pixels: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    import datasets

    rows = {"image": [pixels + n for n in range(8)], "label": LABELS[:8]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    part = datasets.Dataset.from_dict(rows, features=features)
    whole = datasets.DatasetDict({"train": part, "validation": part, "extra": part})
    before = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    whole.save_to_disk(str(tmp_path / "saved"))
    if not before:
        datasets.enable_progress_bars()
    capfd.readouterr()
    data = read(tmp_path / "saved", test_size=0.25)
    assert "it/s" not in capfd.readouterr().err
    assert datasets.utils.are_progress_bars_disabled() == before
    assert (data.name, data.takes, len(data.valid)) == ("saved", "image", 8)
    assert (decode(data.valid[3]["item"]) == pixels + 3).all()
    assert data.understood[-1] == "left out: extra, no split of that name is known"


def test_a_dataset_on_the_hub_that_cannot_be_had_is_one_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    def unreachable(*_: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("tunesmith.data.hugging_face.reachable", lambda: True)
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(NoData, match=r"hf://a/b cannot be had .*\(no route to host\)"):
        read("hf://a/b")


def test_a_hub_that_cannot_be_reached_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.hugging_face.reachable", lambda: False)
    with pytest.raises(NoData, match="hf://a/b needs the Hugging Face hub, which cannot be reached"):
        read("hf://a/b")


def test_a_proxy_or_an_offline_cache_is_left_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert reachable()


def test_a_dataset_on_the_hub_is_asked_for_by_name_and_config(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    asked = []

    def load(name: str, config: str | None) -> Any:
        asked.append((name, config))
        part = datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS})
        return datasets.DatasetDict(train=part)

    monkeypatch.setattr("tunesmith.data.hugging_face.reachable", lambda: True)
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert read("hf://owner/name:tiny").name == "name"
    assert asked == [("owner/name", "tiny")]


def test_reading_never_imports_torch(photos: Path) -> None:
    code = (
        "import sys; from tunesmith.data.read import read\n"
        "assert not {'datasets', 'numpy', 'PIL', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        f"read({str(photos)!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
