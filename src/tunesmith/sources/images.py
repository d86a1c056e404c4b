"""What the image sources share: sizes and normalisation that a weights file states, and its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import BadOption
from tunesmith.networks.network import Want
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.networks.weights import file_digest, load_weights, read_weights, shortened
from tunesmith.sources import Name

if TYPE_CHECKING:
    from torch import nn

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
    module: nn.Module, name: Name, want: Want, head: str
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Load the file that a name gives into a module built for it.

    head: path of the module's own head; a file whose header says `num_classes` 0 has none.
    Returns the digest of the file, the weights that stay random, and what was found, in words.
    """
    path = Path(str(name.weights)).expanduser()
    tensors = read_weights(path)
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


def origin(name: Name, digest: str) -> str:
    """How a network's origin is written."""
    return f"{name}@{digest[:12]}"


def refuse_kind(name: Name, want: Want) -> None:
    """Raise BadOption if a task for something else asks for an image network."""
    if want.kind != KIND:
        raise BadOption(f"{name} takes images, and the task is {want.kind}; name a model for texts: hf/NAME.")
