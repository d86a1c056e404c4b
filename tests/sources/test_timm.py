"""timm's networks: arguments, weights without a head, the hub's cache, and names that are wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tunesmith.errors import BadOption, BadWeights, ModelUnavailable, UnknownName
from tunesmith.networks.network import Want
from tunesmith.sources import load
from tunesmith.sources.timm import Timm

timm = pytest.importorskip("timm")


def want(outputs: int = 3, **options: Any) -> Want:
    return Want("image-classification", outputs, **options)


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_networks_of_every_family_load_with_a_new_head(model: str) -> None:
    network = load(f"timm/{model}@none", want())
    size = network.preprocess.spec()["size"]
    assert network(torch.zeros(2, 3, size, size, dtype=torch.uint8)).shape == (2, 3)
    assert "random weights, as asked" in network.loaded


def test_the_preprocessing_is_the_networks_own() -> None:
    form = load("timm/test_vit@none", want()).preprocess.spec()
    config = timm.data.resolve_model_data_config(timm.create_model("test_vit"))
    assert (form["size"], form["mean"]) == (config["input_size"][1], config["mean"])
    assert form["resize"] == int(form["size"] / config["crop_pct"])


def test_a_vision_transformer_is_built_for_the_size_that_is_asked() -> None:
    network = load("timm/test_vit@none", want(image_size=64))
    assert network(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape == (1, 3)


def test_arguments_reach_the_constructor() -> None:
    network = load("timm/test_resnet?block_args={}&drop_rate=0.25@none", want())
    assert network.module.drop_rate == 0.25


def test_arguments_that_timm_does_not_know_are_refused() -> None:
    with pytest.raises(BadOption, match=r"timm refuses these arguments: .*'foo'"):
        load("timm/test_resnet?foo=1@none", want())


@pytest.mark.parametrize(
    ("argument", "instead"),
    [
        ("checkpoint_path=x.pth", "name the file behind the @"),
        ("features_only=true", "a classifier is needed"),
        ("pretrained=true", "leave @WEIGHTS out"),
    ],
)
def test_arguments_that_are_said_otherwise_are_refused_with_how(argument: str, instead: str) -> None:
    with pytest.raises(BadOption, match=f"cannot be given to timm here: {instead}"):
        load(f"timm/test_resnet?{argument}@none", want())


def test_a_misspelt_model_gets_a_guess() -> None:
    with pytest.raises(UnknownName, match=r"timm has no model 'resnet81'; did you mean 'resnet\d+'\?"):
        load("timm/resnet81@none", want())


def test_a_misspelt_tag_gets_a_guess() -> None:
    with pytest.raises(
        UnknownName, match=r"no weights 'resnet18\.a1_in2k'; did you mean 'resnet18\.a1_in1k'"
    ):
        load("timm/resnet18.a1_in2k", want())


def test_a_network_with_two_classifiers_is_refused() -> None:
    with pytest.raises(BadOption, match="no single classifier that could be replaced"):
        load("timm/deit_tiny_distilled_patch16_224@none", want())


# -- weights without a head ---------------------------------------------------------------------


@pytest.fixture
def headless(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    module = timm.create_model("test_resnet", num_classes=0)
    header = {"model": "timm/test_resnet", "num_classes": "0", "input_size": "64"}
    save_file(module.state_dict(), tmp_path / "headless.safetensors", metadata=header)
    return tmp_path / "headless.safetensors"


@pytest.mark.parametrize("head", ["linear", "mlp", "conv"])
def test_weights_without_a_head_get_one_and_miss_nothing(headless: Path, head: str) -> None:
    network = load(str(headless), want(head=head))
    assert network.missing == ()
    assert network(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape == (2, 3)
    state = timm.models.load_state_dict(str(headless))
    assert all(torch.equal(network.module.state_dict()[name], tensor) for name, tensor in state.items())


def test_weights_without_a_head_have_no_pretrained_head(headless: Path) -> None:
    with pytest.raises(BadOption, match=r"weights without a head .*use head 'linear'"):
        load(str(headless), want(head="pretrained"))


def test_weights_of_another_network_are_refused_with_counts(headless: Path) -> None:
    with pytest.raises(BadWeights, match=r"does not fit timm/test_vit: .* tensors match, \d+ are missing"):
        load(f"timm/test_vit@{headless}", want())


# -- the hub ------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds the weights of resnet18.a1_in1k, and of mobilenetv2 no more than words."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for repository, file in (("resnet18.a1_in1k", "model.safetensors"), ("resnet34.a1_in1k", "README.md")):
        folder = tmp_path / f"models--timm--{repository}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        (folder / "snapshots" / "abc").mkdir(parents=True)
        (folder / "snapshots" / "abc" / file).write_bytes(b"weights")
    return tmp_path


def test_only_models_whose_weights_are_cached_are_local(cache: Path) -> None:
    local = {m.name for m in Timm().find("timm/resnet", "image-classification") if m.local}
    assert local == {"timm/resnet18.a1_in1k"}


def test_all_of_timm_is_listed_in_seconds(cache: Path) -> None:
    begun = time.monotonic()
    found = Timm().find("", "")
    assert len(found) > 1000
    assert time.monotonic() - begun < 10
    assert Timm().find("", "text-classification") == []


def test_few_models_are_listed_with_their_size_and_many_without(cache: Path) -> None:
    (resnet,) = Timm().find("timm/resnet18.a1_in1k", "")
    assert resnet.parameters == 11.689512  # as torchvision documents for resnet18 with 1000 classes
    assert {model.parameters for model in Timm().find("timm/resnet", "")} == {None}


def test_a_model_that_cannot_be_built_without_memory_is_listed_without_its_size(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*args: Any, **options: Any) -> None:
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")

    monkeypatch.setattr("timm.create_model", refusing)
    (resnet,) = Timm().find("timm/resnet18.a1_in1k", "")
    assert (resnet.name, resnet.parameters) == ("timm/resnet18.a1_in1k", None)


def test_weights_that_are_not_here_are_refused_offline_with_both_cures(cache: Path) -> None:
    said = r"timm/test_resnet are not on this machine and --offline .*@weights\.safetensors.*@none"
    with pytest.raises(ModelUnavailable, match=said):
        load("timm/test_resnet", want())


def test_a_hub_that_does_not_answer_is_named_within_seconds(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """huggingface_hub itself tries six times, with pauses, for each of two files: 47 seconds."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    begun = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:9 does not answer") as caught:
        load("timm/test_resnet", want())
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 8
