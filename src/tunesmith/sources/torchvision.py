"""Networks of torchvision.models: ResNet, VGG, MobileNet, ViT, Swin, ConvNeXt ..."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from tunesmith.errors import BadOption, ModelUnavailable, UnknownName
from tunesmith.networks.assemble import assemble, image_example, named
from tunesmith.networks.network import Network, Stage, Want, digest
from tunesmith.networks.preprocess import ImagePreprocess, restore
from tunesmith.registry import did_you_mean
from tunesmith.sources import Model, Name
from tunesmith.sources.images import KIND, classes, from_file, obeying, origin, refuse_kind


class Torchvision:
    """torchvision's classifiers, with the weights that it publishes or a file's."""

    def find(self, pattern: str, kind: str) -> list[Model]:
        """The classifiers whose name contains `pattern`."""
        from torchvision import models

        if kind not in ("", KIND):
            return []
        found = []
        for model in models.list_models(module=models):
            if pattern in f"torchvision/{model}":
                best = models.get_model_weights(model).DEFAULT
                size = best.meta.get("num_params")
                found.append(
                    Model(
                        f"torchvision/{model}",
                        KIND,
                        "ImageNet-1k",
                        size / 1e6 if size else None,
                        "BSD-3-Clause (code)",
                        _cached(best.url).is_file(),
                    )
                )
        return found

    def load(self, name: Name, want: Want) -> Network:
        """Build a classifier and load its weights."""
        refuse_kind(name, want)
        module = _build(name, classes(name) or 1000)
        head = _head(module)
        base = _preprocess(name.model)
        missing: tuple[str, ...] = ()
        words: tuple[str, ...]
        if name.weights == "none":
            where, words = origin(name, "none"), ("random weights, as asked",)
        elif name.weights is not None:
            key, missing, words = from_file(module, name, want, head)
            where = origin(name, key)
        else:
            module.load_state_dict(_published(name))
            where, words = origin(name, digest(module.state_dict())), ("torchvision's own weights",)
        preprocess = obeying(base, name.header, want)
        return assemble(
            module,
            want,
            head=[head],
            preprocess=preprocess,
            example=image_example(preprocess.size, None),
            origin=where,
            recipe=_recipe(name),
            missing=missing,
            loaded=words,
        )

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        """Build a saved network again, weights still random."""
        name = Name("torchvision", recipe["model"], recipe["args"])
        module = _build(name, recipe["num_classes"])
        preprocess = restore(recipe["preprocess"], folder)
        assert isinstance(preprocess, ImagePreprocess)
        return assemble(
            module,
            want,
            head=[_head(module)],
            preprocess=preprocess,
            example=image_example(preprocess.size, None),
            origin=recipe["origin"],
            recipe=recipe,
            parts=parts,
        )


def _build(name: Name, num_classes: int) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name.model not in known:
        raise UnknownName(
            f"torchvision has no model {name.model!r}{did_you_mean(name.model, known) or ';'} "
            f"`tunesmith models --source torchvision` lists them."
        )
    # Auxiliary classifiers of GoogLeNet and Inception give tuples in training and are never used after.
    extra = {"aux_logits": False, "init_weights": True} if "aux_logits" in _arguments(name.model) else {}
    try:
        module: nn.Module = models.get_model(
            name.model, weights=None, num_classes=num_classes, **extra, **name.args
        )
    except (TypeError, ValueError) as error:
        raise BadOption(f"{name}: torchvision refuses these arguments: {error}") from error
    return module


def _arguments(model: str) -> tuple[str, ...]:
    import inspect

    from torchvision import models

    builder = models.get_model_builder(model)
    module = inspect.getmodule(builder)
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == builder.__module__:
            parameters = inspect.signature(value.__init__).parameters
            if "aux_logits" in parameters:
                return tuple(parameters)
    return ()


def _head(module: nn.Module) -> str:
    return named(module, lambda _, m: isinstance(m, nn.Linear | nn.Conv2d))[-1]


def _preprocess(model: str) -> ImagePreprocess:
    from torchvision import models

    form = models.get_model_weights(model).DEFAULT.transforms()
    return ImagePreprocess(
        form.crop_size[0],
        max(form.resize_size[0], form.crop_size[0]),
        form.interpolation.value,
        tuple(form.mean),
        tuple(form.std),
    )


def _published(name: Name) -> Mapping[str, Any]:
    from torchvision import models

    weights = models.get_model_weights(name.model).DEFAULT
    if os.environ.get("HF_HUB_OFFLINE") == "1" and not _cached(weights.url).is_file():
        raise ModelUnavailable(_unavailable(name, "and --offline forbids fetching them"))
    try:
        state: Mapping[str, Any] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise ModelUnavailable(_unavailable(name, f"and cannot be fetched ({error})")) from error
    return {k: v for k, v in state.items() if not k.startswith(("aux1.", "aux2.", "AuxLogits."))}


def _unavailable(name: Name, why: str) -> str:
    return (
        f"the pretrained weights of {name} are not on this machine {why}; give a file: "
        f"{name}@weights.safetensors, or start from random weights: {name}@none."
    )


def _cached(url: str) -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def _recipe(name: Name) -> dict[str, Any]:
    return {
        "source": "torchvision",
        "model": name.model,
        "args": dict(name.args),
        "num_classes": classes(name) or 1000,
    }
