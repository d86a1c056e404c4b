"""What the image sources share: sizes and normalisation that a weights file states, and its weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import BadOption
from tunesmith.files import file_digest
from tunesmith.networks.network import Want
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.networks.weights import load_weights, read_weights, shortened
from tunesmith.sources import Name

if TYPE_CHECKING:
    from torch import Tensor, nn

KIND = "image-classification"


def obeying(preprocess: ImagePreprocess, header: Mapping[str, str], want: Want) -> ImagePreprocess:
    """The preprocessing with what the weights' header and then the person say instead."""
    ratio = preprocess.resize / preprocess.size
    try:
        size = int(header.get("input_size", preprocess.size))
        mean = tuple(float(x) for x in json.loads(header.get("mean", json.dumps(preprocess.mean))))
        std = tuple(float(x) for x in json.loads(header.get("std", json.dumps(preprocess.std))))
    except (ValueError, TypeError) as error:
        raise BadOption(f"the header's input_size, mean or std cannot be read: {error}") from error
    if want.image_size is not None:
        size = want.image_size
    return replace(preprocess, size=size, resize=max(size, round(size * ratio)), mean=mean, std=std)


def classes(name: Name) -> int | None:
    """How many classes the weights were trained for, if their header says so."""
    number = name.header.get("num_classes")
    return int(number) if number is not None and number.isdigit() else None


def from_file(
    module: nn.Module,
    name: Name,
    want: Want,
    head: str,
    *,
    adapt: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict,
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Load the file that a name gives into a module built for it.

    head: path of the module's own head; a file whose header says `num_classes` 0 has none.
    adapt: from the names in a published file to those of the module.
    Returns the digest of the file, the weights that stay random, and what was found, in words.
    """
    path = Path(str(name.weights)).expanduser()
    tensors = adapt(read_weights(path))
    headless = (f"{head}.",) if classes(name) == 0 and head else ()
    match = load_weights(
        module,
        tensors,
        where=str(path),
        network=str(name),
        allow_missing=want.allow_missing,
        headless=headless,
    )
    words = [f"{match.matched} tensors of {path.name} matched"]
    if match.missing:
        words.append(f"{shortened(match.missing)} missing there: random, and trained")
    return file_digest(path), match.missing, tuple(words)


def fetched(url: str) -> Path:
    """Where torch keeps what it has fetched from an address."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def origin(name: Name, digest: str) -> str:
    """How a network's origin is written."""
    return f"{name}@{digest[:12]}"


def unavailable(
    name: Name, reason: str, error: Exception | None = None, *, file: str = "weights.safetensors"
) -> str:
    """The message for published weights that cannot be had.

    reason: a clause; empty: what the error says. file: how one is called that would do.
    """
    if not reason and error is not None:
        line = next(iter(str(error).strip().splitlines()), "")[:160]
        reason = f"and cannot be fetched ({type(error).__name__}: {line})"
    return (
        f"the pretrained weights of {name} are not on this machine {reason}; give a file: "
        f"{name}@{file}, or start from random weights: {name}@none."
    )


def refuse_headless(name: Name, want: Want, *, headless: bool) -> None:
    """Raise BadOption if the head that was asked for is one that these weights do not have."""
    if headless and want.head == "pretrained":
        raise BadOption(
            f"{name} has weights without a head (num_classes is 0), so there is no head 'pretrained'; "
            f"use head 'linear'."
        )


def refuse_kind(name: Name, want: Want) -> None:
    """Raise BadOption if a task for something else asks for an image network."""
    if want.kind != KIND:
        raise BadOption(f"{name} takes images, and the task is {want.kind}; name a model for texts: hf/NAME.")
