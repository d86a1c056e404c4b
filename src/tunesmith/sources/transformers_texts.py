"""Networks of transformers for texts: how they are read, how many tokens, and how they are padded."""

from __future__ import annotations

import json
from typing import Any, Final

import torch
from torch import nn

from tunesmith.errors import BadOption
from tunesmith.networks.assemble import assemble
from tunesmith.networks.network import Network, Want
from tunesmith.networks.pooled import POOLINGS
from tunesmith.networks.preprocess import TextPreprocess, check_long_texts
from tunesmith.sources import Name
from tunesmith.sources.transformers_files import TEXTS, beside, fetched
from tunesmith.sources.transformers_modules import CLASSES, OWN, reading, text_module

LONGEST: Final = 512  # tokens, unless the person asks for more: memory grows with the square


def text_network(transformers: Any, name: Name, folder: str, config: Any, want: Want, reason: str) -> Network:
    """Build a network for texts and load its weights.

    reason: why the hub cannot be asked, in words, or empty.
    """
    tokenizer = fetched(
        name,
        lambda: transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
        reason,
    )
    pad(tokenizer, config)
    check_long_texts(want.long_texts, tokenizer)  # before its weights load
    pooling = _pooling(name, folder, want)
    module, head, where, missing, words = text_module(transformers, name, folder, config, pooling, want)
    preprocess = TextPreprocess(
        tokenizer,
        _window(module, tokenizer, config, folder, want),
        want.pairs,
        long_texts=want.long_texts,
    )
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
        example=text_example(preprocess),
        origin=where,
        recipe=recipe,
        ready_head=pooling == OWN,
        missing=missing,
        loaded=words,
    )


def text_example(preprocess: TextPreprocess) -> dict[str, torch.Tensor]:
    """A text of usual length, to trace a network with."""
    return preprocess.raw(["a short text to trace the network with, of a usual length for a sentence"])


def pad(tokenizer: Any, config: Any) -> None:
    """Give a tokenizer without a padding token (GPT-2) its end-of-text token, and tell the network.

    Without it, GPT-2's classifier would read its answer at a padding position.
    """
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = tokenizer.pad_token_id
    tokenizer.padding_side = "right"


def _pooling(name: Name, folder: str, want: Want) -> str:
    """How texts are to be read: as asked, as the encoder was trained to be, or by its own class."""
    unknown = sorted(set(name.args) - {"pooling"})
    if unknown:
        raise BadOption(f"{name}: the only argument of a model for texts is pooling; found {unknown[0]!r}.")
    if want.kind not in CLASSES:
        raise BadOption(f"{name} serves {', '.join(CLASSES)}, and the task is {want.kind}.")
    if want.kind != TEXTS and name.args.get("pooling"):
        raise BadOption(
            f"{name}: pooling makes one answer of a text, and {want.kind} wants one of each token."
        )
    pooling = str(name.args.get("pooling") or _sentence_pooling(folder) or OWN) if want.kind == TEXTS else OWN
    if pooling not in (*POOLINGS, OWN):
        raise BadOption(f"{name}: pooling must be one of {', '.join((*POOLINGS, OWN))}; found {pooling!r}.")
    if pooling != OWN and want.head == "pretrained":
        raise BadOption(
            f"{name} is read by pooling ({reading(pooling)}), so it has no head 'pretrained'; use head "
            f"'linear', or its own classification class: hf/{name.model}?pooling=own."
        )
    if pooling == OWN and want.head in ("mlp", "conv"):
        cure = f"for head {want.head!r} name a pooling: hf/{name.model}?pooling=mean"
        raise BadOption(
            f"{name} is read by its own class for {want.kind}, whose head only head 'linear' renews; "
            f"{cure if want.kind == TEXTS else 'leave head out'}."
        )
    return pooling


def _sentence_pooling(folder: str) -> str | None:
    """How a sentence encoder was trained to be read, if it says so."""
    stated = beside(folder, "1_Pooling/config.json")
    if not stated:
        return None
    keys = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_lasttoken": "last",
    }
    return next((pooling for key, pooling in keys.items() if stated.get(key)), None)


def _window(module: nn.Module, tokenizer: Any, config: Any, folder: str, want: Want) -> int:
    """How many tokens the network may see: the least of what it can, what it says, and what is asked."""
    limits = [LONGEST if want.max_length is None else want.max_length]
    can = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if isinstance(can, int) and can > 0:
        limits.append(can - _reserved(module))
    if tokenizer.model_max_length < 1_000_000:
        limits.append(tokenizer.model_max_length)
    stated = beside(folder, "sentence_bert_config.json")
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
