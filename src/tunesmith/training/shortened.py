"""Which block of a network need not be computed for all of its tokens."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tunesmith.networks.cls_forms import FORMS, class_name
from tunesmith.networks.cls_only import obstacle
from tunesmith.networks.network import Network


def first_token_block(network: Network, at: int | None, run: Callable[[], Tensor]) -> str | None:
    """Path of the last transformer block if its first token alone is read; None if it is not.

    at: the stage before which the network goes on from what is stored; None: it runs whole.
    run: a forward pass in eval mode from the same inputs each time. The network is left in eval mode.
    """
    blocks = [path for path, part in network.module.named_modules() if class_name(part) in FORMS]
    if not blocks:
        return None
    last = blocks[-1]
    owner = next(
        (i for i, part in enumerate(network.parts) for path in part.modules if _inside(last, path)), None
    )
    if owner is None or (at is not None and owner < at):
        return None
    network.module.eval()
    return None if obstacle(network.module, last, run) else last


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}.")
