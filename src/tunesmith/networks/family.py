"""Which family of learning rates a network belongs to, judged by what it is made of."""

from __future__ import annotations

from torch import nn

from tunesmith.networks.kinds import kind_of


def family(module: nn.Module, takes: str) -> str:
    """One of "text", "cnn" (convolutions, BatchNorm), "convnext" (convolutions, other norms), "vit".

    takes: "image" or "text".
    """
    if takes == "text":
        return "text"
    kinds = [kind_of(m) for m in module.modules()]
    convolutions = sum(issubclass(kind, nn.Conv2d) for kind in kinds)
    if any(issubclass(kind, nn.modules.batchnorm._BatchNorm) for kind in kinds):
        return "cnn"
    if convolutions < 6:
        return "vit"
    # VGG and SqueezeNet have no norms at all; networks with LayerNorm were pretrained with AdamW.
    return "convnext" if any("norm" in kind.__name__.lower() for kind in kinds) else "cnn"
