"""A folder of transformers: `from_pretrained` and `pipeline` open it, labels are in its configuration."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from tunesmith.engines.engine import quiet
from tunesmith.errors import BadExport
from tunesmith.exports.format import Runtime, Subject, fold_unit
from tunesmith.exports.timm_checkpoint import state
from tunesmith.networks.network import said_by
from tunesmith.networks.pooled import Pooled
from tunesmith.networks.preprocess import ImagePreprocess, TextPreprocess
from tunesmith.networks.weights import shortened
from tunesmith.registry import require

CODE: Final = "pooled_transformers.py"
OURS: Final = "PooledForSequenceClassification"
AUTO_MAP: Final = {
    "AutoConfig": "pooled_transformers.PooledConfig",
    "AutoModelForSequenceClassification": f"pooled_transformers.{OURS}",
}
ALONE: Final = {
    "local_files_only": True,
    "trust_remote_code": False,
}  # else transformers asks on the terminal
FILTERS: Final = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}  # as PIL numbers them


@dataclass(frozen=True)
class TransformersFolder:
    """See Format."""

    name: str = "transformers"
    says: str = "a transformers folder"
    file: str = "model.safetensors"
    needs: tuple[tuple[str, str], ...] = (("transformers", "transformers"),)
    pixels: bool = False
    quantizes: bool = False

    def refuses(self, described: Mapping[str, Any]) -> str | None:
        """Networks of transformers, with the head of their class."""
        if (described["recipe"] or {}).get("source") != "hf":
            return "it holds networks of transformers"
        if described["want"]["head"] not in ("linear", "pretrained"):
            return f"its head {described['want']['head']!r} is not one that a class of transformers builds"
        return None

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Configuration with the labels, weights, and the tokenizer or image processor."""
        module: Any = subject.network.module
        fold_unit(subject.network, subject.labels)
        pooled = isinstance(module, Pooled)
        if pooled:
            _write_pooled(subject, folder)
        else:
            module.config.update(_labelled(subject))
            refuse_other_head(subject.name, module)
            with quiet():
                module.save_pretrained(folder)
        _write_preprocess(subject, folder)
        return {"class": OURS if pooled else type(module).__name__}

    def opened(self, folder: Path, about: Mapping[str, Any]) -> Runtime:
        """By `from_pretrained`. Code in the folder never runs: it must be ours, which runs in its place."""
        transformers = require("transformers", "transformers", "a transformers folder")
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        known = about["opens"]["class"]
        if known == OURS:
            loader = _pooled_class(folder)
        else:
            loader = getattr(transformers, known, None)
            if not (isinstance(loader, type) and issubclass(loader, transformers.PreTrainedModel)):
                raise BadExport(f"{known!r} is no class of transformers' networks.")
        module, info = loader.from_pretrained(folder, output_loading_info=True, dtype=torch.float32, **ALONE)
        if lost := sorted({*info["missing_keys"], *info["unexpected_keys"]}):
            raise BadExport(f"transformers finds other weights in {folder} than its class has: {lost[:4]}")
        named = sorted(module.config.id2label.items()) if about["labels"]["names"] else ()
        labels = tuple(name for _, name in named)
        module.eval()
        return Runtime(
            lambda inputs: said_by(module(**inputs)), labels, f"transformers {transformers.__version__}"
        )


def prepared(folder: Path, texts: tuple[str, ...], images: Tensor | None, spec: Mapping[str, Any]) -> Any:
    """What the folder's own tokenizer makes of texts, or its image processor of resized images, by name.

    spec: what the preprocessing says of itself.
    """
    transformers = require("transformers", "transformers", "a transformers folder")
    if texts:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **ALONE)
        return TextPreprocess(tokenizer, tokenizer.model_max_length, spec.get("pairs", False)).raw(texts)
    if images is None:
        return {}
    processor = transformers.AutoImageProcessor.from_pretrained(folder, **ALONE)
    plain = [image.permute(1, 2, 0).numpy() for image in images]
    return dict(processor(plain, do_resize=False, do_center_crop=False, return_tensors="pt"))


def refuse_other_head(name: str, module: Any) -> None:
    """Raise BadExport unless the module's class, built from its configuration, has the same weights."""
    with torch.device("meta"):
        plain = type(module)(copy.deepcopy(module.config))
    theirs = {n: tuple(t.shape) for n, t in plain.state_dict().items()}
    own = {n: tuple(t.shape) for n, t in module.state_dict().items()}
    if theirs != own:
        odd = tuple(sorted(set(theirs.items()) ^ set(own.items())))
        raise BadExport(
            f"{name} has other weights than {type(module).__name__} of transformers builds "
            f"({shortened(tuple(dict.fromkeys(n for n, _ in odd)))})."
        )


def _pooled_class(folder: Path) -> Any:
    """Our class for pooled language models, made known to transformers, if the folder carries its code."""
    if (folder / CODE).read_bytes() != _code():
        raise BadExport(f"{folder / CODE} is not the code that tunesmith writes; the folder is not opened.")
    stated = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("auto_map")
    if stated != AUTO_MAP:
        raise BadExport(f"{folder / 'config.json'} names other code than tunesmith's: {stated}")
    import transformers

    from tunesmith.exports.pooled_transformers import PooledConfig, PooledForSequenceClassification

    transformers.AutoConfig.register(PooledConfig.model_type, PooledConfig, exist_ok=True)
    return PooledForSequenceClassification


def _code() -> bytes:
    """The code that travels with a pooled language model."""
    return Path(__file__).with_name(CODE).read_bytes()


def _labelled(subject: Subject) -> dict[str, Any]:
    names = subject.labels.names
    if not names:  # answers that are spans of the text
        return {}
    told = {
        "id2label": dict(enumerate(names)),
        "label2id": {label: i for i, label in enumerate(names)},
    }
    if subject.task.answers == "numbers":
        return {**told, "problem_type": "regression"}
    return told


def _write_pooled(subject: Subject, folder: Path) -> None:
    module = subject.network.module
    assert isinstance(module, Pooled)
    backbone: Any = module.backbone
    inner = json.loads(backbone.config.to_json_string(use_diff=False))
    if getattr(backbone, "pooler", False) is None:
        inner["arguments"] = {"add_pooling_layer": False}
    config = {
        "model_type": "tunesmith_pooled",
        "architectures": [OURS],
        "auto_map": AUTO_MAP,
        "pooling": module.pool.pooling,
        "backbone": inner,
        **_labelled(subject),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / CODE).write_bytes(_code())
    save_file(state(module), folder / "model.safetensors", metadata={"format": "pt"})


def _write_preprocess(subject: Subject, folder: Path) -> None:
    form = subject.network.preprocess
    if isinstance(form, TextPreprocess):
        tokenizer = copy.deepcopy(form.tokenizer)
        tokenizer.model_max_length = form.max_length
        tokenizer.save_pretrained(folder)
    elif isinstance(form, ImagePreprocess):
        processor = {
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": form.resize},
            "resample": FILTERS[form.interpolation],
            "do_center_crop": True,
            "crop_size": {"height": form.size, "width": form.size},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(form.mean),
            "image_std": list(form.std),
        }
        text = json.dumps(processor, indent=1)
        (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
