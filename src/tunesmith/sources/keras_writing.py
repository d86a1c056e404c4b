"""A Keras network as a `.keras` file that any Keras opens: pixels in, probabilities out, labels beside it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch import nn

from tunesmith.errors import BadOption
from tunesmith.networks.heads import ConvHead, DropoutLinear
from tunesmith.networks.network import Network
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.sources.keras_backend import keras_on_torch
from tunesmith.sources.keras_files import METADATA
from tunesmith.sources.keras_network import KerasNetwork, keras_model

LOGITS: Final = "logits"  # the layer before the probabilities
OURS: Final = ("pixels", "normalised", "pooled", LOGITS, "probabilities", "head_conv", "head_norm")
LABELS: Final = "labels"  # in metadata.json


def write_keras(network: Network, labels: Sequence[str], path: Path, *, probabilities: bool = True) -> None:
    """Write a network of the source keras as one file.

    It takes resized and cropped pictures [B, size, size, 3], red first, from 0 to 255, and normalises them
    itself (a Rescaling layer; no Lambda). Its last layers are `logits` and, unless the answers are numbers,
    `probabilities`. The labels' names stand in the file's metadata.json under `labels`, in order.

    network: on the CPU; its module is a KerasNetwork. Raises BadOption for another network.
    """
    model = as_keras(network, probabilities=probabilities)
    with TemporaryDirectory(prefix="tunesmith-") as folder:
        plain = Path(folder) / "model.keras"
        model.save(plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                if name == METADATA:
                    told = {**json.loads(content), LABELS: list(labels)}
                    content = json.dumps(told, ensure_ascii=False).encode()
                target.writestr(name, content)


def labels_in(path: Path) -> tuple[str, ...]:
    """The labels' names that a written file holds; none where it was not written here."""
    with zipfile.ZipFile(path) as archive:
        return tuple(json.loads(archive.read(METADATA)).get(LABELS, ()))


def as_keras(network: Network, *, probabilities: bool = True) -> Any:
    """The network as one functional model of Keras, from pixels to answers."""
    keras = keras_on_torch()
    module, form = network.module, network.preprocess
    if not isinstance(module, KerasNetwork) or not isinstance(form, ImagePreprocess):
        raise BadOption(f"{network.origin} is no network of Keras; a .keras file holds those alone.")
    layers = keras.layers
    with keras.device("cpu"):
        given = keras.Input((form.size, form.size, 3), name="pixels")
        scale = [1 / (255 * s) for s in form.std]
        offset = [-m / s for m, s in zip(form.mean, form.std, strict=True)]
        x = layers.Rescaling(scale, offset, name="normalised")(given)
        if module.images.blue_first:
            x = keras.ops.flip(x, axis=-1)
        body = keras_model(module)
        if body.name in OURS:
            body = keras.Model(body.inputs[0], body.outputs[0], name=f"{body.name}_backbone")
        x = body(x)
        if isinstance(getattr(module, "pool", None), nn.Module) and not isinstance(module.pool, nn.Identity):
            x = layers.GlobalAveragePooling2D(name="pooled")(x)
        if module.body.dropout:
            x = layers.Dropout(module.body.dropout)(x)
        pairs: list[tuple[Any, nn.Module]] = []
        x = _head(layers, module.head, x, pairs)
        if probabilities:
            x = layers.Activation("softmax", name="probabilities")(x)
        model = keras.Model(given, x)
        for layer, part in pairs:
            layer.set_weights(_arrays(part))
    return model


def _head(layers: Any, head: nn.Module, x: Any, pairs: list[tuple[Any, nn.Module]]) -> Any:
    """The head's layers on x; pairs: each layer that has weights, and the module whose they are."""

    def last(linear: nn.Module, x: Any, name: str = LOGITS) -> Any:
        assert isinstance(linear, nn.Linear)
        if isinstance(linear, DropoutLinear):
            x = layers.Dropout(linear.dropout)(x)
        layer = layers.Dense(linear.out_features, use_bias=linear.bias is not None, name=name)
        pairs.append((layer, linear))
        return layer(x)

    if isinstance(head, ConvHead):
        conv = layers.Conv2D(head.conv.out_channels, 3, padding="same", use_bias=False, name="head_conv")
        norm = layers.BatchNormalization(epsilon=head.norm.eps, name="head_norm")
        pairs.extend([(conv, head.conv), (norm, head.norm)])
        x = layers.GlobalAveragePooling2D()(layers.ReLU()(norm(conv(x))))
        return last(head.out, layers.Dropout(head.dropout.p)(x))
    if not isinstance(head, nn.Sequential):
        return last(head, x)
    *before, end = head
    for part in before:
        if isinstance(part, nn.Linear):
            x = last(part, x, f"head_{len(pairs)}")
        else:
            x = layers.Activation("gelu")(x) if isinstance(part, nn.GELU) else layers.Dropout(part.p)(x)
    return last(end, x)


def _arrays(part: nn.Module) -> list[Any]:
    """A head's weights as Keras orders them."""
    if isinstance(part, nn.BatchNorm2d):
        found = [part.weight, part.bias, part.running_mean, part.running_var]
    elif isinstance(part, nn.Conv2d):
        found = [part.weight.permute(2, 3, 1, 0)]
    else:
        assert isinstance(part, nn.Linear)
        found = [part.weight.T, *([part.bias] if part.bias is not None else [])]
    return [t.detach().cpu().contiguous().numpy() for t in found if isinstance(t, torch.Tensor)]
