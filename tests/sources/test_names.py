"""A model's name: SOURCE/NAME[?ARGS][@WEIGHTS], or a file whose header says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tunesmith.errors import BadOption, BadWeights, UnknownName
from tunesmith.sources import Name, headed_files, parse, resolve


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("timm/resnet18", Name("timm", "resnet18")),
        ("timm/resnet18.a1_in1k@none", Name("timm", "resnet18.a1_in1k", {}, "none")),
        ("hf/org/model", Name("hf", "org/model")),
        ("hf/./folder/inside", Name("hf", "./folder/inside")),
        ("torchvision/vgg11@a/b.pth", Name("torchvision", "vgg11", {}, "a/b.pth")),
        ("timm/x?a=1&b=true&c=same&d=[1,2]&e=1e-3",
         Name("timm", "x", {"a": 1, "b": True, "c": "same", "d": [1, 2], "e": 0.001})),
    ],
)  # fmt: skip
def test_a_name_is_taken_apart(text: str, name: Name) -> None:
    assert parse(text) == name


@pytest.mark.parametrize("text", ["timm/x?pad_type=same&bn_eps=0.001", "hf/a/b", 'timm/x?a=[1, 2]&b="1"'])
def test_a_name_written_out_is_the_same_name(text: str) -> None:
    name = parse(text)
    assert parse(str(name)) == name or text.endswith('"1"')


@pytest.mark.parametrize("text", ["timm/", "timm", "hf/x@", "torchvision"])
def test_half_a_name_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(BadOption, match=r"not of the form SOURCE/NAME\[\?ARGS\]\[@WEIGHTS\]"):
        parse(text)


@pytest.mark.parametrize("query", ["pad_type", "=same", "pad-type=same"])
def test_a_malformed_argument_is_named(query: str) -> None:
    with pytest.raises(BadOption, match=f"'{query}' is not of the form name=value"):
        parse(f"timm/resnet18?{query}")


def test_a_misspelt_source_gets_a_guess() -> None:
    with pytest.raises(UnknownName, match=r"no model named 'tim/resnet18'.*did you mean 'timm'\?"):
        parse("tim/resnet18")


def test_a_name_without_a_source_is_told_the_sources() -> None:
    with pytest.raises(UnknownName, match=r"torchvision, timm, hf.*`tunesmith models` lists"):
        parse("resnet18")


# -- files with a header ------------------------------------------------------------------------


def headed(path: Path, **header: str) -> Path:
    save_file({"fc.bias": torch.zeros(3)}, path, metadata=header)
    return path


def test_a_headed_file_is_a_name(tmp_path: Path) -> None:
    path = headed(
        tmp_path / "w.safetensors", model="timm/resnet18", model_args='{"pad_type": "same"}', num_classes="3"
    )
    name = resolve(str(path))
    assert (name.source, name.model, name.args, name.weights) == (
        "timm", "resnet18", {"pad_type": "same"}, str(path),
    )  # fmt: skip
    assert name.header["num_classes"] == "3"


def test_a_header_is_obeyed_also_where_the_model_is_named(tmp_path: Path) -> None:
    path = headed(tmp_path / "w.safetensors", model="x", model_args='{"pad_type": "same", "bn_eps": 0.1}')
    name = resolve(f"timm/resnet18?bn_eps=0.2@{path}")
    assert name.args == {"pad_type": "same", "bn_eps": 0.2}  # what the person says comes first


def test_a_file_without_a_model_in_its_header_is_refused_with_how_to_name_it(tmp_path: Path) -> None:
    path = headed(tmp_path / "w.safetensors", licence="MIT")
    with pytest.raises(BadOption, match=r"does not say which network.*SOURCE/NAME@/.*w\.safetensors"):
        resolve(str(path))


@pytest.mark.parametrize("args", ["{", "[1]"])
def test_model_args_that_are_no_object_are_refused(tmp_path: Path, args: str) -> None:
    path = headed(tmp_path / "w.safetensors", model="timm/resnet18", model_args=args)
    with pytest.raises(BadOption, match="model_args"):
        resolve(str(path))


@pytest.mark.parametrize("form", ["{}", "timm/resnet18@{}"])
def test_a_misspelt_file_gets_a_guess(tmp_path: Path, form: str) -> None:
    headed(tmp_path / "birds.safetensors", model="timm/resnet18")
    with pytest.raises(BadWeights, match=r"does not exist; did you mean 'birds\.safetensors'\?"):
        resolve(form.format(tmp_path / "bird.safetensors"))


def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_text(json.dumps({"a": 1}) * 10)
    with pytest.raises(BadWeights, match="is not a safetensors file"):
        resolve(str(tmp_path / "w.safetensors"))


def test_headed_files_are_listed_from_the_folders_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        headed(tmp_path / folder / "w.safetensors", model="timm/resnet18", num_classes="3", licence="MIT")
    headed(tmp_path / "one" / "nameless.safetensors", licence="MIT")
    (tmp_path / "one" / "broken.safetensors").write_bytes(b"123")
    monkeypatch.setenv("TUNESMITH_MODELS", f"{tmp_path / 'one'}:{tmp_path / 'two'}:{tmp_path / 'none'}")
    found = headed_files()
    assert [m.name for m in found] == [str(tmp_path / f / "w.safetensors") for f in ("one", "two")]
    assert (found[0].data, found[0].licence, found[0].local) == ("3 classes", "MIT", True)
    assert [m.name for m in headed_files("two")] == [found[1].name]


def test_headed_files_can_be_those_of_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, model in (("one", "timm/test_resnet"), ("two", "torchvision/resnet18")):
        save_file({"w": torch.zeros(1)}, tmp_path / f"{name}.safetensors", metadata={"model": model})
    monkeypatch.setenv("TUNESMITH_MODELS", str(tmp_path))
    assert [Path(m.name).stem for m in headed_files(source="timm")] == ["one"]
    assert len(headed_files()) == 2
