"""An export is proven anywhere, and one that was tampered with is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tunesmith as ts
from tunesmith.errors import BadExport
from tunesmith.seals import seal

Export = Callable[..., Path]


@pytest.fixture
def folder(exported: Export, photo_run: Path, tmp_path: Path) -> Path:
    """A sound export of its own."""
    return Path(shutil.copytree(exported(photo_run, to="safetensors"), tmp_path / "it"))


def change(path: Path, **values: Any) -> None:
    """Write other values into a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_moved_export_is_proven_again(folder: Path, tunesmith: Callable[..., Any]) -> None:
    proof = ts.verify(folder)
    assert (proof.count, proof.equal, proof.metric) == (7, 1.0, "accuracy")
    assert proof.largest <= 1e-3
    answer = tunesmith("verify", folder)
    assert answer.code == 0
    assert "answers equal 7 of 7" in answer.out
    assert json.loads(tunesmith("verify", folder, "--json").out)["count"] == 7


@pytest.mark.parametrize("file", ["model.safetensors", "golden.safetensors", "export.json"])
def test_a_flipped_bit_is_refused(folder: Path, file: str, tunesmith: Callable[..., Any]) -> None:
    data = bytearray((folder / file).read_bytes())
    data[-100] ^= 1
    (folder / file).write_bytes(bytes(data))
    answer = tunesmith("verify", folder)
    assert answer.code == 2
    assert f"{file} was cut short or changed" in answer.err


def test_a_swapped_label_name_is_refused(folder: Path) -> None:
    about = json.loads((folder / "export.json").read_text())
    names = about["labels"]["names"]
    change(folder / "export.json", labels={**about["labels"], "names": [names[1], names[0], *names[2:]]})
    with pytest.raises(BadExport, match=r"export\.json was cut short or changed"):
        ts.verify(folder)
    seal(folder)  # by someone who knows how the list is made
    with pytest.raises(
        BadExport, match=r"has the labels blue, green, red, and export\.json says green, blue"
    ):
        ts.verify(folder)


def test_other_weights_under_a_fitting_hash_are_refused(folder: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    tensors["fc.weight"] = torch.flip(tensors["fc.weight"], [0])
    save_file(tensors, path, metadata=header)
    seal(folder)
    with pytest.raises(BadExport, match="does not answer as its run"):
        ts.verify(folder)


def test_a_file_that_was_added_is_refused(folder: Path) -> None:
    (folder / "config.py").write_text("print('hello')")
    with pytest.raises(BadExport, match=r"config\.py is not in files\.sha256: it was added"):
        ts.verify(folder)


def test_a_link_to_a_folder_that_was_added_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(BadExport, match=r"more is not in files\.sha256: it was added"):
        ts.verify(folder)


@pytest.mark.parametrize("name", ["/dev/zero", "../export.json"])
def test_a_list_that_leads_out_of_the_folder_is_not_followed(folder: Path, name: str) -> None:
    with (folder / "files.sha256").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(BadExport, match=r"files\.sha256:\d+ is damaged"):
        ts.verify(folder)


def test_a_device_in_the_place_of_a_file_is_not_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("/dev/zero")
    with pytest.raises(BadExport, match=r"model\.safetensors is no file"):
        ts.verify(folder)


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "[1]", "null", "5", '{"format": ["onnx"]}', '{"format": "safetensors", "task": []}'],
)
def test_a_description_of_no_export_under_a_fitting_hash_is_one_sentence(
    folder: Path, content: str, tunesmith: Callable[..., Any]
) -> None:
    (folder / "export.json").write_text(content)
    seal(folder)
    answer = tunesmith("verify", folder)
    assert answer.code == 2
    assert re.match("error: .*(describes no export|does not hold what an export holds)", answer.err)


@pytest.mark.parametrize("change", ["none", "fewer"])
def test_golden_examples_that_are_not_all_answered_are_refused(folder: Path, change: str) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "golden.safetensors"
    tensors = load_file(path)
    answers = tensors.pop("answers")
    if change == "fewer":
        tensors["answers"] = answers[:3].clone()
    save_file(tensors, path)
    seal(folder)
    with pytest.raises(BadExport, match="does not hold an answer to each of its 7 examples"):
        ts.verify(folder)


def test_the_card_is_for_people_to_complete(folder: Path) -> None:
    card = folder / "README.md"
    card.write_text(card.read_text().replace("Licence of the data: not known", "Licence of the data: MIT"))
    assert ts.verify(folder).equal == 1.0


def test_a_file_that_is_gone_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadExport, match=r"model\.safetensors is missing"):
        ts.verify(folder)


def test_code_in_a_transformers_folder_that_is_not_ours_is_never_run(
    exported: Export, text_run: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported(text_run, to="transformers"), tmp_path / "it"))
    code = folder / "pooled_transformers.py"
    code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + code.read_text())
    seal(folder)
    with pytest.raises(BadExport, match="is not the code that tunesmith writes; the folder is not opened"):
        ts.verify(folder)
    code.write_bytes((exported(text_run, to="transformers") / code.name).read_bytes())
    config = json.loads((folder / "config.json").read_text())
    change(folder / "config.json", auto_map={**config["auto_map"], "AutoConfig": "someone/else--evil.Config"})
    seal(folder)
    with pytest.raises(BadExport, match=r"config\.json names other code than tunesmith's"):
        ts.verify(folder)
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_no_export_is_told_so(photo_run: Path) -> None:
    with pytest.raises(BadExport, match=r"no export at .*: no export\.json there; name a folder"):
        ts.verify(photo_run)
