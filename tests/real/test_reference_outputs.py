"""Published weights give their published outputs: matching keys are no proof of the right network.

Weights and reference.json lie outside the repository (<real>/README.md); weights are halves, so
outputs agree to about 1e-3.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tunesmith.errors import BadWeights
from tunesmith.networks.network import Network, Want
from tunesmith.sources import load
from tunesmith.strategies import STRATEGIES
from tunesmith.verbs.planning import moved_where_missing

pytestmark = pytest.mark.real

LOGITS = (
    "mobilenet_v2_torchvision",
    "mobilenetv1_100",
    "mobilenetv2_100_inat_bird",
    "mobilenetv2_100_keras",
    "squeezenet1_0",
    "squeezenet1_1",
)
FEATURES = "mobilenetv2_035_notop"
PARTIAL = "shufflenet_v2_x0_5_backbone"


@pytest.fixture
def references(real: Path) -> dict[str, dict[str, object]]:
    path = real / "weights" / "reference.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["reference"])


@functools.cache
def loaded(path: str, outputs: int, head: str, allow_missing: bool = False) -> Network:
    return load(path, Want("image-classification", outputs, head=head, allow_missing=allow_missing))


def wave(network: Network) -> Tensor:
    """The input that reference.json names, not normalised."""
    S = network.preprocess.spec()["size"]
    return torch.sin(torch.arange(3 * S * S, dtype=torch.float32).reshape(1, 3, S, S) * 0.01)


def answer(network: Network, module: str = "") -> Tensor:
    """The output of one module, or of the network."""
    seen: list[Tensor] = []
    watched: nn.Module = network.module.eval().get_submodule(module)
    handle = watched.register_forward_hook(lambda *call: seen.append(call[-1]))
    with torch.no_grad():
        network.module(wave(network))
    handle.remove()
    return seen[0][0]


def agrees(found: Tensor, reference: dict[str, object]) -> bool:
    first = torch.tensor(reference["first_outputs"])
    return len(found) == reference["outputs"] and torch.allclose(found[: len(first)], first, atol=2e-3)


def test_every_reference_has_a_test(references: dict[str, dict[str, object]]) -> None:
    assert set(references) == {*LOGITS, FEATURES, PARTIAL}


@pytest.mark.parametrize("name", LOGITS)
def test_the_logits_are_the_published_ones(
    name: str, real: Path, references: dict[str, dict[str, object]]
) -> None:
    reference = references[name]
    outputs = reference["outputs"]
    assert isinstance(outputs, int)
    network = loaded(str(real / "weights" / f"{name}.safetensors"), outputs, "pretrained")
    assert agrees(answer(network), reference)
    assert network.missing == ()


def test_without_its_padding_the_keras_network_gives_other_logits(
    real: Path, references: dict[str, dict[str, object]]
) -> None:
    """The control: every key and every shape matches, and the answers are wrong."""
    path = real / "weights" / "mobilenetv2_100_keras.safetensors"
    network = loaded(f"timm/mobilenetv2_100?pad_type=@{path}", 1000, "pretrained")
    assert not agrees(answer(network), references["mobilenetv2_100_keras"])


def test_the_pooled_features_are_the_published_ones(
    real: Path, references: dict[str, dict[str, object]]
) -> None:
    network = loaded(str(real / "weights" / f"{FEATURES}.safetensors"), 3, "linear")
    assert network.missing == ()
    assert agrees(answer(network, "global_pool"), references[FEATURES])
    assert network.module.eval()(wave(network)).shape == (1, 3)


# -- a checkpoint without its last convolution --------------------------------------------------


@pytest.fixture
def partial(real: Path) -> Network:
    return loaded(str(real / "weights" / f"{PARTIAL}.safetensors"), 3, "linear", True)


def test_the_maps_of_a_partial_checkpoint_are_the_published_ones(
    partial: Network, references: dict[str, dict[str, object]]
) -> None:
    assert agrees(answer(partial, "stage4").mean((1, 2)), references[PARTIAL])


def test_a_partial_checkpoint_is_refused_with_what_it_lacks(real: Path) -> None:
    with pytest.raises(BadWeights, match=r"conv5\.0\.weight.* missing .*--allow-missing"):
        load(str(real / "weights" / f"{PARTIAL}.safetensors"), Want("image-classification", 3))


def test_what_is_missing_is_the_convolution_and_not_the_new_head(partial: Network) -> None:
    assert {name.partition(".")[0] for name in partial.missing} == {"conv5"}
    assert any("conv5" in words and "random" in words for words in partial.loaded)


@pytest.mark.parametrize("strategy", ["linear_probe", "gradual", "lp_ft", "top", "full"])
def test_the_stage_that_is_missing_trains_in_every_phase(partial: Network, strategy: str) -> None:
    owner = partial.owner("conv5.0.weight")
    assert owner < len(partial.stages)
    plan = STRATEGIES.load(strategy)(len(partial.stages), 6, 1e-3)
    moved = moved_where_missing(plan, partial)
    assert all(phase.lrs[owner] > 0 for phase in moved.phases)
    assert any(partial.stages[owner].name in note and "missing" in note for note in moved.notes)
    if strategy in ("linear_probe", "gradual", "lp_ft"):
        assert any(phase.lrs[owner] == 0 for phase in plan.phases)  # so something had to be done
