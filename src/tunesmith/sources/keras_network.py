"""A Keras model as a network: images in, its layers, average pooling, and a linear head of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from tunesmith.errors import BadOption
from tunesmith.networks.assemble import assemble, image_example
from tunesmith.networks.network import Network, Stage, Want
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.sources.keras_graph import KerasGraph, inner, is_model
from tunesmith.sources.keras_layers import Held, KerasLayer
from tunesmith.sources.keras_stages import by_blocks, stage_starts

TOPS: Final = ("Dense", "Softmax", "Activation")  # what the last layer of a top is


class Images(nn.Module):
    """Images as torch has them to images as a Keras model takes them, perhaps with blue first."""

    channel_axis = 3

    def __init__(self, *, blue_first: bool) -> None:
        super().__init__()
        self.blue_first = blue_first

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] to [B, H, W, 3]."""
        return (images.flip(1) if self.blue_first else images).permute(0, 2, 3, 1)

    def extra_repr(self) -> str:
        """Its only option."""
        return f"blue_first={self.blue_first}"


class ChannelsFirst(nn.Module):
    """Maps as Keras has them to maps as torch has them."""

    channel_axis = 1

    def forward(self, maps: Tensor) -> Tensor:
        """[B, H, W, C] to [B, C, H, W]."""
        return maps.permute(0, 3, 1, 2)


class AveragePool(nn.Module):
    """Global average pooling."""

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C]."""
        return maps.mean((2, 3))


@dataclass(frozen=True)
class Body:
    """A Keras model without its top.

    model: from images to maps or features. width: of the features that a head gets. pools: maps are
    averaged first. dropout: before the head, in training. dense: the layer that was its head, if it has one.
    """

    model: Any
    width: int
    pools: bool
    dropout: float
    dense: Any


class KerasNetwork(nn.Module):
    """The body's layers and a head; `body` stays beside it for whoever writes it as Keras again."""

    def __init__(self, body: Body, *, blue_first: bool, outputs: int) -> None:
        super().__init__()
        self._body = Held(body)
        self.images = Images(blue_first=blue_first)
        self.backbone = KerasGraph(body.model)
        if body.pools:
            self.channels_first, self.pool = ChannelsFirst(), AveragePool()
        if body.dropout:
            self.dropout = nn.Dropout(body.dropout)
        self.head = nn.Linear(body.width, outputs)

    @property
    def body(self) -> Body:
        """The Keras model that the layers are of, its own variables those of another moment."""
        body: Body = self._body.keras
        return body

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [B, 3, H, W] to what the head gives, [B, K]."""
        import keras

        with keras.device(str(images.device)):
            features = self.backbone(self.images(images))
            for name in ("channels_first", "pool", "dropout"):
                if name in self._modules:
                    features = self.get_submodule(name)(features)
        return self.head(features)  # type: ignore[no-any-return]


def body_of(model: Any) -> Body:
    """Take a model's top off: softmax, a dense layer, dropout and average pooling, as far as it has them.

    A top that is a model of its own, at the end of this one, is taken off as well.
    Raises BadOption for a model that ends in neither maps nor features.
    """
    import keras

    functional = inner(model)
    model.trainable = True  # otherwise weights that were frozen when it was saved count as statistics
    given = functional.inputs[0]
    end, dense, dropout = _unfolded(functional.outputs[0]), None, 0.0
    before = _back(end, "Softmax", "Activation")
    if _made_by(before, "Dense") and len(before.shape) == 2:
        dense = before._keras_history.operation
        end = _input(before)
    while _made_by(end, "Dropout"):
        dropout, end = float(end._keras_history.operation.rate), _input(end)
    if _made_by(end, "GlobalAveragePooling2D") and len(end.shape) == 2:
        end = _input(end)
    if len(end.shape) not in (2, 4) or end.shape[-1] is None or end is given:
        raise BadOption(
            f"{model.name} ends in an output of shape {tuple(end.shape)}; a head needs maps (batch, height, "
            f"width, channels) or features (batch, features)."
        )
    return bare_body(keras.Model(functional.inputs, end, name=model.name), dropout=dropout, dense=dense)


def check_images(model: Any) -> None:
    """Raise BadOption for a model that takes anything but colour images, square ones with channels last."""
    shape = tuple(inner(model).inputs[0].shape)
    if len(shape) != 4 or shape[-1] != 3:
        raise BadOption(
            f"{model.name} takes an input of shape {shape}; networks here take colour images, "
            f"(batch, height, width, 3)."
        )
    if None not in shape[1:3] and shape[1] != shape[2]:
        raise BadOption(
            f"{model.name} takes images of {shape[1]} x {shape[2]} pixels; networks here take square ones: "
            f"build it again on keras.Input(({shape[1]}, {shape[1]}, 3)), or of any size, (None, None, 3)."
        )
    if name := _channels_first(model):
        raise BadOption(
            f"{model.name} computes {name} with channels first; networks of Keras run with channels last "
            f"here: build it again with data_format='channels_last'."
        )


def _channels_first(model: Any) -> str | None:
    """The name of a layer that puts channels first."""
    for layer in model.layers:
        if is_model(layer):
            if name := _channels_first(layer):
                return name
        elif getattr(layer, "data_format", None) == "channels_first":
            return str(layer.name)
    return None


def _unfolded(end: Any) -> Any:
    """An output with the layers behind it in this graph, where a model within, which is a top, made it."""
    operation = end._keras_history.operation
    while is_model(operation) and len(end.shape) == 2:
        last = inner(operation).outputs[0]._keras_history.operation
        if type(last).__name__ not in TOPS and not is_model(last):
            break
        end = inner(operation)._run_through_graph([_input(end)], operation_fn=lambda layer: layer)
        end = end[0] if isinstance(end, list | tuple) else end
        operation = end._keras_history.operation
    return end


def bare_body(model: Any, *, dropout: float, dense: Any = None) -> Body:
    """A model that has no top any more, as it is."""
    model.trainable = True
    shape = model.outputs[0].shape
    return Body(model, int(shape[-1]), len(shape) == 4, dropout, dense)


def network_of(
    body: Body,
    want: Want,
    preprocess: ImagePreprocess,
    *,
    blue_first: bool,
    origin: str,
    recipe: Mapping[str, Any],
    loaded: tuple[str, ...] = (),
    classes: int | None = None,
    parts: Sequence[Stage] | None = None,
) -> Network:
    """The network around a body, with the head that is wanted.

    classes: of the head that the network was pretrained with; None: it has none.
    """
    if want.head == "pretrained" and classes is None:
        raise BadOption(f"{origin} has no head of its own, so there is no head 'pretrained'; use 'linear'.")
    module = KerasNetwork(body, blue_first=blue_first, outputs=classes or 1)
    if body.dense is not None:
        _fill_head(module.head, body.dense)
    network = assemble(
        module,
        want,
        head=["head"],
        preprocess=preprocess,
        example=image_example(preprocess.size, None),
        origin=origin,
        recipe=recipe,
        loaded=loaded,
        parts=parts,
        hints=stage_starts(module.backbone, "backbone"),
    )
    head = network.source_head if classes else None
    stages = network.stages if parts is not None else by_blocks(network.stages)
    return replace(network, stages=stages, source_head=head)


def keras_model(module: KerasNetwork) -> Any:
    """The body as a Keras model that holds the module's weights."""
    for part in module.backbone.modules():
        if isinstance(part, KerasLayer):
            part.hand_back()
    return module.body.model


def _fill_head(head: nn.Linear, dense: Any) -> None:
    kernel, *bias = (variable.value.detach() for variable in dense.variables)
    with torch.no_grad():
        head.weight.copy_(kernel.T)
        head.bias.copy_(bias[0]) if bias else head.bias.zero_()


def _made_by(tensor: Any, *kinds: str) -> bool:
    operation = tensor._keras_history.operation
    return type(operation).__name__ in kinds


def _back(tensor: Any, *kinds: str) -> Any:
    while _made_by(tensor, *kinds):
        tensor = _input(tensor)
    return tensor


def _input(tensor: Any) -> Any:
    """The first tensor that the layer behind this one was given."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index].input_tensors[0]
