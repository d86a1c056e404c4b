"""Networks of timm: over a thousand image classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from torch import nn

from tunesmith.errors import BadOption, ModelUnavailable, UnknownName
from tunesmith.networks.assemble import assemble, image_example, named
from tunesmith.networks.network import Network, Stage, Want, digest
from tunesmith.networks.preprocess import ImagePreprocess, restore
from tunesmith.registry import did_you_mean, require
from tunesmith.sources import Model, Name
from tunesmith.sources.hub import hugging_face
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

FEW: Final = 40  # so many models are built to tell their size, each in a fifth of a second
WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")
# Arguments of timm.create_model that are said in another way here, or that change what comes back.
DECIDED: Final = {
    "pretrained": "leave @WEIGHTS out",
    "pretrained_cfg": "name the tag behind the dot",
    "pretrained_cfg_overlay": "name the tag behind the dot",
    "checkpoint_path": "name the file behind the @",
    "cache_dir": "set HF_HOME",
    "features_only": "a classifier is needed",
    "scriptable": "a classifier in plain PyTorch is needed",
    "aux_logits": "a classifier with one output is needed",
}


class Timm:
    """timm's networks, with the weights of the hub or a file's."""

    def find(self, pattern: str, kind: str) -> list[Model]:
        """The pretrained networks whose name contains `pattern`; their size only where few match."""
        timm = require("timm", "timm", "timm/NAME")
        if kind not in ("", KIND):
            return []
        models = [model for model in timm.list_models(pretrained=True) if pattern in f"timm/{model}"]
        found = []
        for model in models:
            config = timm.get_pretrained_cfg(model)
            data = model.partition(".")[2] or None  # "in1k", "ft_in22k_in1k", "laion2b" ...
            size = _millions(model) if len(models) <= FEW else None
            found.append(Model(f"timm/{model}", KIND, data, size, config.license, _local(config)))
        return found

    def load(self, name: Name, want: Want) -> Network:
        """Build a network and load its weights."""
        refuse_kind(name, want)
        from_hub = name.weights is None
        args = {**name.args, **_sized(name, want)}
        module = _build(name, args, num_classes=classes(name), pretrained=from_hub)
        head = _head(module)
        refuse_headless(name, want, headless=not head)
        missing: tuple[str, ...] = ()
        words: tuple[str, ...]
        if from_hub:
            where, words = (
                origin(name, digest(module.state_dict())),
                ("timm's own weights, from the hub",),
            )
        elif name.weights == "none":
            where, words = origin(name, "none"), ("random weights, as asked",)
        else:
            key, missing, words = from_file(module, name, want, head)
            where = origin(name, key)
        preprocess = obeying(_preprocess(module), name.header, want)
        recipe = {"source": "timm", "model": name.model, "args": args, "num_classes": classes(name)}
        return _assembled(module, want, preprocess, where, recipe, missing, words, None)

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        """Build a saved network again, weights still random."""
        name = Name("timm", recipe["model"], recipe["args"])
        module = _build(name, recipe["args"], num_classes=recipe["num_classes"], pretrained=False)
        preprocess = restore(recipe["preprocess"], folder)
        assert isinstance(preprocess, ImagePreprocess)
        return _assembled(module, want, preprocess, recipe["origin"], recipe, (), (), parts)


def _assembled(
    module: nn.Module,
    want: Want,
    preprocess: ImagePreprocess,
    where: str,
    recipe: Mapping[str, Any],
    missing: tuple[str, ...],
    words: tuple[str, ...],
    parts: Sequence[Stage] | None,
) -> Network:
    if not _head(module):  # a checkpoint without a head
        reset: Any = module
        reset.reset_classifier(want.outputs)
    swin: Any = getattr(module, "layers", None)
    if getattr(module, "output_fmt", None) == "NHWC" and swin is not None:
        swin.channel_axis = 3  # maps with as many channels as places a side do not tell
    head = _head(module)
    if not head:
        raise BadOption(f"{where}: this network has no single classifier that could be replaced.")
    return assemble(
        module,
        want,
        head=[head],
        preprocess=preprocess,
        example=image_example(preprocess.size, None),
        origin=where,
        recipe=recipe,
        missing=missing,
        loaded=words,
        parts=parts,
    )


def _build(name: Name, args: Mapping[str, Any], *, num_classes: int | None, pretrained: bool) -> nn.Module:
    timm = require("timm", "timm", "timm/NAME")
    known = timm.list_models()
    if name.model.partition(".")[0] not in known:
        raise UnknownName(
            f"timm has no model {name.model!r}{did_you_mean(name.model, known) or ';'} "
            f"`tunesmith models --source timm` lists them."
        )
    tagged = timm.list_models(pretrained=True) if "." in name.model else [name.model]
    if name.model not in tagged:
        raise UnknownName(
            f"timm has no weights {name.model!r}{did_you_mean(name.model, tagged) or ';'} "
            f"`tunesmith models --source timm {name.model.partition('.')[0]}` lists them."
        )
    for argument, instead in DECIDED.items():
        if args.get(argument):
            raise BadOption(f"{name}: {argument} cannot be given to timm here: {instead}.")
    width = {} if num_classes is None else {"num_classes": num_classes}
    with hugging_face() if pretrained else nullcontext("") as reason:
        try:
            module: nn.Module = timm.create_model(name.model, pretrained=pretrained, **width, **args)
        except (OSError, TypeError, ValueError, AssertionError, RuntimeError) as error:
            if pretrained and isinstance(error, OSError | RuntimeError):
                raise ModelUnavailable(unavailable(name, reason, error)) from error
            raise BadOption(f"{name}: timm refuses these arguments: {error}") from error
    return module


def _head(module: Any) -> str:
    classifier = module.get_classifier()
    if isinstance(classifier, nn.Identity) or not isinstance(classifier, nn.Module):
        return ""
    paths = named(module, lambda _, m: m is classifier)
    return paths[0] if paths else ""


def _preprocess(module: nn.Module) -> ImagePreprocess:
    import timm.data

    form = timm.data.resolve_model_data_config(module)
    size = int(form["input_size"][1])
    resize = max(size, int(size / float(form["crop_pct"])))
    return ImagePreprocess(size, resize, form["interpolation"], tuple(form["mean"]), tuple(form["std"]))


def _sized(name: Name, want: Want) -> dict[str, Any]:
    """Transformers with position embeddings must be built for another size of image."""
    if want.image_size is None:
        return {}
    import timm

    config = timm.get_pretrained_cfg(name.model, allow_unregistered=True)
    return {"img_size": want.image_size} if config and config.fixed_input_size else {}


def _millions(model: str) -> float | None:
    """How many million parameters a model has; None if it cannot be built without memory for them."""
    import timm
    import torch

    try:
        with torch.device("meta"):
            module = timm.create_model(model, pretrained=False)
    except (AssertionError, ImportError, RuntimeError, TypeError, ValueError):
        return None
    return float(sum(parameter.numel() for parameter in module.parameters())) / 1e6


def _local(config: Any) -> bool:
    """Whether the hub's cache holds these weights, or torch's, for the few that lie elsewhere."""
    from huggingface_hub import try_to_load_from_cache

    if not config.hf_hub_id:
        return bool(config.url) and fetched(config.url).is_file()
    files = (config.hf_hub_filename,) if config.hf_hub_filename else WEIGHTS
    return any(isinstance(try_to_load_from_cache(config.hf_hub_id, file), str) for file in files)
