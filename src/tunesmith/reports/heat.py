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

from tunesmith.networks.kinds import axis_of_maps, stated_axis
from tunesmith.reports.asked import Asked

if TYPE_CHECKING:
    from tunesmith.networks.network import Network, Stage

STEPS = 16  # between an image of one colour and the image
MOST_PREFIX = 8  # tokens before the places of an image: class, distillation, registers


def heat_map(network: Network, item: Mapping[str, Any], asked: Asked) -> NDArray[np.float64] | None:
    """Which places speak for what is asked, 0 to 1, [h, w] over the square that the network sees.

    Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): the maps of the last stage that has any, each
    weighted by the mean of its gradient; what speaks against it is cut off. Where an image flows as tokens
    (ViT), the map of the tokens is filled with integrated gradients of the pixels below each: attention
    saturates, and gradients at the image alone missed planted evidence in half of the cases.

    item: {"path", "bytes"} as the data hold it. asked: the log odds of a class, or a number.
    Returns None where no stage has places, or no place speaks for what is asked.
    """
    device = next(network.module.parameters()).device
    network.module.eval()
    image = network.preprocess.ready(network.preprocess.raw([item]).to(device))  # type: ignore[union-attr]
    argument, pixels = next(iter(image.items())) if isinstance(image, Mapping) else (None, image)
    with torch.enable_grad():
        with _watched(network) as seen:
            value = _value(network, argument, pixels.detach().requires_grad_(), asked)
        found = (_of_part(network, seen, part, value) for part in reversed(network.parts))
        heat = next((heat for heat in found if heat is not None), None)
        if isinstance(heat, int):
            heat = _integrated(network, argument, pixels, asked, heat)
    top = 0.0 if heat is None else float(heat.max())
    return None if heat is None or top == 0 else heat / top


def _value(network: Network, argument: str | None, pixels: Tensor, asked: Asked) -> Tensor:
    """What is asked [B] of images that are ready, [B, 3, H, W]."""
    images = pixels.clone()  # a first layer that works in place may not touch a leaf
    out = network.run(images if argument is None else {argument: images})
    return asked(getattr(out, "logits", out))


def _integrated(
    network: Network, argument: str | None, pixels: Tensor, asked: Asked, side: int
) -> NDArray[np.float64]:
    """What each of side x side places adds to what is asked, above 0: [side, side].

    Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) from an image of the pretraining's
    mean colour, which is 0 here, by Gauss's rule.
    """
    points, weights = np.polynomial.legendre.leggauss(STEPS)
    total = torch.zeros_like(pixels)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        image = (point * pixels).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_value(network, argument, image, asked).sum(), [image])
        total += weight * gradient
    places = torch.nn.functional.adaptive_avg_pool2d((total * pixels).sum(1), side)
    result: NDArray[np.float64] = places[0].detach().relu().double().cpu().numpy()
    return result


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


def _of_part(
    network: Network, seen: Mapping[str, Tensor], part: Stage, value: Tensor
) -> NDArray[np.float64] | int | None:
    """The heat [h, w] on the last maps of a stage that reach the answer; of tokens, places a side.

    Inside the stage's modules if no places leave them: it may end in pooling. None without places.
    """
    inner = tuple(f"{path}." for path in part.modules)
    forms = {path: _form(values, stated_axis(network.module, path)) for path, values in seen.items()}
    outer = [path for path in seen if path in part.modules and forms[path]]
    within = [path for path in seen if path.startswith(inner) and forms[path]]
    for path in reversed(outer or within):
        values, form = seen[path], forms[path]
        if form == "tokens":
            return math.isqrt(values.shape[1])
        (gradient,) = torch.autograd.grad(value.sum(), [values], retain_graph=True, allow_unused=True)
        if gradient is None or not bool(gradient.any()):
            continue
        if form == "channels last":
            values, gradient = values.permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2)
        cam = (gradient[0].mean((1, 2), keepdim=True) * values[0]).sum(0)
        result: NDArray[np.float64] = cam.detach().relu().double().cpu().numpy()
        return result
    return None


def _form(values: Tensor, axis: int | None) -> str | None:
    """How an image's places lie in a tensor: "channels first" or "last", "tokens", or None: nowhere.

    axis: of maps the dimension of the channels; None where nobody says.
    Images are square here. Attention has the form of a map too, but its rows add up to 1.
    """
    if len(values) != 1 or not values.is_floating_point():
        return None
    if values.ndim == 4:
        last = axis_of_maps(values, axis) == 3
        height, width = values.shape[1:3] if last else values.shape[2:]
        if not height == width > 1:
            return None
        total = values.detach().sum(-1)
        if not last and bool(torch.allclose(total, torch.ones_like(total), atol=1e-3)):
            return None
        return "channels last" if last else "channels first"
    if values.ndim == 3:
        side = math.isqrt(values.shape[1])
        return "tokens" if side > 1 and values.shape[1] - side * side <= MOST_PREFIX else None
    return None
