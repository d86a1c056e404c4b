"""What cannot be exported is one sentence before anything is written, and a failed export leaves nothing."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tunesmith as ts
from tunesmith.errors import (
    BadData,
    BadExport,
    BadOption,
    BadRun,
    DiskFailed,
    MissingPackage,
    TunesmithError,
    UnknownName,
)
from tunesmith.exports import headed_file, timm_checkpoint
from tunesmith.verbs.reporting import Silent


def refused(run: Path, kind: type[TunesmithError], words: str, **options: Any) -> None:
    """Assert that an export is refused in these words, and leaves no file."""
    before = sorted(run.rglob("*"))
    with pytest.raises(kind, match=words):
        ts.export(run, **options, reporter=Silent())
    assert sorted(run.rglob("*")) == before


def test_a_format_that_cannot_hold_a_source_names_those_that_can(photo_run: Path, text_run: Path) -> None:
    can = r"What can: onnx, torch, timm, safetensors, openvino\."
    refused(photo_run, BadOption, f"cannot hold photos, a network of timm: .* {can}", to="transformers")
    refused(text_run, BadOption, r"What can: onnx, torch, transformers, openvino\.", to="timm")
    refused(text_run, BadOption, r"What can: onnx, torch, transformers, openvino\.", to="safetensors")


def test_keras_holds_its_own_networks_alone(photo_run: Path) -> None:
    words = (
        r"a \.keras file cannot hold photos, a network of timm: it holds networks of Keras\. What can: onnx"
    )
    refused(photo_run, BadOption, words, to="keras")


def test_a_misspelt_format_is_guessed(photo_run: Path) -> None:
    refused(photo_run, UnknownName, "no format named 'onxx'; did you mean 'onnx'", to="onxx")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"to": "timm", "quantize": "int8"}, "int8 is there for onnx"),
        ({"to": "onnx", "quantize": "int4"}, "quantize is int8, or left out; found 'int4'"),
        ({"to": "timm", "pixels": True}, "has no place for a normalisation"),
    ],
)
def test_options_that_a_format_has_not_are_refused(
    photo_run: Path, options: dict[str, Any], words: str
) -> None:
    refused(photo_run, BadOption, words, **options)


def test_pixels_are_for_images(text_run: Path) -> None:
    refused(text_run, BadOption, "pixels is for images", to="onnx", pixels=True)


def test_an_unfinished_run_is_told_to_go_on(photo_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(photo_run, tmp_path / "run"))
    (run / "scores.json").unlink()
    refused(run, BadRun, "is unfinished; go on with: tunesmith resume", to="safetensors")


def test_a_run_without_golden_examples_is_told_how_to_get_them(photo_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(photo_run, tmp_path / "run"))
    (run / "golden.safetensors").unlink()
    refused(run, BadRun, r"keeps no golden examples.*Fit it again", to="safetensors")


def test_a_place_that_is_taken_is_not_overwritten(
    photo_run: Path, tmp_path: Path, tunesmith: Callable[..., Any]
) -> None:
    (tmp_path / "there").mkdir()
    answer = tunesmith("export", photo_run, "--to", "safetensors", "--out", tmp_path / "there")
    assert answer.code == 2
    assert "exists; exports are never overwritten" in answer.err
    assert list((tmp_path / "there").iterdir()) == []


def test_a_missing_extra_names_the_line_that_installs_it(
    photo_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    refused(photo_run, MissingPackage, r'pip install "tunesmith\[onnxruntime\]"', to="onnx")


def test_int8_without_the_data_says_what_it_needs_them_for(photo_run: Path, tmp_path: Path) -> None:
    words = r"int8 is calibrated on training examples .* cannot be read any more; pass them"
    with pytest.raises(BadData, match=words):
        ts.export(photo_run, to="onnx", quantize="int8", data=tmp_path / "gone", reporter=Silent())
    assert not (photo_run / "exports").exists()


def test_an_export_that_answers_otherwise_leaves_nothing(
    photo_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = timm_checkpoint.state

    def other(module: Any) -> Any:
        tensors = whole(module)
        tensors["fc.bias"] = tensors["fc.bias"] + torch.tensor([1.0, 0.0, 0.0])
        return tensors

    monkeypatch.setattr(headed_file, "state", other)
    refused(photo_run, BadExport, r"^safetensors does not answer as its run: .* differs by", to="safetensors")


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    photo_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(headed_file, "save_file", full)
    refused(photo_run, DiskFailed, "No space left on device; free some space", to="safetensors")


def test_what_torch_cannot_write_is_one_sentence_too(
    photo_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.exports import torch_program

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch_program, "traced", lambda _: None)
    monkeypatch.setattr(torch.export, "save", fails)
    refused(photo_run, BadExport, "cannot be written as a torch.export program", to="torch")


@pytest.mark.parametrize("to", ["safetensors", "timm", "onnx", "torch", "openvino"])
def test_a_disk_that_takes_no_whole_network_is_one_sentence_and_leaves_nothing(
    to: str, ask: Callable[..., dict[str, Any]], photo_run: Path, tmp_path: Path
) -> None:
    """The system itself refuses, in the middle of the file, whoever writes it."""
    argv = ["export", str(photo_run), "--to", to, "--out", str(tmp_path / "out" / "it")]
    answer = ask("", beside={"argv": argv, "err": str(tmp_path / "said"), "largest": 200_000})
    said = (tmp_path / "said").read_text()
    assert (answer["killed"], answer["code"]) == (False, 2), said
    (line,) = said.splitlines()[1:]  # after what it was about to write
    assert line.startswith(f"error: {tmp_path / 'out' / 'it'}")
    assert re.search("File too large; files may not grow so large there|look whether that disk is full", line)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_takes_no_whole_transformers_folder_is_one_sentence_too(
    ask: Callable[..., dict[str, Any]], text_run: Path, exported: Callable[..., Path], tmp_path: Path
) -> None:
    sizes = {path.name: path.stat().st_size for path in exported(text_run, to="transformers").iterdir()}
    assert max(sizes, key=lambda name: sizes[name]) == "model.safetensors"
    argv = ["export", str(text_run), "--to", "transformers", "--out", str(tmp_path / "out" / "it")]
    largest = sizes["model.safetensors"] - 1
    answer = ask("", beside={"argv": argv, "err": str(tmp_path / "said"), "largest": largest})
    said = (tmp_path / "said").read_text()
    assert (answer["killed"], answer["code"]) == (False, 2), said
    assert re.search("error: .*(File too large|look whether that disk is full)", said.splitlines()[-1])
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_traced_is_told_what_needs_no_graph(
    photo_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.export, "export", fails)
    words = r"no such operator\. What needs no graph: timm, safetensors\."
    refused(photo_run, BadExport, words, to="torch")


def test_a_network_that_branches_on_its_input_is_refused_by_graphs(photos: Path, tmp_path: Path) -> None:
    class Branching(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Conv2d(3, 4, 3)
            self.head = torch.nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            x = self.body(x).relu()
            return self.head(x.mean((2, 3)) if float(x.mean()) > 0 else x.amax((2, 3)))

    network = ts.network(Branching(), example=torch.zeros(1, 3, 32, 32))
    options: dict[str, Any] = {"strategy": "linear_probe", "epochs": 1, "keep": "trained"}
    run = ts.fit(
        photos, model=network, device="cpu", baselines="none", replay=False, out=tmp_path / "run",
        reporter=Silent(), **options,
    )  # fmt: skip
    assert run is not None
    words = r"run cannot be traced by torch\.export.* tunesmith\.load gives the module itself\."
    with pytest.raises(BadExport, match=words):
        ts.export(run, to="torch", reporter=Silent())
    with pytest.raises(BadOption, match=r"a network of your own: .*What can: onnx, torch, openvino"):
        ts.export(run, to="timm", reporter=Silent())
    assert not (run.folder / "exports").exists()
