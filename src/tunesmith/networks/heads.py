"""New heads: what turns a network's features into the answers of a task."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.errors import BadOption

HEADS = ("linear", "mlp", "conv", "pretrained")
HIDDEN = 256  # width inside an mlp or conv head, at most


class DropoutLinear(nn.Linear):
    """A linear layer that drops inputs in training; its weights have a linear layer's names."""

    def __init__(self, features: int, outputs: int, dropout: float) -> None:
        super().__init__(features, outputs)
        self.dropout = dropout

    def forward(self, features: Tensor) -> Tensor:
        """[..., D] to [..., K]."""
        return super().forward(nn.functional.dropout(features, self.dropout, self.training))


class ConvHead(nn.Module):
    """Convolution, BatchNorm, ReLU, global average, linear: sees where things are before averaging.

    channels, side: of the network's last feature map [B, channels, side, side].
    """

    def __init__(self, channels: int, side: int, outputs: int, dropout: float) -> None:
        super().__init__()
        width = min(channels, HIDDEN)
        self.channels, self.side = channels, side
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """The map, or the map flattened to [B, channels * side * side], to [B, K]."""
        maps = features.reshape(len(features), self.channels, self.side, self.side)
        return self.out(self.dropout(torch.relu(self.norm(self.conv(maps))).mean((2, 3))))  # type: ignore[no-any-return]


def new_head(
    module: nn.Module,
    path: str,
    kind: str,
    outputs: int,
    *,
    dropout: float = 0.0,
    call: Callable[[nn.Module], object] | None = None,
) -> None:
    """Put a new head in the place of the one at `path`.

    path: of a module that ends the network and owns one matrix: nn.Linear, or a 1x1 convolution.
    kind: "linear", "mlp" or "conv".
    call: runs one forward pass on one example; needed for "conv".
    Raises BadOption where the network does not allow this kind of head.
    """
    old = module.get_submodule(path)
    features = width(old)
    if kind == "linear":
        new: nn.Module = linear_like(old, features, outputs, dropout)
    elif kind == "mlp":
        if isinstance(old, nn.Conv2d):
            raise BadOption(
                "head 'mlp' needs features without height and width, and this network ends in a "
                "convolution; use 'linear'."
            )
        hidden = max(min(features, HIDDEN), 1)
        new = nn.Sequential()
        new.add_module("hidden", nn.Linear(features, hidden))
        new.add_module("activation", nn.GELU())
        new.add_module("dropout", nn.Dropout(dropout))
        new.add_module("out", started(nn.Linear(hidden, outputs)))
    elif kind == "conv":
        channels, side = unpool(module, path, call)
        new = ConvHead(channels, side, outputs, dropout)
        started(new.out)
    else:
        raise BadOption(f"head must be one of {', '.join(HEADS)}; found {kind!r}.")
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, new)


def width(head: nn.Module) -> int:
    """How many features a head takes: its own, or those of its first layer (an mlp head).

    Raises BadOption for a module that owns no matrix.
    """
    if isinstance(head, nn.Sequential):
        head = next((m for m in head.modules() if isinstance(m, nn.Linear)), head)
    for name in ("in_features", "in_channels", "nf"):
        found = getattr(head, name, None)
        if isinstance(found, int):
            return found
    raise BadOption(f"a {type(head).__name__} cannot be replaced as a head: it is not one linear layer.")


def linear_like(old: nn.Module, features: int, outputs: int, dropout: float) -> nn.Module:
    """A new linear layer, or a convolution where the old head was one."""
    if isinstance(old, nn.Conv2d):
        return started(nn.Conv2d(features, outputs, old.kernel_size, old.stride, old.padding))  # type: ignore[arg-type]
    if dropout > 0:
        return started(DropoutLinear(features, outputs, dropout))
    return started(nn.Linear(features, outputs))


def started(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """A last layer whose first answers are nearly equal, whatever the features: loss = log K.

    Small, not zero: a head of zeros sends no gradient into the stages below it.
    """
    nn.init.normal_(layer.weight, std=0.01 / math.sqrt(max(layer.weight[0].numel() / 512, 1.0)))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def unpool(module: nn.Module, path: str, call: Callable[[nn.Module], object] | None) -> tuple[int, int]:
    """Take the last global pooling out, so that the head sees the map; its channels and side.

    Raises BadOption where the network pools inside its own forward, or has no map at all.
    """
    refusal = BadOption(
        "head 'conv' needs a network whose last global pooling is a module of its own and whose map "
        "is square; this one has none. Use head 'linear' or 'mlp'."
    )
    if call is None:
        raise refusal
    pools: list[tuple[str, int]] = []

    def watch(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            before = inputs[0] if inputs else None
            if not (isinstance(before, Tensor) and isinstance(output, Tensor)) or before.ndim != 4:
                return
            gone = output.ndim == 2 or tuple(output.shape[2:]) == (1, 1)
            if gone and before.shape[2] == before.shape[3] > 1:
                pools.append((name, before.shape[2]))

        return hook

    hooks = [
        m.register_forward_hook(watch(name))
        for name, m in module.named_modules()
        if name and name != path and next(m.parameters(), None) is None
    ]
    _run(module, call)
    for handle in hooks:
        handle.remove()
    if not pools:
        raise refusal
    name, side = pools[-1]
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    seen: list[int] = []
    probe = nn.Identity()
    probe.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].numel() // len(inputs[0])))
    head_parent, _, head_leaf = path.rpartition(".")
    setattr(module.get_submodule(head_parent), head_leaf, probe)
    try:
        _run(module, call)
    except (RuntimeError, ValueError) as error:
        raise refusal from error
    if not seen or seen[0] % (side * side):
        raise refusal
    return seen[0] // (side * side), side


def _run(module: nn.Module, call: Callable[[nn.Module], object]) -> None:
    was = module.training
    module.eval()
    with torch.no_grad():
        call(module)
    module.train(was)
