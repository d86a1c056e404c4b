"""Files that a `.keras` model should not be: each refused in one sentence, and no code of them runs."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.errors import BadOption, BadWeights, DiskFailed
from tunesmith.networks.network import Want
from tunesmith.sources import load

h5py = pytest.importorskip("h5py")
WANT = Want("image-classification", 3)
Members = dict[str, bytes]


@pytest.fixture
def changed(tiny_file: Path, tmp_path: Path) -> Callable[[Callable[[Members], None]], Path]:
    """The tiny model's file with other members."""

    def make(change: Callable[[Members], None]) -> Path:
        with zipfile.ZipFile(tiny_file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        path = tmp_path / "changed.keras"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return make


def layer(number: int, **changes: Any) -> Callable[[Members], None]:
    """Change keys of a layer in config.json."""

    def change(members: Members) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][number] |= changes
        members["config.json"] = json.dumps(config).encode()

    return change


def inside(number: int, **changes: Any) -> Callable[[Members], None]:
    """Change keys of a layer's own config."""

    def change(members: Members) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][number]["config"] |= changes
        members["config.json"] = json.dumps(config).encode()

    return change


def model(**changes: Any) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        members["config.json"] = json.dumps(json.loads(members["config.json"]) | changes).encode()

    return change


def member(name: str, content: bytes) -> Callable[[Members], None]:
    return lambda members: members.update({name: content})


CANARY = {"class_name": "function", "module": "os", "config": "getcwd", "registered_name": "getcwd"}
CASES = {
    "lambda": (layer(3, class_name="Lambda"), "holds a Lambda layer: code of whoever made"),
    "bytecode": (inside(3, axis={"class_name": "__lambda__", "config": {"value": "x"}}), "Lambda layer"),
    "foreign class": (layer(3, module="mine.layers", class_name="Norm"), r"names mine\.layers\.Norm"),
    "registered": (layer(3, registered_name="mine>Norm"), "register it in this process first"),
    "unpickles": (layer(3, class_name="TorchModuleWrapper"), r"keras\.layers\.TorchModuleWrapper"),
    "loads a folder": (layer(3, class_name="TFSMLayer"), r"keras\.layers\.TFSMLayer"),
    "reads a file": (layer(3, class_name="StringLookup"), r"keras\.layers\.StringLookup"),
    "another module": (layer(3, module="keras.utils", class_name="get_file"), r"keras\.utils\.get_file"),
    "a class that is a list": (layer(3, class_name=["Dense"]), r"names keras\.layers\.\['Dense'\]"),
    "a function that is a dict": (
        inside(5, activation={"class_name": "function", "module": "builtins", "config": {"x": 1}}),
        r"names builtins\.function",
    ),
    "augments": (
        layer(3, class_name="CutMix"),
        "CutMix, a layer of Keras that is not loaded from a file here",
    ),
    "no version": (member("metadata.json", b"[]"), "does not say which Keras saved it"),
    "function": (inside(5, activation=CANARY), r"names os\.getcwd"),
    "subclassed": (model(class_name="Mine", module="mine"), "whose calls are code"),
    "no model": (member("config.json", b"[]"), "describes no Keras model"),
    "damaged json": (member("config.json", b"{"), r"config\.json is damaged"),
    "deep": (inside(3, axis=json.loads("[" * 300 + "]" * 300)), "nested more than 100 deep"),
    "of Keras 2": (member("metadata.json", b'{"keras_version": "2.15.0"}'), r"saved by Keras 2\.15\.0"),
    "other member": (member("../evil.py", b"1"), "which is no part of a Keras model's file"),
    "no weights": (lambda members: members.pop("model.weights.h5"), r"lacks model\.weights\.h5"),
    "empty weights": (member("model.weights.h5", b"\x89HDF\r\n\x1a\n"), "no whole file of Keras weights"),
    "wrong shape": (inside(2, filters=9), "Keras cannot build this model|does not fit"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_file_is_refused(case: str, changed: Callable[..., Path]) -> None:
    change, says = CASES[case]
    with pytest.raises(BadWeights, match=says):
        load(str(changed(change)), WANT)


def test_a_whole_file_loads(changed: Callable[..., Path]) -> None:
    assert len(load(str(changed(lambda _: None)), WANT).stages) == 3


def test_a_file_of_keras_2_or_one_cut_short_is_refused_with_the_cure(tiny_file: Path, tmp_path: Path) -> None:
    whole, path = tiny_file.read_bytes(), tmp_path / "m.keras"
    for content, says in (
        (
            b"\x89HDF\r\n\x1a\n" + whole,
            r"HDF5 file, as Keras 2 saved models; .*model\.save\('model\.keras'\)",
        ),
        (whole[: len(whole) // 2], "cut short or damaged: copy or download it again"),
        (whole.replace(b"Conv2D", b"Conv3D", 1), "cut short or damaged"),
        (b"", "cut short or damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(BadWeights, match=says):
            load(str(path), WANT)
    with pytest.raises(BadWeights, match=r"no model at .*: the file does not exist"):
        load(str(tmp_path / "none.keras"), WANT)


def test_a_member_that_swells_is_refused(tiny_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(tiny_file) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            padding = b" " * 10**7 if name == "config.json" else b""
            archive.writestr(name, source.read(name) + padding)
    with pytest.raises(BadWeights, match=r"config\.json is encrypted or swells"):
        load(str(path), WANT)


def weights(change: Callable[[Any], None], tmp_path: Path) -> Callable[[Members], None]:
    """Change the HDF5 file of the weights."""

    def changed(members: Members) -> None:
        file = tmp_path / "w.h5"
        file.write_bytes(members["model.weights.h5"])
        with h5py.File(file, "r+") as opened:
            change(opened)
        members["model.weights.h5"] = file.read_bytes()

    return changed


def linked(file: Any) -> None:
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars/0"] = h5py.ExternalLink("/etc/passwd", "x")


def elsewhere(file: Any) -> None:
    shape = file["layers/conv2d/vars/0"].shape
    del file["layers/conv2d/vars/0"]
    file.create_dataset("layers/conv2d/vars/0", shape, "f4", external=[("/etc/passwd", 0, 4000)])


def vast(file: Any) -> None:
    file.create_dataset("layers/conv2d/vars/9", (10**6, 10**6), "f4", chunks=(100, 100))


def nan(file: Any) -> None:
    file["layers/conv2d/vars/0"][0] = float("nan")


def less(file: Any) -> None:
    del file["layers/dense/vars/1"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (linked, "a link out of the file"),
        (elsewhere, "lies in another file"),
        (vast, "claims more bytes than the file has"),
        (nan, "holds NaN or infinite numbers"),
        (less, r"it holds 20 tensors, and the network has 21"),
    ],
)
def test_hostile_weights_are_refused(
    change: Callable[[Any], None], says: str, changed: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(BadWeights, match=says):
        load(str(changed(weights(change, tmp_path))), WANT)


def test_a_class_that_the_person_registered_is_loaded(keras: Any, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("mine")
    class Half(keras.layers.Layer):  # type: ignore[misc]
        def call(self, images: Any) -> Any:
            return images / 2

    given = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 3)(Half()(given))
    keras.Model(given, maps).save(tmp_path / "own.keras")
    assert load(str(tmp_path / "own.keras"), WANT)(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)).shape == (
        1,
        3,
    )
    keras.saving.get_custom_objects().clear()
    with pytest.raises(BadWeights, match="mine>Half"):
        load(str(tmp_path / "own.keras"), WANT)


@pytest.mark.parametrize("shape", [(16, 16, 1), (16,)])
def test_a_model_that_takes_no_colour_images_is_refused(shape: Any, keras: Any, tmp_path: Path) -> None:
    given = keras.Input(shape)
    keras.Model(given, keras.layers.Dense(4)(given)).save(tmp_path / "m.keras")
    with pytest.raises(BadOption, match="networks here take colour images"):
        load(str(tmp_path / "m.keras"), WANT)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((3, 16, 16), r"networks here take colour images, \(batch, height, width, 3\)"),
        ((16, 24, 3), r"takes images of 16 x 24 pixels; networks here take square ones"),
    ],
)
def test_images_of_another_form_are_refused(
    shape: tuple[int, ...], says: str, keras: Any, tmp_path: Path
) -> None:
    given = keras.Input(shape)
    maps = keras.layers.Conv2D(4, 3, data_format="channels_first" if shape[0] == 3 else None)(given)
    keras.Model(given, maps).save(tmp_path / "m.keras")
    with pytest.raises(BadOption, match=says):
        load(str(tmp_path / "m.keras"), WANT)


@pytest.mark.parametrize("within", [False, True])
def test_channels_first_inside_are_refused_before_they_are_averaged_wrongly(
    within: bool, keras: Any, tmp_path: Path
) -> None:
    layers = keras.layers
    given = keras.Input((32, 32, 3))
    turned = layers.Permute((3, 1, 2))(given)
    convolution = layers.Conv2D(8, 3, data_format="channels_first", name="turned")
    if within:
        convolution = keras.Sequential([keras.Input((3, 32, 32)), convolution])
    keras.Model(given, convolution(turned)).save(tmp_path / "m.keras")
    with pytest.raises(BadOption, match="computes turned with channels first"):
        load(str(tmp_path / "m.keras"), WANT)


def test_a_disk_without_room_for_weights_is_not_called_damage(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(
        DiskFailed, match=r"cannot be unpacked in .*\(No space left on device\); free some space"
    ):
        load(str(tiny_file), WANT)
