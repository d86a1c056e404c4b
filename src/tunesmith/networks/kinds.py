"""What a module behaves like, where its own class does not say it: layers of other frameworks."""

from __future__ import annotations

from typing import Any

from torch import nn


def kind_of(module: nn.Module) -> type[nn.Module]:
    """The torch class that a module behaves like: its attribute `like`, or its own class."""
    like: type[nn.Module] | None = getattr(module, "like", None)
    return like or type(module)


def is_batch_norm(module: nn.Module) -> bool:
    """Whether it has moving statistics, `running_mean` and `running_var`, that move in train mode."""
    return issubclass(kind_of(module), nn.modules.batchnorm._BatchNorm)


def channel_axis(module: Any) -> int:
    """The dimension of its input that counts channels: torch's 1, unless it says another."""
    return int(getattr(module, "channel_axis", 1))
