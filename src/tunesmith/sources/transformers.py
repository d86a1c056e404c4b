"""Networks of transformers, by their name on the hub or from a local folder: texts and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from tunesmith.networks.assemble import assemble, image_example
from tunesmith.networks.network import Network, Stage, Want
from tunesmith.networks.preprocess import ImagePreprocess, TextPreprocess, restore
from tunesmith.registry import require
from tunesmith.sources import Model, Name
from tunesmith.sources.hub import hugging_face
from tunesmith.sources.images import KIND as IMAGES
from tunesmith.sources.transformers_files import check_headers, fetched, folder_of, here
from tunesmith.sources.transformers_images import image_network, linear_head
from tunesmith.sources.transformers_modules import OWN, built
from tunesmith.sources.transformers_texts import text_example, text_network


class Transformers:
    """transformers' encoders and decoders for texts, and its image classifiers."""

    def find(self, pattern: str, kind: str) -> list[Model]:
        """What lies in the hub's cache or in an installed package; the hub itself has a million more."""
        return [model for model in here(kind) if pattern in model.name]

    def load(self, name: Name, want: Want) -> Network:
        """Build a network for texts or images and load its weights."""
        folder = folder_of(name)
        if name.weights is None:
            check_headers(folder)
        with nullcontext("") if Path(folder).is_dir() else hugging_face() as reason:
            return self._loaded(name, folder, want, reason)

    def _loaded(self, name: Name, folder: str, want: Want, reason: str) -> Network:
        transformers = _library()
        config = fetched(
            name, lambda: transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False), reason
        )
        if want.kind == IMAGES:
            return image_network(transformers, name, folder, config, want)
        return text_network(transformers, name, folder, config, want, reason)

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        """Build a saved network again, weights still random."""
        transformers = _library()
        values = dict(recipe["config"])
        config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
        preprocess = restore(recipe["preprocess"], folder)
        if isinstance(preprocess, TextPreprocess):
            module, head = built(transformers, config, recipe["pooling"], want)
            example, ready = text_example(preprocess), recipe["pooling"] == OWN
        else:
            assert isinstance(preprocess, ImagePreprocess)
            module = transformers.AutoModelForImageClassification.from_config(config, dtype=torch.float32)
            head, ready = [linear_head(module)], False
            example = image_example(preprocess.size, preprocess.argument)
        return assemble(
            module,
            want,
            head=head,
            preprocess=preprocess,
            example=example,
            origin=recipe["origin"],
            recipe=recipe,
            ready_head=ready,
            parts=parts,
        )


def _library() -> Any:
    transformers = require("transformers", "transformers", "hf/NAME")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
