"""Networks of transformers for images, and the preprocessing that they state."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tunesmith.errors import BadOption, BadWeights, ModelUnavailable
from tunesmith.files import file_digest
from tunesmith.networks.assemble import assemble, image_example, named
from tunesmith.networks.network import Network, Want, digest
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.networks.weights import load_weights, read_weights, shortened
from tunesmith.sources import Name
from tunesmith.sources.images import obeying, origin
from tunesmith.sources.transformers_files import fetched, left_over, refuse_infinite
from tunesmith.sources.transformers_modules import outside_base


def image_network(transformers: Any, name: Name, folder: str, config: Any, want: Want) -> Network:
    """Build a network for images and load its weights."""
    missing: tuple[str, ...] = ()
    if name.weights is None:
        module, info = fetched(
            name,
            lambda: transformers.AutoModelForImageClassification.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                trust_remote_code=False,
            ),
        )
        refuse_infinite(module, name)
        head = linear_head(module)
        keeps = want.head == "pretrained"
        left = left_over(info, name, () if keeps else (head,))
        lost = tuple(k for k in sorted(info["missing_keys"]) if keeps or not k.startswith(head))
        if lost and not want.allow_missing:
            raise BadWeights(
                f"the weights of {name} lack {shortened(lost)}; pass --allow-missing to train them."
            )
        missing = lost
        where, words = (
            origin(name, digest(module.state_dict())),
            (f"pretrained tensors from {name}", *left),
        )
    else:
        module = transformers.AutoModelForImageClassification.from_config(config, dtype=torch.float32)
        head = linear_head(module)
        where, words = origin(name, "none"), ("random weights, as asked",)
        if name.weights != "none":
            path = Path(name.weights).expanduser()
            match = load_weights(
                module,
                read_weights(path),
                where=str(path),
                network=str(name),
                allow_missing=want.allow_missing,
            )
            where, missing = origin(name, file_digest(path)), match.missing
            words = (f"{match.matched} tensors matched",)
    preprocess = obeying(_image_preprocess(transformers, name, folder, config), name.header, want)
    recipe = {
        "source": "hf",
        "model": name.model,
        "kind": want.kind,
        "config": json.loads(config.to_json_string(use_diff=False)),
    }
    return assemble(
        module,
        want,
        head=[head],
        preprocess=preprocess,
        example=image_example(preprocess.size, preprocess.argument),
        origin=where,
        recipe=recipe,
        missing=missing,
        loaded=words,
    )


def linear_head(module: Any) -> str:
    """The path of the last linear layer outside the base model."""
    outside = tuple(outside_base(module))
    paths = named(module, lambda n, m: isinstance(m, nn.Linear) and n.startswith(outside))
    if not paths:
        raise BadOption("this network has no linear classifier that could be replaced.")
    return paths[-1]


def _image_preprocess(transformers: Any, name: Name, folder: str, config: Any) -> ImagePreprocess:
    size = int(getattr(config, "image_size", None) or 224)
    base = ImagePreprocess(size, size, "bilinear", argument="pixel_values")
    try:
        form = transformers.AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError):
        if name.weights is None:
            raise ModelUnavailable(
                f"{name} has no preprocessor_config.json, so its input is unknown."
            ) from None
        return base
    stated = dict(getattr(form, "size", None) or {})
    side = int(stated.get("shortest_edge") or stated.get("height") or size)
    crop = dict(getattr(form, "crop_size", None) or {}) if getattr(form, "do_center_crop", False) else {}
    inner = int(crop.get("height") or side)
    share = getattr(form, "crop_pct", None)
    if share and not crop and side < 384:  # ConvNeXt's and ResNet's own rule
        side = int(side / share)
    filters = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
    resample = getattr(form, "resample", None)
    plain = not getattr(form, "do_normalize", True)
    return replace(
        base,
        size=min(inner, side),
        resize=side,
        interpolation=filters.get(2 if resample is None else int(resample), "bilinear"),
        mean=(0.0,) * 3 if plain else tuple(form.image_mean or (0.5,) * 3),
        std=(1.0,) * 3 if plain else tuple(form.image_std or (0.5,) * 3),
    )
