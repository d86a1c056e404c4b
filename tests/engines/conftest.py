"""Small real networks cut short, as the layer above cuts them: for the tests of engines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn


class _Cut(Exception):
    """Leaves the network where the prefix ends."""


class Images(nn.Module):
    """uint8 images [C, 3, H, W] to the outputs of some modules; what follows the last never runs."""

    def __init__(self, network: nn.Module, *paths: str) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.caught: list[Tensor] = []
        for i, path in enumerate(paths):
            last = i == len(paths) - 1
            network.get_submodule(path).register_forward_hook(self._catch_and_cut if last else self._catch)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        self.caught = []
        with suppress(_Cut):
            self.network((images.float() - 120.0) / 60.0)
        caught, self.caught = self.caught, []
        return tuple(caught)

    def _catch(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.caught.append(output.mean((2, 3)) if output.ndim == 4 else output)

    def _catch_and_cut(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.caught.append(output)
        raise _Cut


class Texts(nn.Module):
    """int64 ids and mask [C, T] to the mean of every layer and the last layer's [C, T, D]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        out = self.network(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        weight = mask.unsqueeze(-1).float()
        means = [(h * weight).sum(1) / weight.sum(1).clamp(min=1) for h in out.hidden_states]
        return (*means, out.last_hidden_state)


class BatchStatistics(nn.Module):
    """A BatchNorm that normalises with its batch's own mean, in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.norm(images.float()),)


class Counted(nn.Module):
    """Writes the number of rows that it saw while it was traced into its graph."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 4)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        rows = int(images.shape[0])
        return (self.linear(images.float().mean((2, 3)).repeat(1, 4)) * float(rows),)


def random_images(seed: int, rows: int = 8) -> tuple[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(0, 256, (rows, 3, 32, 32), dtype=torch.uint8, generator=generator),)


def random_texts(seed: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Ids and a mask [4, T]; every row but the first ends in padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 60, (4, tokens), generator=generator)
    mask = (torch.arange(tokens) < tokens - torch.arange(4).unsqueeze(1)).long()
    return ids * mask, mask


@pytest.fixture
def prefix(request: pytest.FixtureRequest, seed: int) -> nn.Module:
    """The prefix that a test names: vit, resnet, bert, counted or batch statistics."""
    torch.manual_seed(seed)
    if request.param == "counted":
        return Counted()
    if request.param == "batch statistics":
        return BatchStatistics()
    if request.param == "bert":
        import transformers

        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        return Texts(transformers.BertModel(transformers.BertConfig(vocab_size=60, **shape)))
    import timm

    if request.param == "vit":
        return Images(timm.create_model("test_vit", img_size=32), "blocks.0", "blocks.2")
    network = timm.create_model("test_resnet")
    for module in network.modules():  # as if trained: a BatchNorm that an engine can fold wrongly
        if isinstance(module, nn.BatchNorm2d):
            torch.nn.init.uniform_(module.get_buffer("running_mean"), -0.3, 0.3)
            torch.nn.init.uniform_(module.get_buffer("running_var"), 0.5, 2.0)
    return Images(network, "layer1", "layer2", "layer3")


@pytest.fixture
def chunks(request: pytest.FixtureRequest, prefix: nn.Module, seed: int) -> list[tuple[Tensor, ...]]:
    """Two chunks for the prefix, texts of two lengths."""
    if isinstance(prefix, Texts):
        return [random_texts(seed, 16), random_texts(seed + 1, 24)]
    return [random_images(seed), random_images(seed + 1)]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Pretend that a package is not installed."""

    def absent(package: str) -> None:
        monkeypatch.setitem(sys.modules, package, None)

    return absent
