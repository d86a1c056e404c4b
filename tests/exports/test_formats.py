"""Every format holds an image and a text network, and the software it is made for answers as the run does."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.verbs.reporting import Silent

Export = Callable[..., Path]
CASES = [
    ("photo_run", {"to": "onnx"}),
    ("photo_run", {"to": "onnx", "pixels": True}),
    ("photo_run", {"to": "torch", "pixels": True}),
    ("photo_run", {"to": "openvino", "pixels": True}),
    ("photo_run", {"to": "timm"}),
    ("photo_run", {"to": "safetensors"}),
    ("number_run", {"to": "timm"}),
    ("number_run", {"to": "torch"}),
    ("text_run", {"to": "onnx"}),
    ("text_run", {"to": "torch"}),
    ("text_run", {"to": "openvino"}),
    ("text_run", {"to": "transformers"}),
]
SAID = "the weather was dull and cold"


def used(folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> str:
    """What the code of the export's card prints, run in its folder."""
    import shutil

    place = folder.parent / "used"
    shutil.copytree(folder, place, dirs_exist_ok=True)
    shutil.copy(picture, place / "picture.jpg")
    monkeypatch.chdir(place)
    card = (place / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"In this folder:\n\n```python\n(.*?)```", card, re.S)
    exec(compile(code.replace("a text", SAID), "README.md", "exec"), {})
    printed: str = capsys.readouterr().out
    return printed.strip()


@pytest.mark.parametrize(("run", "options"), CASES, ids=lambda own: str(own))
def test_an_export_answers_as_its_run(
    run: str,
    options: dict[str, Any],
    exported: Export,
    photos: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = exported(request.getfixturevalue(run), **options)
    about = json.loads((folder / "export.json").read_text())
    assert about["proof"]["largest"] <= 1e-3
    assert about["proof"]["equal"] == 1.0
    assert about["proof"]["score"] == pytest.approx(about["proof"]["before"])
    picture = photos / "red" / "00.png"
    item = SAID if run == "text_run" else str(picture)
    (answer,) = ts.predict(request.getfixturevalue(run), [item], device="cpu")
    printed = used(folder, picture, monkeypatch, capsys)
    if run == "number_run":
        assert float(re.findall(r"\d+\.\d+", printed)[0]) == pytest.approx(answer["brightness"], rel=1e-3)
        assert answer["brightness"] > 500  # or the unit was left out
    else:
        assert answer["label"] in printed
        assert len([name for name in about["labels"]["names"] if name in printed]) == 1


@pytest.mark.parametrize(
    ("run", "options"), [case for case in CASES if case[0] != "number_run"], ids=lambda own: str(own)
)
def test_a_flipped_bit_and_a_swapped_label_are_refused_in_every_format(
    run: str,
    options: dict[str, Any],
    exported: Export,
    tampered: Callable[[Path], None],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder = Path(shutil.copytree(exported(request.getfixturevalue(run), **options), tmp_path / "it"))
    tampered(folder)


@pytest.mark.parametrize("run", ["photo_run", "text_run"])
def test_an_onnx_graph_says_its_labels_and_its_preprocessing_and_takes_any_batch(
    run: str, exported: Export, request: pytest.FixtureRequest
) -> None:
    import onnxruntime

    folder = exported(request.getfixturevalue(run), to="onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    about, told = (
        json.loads((folder / "export.json").read_text()),
        session.get_modelmeta().custom_metadata_map,
    )
    assert json.loads(told["labels"]) == about["labels"]["names"]
    assert json.loads(told["preprocess"]) == about["preprocess"]
    assert told["task"] == about["task"]
    assert all(isinstance(given.shape[0], str) for given in session.get_inputs())


def test_a_transformers_folder_holds_an_image_network(
    photos: Path,
    tiny_image: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options: dict[str, Any] = {"epochs": 1, "batch": 8, "keep": "trained", "baselines": "none"}
    run = ts.fit(
        photos,
        model=f"hf/{tiny_image('vit')}",
        device="cpu",
        out=tmp_path / "run",
        reporter=Silent(),
        **options,
    )
    assert run is not None
    folder = run.export(to="transformers")
    assert folder == run.folder / "exports" / "transformers"
    picture = photos / "red" / "00.png"
    (answer,) = run.predict([str(picture)])
    printed = used(folder, picture, monkeypatch, capsys)
    first = re.findall(r"'label': '(\w+)'", printed)[0]
    assert first == answer["label"]


@pytest.mark.parametrize("run", ["photo_run", "text_run"])
def test_int8_says_what_it_costs_and_gains(
    run: str, exported: Export, request: pytest.FixtureRequest
) -> None:
    folder = exported(request.getfixturevalue(run), to="onnx", quantize="int8")
    told = json.loads((folder / "export.json").read_text())["quantized"]
    assert told["count"] in (7, 9)
    assert told["gap"]["low"] <= told["after"] - told["before"] <= told["gap"]["high"]
    assert told["faster"] > 0
    assert told["bytes"][1] < told["bytes"][0]
    assert told["typical"] > 1e-5  # or nothing was rounded
    assert not (folder / "float32.onnx").exists()
    assert "int8: accuracy" in (folder / "README.md").read_text()
    assert ts.verify(folder).equal >= 0.5


def test_a_graph_holds_no_path_of_the_machine_that_made_it(exported: Export, photo_run: Path) -> None:
    graph = (exported(photo_run, to="onnx") / "model.onnx").read_bytes()
    assert b"site-packages" not in graph
    assert str(Path.cwd()).encode() not in graph
