"""Networks of Keras: those of keras.applications, and a person's own `.keras` files, on torch.

keras/ResNet50, keras/MobileNetV2?alpha=0.35@file.weights.h5, keras/ResNet50@none, photos.keras
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tunesmith.errors import BadOption, BadWeights, ModelUnavailable, UnknownName
from tunesmith.files import file_digest
from tunesmith.networks.network import Network, Stage, Want, digest
from tunesmith.networks.preprocess import ImagePreprocess, restore
from tunesmith.registry import did_you_mean
from tunesmith.sources import Model, Name
from tunesmith.sources.hub import answers, offline
from tunesmith.sources.images import KIND, origin, refuse_kind, unavailable
from tunesmith.sources.keras_backend import keras_on_torch
from tunesmith.sources.keras_configs import checked, in_float32
from tunesmith.sources.keras_files import read_keras_file, weights_of
from tunesmith.sources.keras_inputs import WORDS, form_inside, form_named, form_of
from tunesmith.sources.keras_network import bare_body, body_of, check_images, network_of
from tunesmith.sources.keras_weights import SUFFIX, load_h5, tensors_in

HOST: Final = "https://storage.googleapis.com"  # where Keras keeps its weights
SIZE: Final = 224  # pixels a side where a network takes any
CROP: Final = 0.875  # of the shorter side: what ImageNet's networks are judged on
TESTED: Final = {"InceptionV3": 299, "InceptionResNetV2": 299, "Xception": 299}  # pixels a side, if not 224
FILE: Final = f"NAME{SUFFIX}"  # in messages
DECIDED: Final = {  # arguments of keras.applications that are said in another way here
    "weights": "name the file behind the @",
    "input_tensor": "images are all that it takes",
    "input_shape": "set image_size",
    "classes": "the data say how many there are",
    "classifier_activation": "the loss takes logits",
    "include_preprocessing": "the published weights are for the network with it",
    "name": "leave it out",
}


class Keras:
    """Keras' networks through Keras itself, on its torch backend."""

    def find(self, pattern: str, kind: str) -> list[Model]:
        """The networks of keras.applications whose name contains `pattern`."""
        keras = keras_on_torch()
        if kind not in ("", KIND):
            return []
        return [
            Model(f"keras/{name}", KIND, "ImageNet-1k", None, "Apache-2.0 (code)", bool(_fetched(name)))
            for name in _applications(keras)
            if pattern in f"keras/{name}"
        ]

    def load(self, name: Name, want: Want) -> Network:
        """Build a network and load its weights."""
        refuse_kind(name, want)
        keras = keras_on_torch()
        if Path(name.model).suffix == ".keras":
            return _from_file(keras, name, want)
        return _published(keras, name, want)

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        """Build a saved network again, weights still random; its configuration is checked once more."""
        keras = keras_on_torch()
        model = _model(keras, checked(recipe["config"], str(folder)), str(folder))
        preprocess = restore(recipe["preprocess"], folder)
        assert isinstance(preprocess, ImagePreprocess)
        return network_of(
            bare_body(model, dropout=float(recipe["dropout"])),
            want,
            preprocess,
            blue_first=bool(recipe["blue_first"]),
            origin=recipe["origin"],
            recipe=recipe,
            classes=recipe["classes"],
            parts=parts,
        )


def _published(keras: Any, name: Name, want: Want) -> Network:
    """A network of keras.applications."""
    build = _builder(keras, name)
    size = want.image_size or TESTED.get(name.model, SIZE)
    args = {"pooling": "avg", **name.args, "input_shape": (size, size, 3)}
    top = bool(args.pop("include_top", want.head == "pretrained"))
    if name.weights is None:
        model, words = _with_published_weights(build, name, {**args, "include_top": top})
        where = origin(name, digest(_values(model)))
    elif name.weights == "none":
        model, words = _built(build, name, {**args, "include_top": top}), "random weights, as asked"
        where = origin(name, "none")
    else:
        path = Path(str(name.weights)).expanduser()
        model, words = _with_weights(build, name, args, path)
        where = origin(name, file_digest(path))
    kind = form_of(build)
    form = form_named(kind)
    preprocess = ImagePreprocess(size, max(size, round(size / CROP)), "bicubic", form.mean, form.std)
    return _assembled(model, want, preprocess, where, kind, (words,))


def _from_file(keras: Any, name: Name, want: Want) -> Network:
    """A person's own `.keras` file."""
    path = Path(name.model).expanduser()
    if name.weights is not None:
        raise BadOption(f"{name} has its own weights; leave @{name.weights} out.")
    options = dict(name.args)
    asked = options.pop("preprocess", None)
    if options:
        raise BadOption(f"{path} takes no argument but preprocess; found {', '.join(options)}.")
    file = read_keras_file(path)
    model = _model(keras, file.config, str(path))
    check_images(model)
    with weights_of(path) as weights:
        matched = load_h5(model, weights, where=str(path), network=model.name)
    kind, why = (str(asked), "as asked") if asked else form_inside(model, keras.applications)
    form = form_named(kind)
    size = want.image_size or model.inputs[0].shape[1] or SIZE
    preprocess = ImagePreprocess(size, size, "bilinear", form.mean, form.std)
    words = (
        f"{matched} tensors of {path.name} matched",
        f"images {WORDS[kind]}, {why} (?preprocess= chooses)",
    )
    return _assembled(model, want, preprocess, f"keras/{path.name}@{file_digest(path)[:12]}", kind, words)


def _assembled(
    model: Any, want: Want, preprocess: ImagePreprocess, where: str, kind: str, words: tuple[str, ...]
) -> Network:
    body = body_of(model)
    blue_first = form_named(kind).blue_first
    classes = int(body.dense.units) if body.dense is not None else None
    recipe = {
        "source": "keras",
        "config": json.loads(body.model.to_json()),
        "blue_first": blue_first,
        "dropout": body.dropout,
        "classes": classes,
    }
    return network_of(
        body,
        want,
        preprocess,
        blue_first=blue_first,
        origin=where,
        recipe=recipe,
        loaded=words,
        classes=classes,
    )


def _model(keras: Any, config: Mapping[str, Any], where: str) -> Any:
    """The model of a checked configuration, weights still random."""
    try:
        model = keras.saving.deserialize_keras_object(in_float32(config), safe_mode=True)
    except Exception as error:  # whatever Keras makes of a configuration
        line = " ".join(str(error).split())[:200]
        raise BadWeights(
            f"{where}: Keras cannot build this model ({type(error).__name__}: {line})."
        ) from error
    if not model.built or not getattr(model, "inputs", None):
        raise BadWeights(f"{where}: this model does not say what it takes; begin it with a keras.Input.")
    return model


def _applications(keras: Any) -> list[str]:
    found = vars(keras.applications).items()
    return sorted(name for name, value in found if callable(value) and name[0].isupper())


def _builder(keras: Any, name: Name) -> Any:
    known = _applications(keras)
    if name.model not in known:
        raise UnknownName(
            f"keras.applications has no {name.model!r}{did_you_mean(name.model, known) or ';'} "
            f"`tunesmith models --source keras` lists them; a file of your own ends in .keras."
        )
    for argument, instead in DECIDED.items():
        if argument in name.args:
            raise BadOption(f"{name}: {argument} cannot be given to Keras here: {instead}.")
    return getattr(keras.applications, name.model)


def _built(build: Any, name: Name, args: Mapping[str, Any], weights: str | None = None) -> Any:
    try:
        return build(weights=weights, **args)
    except (TypeError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise BadOption(f"{name}: Keras refuses these arguments: {line}") from error


def _with_published_weights(build: Any, name: Name, args: Mapping[str, Any]) -> tuple[Any, str]:
    if not _fetched(name.model):
        if offline():
            raise ModelUnavailable(
                unavailable(name, "and --offline (HF_HUB_OFFLINE=1) forbids to fetch them", file=FILE)
            )
        if not answers(HOST):
            raise ModelUnavailable(unavailable(name, f"and {HOST} does not answer", file=FILE))
    try:
        return _built(build, name, args, "imagenet"), "Keras' own ImageNet weights"
    except BadOption:
        raise
    except Exception as error:  # whatever urllib, h5py and Keras make of a download
        raise ModelUnavailable(unavailable(name, "", error, file=FILE)) from error


def _with_weights(build: Any, name: Name, args: Mapping[str, Any], path: Path) -> tuple[Any, str]:
    """The network that a weights file is of: without its top, or with it."""
    if not path.name.endswith(SUFFIX):
        raise BadWeights(f"{path}: weights of a Keras network come in a file *{SUFFIX}, or as a .keras file.")
    held = tensors_in(path)
    model = _built(build, name, {**args, "include_top": False})
    if held != len(model.variables):
        whole = _built(build, name, {**args, "include_top": True})
        model = whole if held == len(whole.variables) else model
    matched = load_h5(model, path, where=str(path), network=str(name))
    return model, f"{matched} tensors of {path.name} matched"


def _values(model: Any) -> dict[str, Any]:
    return {f"{i}": variable.value for i, variable in enumerate(model.variables)}


def _fetched(model: str) -> list[Path]:
    """Weights files of a network that Keras has fetched before.

    Keras names them resnet50_weights_tf_..., convnext_tiny.h5, mobilenet_1_0_224_tf.h5,
    weights_mobilenet_v3_large_224_1.0_float.h5, efficientnetb0_notop.h5.
    """
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    wanted, found = model.lower(), []
    for path in home.glob("models/*.h5"):
        plain = "".join(sign for sign in path.stem.lower() if sign.isalnum()).removeprefix("weights")
        rest = plain.removeprefix(wanted)
        if plain.startswith(wanted) and (not rest or rest.startswith(("weights", "notop", "10", "224"))):
            found.append(path)
    return found
