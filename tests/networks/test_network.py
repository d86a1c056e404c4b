"""A network's parts: found by name, their weights hashed, and no tensor in two of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tunesmith as ts
from tunesmith.errors import BadOption, TiedWeights, UnknownName
from tunesmith.networks.network import Network, Want, digest, refuse_ties, untied
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.sources.module import with_head


class Tied(nn.Module):
    """A first layer and a head that are one tensor of shape [12, 12]."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.first = nn.Linear(12, 12, bias=False)
        self.middle = nn.Linear(12, 12)
        self.head = nn.Linear(12, 12, bias=False)
        self.head.weight = self.first.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.first(self.pool(images).flatten(1)))
        out: torch.Tensor = self.head(torch.relu(self.middle(features)))
        return out


@pytest.fixture
def tied(seed: int) -> Network:
    torch.manual_seed(seed)
    return ts.network(Tied(), example=torch.zeros(1, 3, 8, 8))


@pytest.fixture
def images(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=generator)


def test_ties_between_a_stage_and_the_head_are_found(tied: Network) -> None:
    assert tied.ties == (("first.weight", "head.weight"),)


def test_training_a_tied_head_alone_is_refused_with_the_cure(tied: Network) -> None:
    rates = [0.0] * len(tied.stages) + [1e-3]
    said = r"head\.weight and first\.weight of stage .* are one tensor.*pass untie=True \(--untie\)"
    with pytest.raises(TiedWeights, match=said):
        refuse_ties(tied, rates)


@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_a_tied_head_that_moves_with_its_stage_is_allowed(tied: Network, rate: float) -> None:
    refuse_ties(tied, [rate] * len(tied.parts))


def test_untied_gives_the_head_its_own_copy(tied: Network, images: torch.Tensor) -> None:
    before = tied(images)
    free = untied(tied)
    assert torch.equal(free(images), before)
    refuse_ties(free, [0.0] * len(free.stages) + [1e-3])
    with torch.no_grad():
        free.tensors(len(free.stages))["head.weight"].add_(1.0)
    assert not torch.equal(free.module.first.weight, free.module.head.weight)  # type: ignore[union-attr,arg-type]


def test_a_tied_copy_would_have_moved_the_stage(tied: Network) -> None:
    """The control: without untie, moving the head moves the first stage."""
    before = digest(tied.tensors(0))
    with torch.no_grad():
        tied.module.head.weight.add_(1.0)  # type: ignore[union-attr,operator]
    assert digest(tied.tensors(0)) != before


def test_untie_is_obeyed_where_the_pretrained_head_is_kept(tied: Network) -> None:
    kept = with_head(tied, Want("image-classification", 12, head="pretrained"))
    assert kept.ties
    free = with_head(tied, Want("image-classification", 12, head="pretrained", untie=True))
    assert not free.ties
    assert "head.weight" in free.head.weights


def test_a_new_head_is_never_tied(tied: Network) -> None:
    assert not with_head(tied, Want("image-classification", 3)).ties


# -- digest -------------------------------------------------------------------------------------


def test_the_digest_is_that_of_the_bits() -> None:
    tensors = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3])}
    same = {"b": torch.tensor([3]), "a": torch.tensor([[1.0, 2.0], [0.0, 0.0]])[0]}
    assert digest(tensors) == digest(same) == digest(list(tensors.items()))


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.tensor([1.0, 2.0000002])},
        {"b": torch.tensor([1.0, 2.0])},
        {"a": torch.tensor([[1.0, 2.0]])},
        {"a": torch.tensor([1.0, 2.0], dtype=torch.float64)},
        {"a": torch.tensor([1.0, 2.0]).view(torch.int32)},
        {"a": torch.tensor([2.0, 1.0])},
    ],
    ids=["one bit", "name", "shape", "type", "reading", "order"],
)
def test_the_digest_changes_with_anything(other: dict[str, torch.Tensor]) -> None:
    assert digest({"a": torch.tensor([1.0, 2.0])}) != digest(other)


def test_minus_zero_is_another_digest() -> None:
    assert digest({"a": torch.tensor([0.0])}) != digest({"a": torch.tensor([-0.0])})


# -- parts --------------------------------------------------------------------------------------


@pytest.fixture
def deep() -> Network:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), *(nn.Sequential(nn.Linear(12, 12), nn.ReLU()) for _ in range(4)))
    module = nn.Sequential()
    for name, part in {"pool": nn.AdaptiveAvgPool2d(2), "blocks": layers, "fc": nn.Linear(12, 2)}.items():
        module.add_module(name, part)
    return ts.network(module, example=torch.zeros(1, 3, 8, 8))


def test_every_weight_has_one_owner(deep: Network) -> None:
    names = [name for part in deep.parts for name in part.weights]
    assert sorted(names) == sorted(dict(deep.module.named_parameters()))
    assert all(name in deep.parts[deep.owner(name)].weights for name in names)


def test_a_stage_is_found_by_name_and_by_number(deep: Network) -> None:
    for i, stage in enumerate(deep.stages):
        assert deep.index(stage.name) == deep.index(str(i)) == i


def test_an_unknown_stage_is_refused_with_a_guess(deep: Network) -> None:
    name = deep.stages[1].name
    with pytest.raises(UnknownName, match=rf"no stage named '{name}x' .*did you mean '{name}'\?"):
        deep.index(f"{name}x")


def test_a_container_that_was_cut_is_refused_with_its_stages(deep: Network) -> None:
    container = deep.stages[1].name.partition(".")[0]
    with pytest.raises(UnknownName, match=f"it is cut into .*{deep.stages[1].name}"):
        deep.index(container)


@pytest.mark.parametrize("name", ["99", "-1"])
def test_a_number_beyond_the_stages_is_refused_with_the_list(deep: Network, name: str) -> None:
    with pytest.raises(UnknownName, match=r"`tunesmith stages MODEL` lists them"):
        deep.index(name)


def test_a_network_that_cannot_read_its_example_says_so(deep: Network) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    given = ts.network(module, example=torch.zeros(1, 3, 8, 8))
    given.preprocess, given.example = ImagePreprocess(16, 16), None
    with pytest.raises(BadOption, match=r"cannot read an image of 16 x 16 pixels.*leave the image size"):
        with_head(given, Want("image-classification", 2))
