"""Golden examples: some of the test split, by which an export proves anywhere that it answers as its run did.

A run keeps the inputs and the true answers; an export the network's answers as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tunesmith.errors import BadRun
from tunesmith.training.examples import Examples
from tunesmith.training.sampling import drawn, sampled

GOLDEN: Final = "golden.safetensors"
MOST: Final = 64
BYTES: Final = 10_000_000  # of inputs, at most: 64 pictures of 224 pixels
UNNAMED: Final = {"image": "images"}  # how inputs are called that have no names


@dataclass(frozen=True)
class Golden:
    """Held-out examples.

    inputs: by name, as they are stored: uint8 images [N, 3, H, W], int64 tokens [N, T].
    texts: what the tokens were made of; empty where items are no texts.
    targets: class indices [N], or numbers [N, K] in spreads from their mean; None where answers have parts.
    answers: float32 [N, K] or [N, ..., K], of the network before it was exported; None in a run.
    """

    inputs: Mapping[str, Tensor]
    texts: tuple[str, ...] = ()
    targets: Tensor | None = None
    answers: Tensor | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {f"inputs.{name}": tensor.contiguous() for name, tensor in self.inputs.items()}
        if self.texts:
            written = json.dumps(self.texts).encode("utf-8")
            tensors["texts"] = torch.frombuffer(bytearray(written), dtype=torch.uint8)
        for name in ("targets", "answers"):
            tensor = getattr(self, name)
            if tensor is not None:
                tensors[name] = tensor.contiguous()
        return bytes(save(tensors))

    @staticmethod
    def from_bytes(content: bytes, *, where: object) -> Golden:
        """What `to_bytes` wrote. Raises BadRun for anything else, naming `where`."""
        try:
            tensors = load(content)
            # A safetensors file is read in any order, and a traced graph takes its inputs by place.
            inputs = {
                n.removeprefix("inputs."): tensors[n] for n in sorted(tensors) if n.startswith("inputs.")
            }
            texts = tensors.get("texts")
            said = () if texts is None else tuple(json.loads(bytes(texts.numpy()).decode("utf-8")))
        except (SafetensorError, ValueError) as error:
            raise BadRun(f"{where} holds no golden examples: {str(error)[:200]}") from error
        if not inputs or len({len(tensor) for tensor in inputs.values()}) != 1:
            raise BadRun(f"{where} holds no golden examples.")
        return Golden(inputs, said, tensors.get("targets"), tensors.get("answers"))


def golden_of(examples: Examples, targets: NDArray[Any] | None, *, seed: int) -> Golden:
    """At most MOST examples of a split, or windows of them, each class with its share; at most BYTES.

    targets: the true answers of the split as an array; None of a task of parts.
    """
    known = None if targets is None or examples.of is not None else targets
    first = named(examples.raw(np.arange(1)), examples.preprocess.takes)
    one = sum(tensor.numel() * tensor.element_size() for tensor in first.values())
    count = max(1, min(MOST, BYTES // max(one, 1)))
    rows = drawn(len(examples), count, seed=seed) if known is None else sampled(known, count, seed=seed)
    items = examples.dataset[rows.tolist()]["item"] if examples.preprocess.takes == "text" else []
    return Golden(
        named(examples.raw(rows), examples.preprocess.takes),
        tuple(items) if all(isinstance(item, str) for item in items) else (),
        None if known is None else torch.from_numpy(known[rows]),
    )


def named(raw: Any, takes: str) -> dict[str, Tensor]:
    """A batch of raw inputs with a name for each tensor."""
    return dict(raw) if isinstance(raw, Mapping) else {UNNAMED.get(takes, "inputs"): raw}


def unnamed(inputs: Mapping[str, Tensor], takes: str) -> Tensor | dict[str, Tensor]:
    """The same as a preprocessing gives it."""
    name = UNNAMED.get(takes, "inputs")
    return inputs[name] if list(inputs) == [name] else dict(inputs)
