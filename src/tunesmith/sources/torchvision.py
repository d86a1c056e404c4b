"""Networks of torchvision.models: ResNet, VGG, MobileNet, ViT, Swin, ConvNeXt ..."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from tunesmith.errors import BadOption, ModelUnavailable, UnknownName
from tunesmith.networks.assemble import assemble, image_example, named
from tunesmith.networks.network import Network, Stage, Want, digest
from tunesmith.networks.preprocess import ImagePreprocess, restore
from tunesmith.networks.weights import load_weights, read_weights
from tunesmith.registry import did_you_mean
from tunesmith.sources import Model, Name
from tunesmith.sources.hub import answers, offline
from tunesmith.sources.images import (
    KIND,
    classes,
    fetched,
    from_file,
    obeying,
    origin,
    refuse_headless,
    refuse_kind,
    unavailable,
)

# GoogLeNet's and Inception's auxiliary classifiers give tuples in training and are never used after.
AUXILIARY: Final = ("googlenet", "inception_v3")
AUXILIARY_WEIGHTS: Final = ("aux1.", "aux2.", "AuxLogits.")
DECIDED: Final = ("weights", "num_classes", "aux_logits", "progress")  # not for the person to say


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
                        fetched(best.url).is_file(),
                    )
                )
        return found

    def load(self, name: Name, want: Want) -> Network:
        """Build a classifier and load its weights."""
        refuse_kind(name, want)
        refuse_headless(name, want, headless=classes(name) == 0)
        module = _build(name, _args(name), classes(name) or 1000)
        head = _head(module)
        base = _preprocess(name.model, module)
        missing: tuple[str, ...] = ()
        words: tuple[str, ...]
        if name.weights == "none":
            where, words = origin(name, "none"), ("random weights, as asked",)
        elif name.weights is not None:
            key, missing, words = from_file(module, name, want, head, adapt=_modern)
            where = origin(name, key)
        else:
            _load_published(module, name)
            where, words = origin(name, digest(module.state_dict())), ("torchvision's own weights",)
        preprocess = obeying(base, name.header, want)
        return assemble(
            module,
            want,
            head=[head],
            preprocess=preprocess,
            example=image_example(preprocess.size, None),
            origin=where,
            recipe={
                "source": "torchvision",
                "model": name.model,
                "args": _args(name),
                "num_classes": classes(name) or 1000,
            },
            missing=missing,
            loaded=words,
        )

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        """Build a saved network again, weights still random."""
        name = Name("torchvision", recipe["model"], recipe["args"])
        module = _build(name, recipe["args"], recipe["num_classes"])
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


def _args(name: Name) -> dict[str, Any]:
    """The constructor's arguments: the person's, and what the published weights were trained with.

    Only torchvision's own loading adds those; without them the weights fit and the answers are wrong.
    """
    args = dict(name.args)
    if name.model in AUXILIARY and not name.header:
        args.setdefault("transform_input", True)  # both were trained with mean 0.5 and deviation 0.5
    return args


def _build(name: Name, args: Mapping[str, Any], num_classes: int) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name.model not in known:
        raise UnknownName(
            f"torchvision has no model {name.model!r}{did_you_mean(name.model, known) or ';'} "
            f"`tunesmith models --source torchvision` lists them."
        )
    for argument in DECIDED:
        if argument in args:
            raise BadOption(f"{name}: {argument} cannot be given to torchvision here; leave it out.")
    extra: dict[str, Any] = {}
    if name.model in AUXILIARY:
        extra = {"aux_logits": False, "init_weights": True}
    elif name.model.startswith("vit_"):
        extra = {"image_size": models.get_model_weights(name.model).DEFAULT.transforms().crop_size[0]}
    try:
        module: nn.Module = models.get_model(
            name.model, weights=None, num_classes=num_classes, **{**extra, **args}
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadOption(f"{name}: torchvision refuses these arguments: {error}") from error
    swin: Any = module
    for part in swin.features[1:] if name.model.startswith("swin") else ():
        part.channel_axis = 3  # maps with as many channels as places a side do not tell
    return module


def _head(module: nn.Module) -> str:
    return named(module, lambda _, m: isinstance(m, nn.Linear | nn.Conv2d))[-1]


def _preprocess(model: str, module: nn.Module) -> ImagePreprocess:
    from torchvision import models

    form = models.get_model_weights(model).DEFAULT.transforms()
    stated = getattr(module, "image_size", None)  # of a vision transformer, which reads no other
    size = stated if isinstance(stated, int) else form.crop_size[0]
    return ImagePreprocess(
        size,
        max(round(size * form.resize_size[0] / form.crop_size[0]), size),
        form.interpolation.value,
        tuple(form.mean),
        tuple(form.std),
    )


def _load_published(module: nn.Module, name: Name) -> None:
    from torchvision import models

    weights = models.get_model_weights(name.model).DEFAULT
    file = fetched(weights.url)
    if not file.is_file():
        if offline():
            raise ModelUnavailable(
                unavailable(name, "and --offline (HF_HUB_OFFLINE=1) forbids to fetch them")
            )
        host = "/".join(weights.url.split("/")[:3])
        if not answers(host):
            raise ModelUnavailable(unavailable(name, f"and {host} does not answer"))
        try:
            weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        except (OSError, RuntimeError) as error:
            raise ModelUnavailable(unavailable(name, "", error)) from error
    load_weights(module, _modern(read_weights(file)), where=str(file), network=str(name))


def _modern(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors under today's names: DenseNet's are older, and auxiliary classifiers fall away."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)", r"\1\2", name): tensor
        for name, tensor in tensors.items()
        if not name.startswith(AUXILIARY_WEIGHTS)
    }
