"""A checkpoint that timm opens: `create_model(NAME, checkpoint_path=...)`, or the folder as `local-dir:`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from tunesmith.errors import BadExport
from tunesmith.exports.format import Runtime, Subject, fold_unit, plain_head
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.registry import require


@dataclass(frozen=True)
class TimmCheckpoint:
    """See Format."""

    name: str = "timm"
    says: str = "a timm checkpoint"
    file: str = "model.safetensors"
    needs: tuple[tuple[str, str], ...] = (("timm", "timm"),)
    pixels: bool = False
    quantizes: bool = False

    def refuses(self, described: Mapping[str, Any]) -> str | None:
        """Networks of timm, with a head of timm's own."""
        if (described["recipe"] or {}).get("source") != "timm":
            return "it holds networks of timm"
        return plain_head(described)

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Weights by timm's names, and `config.json` as timm's models on the hub have it."""
        recipe, form = subject.described["recipe"], subject.network.preprocess
        assert isinstance(form, ImagePreprocess)
        fold_unit(subject.network, subject.labels)
        save_file(state(subject.network.module), folder / self.file)
        size = [3, form.size, form.size]
        config = {
            "architecture": recipe["model"].partition(".")[0],
            "num_classes": len(subject.labels.names),
            "label_names": list(subject.labels.names),
            "model_args": dict(recipe["args"]),
            "pretrained_cfg": {
                "num_classes": len(subject.labels.names),
                "input_size": size,
                "fixed_input_size": False,
                "interpolation": form.interpolation,
                "crop_pct": _share(form),
                "crop_mode": "center",
                "mean": list(form.mean),
                "std": list(form.std),
            },
        }
        (folder / "config.json").write_text(
            json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8"
        )
        given = {
            "num_classes": config["num_classes"],
            "checkpoint_path": self.file,
            **config["model_args"],
        }
        told = ", ".join([repr(config["architecture"]), *(f"{k}={v!r}" for k, v in given.items())])
        return {"call": f"create_model({told})"}

    def opened(self, folder: Path, about: Mapping[str, Any]) -> Runtime:  # noqa: ARG002
        """See Format."""
        timm = require("timm", "timm", "a timm checkpoint")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["architecture"] not in timm.list_models():  # a name might also be an address
            raise BadExport(f"timm has no network {config['architecture']!r}.")
        module = timm.create_model(
            config["architecture"],
            num_classes=config["num_classes"],
            checkpoint_path=str(folder / self.file),
            **config["model_args"],
        )
        module.eval()
        labels = tuple(config["label_names"])
        return Runtime(lambda inputs: module(inputs["images"]), labels, f"timm {timm.__version__}")


def _share(form: ImagePreprocess) -> float:
    """The share that the crop keeps, so that timm, which rounds down, resizes as the run did."""
    share = form.size / form.resize
    return share if int(form.size / share) == form.resize else math.nextafter(share, 0)


def state(module: nn.Module) -> dict[str, Tensor]:
    """A module's weights as a file holds them: each in memory of its own."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in module.state_dict().items()}
