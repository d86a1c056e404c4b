"""What a module behaves like, where its own class does not say it: layers of other frameworks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


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


def stated_axis(module: nn.Module, path: str) -> int | None:
    """The dimension of maps that counts channels, as what puts them out or the module around it says.

    path: of the module that puts them out. None where nobody says.
    """
    found = None
    for name in path.split("."):
        module = module.get_submodule(name) if name else module
        found = getattr(module, "channel_axis", found)
    return found


def axis_of_maps(maps: Tensor, stated: int | None) -> int:
    """The same of these maps [B, C, H, W] or [B, H, W, C], by their shape where nobody says.

    Images are square, so two equal sides and another are places and channels.
    """
    if stated is not None:
        return stated
    _, a, b, c = maps.shape
    return 3 if a == b != c else 1
