"""Grad-CAM: which places of an image an answer rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from tunesmith.networks.network import Network, Stage

MOST_PREFIX = 8  # tokens before the places of an image: class, distillation, registers


def heat_map(network: Network, item: Mapping[str, Any], answer: int) -> NDArray[np.float64] | None:
    """Which places speak for a class, 0 to 1, [h, w] over the square that the network sees.

    Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): the maps of the last stage that has any, each
    weighted by the mean of its gradient; what speaks against the class is cut off. Where an image
    flows as tokens (ViT), each token is weighted by its own gradient, at the last stage whose places
    still reach the answer: behind it a class token alone may be read.

    item: {"path", "bytes"} as the data hold it. answer: index of the class.
    Returns None where no stage has places, or no place speaks for the class.
    """
    device = next(network.module.parameters()).device
    network.module.eval()
    ready = network.preprocess.ready(network.preprocess.raw([item]).to(device))  # type: ignore[union-attr]
    with torch.enable_grad(), _watched(network) as seen:
        # Of a copy: a first layer that works in place may not touch a leaf.
        inputs = {k: _leaf(v) for k, v in ready.items()} if isinstance(ready, Mapping) else _leaf(ready)
        out = network.run(inputs)
        score = getattr(out, "logits", out)[0, answer]
        for part in reversed(network.parts):
            heat = _of_part(seen, part, score)
            if heat is not None:
                top = float(heat.max())
                return heat / top if top > 0 else None
    return None


@contextmanager
def _watched(network: Network) -> Iterator[dict[str, Tensor]]:
    """What every module put out last, by path, in the order in which they finished."""
    seen: dict[str, Tensor] = {}

    def note(path: str) -> Callable[..., None]:
        def hook(_: Any, __: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) and output else output
            first = getattr(first, "last_hidden_state", first)
            if isinstance(first, Tensor) and first.requires_grad:
                seen.pop(path, None)
                seen[path] = first

        return hook

    handles = [m.register_forward_hook(note(path)) for path, m in network.module.named_modules() if path]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _of_part(seen: Mapping[str, Tensor], part: Stage, score: Tensor) -> NDArray[np.float64] | None:
    """The heat on the last map of a stage that reaches the answer; inside its modules if none leaves them."""
    inner = tuple(f"{path}." for path in part.modules)
    outer = [path for path in seen if path in part.modules and _form(seen[path])]
    within = [path for path in seen if path.startswith(inner) and _form(seen[path])]
    for path in reversed(outer or within):
        values = seen[path]
        (gradient,) = torch.autograd.grad(score, [values], retain_graph=True, allow_unused=True)
        heat = None if gradient is None else _heat(values.detach(), gradient)
        if heat is not None:
            return heat
    return None


def _heat(values: Tensor, gradient: Tensor) -> NDArray[np.float64] | None:
    """[h, w], above 0 where a place speaks for the answer; None if no place reaches it."""
    form = _form(values)
    if form == "channels last":
        values, gradient = values.permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2)
    if form == "tokens":
        side = math.isqrt(values.shape[1])
        values, gradient = values[0, -side * side :], gradient[0, -side * side :]
        if not bool(gradient.any()):
            return None
        cam = (values * gradient).sum(1).reshape(side, side)
    else:
        if not bool(gradient.any()):
            return None
        cam = (gradient[0].mean((1, 2), keepdim=True) * values[0]).sum(0)
    result: NDArray[np.float64] = cam.relu().double().cpu().numpy()
    return result


def _form(values: Tensor) -> str | None:
    """How an image's places lie in a tensor: "channels first" or "last", "tokens", or None: nowhere.

    Images are square here. Attention has the form of a map too, but its rows add up to 1.
    """
    if len(values) != 1 or not values.is_floating_point():
        return None
    if values.ndim == 4:
        if values.shape[2] == values.shape[3] > 1:
            total = values.detach().sum(-1)
            return (
                None if bool(torch.allclose(total, torch.ones_like(total), atol=1e-3)) else "channels first"
            )
        return "channels last" if values.shape[1] == values.shape[2] > 1 else None
    if values.ndim == 3:
        side = math.isqrt(values.shape[1])
        return "tokens" if side > 1 and values.shape[1] - side * side <= MOST_PREFIX else None
    return None


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_().clone() if tensor.is_floating_point() else tensor
