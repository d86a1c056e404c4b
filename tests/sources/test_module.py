"""A person's own nn.Module as a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tunesmith as ts
from tunesmith.errors import BadOption
from tunesmith.networks.network import Want
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.sources.module import with_head


class Own(nn.Module):
    """Three convolutions, an average, dropout and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 8, 3, padding=1)
        self.two = nn.Conv2d(8, 8, 3, padding=1)
        self.three = nn.Conv2d(8, 8, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(8, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = torch.relu(self.two(torch.relu(self.one(images))))
        out: torch.Tensor = self.out(self.drop(torch.relu(self.three(maps)).mean((2, 3))))
        return out


@pytest.fixture
def example() -> torch.Tensor:
    return torch.zeros(1, 3, 16, 16)


def test_the_last_linear_layer_is_the_head(example: torch.Tensor) -> None:
    network = ts.network(Own(), example=example)
    assert "out" in network.head.modules
    assert network.head.weights == ("out.weight", "out.bias")
    assert next(w for s in network.stages for w in s.weights) == "one.weight"


def test_images_of_the_examples_size_are_guessed(example: torch.Tensor) -> None:
    form = ts.network(Own(), example=example).preprocess
    assert form == ImagePreprocess(16, 16)


def test_the_preprocessing_that_is_passed_is_used(example: torch.Tensor) -> None:
    form = ImagePreprocess(16, 20, mean=(0.0,) * 3, std=(1.0,) * 3)
    assert ts.network(Own(), example=example, preprocess=form).preprocess is form


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (1, 16)])
def test_other_examples_need_a_preprocessing(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadOption, match=r"pass preprocess=.*images \[1, 3, H, W\]"):
        ts.network(Own(), example=torch.zeros(shape))


def test_stages_begin_where_they_are_named(example: torch.Tensor) -> None:
    network = ts.network(Own(), example=example, stages=["one", "three"])
    assert [s.modules[0] for s in network.stages] == ["one", "three"]


@pytest.mark.parametrize("option", [{"stages": ["four"]}, {"head": "four"}])
def test_a_path_that_is_never_called_is_refused(example: torch.Tensor, option: dict[str, object]) -> None:
    with pytest.raises(BadOption, match="four"):
        ts.network(Own(), example=example, **option)  # type: ignore[arg-type]


def test_a_task_puts_its_own_head_on_the_module(example: torch.Tensor) -> None:
    network = with_head(ts.network(Own(), example=example), Want("image-classification", 7))
    assert network(torch.zeros(2, 3, 16, 16, dtype=torch.uint8)).shape == (2, 7)
    assert network.recipe is None


def test_the_origin_is_the_class_and_its_weights(example: torch.Tensor) -> None:
    torch.manual_seed(0)
    first = ts.network(Own(), example=example).origin
    torch.manual_seed(0)
    again = ts.network(Own(), example=example).origin
    torch.manual_seed(1)
    other = ts.network(Own(), example=example).origin
    assert first == again != other
    assert first.startswith("Own@")
