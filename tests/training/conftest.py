"""A network of three stages with BatchNorm and dropout, 42 pictures of 8 x 8 pixels, and their task."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tunesmith.data.data import Data
from tunesmith.networks.network import Network
from tunesmith.sources.module import network
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Task

Make = Callable[..., Network]
NAMES = ("blue", "green", "red")


class Block(nn.Module):
    """Dropout, convolution, perhaps BatchNorm, ReLU."""

    def __init__(self, channels: int, width: int, dropout: float, norm: bool) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(self.drop(images))))


class Small(nn.Module):
    """Stages a, b and c, a linear head on the mean over positions; memory for `room` examples."""

    def __init__(self, dropout: float, norm: bool, room: int) -> None:
        super().__init__()
        self.a = Block(3, 4, dropout, norm)
        self.b = Block(4, 6, dropout, norm)
        self.c = Block(6, 6, dropout, norm)
        self.head = nn.Linear(6, 3)
        self.room = room

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        features: Tensor = self.c(self.b(self.a(images))).mean((2, 3))
        logits: Tensor = self.head(features)
        return logits


@pytest.fixture
def small(seed: int) -> Make:
    """Make the network: the same weights for the same `weights`."""

    def make(
        *, dropout: float = 0.0, norm: bool = True, room: int = 10_000, weights: int = 0, lib: type = Small
    ) -> Network:
        torch.manual_seed(seed + weights)
        module = lib(dropout, norm, 10_000)
        found = network(module, example=torch.zeros(1, 3, 8, 8), head="head", stages=("a", "b", "c"))
        assert len(found.stages) == 3
        module.room = room
        return found

    return make


@pytest.fixture
def task() -> Task:
    made: Task = TASKS.load("image-classification")()
    return made


@pytest.fixture(scope="session")
def pixels() -> Data:
    """24 training, 9 validation and 9 test pictures; a class is brighter in one of the channels."""
    import datasets
    from PIL import Image

    random = np.random.default_rng(0)

    def split(count: int) -> datasets.Dataset:
        rows: dict[str, list[object]] = {"id": [], "item": [], "label": []}
        for i in range(count):
            picture = random.integers(0, 200, (8, 8, 3), dtype=np.uint8)
            picture[..., 2 - i % 3] = random.integers(100, 255, (8, 8))
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "PNG")
            rows["id"].append(f"{i}.png")
            rows["item"].append({"path": None, "bytes": buffer.getvalue()})
            rows["label"].append(NAMES[i % 3])
        return datasets.Dataset.from_dict(rows)

    splits = {"train": split(24), "valid": split(9), "test": split(9)}
    return Data("pixels", "image", splits, (), "0" * 64)
