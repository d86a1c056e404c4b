"""How near data are: by the statistics that batch normalisation keeps, and by a source head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tunesmith as ts
from tunesmith.choosing.nearness import (
    confidence,
    normalised,
    shift,
    source_posteriors,
)
from tunesmith.networks.network import Network, Want
from tunesmith.verbs.loading import load_network


def images(count: int, seed: int, *, low: int = 60, high: int = 160, coarse: bool = True) -> Tensor:
    """Photos of a kind: smooth patches of grey in some range; or fine noise."""
    random = np.random.default_rng(seed)
    side = 4 if coarse else 32
    patches = random.integers(low, high, (count, 3, side, side), dtype=np.uint8)
    return torch.from_numpy(patches.repeat(32 // side, 2).repeat(32 // side, 3))


@pytest.fixture(scope="module")
def pretrained() -> Network:
    """Two blocks with batch normalisation, which has seen 512 smooth photos."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16, momentum=None), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 16, 3, 2, padding=1), nn.BatchNorm2d(16, momentum=None), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    )
    made = ts.network(module, example=torch.zeros(1, 3, 32, 32), stages=["0", "1"])
    module.train()
    with torch.no_grad():
        for batch in range(8):
            made(images(64, 1000 + batch))
    module.eval()
    return made


def test_data_like_the_pretraining_are_near_and_others_are_far(pretrained: Network) -> None:
    def value(inputs: Tensor) -> float:
        found = shift(pretrained, inputs)
        assert found is not None
        return found.value

    near = value(images(64, 1))
    assert near < 0.3
    assert value(images(64, 1, low=180, high=255)) > 3 * near
    assert value(images(64, 1, low=0, high=255, coarse=False)) > 3 * near
    assert value(images(64, 2)) == pytest.approx(near, abs=0.1)  # the control: others of the same kind


def test_the_distance_of_one_channel_is_the_one_worked_out_by_hand() -> None:
    norm = nn.BatchNorm2d(1, eps=0.0)
    norm.running_mean, norm.running_var = torch.tensor([1.0]), torch.tensor([4.0])
    module = nn.Sequential(nn.Sequential(norm, nn.ReLU()), nn.Flatten(), nn.Linear(64, 2))
    made = Network(module, (), ts.Stage("head", ("2",), ()), (), ts.ImagePreprocess(8, 8), "made")
    made.stages = (ts.Stage("0", ("0",), ()),)

    class Raw:
        def ready(self, inputs: Tensor) -> Tensor:
            return inputs

    made.preprocess = Raw()  # type: ignore[assignment]
    pixels = torch.full((2, 1, 8, 8), 2.0)
    pixels[1] = 4.0  # mean 3, deviation 1: (3 - 1)² + (1 - 2)² = 5 of variance 4
    found = shift(made, pixels)
    assert found is not None
    assert found.value == pytest.approx((5 / 4) ** 0.5)


def test_measuring_leaves_the_network_as_it_was(pretrained: Network) -> None:
    before = {name: tensor.clone() for name, tensor in pretrained.module.state_dict().items()}
    shift(pretrained, images(8, 1))
    assert all(torch.equal(t, before[n]) for n, t in pretrained.module.state_dict().items())
    assert not any(m._forward_pre_hooks for m in pretrained.module.modules())


def test_a_network_without_batch_normalisation_has_no_shift() -> None:
    module = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8)), nn.Linear(8, 2))
    made = ts.network(module, example=torch.zeros(1, 3, 32, 32))
    assert normalised(made) == []
    assert shift(made, images(4, 1)) is None


def test_a_source_head_answers_from_pooled_features_as_the_network_did(pretrained: Network) -> None:
    import copy

    inputs = images(6, 3)
    with torch.no_grad():
        expected = torch.softmax(pretrained(inputs).double(), 1).numpy()
    rebuilt = load_network(copy.deepcopy(pretrained), Want("image-classification", 3))
    assert rebuilt.source_head is not None
    pooled: list[Tensor] = []
    head = rebuilt.module.get_submodule("4")
    handle = head.register_forward_pre_hook(lambda _, given: pooled.append(given[0]))
    with torch.no_grad():
        rebuilt(inputs)
    handle.remove()
    found = source_posteriors(rebuilt, pooled[0].numpy())
    assert found is not None
    assert np.abs(found - expected).max() < 1e-6
    again = load_network(rebuilt, Want("image-classification", 4))
    assert again.source_head is rebuilt.source_head  # not the one that has learned nothing
    assert source_posteriors(rebuilt, np.zeros((2, 99))) is None


def test_confidence_is_the_mean_of_the_largest_posteriors() -> None:
    found = confidence(np.array([[0.5, 0.5], [0.9, 0.1]]))
    assert (found.statistic, found.value, found.examples) == ("confidence", 0.7, 2)
