"""Golden examples: some of the test split, by which an export proves anywhere that it answers as its run did.

A run keeps the inputs and the true answers; an export the network's answers as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
class Windows:
    """What a task has to know to answer whole examples from those of their windows.

    told: of each window what `Task.collate` is told, in JSON values. of: the example of each, rising. truths:
    the label of each example, as it lies in the data.
    """

    told: tuple[Mapping[str, Any], ...]
    of: tuple[int, ...]
    truths: tuple[str, ...]


@dataclass(frozen=True)
class Golden:
    """Held-out examples.

    inputs: by name, as they are stored: uint8 images [N, 3, H, W], int64 tokens [N, T].
    texts: what the tokens were made of; empty where items are no texts.
    targets: class indices [N], or numbers [N, K] in spreads from their mean; None where answers have parts.
    answers: float32 [N, K] or [N, ..., K], of the network before it was exported; None in a run.
    windows: what is known of them where they are windows of examples, all of each; None where they are not.
    """

    inputs: Mapping[str, Tensor]
    texts: tuple[str, ...] = ()
    targets: Tensor | None = None
    answers: Tensor | None = None
    windows: Windows | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {f"inputs.{name}": tensor.contiguous() for name, tensor in self.inputs.items()}
        told = {"texts": self.texts, "windows": None if self.windows is None else asdict(self.windows)}
        for name, value in told.items():
            if value:
                written = json.dumps(value).encode("utf-8")
                tensors[name] = torch.frombuffer(bytearray(written), dtype=torch.uint8)
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
            texts, windows = (
                json.loads(bytes(tensors[name].numpy()).decode("utf-8")) if name in tensors else None
                for name in ("texts", "windows")
            )
            said = tuple(texts or ())
            cut = windows and Windows(*(tuple(windows[name]) for name in ("told", "of", "truths")))
        except (SafetensorError, ValueError, TypeError, KeyError) as error:
            raise BadRun(f"{where} holds no golden examples: {str(error)[:200]}") from error
        if not inputs or len({len(tensor) for tensor in inputs.values()}) != 1:
            raise BadRun(f"{where} holds no golden examples.")
        return Golden(inputs, said, tensors.get("targets"), tensors.get("answers"), cut)


def golden_of(examples: Examples, targets: NDArray[Any] | None, *, seed: int) -> Golden:
    """At most MOST examples of a split, each class with its share, or windows of whole ones; at most BYTES.

    targets: the true answers of the split as an array; None of a task of parts.
    """
    known = None if targets is None or examples.of is not None else targets
    first = named(examples.raw(np.arange(1)), examples.preprocess.takes)
    one = sum(tensor.numel() * tensor.element_size() for tensor in first.values())
    count = max(1, min(MOST, BYTES // max(one, 1)))
    windows = None
    if examples.of is not None:
        rows, windows = windows_of(examples, count, seed=seed)
    else:
        rows = drawn(len(examples), count, seed=seed) if known is None else sampled(known, count, seed=seed)
    items = examples.dataset[rows.tolist()]["item"] if examples.preprocess.takes == "text" else []
    return Golden(
        named(examples.raw(rows), examples.preprocess.takes),
        tuple(items) if all(isinstance(item, str) for item in items) else (),
        None if known is None else torch.from_numpy(known[rows]),
        windows=windows,
    )


def windows_of(examples: Examples, count: int, *, seed: int) -> tuple[NDArray[np.int64], Windows]:
    """Rows of the windows of drawn examples, and what their task has to know of them.

    count: windows, at most; those of one example at least.
    """
    order = np.random.default_rng(seed).permutation(len(examples.whole))
    within = int(np.searchsorted(np.cumsum(examples.counts(order)), count, side="right"))
    some = np.sort(order[: max(within, 1)])
    rows = examples.rows_of(some)
    told = [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in examples.told(rows)
    ]
    of = np.repeat(np.arange(len(some)), examples.counts(some))
    return rows, Windows(tuple(told), tuple(of.tolist()), tuple(examples.whole[some.tolist()]["label"]))


def named(raw: Any, takes: str) -> dict[str, Tensor]:
    """A batch of raw inputs with a name for each tensor."""
    return dict(raw) if isinstance(raw, Mapping) else {UNNAMED.get(takes, "inputs"): raw}


def unnamed(inputs: Mapping[str, Tensor], takes: str) -> Tensor | dict[str, Tensor]:
    """The same as a preprocessing gives it."""
    name = UNNAMED.get(takes, "inputs")
    return inputs[name] if list(inputs) == [name] else dict(inputs)
