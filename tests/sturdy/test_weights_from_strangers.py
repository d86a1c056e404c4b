"""Weights from strangers: nothing in them runs; what is damaged is refused at once, in little memory."""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tunesmith.errors import BadWeights
from tunesmith.networks.weights import load_weights, read_weights

SECONDS, BYTES = 2.0, 50_000_000
LISTENER = """
import sys
from pathlib import Path

import torch

from tunesmith.errors import BadWeights
from tunesmith.networks.weights import read_weights

found = []
sys.addaudithook(lambda event, _: found.append(event))
for path in sys.argv[1:]:
    try:
        read_weights(Path(path))
        print("read", path)
    except BadWeights:
        pass
print("of ours", found.count("pickle.find_class"))
try:
    torch.load(open(sys.argv[-1], "rb"), weights_only=False)
except Exception:
    pass
print("of unsafe loading", found.count("pickle.find_class") > 0)
"""


class Canary:
    """An object whose unpickling leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def safetensors_file(path: Path) -> Path:
    torch.manual_seed(0)
    save_file({"a.weight": torch.randn(40, 30), "a.bias": torch.randn(40), "n": torch.tensor(3)}, path)
    return path


def torch_file(path: Path) -> Path:
    torch.manual_seed(0)
    torch.save({"a.weight": torch.randn(40, 30), "a.bias": torch.randn(40), "n": torch.tensor(3)}, path)
    return path


def refused(path: Path) -> str:
    """The sentence with which a file is refused, within two seconds and 50 MB."""
    began = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(BadWeights) as caught:
            read_weights(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 5 * SECONDS  # tracing alone makes it several times slower
    assert peak < BYTES
    said = str(caught.value)
    assert path.name in said
    assert len(said) < 700
    assert "\n" not in said
    return said


# Code


@pytest.mark.parametrize(
    "name", ["w.pt", "w.bin", "w.pth", "w.ckpt", "w.pkl", "w.safetensors", "w.onnx", "w"]
)
@pytest.mark.parametrize("form", ["pickle", "archive", "legacy"])
def test_code_under_any_name_is_refused_and_never_runs(name: str, form: str, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / name
    thing = {"a.weight": torch.ones(2), "extra": Canary(canary)}
    if form == "pickle":
        path.write_bytes(pickle.dumps({"extra": Canary(canary)}, protocol=2))
    else:
        torch.save(thing, path, _use_new_zipfile_serialization=form == "archive")
    refused(path)
    assert not canary.exists()
    with path.open("rb") as file, suppress(RuntimeError):
        torch.load(file, weights_only=False)
    assert canary.exists()  # or the canary is dead, and the test is blind


def test_no_unpickler_of_python_is_ever_reached(tmp_path: Path) -> None:
    """Where torch refuses, nothing else is tried: Python's own unpickler says so to whoever listens."""
    canary = tmp_path / "canary"
    files = []
    for i, protocol in enumerate((0, 1, 2, 4, 5)):
        files.append(tmp_path / f"{i}.pt")
        files[-1].write_bytes(pickle.dumps({"extra": Canary(canary)}, protocol=protocol))
    for name in ("archive.pt", "archive.safetensors"):
        files.append(tmp_path / name)
        torch.save({"extra": Canary(canary)}, files[-1])
    found = subprocess.run(
        [sys.executable, "-c", LISTENER, *map(str, files)], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == ["of ours 0", "of unsafe loading True"]


@pytest.mark.parametrize(
    "start",
    [b"GGUF", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08\0", b"\x93NUMPY", b"\x89HDF\r\n\x1a\n", b"cos\nsystem\n"],
)
def test_other_formats_are_named_and_refused(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(start + b"\0" * 100)
    refused(path)


# Damage


@pytest.mark.parametrize("make", [safetensors_file, torch_file])
@pytest.mark.parametrize("tenth", range(10))
def test_a_file_cut_at_any_tenth_is_refused(make: Callable[[Path], Path], tenth: int, tmp_path: Path) -> None:
    path = make(tmp_path / "w")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * tenth // 10])
    refused(path)


def test_a_pickle_of_an_unknown_protocol_is_refused_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Found by the fuzzer: torch asks for an issue to be filed."""
    path = tmp_path / "w.pt"
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content[:2] == b"\x80\x02"
    path.write_bytes(content.replace(b"\x80\x02", b"\x80\xff"))
    refused(path)
    assert not recwarn.list


def test_a_bit_flipped_anywhere_in_a_torch_file_changes_no_number_silently(tmp_path: Path, seed: int) -> None:
    path = torch_file(tmp_path / "w.pt")
    content, whole = path.read_bytes(), read_weights(path)
    draw, harmless = random.Random(seed), 0
    for _ in range(150):
        harmed = bytearray(content)
        harmed[draw.randrange(len(harmed))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(harmed))
        try:
            found = read_weights(path)
        except BadWeights:
            continue
        assert found.keys() == whole.keys()
        assert all(torch.equal(found[name], whole[name]) for name in whole)
        harmless += 1
    assert harmless < 75  # padding and dates; or nothing was refused


def test_torch_alone_would_read_a_flipped_bit(tmp_path: Path) -> None:
    """The control: torch compares no checksums."""
    path = torch_file(tmp_path / "w.pt")
    content = path.read_bytes()
    spot = content.index(read_weights(path)["a.bias"].numpy().tobytes())
    harmed = content[: spot + 1] + bytes([content[spot + 1] ^ 1]) + content[spot + 2 :]
    path.write_bytes(harmed)
    assert torch.load(io.BytesIO(harmed), weights_only=True)["a.bias"].numel() == 40
    assert "the checksum of" in refused(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("save", [save_file, torch.save])
def test_numbers_that_are_not_finite_are_refused_by_name(value: float, save: Any, tmp_path: Path) -> None:
    save({"good": torch.ones(2), "layer.weight": torch.tensor([1.0, value])}, tmp_path / "w")
    assert "layer.weight holds NaN or infinite numbers" in refused(tmp_path / "w")


@pytest.mark.parametrize("length", [128, 640, 1_408, 19_280])
def test_a_header_whose_length_looks_like_another_format_is_read(length: int, tmp_path: Path) -> None:
    """128 begins as a pickle does, 19,280 as an archive."""
    text = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = header(tmp_path / "w.safetensors", text.ljust(length), 4)
    assert read_weights(path)["a"].tolist() == [0.0]


# Bombs


def header(path: Path, text: bytes, body: int = 0) -> Path:
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + body)  # sparse
    return path


def entry(shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


BOMBS: dict[str, Callable[[Path], Path]] = {
    "a header of 100 MB": lambda p: header(p, b" " * 100_000_000),
    "a header of 9 MB of brackets": lambda p: header(p, b"[" + b"[]," * 3_000_000 + b"[]]"),
    "a header of 9 MB of numbers": lambda p: header(p, b"[" + b"1000000," * 1_100_000 + b"0]"),
    "100,000 tensors": lambda p: header(
        p, json.dumps({str(i): entry([0], 0, 0) for i in range(100_000)}).encode()
    ),
    "rank 100,000": lambda p: header(p, json.dumps({"a": entry([1] * 100_000, 0, 4)}).encode(), 4),
    "an empty tensor of 2**62 rows": lambda p: header(p, json.dumps({"a": entry([0, 2**62], 0, 0)}).encode()),
    "2**40 numbers": lambda p: header(p, json.dumps({"a": entry([2**40], 0, 2**42)}).encode(), 100),
    "a shape that overflows": lambda p: header(p, json.dumps({"a": entry([2**39] * 8, 0, 0)}).encode()),
    "two tensors in the same bytes": lambda p: header(
        p, json.dumps({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}).encode(), 4
    ),
    "bytes between tensors": lambda p: header(
        p, json.dumps({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}).encode(), 12
    ),
    "offsets below zero": lambda p: header(p, json.dumps({"a": entry([1], -4, 0)}).encode()),
    "a name with a path": lambda p: header(p, json.dumps({"../../etc/passwd": entry([0], 0, 0)}).encode()),
    "a name with a NUL": lambda p: header(p, json.dumps({"a\0b": entry([0], 0, 0)}).encode()),
    "a type that is a list": lambda p: header(
        p, b'{"a": {"dtype": [], "shape": [0], "data_offsets": [0, 0]}}'
    ),
    "a number of 5,000 digits": lambda p: header(p, b'{"a": ' + b"9" * 5000 + b"}"),
    "a tensor of stride 0": lambda p: saved(p, {"a": torch.ones(1).expand(2**40)}),
    "rank 64": lambda p: saved(p, {"a": torch.ones([1] * 64)}),
    "30,000 tensors of torch": lambda p: saved(p, dict.fromkeys(map(str, range(30_000)), torch.ones(1))),
    "a sparse tensor": lambda p: saved(p, {"a": torch.eye(3).to_sparse()}),
    "a quantized tensor": lambda p: saved(
        p, {"a": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}
    ),
    "a tensor without numbers": lambda p: saved(p, {"a": torch.ones(3, device="meta")}),
    "complex numbers": lambda p: saved(p, {"a": torch.ones(3, dtype=torch.complex64)}),
    "numbers for names": lambda p: saved(p, {3: torch.ones(1)}),
    "a compressed archive": lambda p: squeezed(p),
}


def saved(path: Path, state: Any) -> Path:
    torch.save(state, path)
    return path


def squeezed(path: Path) -> Path:
    """An archive of torch's, of 64 MB of zeros in 64 kB."""
    plain = io.BytesIO()
    torch.save({"a": torch.zeros(16_000_000)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member), zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_refused_in_little_time_and_memory(case: str, tmp_path: Path) -> None:
    refused(BOMBS[case](tmp_path / "w.safetensors"))


# Folders of transformers


@pytest.mark.parametrize("harm", ["cut", "NaN", "two names", "a list for pooling"])
def test_a_damaged_folder_of_transformers_is_refused(
    harm: str, tiny_text: Callable[[str], Path], tmp_path: Path
) -> None:
    from tunesmith.networks.network import Want
    from tunesmith.sources import load

    folder = Path(shutil.copytree(tiny_text("bert"), tmp_path / "bert"))
    want = Want("text-classification", 2, ("a", "b"))
    assert load(f"hf/{folder}", want).stages
    weights = folder / "model.safetensors"
    if harm == "cut":
        weights.write_bytes(weights.read_bytes()[:-9])
    elif harm == "NaN":
        tensors = load_file(weights)
        tensors["embeddings.word_embeddings.weight"][3, 3] = float("nan")
        save_file(tensors, weights, metadata={"format": "pt"})
    elif harm == "two names":
        one = json.dumps(entry([1], 0, 4))
        header(weights, f'{{"a": {one}, "a": {one}}}'.encode(), 4)
    else:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text("[" * 100_000)
    with pytest.raises(BadWeights) as caught:
        load(f"hf/{folder}", want)
    assert "bert" in str(caught.value)


def test_only_the_files_that_transformers_loads_are_looked_at(
    tiny_text: Callable[[str], Path], tmp_path: Path
) -> None:
    from tunesmith.networks.network import Want
    from tunesmith.sources import load
    from tunesmith.sources.transformers_files import check_headers

    folder = Path(shutil.copytree(tiny_text("bert"), tmp_path / "bert"))
    (folder / "optimizer.safetensors").write_bytes(b"of another form")
    assert load(f"hf/{folder}", Want("text-classification", 2, ("a", "b"))).stages
    for name in ("one.safetensors", "two.safetensors", "adapter_model.safetensors"):
        shutil.copy(folder / "model.safetensors", folder / name)
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors", "c": 3, "d": "gone.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "adapter_model.safetensors").write_bytes(b"of another form")
    check_headers(str(folder))
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(BadWeights, match=r"adapter_model\.safetensors"):
        check_headers(str(folder))
    (folder / "adapter_config.json").unlink()
    (folder / "two.safetensors").write_bytes(b"of another form")
    with pytest.raises(BadWeights, match=r"two\.safetensors"):
        check_headers(str(folder))


# Weights of another network


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    layer = torch.nn.Linear(3, 2)
    cases = {
        r"weight has shape \(2, 4\) in the file and \(2, 3\) in the network": {
            "weight": torch.ones(2, 4),
            "bias": torch.ones(2),
        },
        r"it holds scale, which the network does not have": {**layer.state_dict(), "scale": torch.ones(2)},
        r"incomplete for linear: bias missing": {"weight": torch.ones(2, 3)},
    }
    for said, tensors in cases.items():
        save_file(tensors, tmp_path / "w.safetensors")
        with pytest.raises(BadWeights, match=said):
            load_weights(layer, read_weights(tmp_path / "w.safetensors"), where="w", network="linear")
