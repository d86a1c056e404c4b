"""docs/models.md: its examples run, and its tables say what the code does."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts

Blocks = Callable[[str], list[Any]]
Page = Callable[[str], str]


@pytest.fixture
def filled(here: Path, photos: Path, reviews: Path, tiny_text: Callable[[str], Path]) -> Path:
    """The folder that the page speaks of."""
    shutil.copytree(photos, here / "photos")
    shutil.copy(reviews, here / "reviews.csv")
    shutil.copytree(tiny_text("bert"), here / "my-bert")
    return here


def first_cells(page: str, heading: str) -> list[str]:
    """The first column of the first table below a heading, without its head."""
    text = re.split(rf"^#+ {re.escape(heading)}$", page, flags=re.MULTILINE)[1]
    lines = [line for line in text.partition("\n\n## ")[0].splitlines() if line.startswith("|")]
    return [line.split("|")[1].strip() for line in lines[2:]]


def test_the_examples_run_from_top_to_bottom(
    blocks: Blocks, filled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TUNESMITH_MODELS", raising=False)
    monkeypatch.setenv("TUNESMITH_MODELS", "")  # so that what an example sets is taken back
    space: dict[str, Any] = {"__name__": "docs"}
    for block in blocks("models.md"):
        if block.language == "python":
            exec(compile(block.text, "docs/models.md", "exec"), space)
    said = capsys.readouterr().out
    assert "64 (0.5, 0.5, 0.5)" in said
    assert "birds.safetensors matched" in said
    assert str(filled / "birds.safetensors") in said
    assert "network and head of first" in said
    assert space["run"].finished
    assert space["again"].finished
    names = [part.name for part in space["mine"].parts]
    assert len(names) == 3


def test_the_sources_are_those_of_the_page(page: Page) -> None:
    from tunesmith.sources import SOURCES

    row = next(line for line in page("models.md").splitlines() if line.startswith("| SOURCE |"))
    assert re.findall(r"`(\w+)`", row.split("|")[2]) == SOURCES.names()


def test_the_heads_are_those_of_the_page(page: Page) -> None:
    from tunesmith.networks.heads import HEADS

    assert [cell.strip("`") for cell in first_cells(page("models.md"), "Heads")] == list(HEADS)


def test_the_poolings_are_those_of_the_page(page: Page) -> None:
    from tunesmith.networks.pooled import POOLINGS

    line = next(s for s in page("models.md").splitlines() if s.startswith("`pooling` says"))
    assert re.findall(r"`(\w+)`", line)[1:] == [*POOLINGS, "own"]


def test_the_rates_of_the_families_are_those_of_the_page(page: Page) -> None:
    from tunesmith.choosing.which_lr import DEFAULTS, SGD_RATIO

    rows = [
        line.split(" | ")
        for line in page("models.md").splitlines()
        if re.match(r"\| `(cnn|convnext|vit|text)` ", line)
    ]
    said = {cells[0].strip("| `"): [float(cell.strip("| ")) for cell in cells[2:]] for cells in rows}
    assert said == {name: [d.head_lr, d.top_lr, d.full_lr] for name, d in DEFAULTS.items()}
    assert SGD_RATIO == {"cnn": 30.0, "convnext": 30.0, "vit": 100.0, "text": 100.0}


def test_the_stages_are_those_of_the_page(blocks: Blocks) -> None:
    for block in blocks("models.md"):
        if "stages" in block.marks:
            found = ts.stages(block.marks["stages"], image_size=64)
            assert [part.name for part in found.parts] == block.text.split()


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_classes", "5"), ("input_size", "96"), ("mean", "[0.1, 0.2, 0.3]"), ("std", "[0.4, 0.4, 0.4]")],
)
def test_a_key_of_the_header_is_obeyed(page: Page, here: Path, key: str, value: str) -> None:
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    keys = ", ".join(first_cells(page("models.md"), "Headed safetensors files"))
    assert f"`{key}`" in keys
    width = int(value) if key == "num_classes" else 1000
    metadata = {"model": "torchvision/resnet18", key: value}
    save_file(resnet18(num_classes=width).state_dict(), here / "a.safetensors", metadata=metadata)
    network = ts.load(str(here / "a.safetensors"), ts.Want("image-classification", outputs=2))
    form: Any = network.preprocess
    found = {"input_size": str(form.size), "mean": str(list(form.mean)), "std": str(list(form.std))}
    assert found.get(key, value) == value


def test_a_file_without_head_needs_num_classes_0(here: Path) -> None:
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    bare = {n: t for n, t in resnet18().state_dict().items() if not n.startswith("fc.")}
    want = ts.Want("image-classification", outputs=2)
    save_file(bare, here / "bare.safetensors", metadata={"model": "torchvision/resnet18"})
    with pytest.raises(ts.TunesmithError, match="missing"):
        ts.load(str(here / "bare.safetensors"), want)
    headless = {"model": "torchvision/resnet18", "num_classes": "0"}
    save_file(bare, here / "bare.safetensors", metadata=headless)
    assert ts.load(str(here / "bare.safetensors"), want).missing == ()


def test_model_args_reach_the_constructor(here: Path) -> None:
    from safetensors.torch import save_file

    timm: Any = pytest.importorskip("timm")
    metadata = {
        "model": "timm/mobilenetv3_small_050",
        "model_args": '{"pad_type": "same"}',
        "num_classes": "0",
    }
    weights = timm.create_model("mobilenetv3_small_050", num_classes=0, pad_type="same").state_dict()
    save_file(weights, here / "m.safetensors", metadata=metadata)
    network = ts.load(str(here / "m.safetensors"), ts.Want("image-classification", outputs=2))
    assert "Same" in type(network.module.get_submodule("conv_stem")).__name__
