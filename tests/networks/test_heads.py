"""New heads: their shape, their start, where they are refused, and what dropout does."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tunesmith.errors import BadOption
from tunesmith.networks.assemble import keep_head
from tunesmith.networks.heads import ConvHead, DropoutLinear, new_head, width
from tunesmith.networks.network import Network, Want
from tunesmith.sources import load


class Small(nn.Module):
    """Convolution [B, 3, 8, 8] -> [B, 6, 8, 8], average, linear [B, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(self.flatten(self.pool(torch.relu(self.conv(images)))))
        return out


@pytest.fixture
def small(seed: int) -> Small:
    torch.manual_seed(seed)
    return Small().eval()


@pytest.fixture
def images(seed: int) -> torch.Tensor:
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def forward(module: nn.Module) -> object:
    return module(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("kind", ["linear", "mlp", "conv"])
def test_a_new_head_gives_as_many_numbers_as_asked(kind: str, small: Small, images: torch.Tensor) -> None:
    new_head(small, "fc", kind, 7, call=forward)
    assert small(images).shape == (5, 7)


@pytest.mark.parametrize("kind", ["linear", "mlp", "conv"])
def test_a_new_head_begins_at_the_loss_of_guessing(kind: str, small: Small, images: torch.Tensor) -> None:
    targets = torch.tensor([0, 1, 2, 3, 3])
    new_head(small, "fc", kind, 7, call=forward)
    loss = nn.functional.cross_entropy(small.eval()(images), targets)
    assert abs(float(loss.detach()) - math.log(7)) < 0.05
    nn.init.normal_(next(m for m in small.modules() if isinstance(m, nn.Linear)).weight, std=50.0)
    loss = nn.functional.cross_entropy(small(images), targets)
    assert abs(float(loss.detach()) - math.log(7)) > 0.05


@pytest.mark.parametrize("kind", ["linear", "mlp", "conv"])
def test_a_new_head_sends_a_gradient_into_the_stages(kind: str, small: Small, images: torch.Tensor) -> None:
    new_head(small, "fc", kind, 7, call=forward)
    loss = nn.functional.cross_entropy(small(images), torch.arange(5))
    loss.backward()  # type: ignore[no-untyped-call]
    assert small.conv.weight.grad is not None
    assert float(small.conv.weight.grad.abs().sum()) > 0


def test_an_mlp_has_one_hidden_layer_no_wider_than_its_features(small: Small) -> None:
    new_head(small, "fc", "mlp", 2)
    shapes = [tuple(p.shape) for p in small.fc.parameters()]
    assert shapes == [(6, 6), (6,), (2, 6), (2,)]
    assert width(small.fc) == 6


def test_a_linear_head_on_a_convolution_is_a_convolution() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1))
    new_head(module, "0", "linear", 2)
    assert module(torch.zeros(1, 3, 5, 5)).shape == (1, 2, 5, 5)


def test_an_mlp_on_a_convolution_is_refused_with_what_works() -> None:
    with pytest.raises(BadOption, match=r"ends in a convolution; use 'linear'"):
        new_head(nn.Sequential(nn.Conv2d(3, 4, 1)), "0", "mlp", 2)


def test_an_unknown_head_is_refused_with_the_known_ones(small: Small) -> None:
    with pytest.raises(BadOption, match="one of linear, mlp, conv, pretrained; found 'lniear'"):
        new_head(small, "fc", "lniear", 2)


def test_what_owns_no_matrix_is_no_head(small: Small) -> None:
    with pytest.raises(BadOption, match="a Flatten cannot be replaced as a head"):
        new_head(small, "flatten", "linear", 2)


# -- the conv head ------------------------------------------------------------------------------


def test_a_conv_head_sees_the_map_before_it_is_averaged(small: Small, images: torch.Tensor) -> None:
    new_head(small, "fc", "conv", 2, call=forward)
    head = small.fc
    assert isinstance(head, ConvHead)
    assert (head.channels, head.side) == (6, 8)
    nn.init.normal_(head.out.weight)
    moved = images.roll(4, -1)  # the same pixels elsewhere: an average would hardly change
    assert not torch.allclose(small.eval()(images), small(moved), atol=1e-4)


@pytest.mark.parametrize("model", ["torchvision/resnet18@none", "timm/test_resnet@none"])
def test_a_conv_head_fits_networks_that_pool_in_a_module(model: str) -> None:
    network = load(model, Want("image-classification", 3, head="conv", image_size=64))
    assert network(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape == (2, 3)
    assert any(isinstance(network.module.get_submodule(path), ConvHead) for path in network.head.modules)


@pytest.mark.parametrize("model", ["torchvision/mobilenet_v2@none", "timm/test_vit@none"])
def test_a_conv_head_is_refused_where_no_map_can_be_had(model: str) -> None:
    with pytest.raises(BadOption, match=r"last global pooling is a module.*Use head 'linear' or 'mlp'"):
        load(model, Want("image-classification", 3, head="conv"))


def test_a_conv_head_without_a_forward_pass_is_refused(small: Small) -> None:
    with pytest.raises(BadOption, match="head 'conv' needs"):
        new_head(small, "fc", "conv", 2)


# -- the pretrained head ------------------------------------------------------------------------


def test_a_pretrained_head_of_the_right_width_stays(small: Small, images: torch.Tensor) -> None:
    before = small(images)
    assert keep_head(small, ["fc"], 4) == ["fc"]
    assert torch.equal(small(images), before)


def test_a_pretrained_head_of_another_width_feeds_a_new_layer(small: Small, images: torch.Tensor) -> None:
    old, before = small.fc, small(images)
    assert keep_head(small, ["fc"], 2) == ["fc.out"]
    seen: list[torch.Tensor] = []
    old.register_forward_hook(lambda *call: seen.append(call[-1]))
    assert small(images).shape == (5, 2)
    assert torch.equal(seen[0], before)


def test_a_network_that_ends_in_no_linear_layer_has_no_pretrained_head() -> None:
    with pytest.raises(BadOption, match="needs a network that ends in a linear layer"):
        keep_head(nn.Sequential(nn.Flatten()), ["0"], 2)


@pytest.mark.parametrize(("outputs", "shape"), [(1000, (2, 1000)), (3, (2, 3))])
def test_a_pretrained_head_may_be_a_convolution(outputs: int, shape: tuple[int, int]) -> None:
    """SqueezeNet classifies at every place of its map, then averages."""
    want = Want("image-classification", outputs, head="pretrained", image_size=64)
    network = load("torchvision/squeezenet1_1@none", want)
    assert network(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape == shape


def test_an_extended_pretrained_head_is_a_stage_of_its_own() -> None:
    def asked(head: str) -> Network:
        return load("timm/test_resnet@none", Want("image-classification", 3, head=head, image_size=64))

    assert len(asked("pretrained").stages) == len(asked("linear").stages) + 1


# -- dropout ------------------------------------------------------------------------------------


def test_dropout_keeps_the_names_of_a_linear_layer() -> None:
    assert list(DropoutLinear(3, 2, 0.5).state_dict()) == list(nn.Linear(3, 2).state_dict())


@pytest.mark.parametrize("kind", ["linear", "mlp", "conv"])
def test_dropout_acts_in_training_only(kind: str, small: Small, images: torch.Tensor) -> None:
    new_head(small, "fc", kind, 7, dropout=0.5, call=forward)
    small.eval()
    assert torch.equal(small(images), small(images))
    for m in small.fc.modules():  # BatchNorm alone would also differ from eval mode, but not from itself
        if not isinstance(m, nn.BatchNorm2d):
            m.training = True
    assert not torch.equal(small(images), small(images))


@pytest.mark.parametrize("kind", ["linear", "mlp", "conv"])
def test_without_dropout_training_is_deterministic(kind: str, small: Small, images: torch.Tensor) -> None:
    new_head(small, "fc", kind, 7, call=forward)
    small.train()
    assert torch.equal(small(images), small(images))
