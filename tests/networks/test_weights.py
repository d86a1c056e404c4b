"""Files from strangers: what is damaged, incomplete or dangerous is refused, and the reason is said."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tunesmith.errors import BadWeights
from tunesmith.networks.header import read_header
from tunesmith.networks.weights import Match, fill, load_weights, read_weights


class Canary:
    """An object whose unpickling leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A whole file: weight [2, 3] and bias [2] of a linear layer."""
    path = tmp_path / "good.safetensors"
    save_file({"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.0, 2.0])}, path)
    return path


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str | bytes, bytes], Path]:
    """A safetensors file with any header."""

    def write(header: str | bytes, body: bytes = b"") -> Path:
        raw = header.encode() if isinstance(header, str) else header
        path = tmp_path / "made.safetensors"
        path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)
        return path

    return write


def entry(shape: list[int], end: int, dtype: str = "F32", start: int = 0) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_a_whole_file_is_read_as_it_was_written(good: Path) -> None:
    tensors = read_weights(good)
    assert torch.equal(tensors["weight"], torch.arange(6.0).reshape(2, 3))
    assert read_header(good).shapes == {"weight": (2, 3), "bias": (2,)}


def test_halves_become_floats(tmp_path: Path) -> None:
    save_file({"w": torch.tensor([0.5], dtype=torch.float16)}, tmp_path / "half.safetensors")
    assert read_weights(tmp_path / "half.safetensors")["w"].dtype == torch.float32


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights.bin"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_with_code_is_refused_and_its_code_never_runs(
    tmp_path: Path, name: str, protocol: int
) -> None:
    canary, path = tmp_path / "canary", tmp_path / name
    path.write_bytes(pickle.dumps({"weight": Canary(canary)}, protocol=protocol))
    with pytest.raises(BadWeights, match=r"could run code|damaged"):
        read_weights(path)
    assert not canary.exists()
    pickle.loads(path.read_bytes())
    assert canary.exists()  # or the canary is dead, and the test is blind


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_torch_archive_with_code_is_refused_with_the_cure(tmp_path: Path, name: str) -> None:
    canary, path = tmp_path / "canary", tmp_path / name
    torch.save({"weight": torch.ones(1), "extra": Canary(canary)}, path)
    with pytest.raises(BadWeights, match=r"was not opened.*safetensors\.torch\.save_file"):
        read_weights(path)
    assert not canary.exists()
    with path.open("rb") as file:
        torch.load(file, weights_only=False)
    assert canary.exists()


def test_a_plain_state_dict_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module.weight": torch.ones(2)}}, tmp_path / "w.pth")
    assert list(read_weights(tmp_path / "w.pth")) == ["weight"]


PLACES = ("model_state_dict", "state_dict", "model", "net", "module", "model_ema", "state_dict_ema")


@pytest.mark.parametrize("place", PLACES)
def test_a_checkpoint_as_training_scripts_save_it_is_read(tmp_path: Path, place: str) -> None:
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    beside = {"optimizer_state_dict": optimizer.state_dict(), "epoch": 3, "loss": 0.5}
    torch.save({**beside, place: layer.state_dict()}, tmp_path / "checkpoint.pt")
    found = read_weights(tmp_path / "checkpoint.pt")
    assert found.keys() == layer.state_dict().keys()
    assert torch.equal(found["weight"], layer.weight)


def test_a_checkpoint_without_a_known_place_lists_its_keys(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "teacher": {"weight": torch.ones(1)}}, tmp_path / "w.pt")
    with pytest.raises(BadWeights, match=r"its keys are epoch, teacher\. Save one: torch\.save\("):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64"])
def test_sound_numbers_of_rarer_types_are_not_called_damaged(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"w": torch.tensor([1.0, 2.0, 4.0]).to(getattr(torch, dtype))}, path)
    assert read_weights(path)["w"].to(torch.float32).tolist() == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("C64", [2], 16), ("F4", [2], 1), ("F6_E2M3", [4], 3), ("F6_E3M2", [4], 3), ("F8_E8M0", [2], 2)],
)
def test_types_that_no_weights_have_are_named_not_called_damaged(
    written: Callable[..., Path], dtype: str, shape: list[int], size: int
) -> None:
    with pytest.raises(BadWeights, match=rf"a has the dtype {dtype}, which is not supported"):
        read_header(written(json.dumps({"a": entry(shape, size, dtype)}), b"\0" * size))
    with pytest.raises(BadWeights, match="entry for 'a' is damaged"):
        read_header(written(json.dumps({"a": entry(shape, size + 1, dtype)}), b"\0" * (size + 1)))


@pytest.mark.parametrize("left", [0, 4, 8, 40, -1])
def test_a_file_cut_short_is_refused(good: Path, left: int) -> None:
    good.write_bytes(good.read_bytes()[:left])
    with pytest.raises(BadWeights, match=r"cut short|cannot be read"):
        read_weights(good)


def test_a_torch_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"weight": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadWeights, match="damaged or was cut short"):
        read_weights(path)


def test_a_tensor_named_twice_is_refused(written: Callable[..., Path]) -> None:
    one = json.dumps(entry([1], 4))
    with pytest.raises(BadWeights, match="a name stands in it twice"):
        read_weights(written(f'{{"a": {one}, "a": {one}}}', b"\0" * 4))


def test_a_header_that_claims_100_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000))
        file.truncate(200_000_000)  # sparse: the bytes are there, and nobody reads them
    with pytest.raises(BadWeights, match="its header claims 100,000,000 bytes"):
        read_weights(path)


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry([2], 4)},  # two numbers in four bytes
        {"a": entry([-1], 4)},
        {"a": entry([1] * 9, 4)},
        {"a": entry([1], 4, "F31")},
        {"a": {"shape": [1]}},
        {"../a": entry([1], 4)},
        {"a": [1]},
    ],
    ids=["size", "negative", "rank", "type", "fields", "path", "list"],
)
def test_a_damaged_entry_of_the_header_is_named(written: Callable[..., Path], header: dict[str, Any]) -> None:
    with pytest.raises(BadWeights, match=r"entry for '(\.\./)?a' is damaged"):
        read_weights(written(json.dumps(header), b"\0" * 4))


@pytest.mark.parametrize("header", ["[]", '{"a": ', "\xff\xfe", "[" * 100_000])
def test_a_header_that_is_no_json_object_is_refused(written: Callable[..., Path], header: str) -> None:
    with pytest.raises(BadWeights, match="the header is damaged"):
        read_weights(written(header.encode("latin-1")))


def test_too_many_tensors_are_refused(written: Callable[..., Path]) -> None:
    header = json.dumps({f"t{i}": entry([0], 0) for i in range(20_001)})
    with pytest.raises(BadWeights, match=r"claims 20,001 tensors; more than 20,000"):
        read_weights(written(header))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    save_file({"layer.weight": torch.tensor([1.0, value])}, tmp_path / "nan.safetensors")
    with pytest.raises(BadWeights, match=r"layer\.weight holds NaN or infinite numbers"):
        read_weights(tmp_path / "nan.safetensors")


def test_a_tensor_of_stride_zero_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1).expand(10**12)}, tmp_path / "bomb.pth")
    with pytest.raises(BadWeights, match="weight claims more numbers than the file holds"):
        read_weights(tmp_path / "bomb.pth")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_keras_weights_are_refused_with_what_is_taken_instead(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    with pytest.raises(BadWeights, match="holds Keras weights; this network takes safetensors"):
        read_weights(path)


def test_keras_archives_are_not_called_damaged_files_of_torch(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    with pytest.raises(BadWeights, match="holds Keras weights; this network takes safetensors"):
        read_weights(tmp_path / "w.keras")


def test_a_file_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match="the file does not exist"):
        read_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [[1, 2], {"weight": 3}], ids=["list", "number"])
def test_a_torch_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(BadWeights, match="holds no state dict"):
        read_weights(tmp_path / "w.pth")


# -- from a file into a network -----------------------------------------------------------------


def test_what_matched_is_said(good: Path) -> None:
    layer = nn.Linear(3, 2)
    assert load_weights(layer, read_weights(good), where="good", network="linear") == Match(2, (), ())
    assert torch.equal(layer.weight, torch.arange(6.0).reshape(2, 3))


def test_another_shape_is_refused_with_both_shapes(good: Path) -> None:
    with pytest.raises(
        BadWeights, match=r"weight has shape \(2, 3\) in the file and \(2, 4\) in the network"
    ):
        load_weights(nn.Linear(4, 2), read_weights(good), where="good", network="linear")


def test_weights_of_another_architecture_are_refused_with_counts(good: Path) -> None:
    other = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    said = r"0 tensors match, 4 are missing, 2 are unexpected\)\. Name the model"
    with pytest.raises(BadWeights, match=said):
        load_weights(other, read_weights(good), where="good", network="mlp")


def test_nothing_is_loaded_when_something_does_not_fit() -> None:
    layer = nn.Linear(3, 2)
    before = layer.bias.detach().clone()
    with pytest.raises(BadWeights):
        load_weights(layer, {"bias": torch.ones(2)}, where="part", network="linear")
    assert torch.equal(layer.bias, before)
    load_weights(layer, {"bias": torch.ones(2)}, where="part", network="linear", allow_missing=True)
    assert not torch.equal(layer.bias, before)


def test_a_missing_weight_is_named_with_the_option_that_allows_it() -> None:
    with pytest.raises(BadWeights, match=r"incomplete for linear: weight missing .*--allow-missing"):
        load_weights(nn.Linear(3, 2), {"bias": torch.ones(2)}, where="part", network="linear")


def test_allow_missing_does_not_allow_that_nothing_matches() -> None:
    with pytest.raises(BadWeights, match="0 tensors match"):
        load_weights(nn.Linear(3, 2), {}, where="empty", network="linear", allow_missing=True)


def test_a_head_that_the_file_is_known_not_to_have_is_not_missing() -> None:
    network = nn.ModuleDict({"body": nn.Linear(2, 2), "fc": nn.Linear(2, 2)})
    body = {n: t for n, t in network.state_dict().items() if n.startswith("body.")}
    assert load_weights(network, body, where="f", network="n", headless=("fc.",)).missing == ()
    assert load_weights(network, body, where="f", network="n", allow_missing=True).missing == (
        "fc.weight",
        "fc.bias",
    )


def test_a_module_that_asks_for_the_version_of_its_weights_is_filled() -> None:
    """torchvision's MNASNet refuses tensors from a plain file, which has no version."""
    models = pytest.importorskip("torchvision.models")
    given, taken = models.mnasnet0_5(), models.mnasnet0_5()
    with pytest.raises(ValueError, match="version"):
        taken.load_state_dict(dict(given.state_dict()))
    fill(taken, dict(given.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(given.parameters(), taken.parameters(), strict=True))
