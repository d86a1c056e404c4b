"""torchvision's networks: their arguments, their published weights, and names that are wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tunesmith.errors import BadOption, BadWeights, ModelUnavailable, UnknownName
from tunesmith.networks.network import Network, Want
from tunesmith.sources import hub, load
from tunesmith.sources.torchvision import Torchvision

models = pytest.importorskip("torchvision.models")


def want(outputs: int = 3, **options: Any) -> Want:
    return Want("image-classification", outputs, **options)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, Tensor]], Path]:
    """Put weights where torchvision keeps what it has fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def put(model: str, state: dict[str, Tensor]) -> Path:
        url = models.get_model_weights(model).DEFAULT.url
        path = tmp_path / "hub" / "checkpoints" / str(url.rsplit("/", 1)[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path)
        return path

    return put


def same(network: Network, reference: torch.nn.Module, size: int = 75) -> bool:
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return torch.equal(network.module.eval()(images), reference.eval()(images))


@pytest.mark.parametrize(("model", "size"), [("googlenet", 64), ("inception_v3", 75)])
def test_published_weights_of_networks_with_auxiliary_heads_answer_as_torchvisions_loading(
    published: Callable[..., Path], model: str, size: int
) -> None:
    """It turns `transform_input` on; without that, the weights fit and the answers are wrong."""
    torch.manual_seed(0)
    builder = models.get_model_builder(model)
    published(model, builder(weights=None, init_weights=False).state_dict())
    reference = builder(weights="DEFAULT", progress=False)
    kept = want(1000, head="pretrained", image_size=size)
    assert same(load(f"torchvision/{model}", kept), reference, size)
    assert not same(load(f"torchvision/{model}?transform_input=false", kept), reference, size)


def test_published_weights_under_older_names_are_loaded(published: Callable[..., Path]) -> None:
    torch.manual_seed(0)
    state = models.densenet121(weights=None).state_dict()
    old = {n.replace("norm1.", "norm.1.").replace("norm2.", "norm.2."): t for n, t in state.items()}
    old = {n.replace("conv1.", "conv.1.").replace("conv2.", "conv.2."): t for n, t in old.items()}
    assert old.keys() != state.keys()
    published("densenet121", old)
    network = load("torchvision/densenet121", want(1000, head="pretrained", image_size=64))
    assert all(torch.equal(state[n], t) for n, t in network.module.state_dict().items())


def test_published_weights_that_hold_code_are_refused(published: Callable[..., Path]) -> None:
    path = published("resnet18", {})
    torch.save({"fc.bias": Path("x")}, path)
    with pytest.raises(BadWeights, match="more than tensors"):
        load("torchvision/resnet18", want())


def test_a_fetched_file_is_local_and_others_are_not(published: Callable[..., Path]) -> None:
    published("resnet18", {})
    local = {m.name: m.local for m in Torchvision().find("resnet", "")}
    assert local.pop("torchvision/resnet18")
    assert not any(local.values())


def test_weights_that_are_not_here_are_refused_offline_with_both_cures(
    published: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = r"torchvision/resnet18 are not on this machine and --offline .*@weights\.safetensors.*@none"
    with pytest.raises(ModelUnavailable, match=said):
        load("torchvision/resnet18", want())


def test_a_server_that_does_not_answer_is_named_within_seconds(
    published: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("tunesmith.sources.torchvision.answers", lambda url: False)
    begun = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"https://download\.pytorch\.org does not answer"):
        load("torchvision/resnet18", want())
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://no.such.host.invalid"])
def test_nobody_answers_where_nobody_is(url: str) -> None:
    assert not hub.answers(url)


def test_arguments_reach_the_constructor() -> None:
    half = load("torchvision/mobilenet_v2?width_mult=0.5@none", want(image_size=32))
    whole = load("torchvision/mobilenet_v2@none", want(image_size=32))
    sizes = [sum(p.numel() for p in n.module.parameters()) for n in (half, whole)]
    assert sizes[0] < sizes[1] / 2
    assert half.recipe is not None
    assert half.recipe["args"] == {"width_mult": 0.5}


def test_arguments_that_torchvision_does_not_know_are_refused() -> None:
    with pytest.raises(BadOption, match=r"torchvision refuses these arguments: .*'foo'"):
        load("torchvision/resnet18?foo=1@none", want())


def test_arguments_that_a_network_cannot_carry_out_are_refused() -> None:
    with pytest.raises(BadOption, match="torchvision refuses these arguments: Dilation"):
        load("torchvision/resnet18?replace_stride_with_dilation=[false,true,true]@none", want())


@pytest.mark.parametrize("argument", ["weights=DEFAULT", "num_classes=10", "aux_logits=true"])
def test_arguments_that_are_decided_elsewhere_are_refused(argument: str) -> None:
    with pytest.raises(BadOption, match=f"{argument.partition('=')[0]} cannot be given to torchvision here"):
        load(f"torchvision/googlenet?{argument}@none", want())


def test_a_misspelt_model_gets_a_guess() -> None:
    with pytest.raises(UnknownName, match=r"no model 'resnet81'; did you mean 'resnet\d+'\?"):
        load("torchvision/resnet81@none", want())


def test_an_image_size_that_a_vision_transformer_cannot_read_is_refused() -> None:
    with pytest.raises(BadOption, match=r"cannot read an image of 128 x 128 pixels.*leave the image size"):
        load("torchvision/vit_b_32@none", want(image_size=128))


def test_a_vision_transformer_built_for_another_size_reads_that_size() -> None:
    network = load("torchvision/vit_b_32?image_size=64@none", want())
    assert network.preprocess.spec()["size"] == 64


def test_a_text_task_is_refused() -> None:
    with pytest.raises(BadOption, match=r"takes images, and the task is text-classification.*hf/NAME"):
        load("torchvision/resnet18@none", Want("text-classification", 2))


def test_weights_without_a_head_have_no_pretrained_head(tmp_path: Path) -> None:
    state = {n: t for n, t in models.squeezenet1_1().state_dict().items() if "classifier" not in n}
    save_file(
        state,
        tmp_path / "w.safetensors",
        metadata={"model": "torchvision/squeezenet1_1", "num_classes": "0", "input_size": "64"},
    )
    assert load(str(tmp_path / "w.safetensors"), want()).missing == ()
    with pytest.raises(BadOption, match="weights without a head"):
        load(str(tmp_path / "w.safetensors"), want(head="pretrained"))


def test_the_header_decides_size_and_normalisation(tmp_path: Path) -> None:
    header = {
        "model": "torchvision/squeezenet1_1",
        "input_size": "64",
        "mean": "[0, 0, 0]",
        "std": "[1, 1, 1]",
    }
    save_file(models.squeezenet1_1().state_dict(), tmp_path / "w.safetensors", metadata=header)
    form = load(str(tmp_path / "w.safetensors"), want()).preprocess.spec()
    assert (form["size"], form["mean"], form["std"]) == (64, (0.0,) * 3, (1.0,) * 3)
    form = load(str(tmp_path / "w.safetensors"), want(image_size=72)).preprocess.spec()
    assert form["size"] == 72
