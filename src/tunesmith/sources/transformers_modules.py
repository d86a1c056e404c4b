"""Modules of transformers for texts: a classification class or a pooled backbone, and its head."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from tunesmith.errors import BadWeights
from tunesmith.files import file_digest
from tunesmith.networks.network import Want, digest
from tunesmith.networks.pooled import Pooled
from tunesmith.networks.weights import load_weights, read_weights, shortened
from tunesmith.sources import Name
from tunesmith.sources.images import origin
from tunesmith.sources.transformers_files import fetched, left_over, refuse_infinite

OWN: Final = "own"  # read as the network's own classification class does: CLS, last token, ...
CLASSES: Final = {  # of transformers, by what is wanted
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
}


def text_module(
    transformers: Any, name: Name, folder: str, config: Any, pooling: str, want: Want
) -> tuple[nn.Module, list[str], str, tuple[str, ...], tuple[str, ...]]:
    """A module for texts with the weights that its name asks for.

    Returns the module, the paths of its head, its origin, the weights that stay random, and what was
    found, in words.
    """
    if name.weights is not None:
        module, head = built(transformers, config, pooling, want)
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
        module, info = fetched(
            name,
            lambda: own_class(transformers, want).from_pretrained(
                folder,
                config=labelled,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                trust_remote_code=False,
            ),
        )
        head = outside_base(module)
        if want.head != "pretrained":
            _start(module, head)
    else:
        backbone, info = fetched(
            name,
            lambda: transformers.AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                trust_remote_code=False,
                **_no_pooler(config),
            ),
        )
        module = Pooled(backbone, pooling, backbone.config.hidden_size, want.outputs)
        head = ["head"]
    refuse_infinite(module, name)
    left = left_over(info, name, () if want.head == "pretrained" else tuple(head))
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
        f"texts are read by {reading(pooling, want.kind)}",
    ]
    if lost:
        words.append(f"{shortened(lost)} missing there: random, and trained")
    words.extend(left)
    return module, head, origin(name, digest(body)), lost, tuple(words)


def built(transformers: Any, config: Any, pooling: str, want: Want) -> tuple[nn.Module, list[str]]:
    """A module for texts with random weights, and the paths of its head."""
    if pooling == OWN:
        module = own_class(transformers, want).from_config(_labelled(config, want), dtype=torch.float32)
        head = outside_base(module)
        if want.head != "pretrained":
            _start(module, head)
        return module, head
    backbone = transformers.AutoModel.from_config(config, dtype=torch.float32, **_no_pooler(config))
    return Pooled(backbone, pooling, backbone.config.hidden_size, want.outputs), ["head"]


def own_class(transformers: Any, want: Want) -> Any:
    """The class of transformers that answers as is wanted, so that what is trained can be handed back."""
    return getattr(transformers, CLASSES[want.kind])


def outside_base(module: Any) -> list[str]:
    """The head is what a classification class adds to the base model."""
    return [
        name
        for name, m in module.named_children()
        if name != module.base_model_prefix and (next(m.parameters(), None) is not None)
    ]


def reading(pooling: str, kind: str = "text-classification") -> str:
    """How texts are read, in words."""
    if kind != "text-classification":
        return f"the network's own class for {kind}"
    words = {
        "mean": "the mean of their tokens",
        "cls": "their first token",
        "last": "their last token",
        "max": "the maximum over their tokens",
        OWN: "the network's own classification class",
    }
    return words[pooling]


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


def _start(module: nn.Module, head: list[str]) -> None:
    """Begin the last layer anew, as wide as the network's own class begins it.

    Half as wide, as other new heads are, a network that trains whole from the first step is several epochs
    late: what reaches the stages below is as small as the head's weights.
    """
    linear = [m for path in head for m in module.get_submodule(path).modules() if isinstance(m, nn.Linear)]
    if linear and linear[-1].bias is not None:
        nn.init.normal_(linear[-1].weight, std=getattr(module.config, "initializer_range", None) or 0.02)
        nn.init.zeros_(linear[-1].bias)


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
