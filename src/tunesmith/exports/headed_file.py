"""A safetensors file whose header says what it is: a model's name for tunesmith, weights for others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tunesmith.errors import BadExport
from tunesmith.exports.format import Runtime, Subject, fold_unit, plain_head
from tunesmith.exports.timm_checkpoint import state
from tunesmith.networks.header import read_header
from tunesmith.networks.network import Want
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.sources import load


@dataclass(frozen=True)
class HeadedFile:
    """See Format."""

    name: str = "safetensors"
    says: str = "a safetensors file with a header"
    file: str = "model.safetensors"
    needs: tuple[tuple[str, str], ...] = ()
    pixels: bool = False
    quantizes: bool = False

    def refuses(self, described: Mapping[str, Any]) -> str | None:
        """Networks that a name and numbers build: timm's and torchvision's."""
        if (described["recipe"] or {}).get("source") not in ("timm", "torchvision"):
            return "its header names a network of timm or torchvision, which a name alone builds"
        return plain_head(described)

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Weights by the source's names, and the header that `tunesmith` obeys."""
        recipe, form = subject.described["recipe"], subject.network.preprocess
        assert isinstance(form, ImagePreprocess)
        fold_unit(subject.network, subject.labels)
        header = {
            "model": f"{recipe['source']}/{recipe['model']}",
            "model_args": json.dumps(dict(recipe["args"])),
            "input_size": str(form.size),
            "mean": json.dumps(form.mean),
            "std": json.dumps(form.std),
            "num_classes": str(len(subject.labels.names)),
            "labels": json.dumps(subject.labels.names, ensure_ascii=False),
            "task": subject.task.name,
        }
        save_file(state(subject.network.module), folder / self.file, metadata=header)
        return {}

    def opened(self, folder: Path, about: Mapping[str, Any]) -> Runtime:
        """By `tunesmith.load` and its name alone; raises BadExport if it would see pictures otherwise."""
        path = folder / self.file
        labels = tuple(json.loads(read_header(path).metadata.get("labels", "[]")))
        network = load(str(path), Want("image-classification", len(labels), head="pretrained"))
        spec = json.loads(json.dumps(network.preprocess.spec()))
        if spec != about["preprocess"]:
            raise BadExport(f"{path} would be given other pictures than its run was: {spec}")
        return Runtime(lambda inputs: network.run(inputs["images"]), labels, f"torch {torch.__version__}")
