"""A saved network loads from its folder alone and answers bit for bit the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tunesmith as ts
from tunesmith.errors import BadRun
from tunesmith.networks.network import Network, Want
from tunesmith.runs import load_model, save_model
from tunesmith.sources import load
from tunesmith.sources.module import with_head
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels

HEADS = ("linear", "mlp", "conv", "pretrained")
Logits = Callable[[Network], Tensor]


def own() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(8, 5),
    )  # fmt: skip


def shaken(network: Network) -> Network:
    """Every weight and every statistic of BatchNorm off its start, as after training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in network.module.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.1 * torch.rand(tensor.shape, generator=generator)
    return network


def save(network: Network, want: Want, folder: Path) -> Path:
    save_model(
        network,
        want,
        TASKS.load(want.kind)(),
        Labels(tuple("abcde"[: want.outputs]), (1,) * want.outputs),
        folder,
    )
    return folder


def survives(
    network: Network, want: Want, folder: Path, logits: Logits, module: nn.Module | None = None
) -> None:
    """The assertions of this file, with their control: other weights answer otherwise."""
    expected = logits(shaken(network))
    again, task, labels = load_model(save(network, want, folder), module=module)
    assert torch.equal(logits(again), expected)
    assert not torch.equal(logits(shaken(again)), expected)
    assert (task.name, len(labels.names)) == (want.kind, want.outputs)
    assert again.parts == network.parts
    assert again.preprocess.spec() == network.preprocess.spec()


@pytest.mark.parametrize("outputs", [3, 5])
@pytest.mark.parametrize("head", HEADS)
def test_a_torchvision_network(head: str, outputs: int, tmp_path: Path, logits: Logits) -> None:
    want = Want("image-classification", outputs, head=head, image_size=64)
    survives(load("torchvision/resnet18@none", want), want, tmp_path / "model", logits)


@pytest.mark.parametrize(
    "model", ["mobilenet_v3_small", "squeezenet1_1", "googlenet?transform_input=true", "mnasnet0_5"]
)
def test_torchvision_networks_with_habits_of_their_own(model: str, tmp_path: Path, logits: Logits) -> None:
    want = Want("image-classification", 3, image_size=64, dropout=0.0 if "squeeze" in model else 0.2)
    survives(load(f"torchvision/{model}@none", want), want, tmp_path / "model", logits)


def test_a_pretrained_head_that_is_a_convolution(tmp_path: Path, logits: Logits) -> None:
    want = Want("image-classification", 3, head="pretrained", image_size=64)
    survives(load("torchvision/squeezenet1_1@none", want), want, tmp_path / "model", logits)


@pytest.mark.parametrize("head", HEADS)
def test_a_timm_network(head: str, tmp_path: Path, logits: Logits) -> None:
    want = Want("image-classification", 3, head=head, image_size=64)
    survives(load("timm/test_resnet?drop_rate=0.1@none", want), want, tmp_path / "model", logits)


def test_a_timm_vision_transformer_built_for_another_size(tmp_path: Path, logits: Logits) -> None:
    want = Want("image-classification", 3, image_size=64)
    survives(load("timm/test_vit@none", want), want, tmp_path / "model", logits)


@pytest.mark.parametrize("head", HEADS)
def test_a_network_of_ones_own(head: str, tmp_path: Path, logits: Logits) -> None:
    want = Want("image-classification", 3, head=head)
    network = with_head(ts.network(own(), example=torch.zeros(1, 3, 16, 16)), want)
    survives(network, want, tmp_path / "model", logits, module=own())


def test_a_network_of_ones_own_is_asked_for_when_it_is_not_passed(tmp_path: Path) -> None:
    want = Want("image-classification", 5)
    save(
        with_head(ts.network(own(), example=torch.zeros(1, 3, 16, 16)), want),
        want,
        tmp_path / "run" / "model",
    )
    with pytest.raises(
        BadRun, match=r"network of your own, .*pass it: Run\.open\(.*module=YourNetwork\(\)\)"
    ):
        load_model(tmp_path / "run" / "model")


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "gpt2"])
def test_a_text_network_read_by_its_own_class(
    kind: str, tiny_text: Callable[[str], Path], tmp_path: Path, logits: Logits
) -> None:
    want = Want("text-classification", 3, ("a", "b", "c"), dropout=0.1)
    survives(load(f"hf/{tiny_text(kind)}", want), want, tmp_path / "model", logits)


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
def test_a_text_network_read_by_pooling(
    pooling: str, head: str, tiny_text: Callable[[str], Path], tmp_path: Path, logits: Logits
) -> None:
    want = Want("text-classification", 3, head=head, max_length=16)
    survives(load(f"hf/{tiny_text('bert')}?pooling={pooling}", want), want, tmp_path / "model", logits)


@pytest.mark.parametrize("outputs", [2, 3])
def test_a_text_network_with_its_pretrained_head(
    outputs: int, tiny_text: Callable[[str], Path], tmp_path: Path, logits: Logits
) -> None:
    transformers = pytest.importorskip("transformers")
    folder = tiny_text("bert")
    transformers.AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(folder)
    want = Want("text-classification", outputs, head="pretrained")
    survives(load(f"hf/{folder}", want), want, tmp_path / "model", logits)


@pytest.mark.parametrize("head", ["linear", "mlp", "pretrained"])
@pytest.mark.parametrize("kind", ["vit", "convnext", "resnet"])
def test_a_transformers_image_network(
    kind: str, head: str, tiny_image: Callable[..., Path], tmp_path: Path, logits: Logits
) -> None:
    want = Want("image-classification", 3, head=head)
    survives(load(f"hf/{tiny_image(kind)}", want), want, tmp_path / "model", logits)


def test_a_checkpoint_in_halves_comes_back_in_floats(
    tiny_image: Callable[..., Path], tmp_path: Path, logits: Logits
) -> None:
    want = Want("image-classification", 3)
    survives(load(f"hf/{tiny_image('vit', dtype=torch.float16)}", want), want, tmp_path / "model", logits)


# -- what was changed since it was written ------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    want = Want("image-classification", 3, image_size=32)
    return save(load("timm/test_resnet@none", want), want, tmp_path / "model")


def test_a_weights_file_cut_short_is_refused(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(BadRun, match=r"was cut short or changed since it was written; it is not used"):
        load_model(folder)


def test_a_single_flipped_bit_is_refused(folder: Path) -> None:
    load_model(folder)
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-100] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(BadRun, match="changed since it was written"):
        load_model(folder)


@pytest.mark.parametrize("file", ["weights.safetensors", "network.json"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(BadRun, match=rf"{file} is missing"):
        load_model(folder)


def test_a_damaged_description_is_refused(folder: Path) -> None:
    text = (folder / "network.json").read_text(encoding="utf-8")
    (folder / "network.json").write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(BadRun, match=r"network\.json was cut short or changed"):
        load_model(folder)
