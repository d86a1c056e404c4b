"""One Keras layer as a torch module that owns its weights."""

from __future__ import annotations

import inspect
import json
import math
import re
from typing import Any, Final

import torch
from torch import Tensor, nn

SEED: Final = "seed_generator_state"
ONES: Final = ("gamma", "moving_variance", "variance")
LIKE: Final = {  # what learning rates, norms that stand still and cuts look at
    "Conv2D": nn.Conv2d,
    "DepthwiseConv2D": nn.Conv2d,
    "SeparableConv2D": nn.Conv2d,
    "BatchNormalization": nn.BatchNorm2d,
    "LayerNormalization": nn.LayerNorm,
    "GroupNormalization": nn.GroupNorm,
}


class Held:
    """A Keras object that copies of a module share: it lends its code, the weights are the module's."""

    def __init__(self, keras: Any) -> None:
        self.keras = keras

    def __deepcopy__(self, _: Any) -> Held:
        return self


class KerasLayer(nn.Module):
    """A Keras layer or operation; its weights are parameters and its statistics buffers.

    reads: names of what it is given, once for each call: part of what it computes, and so of its repr.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.like = LIKE.get(type(layer).__name__)
        self._layer = Held(layer)
        self._variables: list[tuple[str, Held]] = []
        self._seeds: list[Held] = []
        self._takes_training = "training" in inspect.signature(layer.call).parameters
        trained = {id(variable) for variable in getattr(layer, "trainable_variables", ())}
        for variable in getattr(layer, "variables", ()):
            if variable.name == SEED:
                self._seeds.append(Held(variable))
                continue
            name = free_name(self, variable.name)
            tensor = variable.value.detach().clone()
            if id(variable) in trained:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)
            self._variables.append((name, Held(variable)))

    @property
    def layer(self) -> Any:
        """The layer of Keras, whose own variables are those of another moment."""
        return self._layer.keras

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer's own `call` takes and gives."""
        import keras

        if self._takes_training:
            kwargs["training"] = self.training
        state = [(held.keras, getattr(self, name)) for name, held in self._variables]
        if self.training:
            # Fresh from torch's generator, whose state every checkpoint holds.
            state += [(held.keras, torch.randint(2**31, tuple(held.keras.shape))) for held in self._seeds]
        with keras.StatelessScope(state_mapping=state) as scope:
            out = self.layer.call(*args, **kwargs)
        if self.training:
            self._keep(scope)
        return out

    def _keep(self, scope: Any) -> None:
        """Copy moving statistics as the call has left them."""
        for name, held in self._variables:
            buffer = self._buffers.get(name)
            if buffer is not None:
                moved = scope.get_current_value(held.keras)
                if moved is not buffer:
                    buffer.copy_(moved.detach())

    @property
    def running_mean(self) -> Tensor | None:
        """BatchNorm's moving mean, under torch's name."""
        return self._buffers.get("moving_mean")

    @property
    def running_var(self) -> Tensor | None:
        """BatchNorm's moving variance, under torch's name."""
        return self._buffers.get("moving_variance")

    @property
    def eps(self) -> float:
        """What a norm adds to a variance."""
        return float(self.layer.epsilon)

    @property
    def channel_axis(self) -> int:
        """The dimension of its maps that counts channels."""
        if self.like is nn.BatchNorm2d:
            return int(self.layer.axis) % 4
        return 1 if getattr(self.layer, "data_format", None) == "channels_first" else 3

    def hand_back(self) -> None:
        """Write the weights into the Keras layer that they came from."""
        for name, held in self._variables:
            held.keras.assign(getattr(self, name).detach().cpu())

    def reset_parameters(self) -> None:
        """Random weights as He et al. 2015 (arXiv:1502.01852) draw them; norms as new."""
        with torch.no_grad():
            for name, _ in self._variables:
                weight = getattr(self, name)
                if weight.ndim > 1 and weight.is_floating_point():
                    weight.normal_(std=math.sqrt(2 / max(math.prod(weight.shape[:-1]), 1)))
                else:
                    weight.fill_(1 if name in ONES else 0)

    def extra_repr(self) -> str:
        """All that decides what it computes besides its weights: stored activations are named by it."""
        import keras

        config = {k: v for k, v in self.layer.get_config().items() if k != "name"}
        told = json.dumps(config, sort_keys=True, default=str)
        return f"{type(self.layer).__name__} {told} of {'; '.join(self.reads)} in keras {keras.__version__}"


class KerasNorm(KerasLayer):
    """A normalisation by its class's name, as optimizers know norms: its weights are not decayed."""


class KerasStandard(KerasLayer):
    """Normalization by the mean and variance of data that it once saw.

    Keras works with constants that it makes of them when weights are loaded; here they are what is saved.
    """

    def forward(self, *args: Any, **_: Any) -> Any:
        """Images less their mean, over their deviation."""
        (images,) = args
        shape = tuple(self.layer._broadcast_shape)
        mean, variance = (self._buffers[name].reshape(shape) for name in ("mean", "variance"))  # type: ignore[union-attr]
        deviation = variance.sqrt().clamp(min=1e-7)
        return images * deviation + mean if self.layer.invert else (images - mean) / deviation

    def hand_back(self) -> None:
        """The same, and the constants that Keras computes with."""
        super().hand_back()
        self.layer.finalize_state()


class KerasCrop(KerasLayer):
    """RandomCrop, which cuts pictures to its size when it does not train, too; here always so."""

    def forward(self, *args: Any, **_: Any) -> Any:
        """The middle of the images."""
        return self.layer.call(*args, training=False)


def wrapped(layer: Any) -> nn.Module:
    """The module for a layer that is no model.

    Random augmentation stands aside, in training too: it is done before a network here, where what is
    stored of frozen stages can take account of it.
    """
    kind = type(layer).__name__
    if kind.startswith("Random") and type(layer).__module__.startswith("keras."):
        return KerasCrop(layer) if kind == "RandomCrop" else nn.Identity()
    if kind == "Dropout" and layer.noise_shape is None:
        return nn.Dropout(layer.rate)
    if kind == "Normalization" and layer.variables:
        return KerasStandard(layer)
    return (KerasNorm if kind.endswith("Normalization") else KerasLayer)(layer)


def free_name(module: nn.Module, name: str) -> str:
    """A name as a module's or a weight's: without dots and slashes, and not yet in use."""
    base = re.sub(r"\W", "_", name)
    path, number = base, 1
    while hasattr(module, path):
        path, number = f"{base}_{number}", number + 1
    return path
