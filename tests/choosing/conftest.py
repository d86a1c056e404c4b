"""Features whose worth is known; a network that is linear in the colours, pictures near to it or far."""

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
from tunesmith.training.examples import Examples

Pair = tuple[np.ndarray, np.ndarray]
Make = Callable[..., Network]
Pictures = Callable[..., Data]


class Linear(nn.Module):
    """Three stages of 1 x 1 convolutions whose ReLUs never bend, because their biases are large.

    What they put out, pooled, is linear in the mean of each colour; a stage that trains can bend.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 16, 1)
        self.head = nn.Linear(16, outputs)
        with torch.no_grad():
            for layer, reach, bias in ((self.a, 0.4, 3.0), (self.b, 0.3, 1.5), (self.c, 1.0, 1.6)):
                layer.weight.uniform_(-reach, reach)
                if layer is not self.a:
                    layer.weight -= layer.weight.mean(1, keepdim=True)  # the bias before it cancels
                assert layer.bias is not None
                layer.bias.fill_(bias)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.b(torch.relu(self.a(images))))
        logits: Tensor = self.head(torch.relu(self.c(hidden)).mean((2, 3)))
        return logits


@pytest.fixture
def linear(seed: int) -> Make:
    """Make the network: the same weights every time."""

    def make(outputs: int = 2) -> Network:
        torch.manual_seed(seed)
        module = Linear(outputs)
        return network(module, example=torch.zeros(1, 3, 8, 8), head="head", stages=("a", "b", "c"))

    return make


@pytest.fixture
def task() -> Task:
    made: Task = TASKS.load("image-classification")()
    return made


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """Make 8 x 8 pictures in three splits.

    "near": the class says whether there is much red. "far": whether there is much of red or of green, but
    not of both, which no linear function of the colours tells.
    """
    import datasets
    from PIL import Image

    def split(kind: str, count: int, random: np.random.Generator) -> datasets.Dataset:
        rows: dict[str, list[object]] = {"id": [], "item": [], "label": []}
        for i in range(count):
            red, green = i % 2, i // 2 % 2
            level = np.array([60 + 130 * red, 60 + 130 * green, random.integers(60, 190)])
            pixels = np.clip(level + random.normal(0, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            rows["id"].append(f"{i}.png")
            rows["item"].append({"path": None, "bytes": buffer.getvalue()})
            rows["label"].append("much" if (red if kind == "near" else red ^ green) else "little")
        return datasets.Dataset.from_dict(rows)

    def make(kind: str, train: int = 192, valid: int = 96) -> Data:
        random = np.random.default_rng(0)
        splits = {n: split(kind, c, random) for n, c in (("train", train), ("valid", valid), ("test", 48))}
        return Data(kind, "image", splits, (), "0" * 64)

    return make


@pytest.fixture
def examples() -> Callable[[Data, Network], dict[str, Examples]]:
    """The splits as training sees them, without a store."""

    def make(data: Data, net: Network) -> dict[str, Examples]:
        return {split: Examples(own, net.preprocess) for split, own in data.splits.items()}

    return make


@pytest.fixture(scope="session")
def telling() -> Callable[..., Pair]:
    """Draw features [N, D] of unit noise around class means that are `shift` apart, and classes [N].

    rare: how many examples the second of two classes has; None: all classes have equally many.
    """

    def draw(N: int, D: int, seed: int, *, K: int = 4, shift: float = 1.5, rare: int | None = None) -> Pair:
        random = np.random.default_rng([seed, N, D, K])
        if rare is None:
            targets = np.arange(N) % K
        else:
            K, targets = 2, (np.arange(N) < rare).astype(int)
        means = random.normal(size=(K, D)) * shift
        return random.normal(size=(N, D)) + means[targets], targets

    return draw


@pytest.fixture(scope="session")
def with_noise() -> Callable[..., np.ndarray]:
    """Put so many features of unit noise beside the features."""

    def wider(features: np.ndarray, count: int, seed: int) -> np.ndarray:
        noise = np.random.default_rng([seed, count]).normal(size=(len(features), count))
        return np.concatenate([features, noise], 1)

    return wider
