"""What an engine is, and how one is built for a prefix of a network."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from tunesmith.errors import BadOption
from tunesmith.registry import Registry, did_you_mean

ENGINES: Final = Registry(
    "engine",
    {
        "eager": "tunesmith.engines.eager:build",
        "compile": "tunesmith.engines.compiled:build",
        "onnxruntime": "tunesmith.engines.onnx_runtime:build",
        "openvino": "tunesmith.engines.open_vino:build",
    },
)
PRECISIONS: Final = ("fp32", "bf16")


class Engine(Protocol):
    """A frozen prefix of a network, ready to run; deleting it frees what it holds.

    name: as in ENGINES. precision: "fp32" or "bf16", of the arithmetic inside.

    Weights are taken as they are when the engine is built: build another one when they have moved.
    Not for several threads at once.
    """

    name: str
    precision: str

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The prefix's outputs, in order: float32, on the CPU, contiguous, the caller's own.

        inputs: CPU tensors of the example's types, in the prefix's order: uint8 images [C, 3, H, W] or
        int64 tokens [C, T]; C is the example's, and T too unless the engine was built `ragged`.
        """
        ...


def build(
    name: str,
    prefix: nn.Module,
    example: Sequence[Tensor],
    *,
    precision: str = "fp32",
    ragged: bool,
    rows: int | None = None,
) -> Engine:
    """An engine for `prefix`, not yet checked: see `agreement`, or `choose`, which checks.

    prefix: in eval mode; its forward takes the inputs and gives a tuple of tensors, C first.
    example: one real chunk.
    ragged: dim 1 of every input may take other sizes later.
    rows: how many rows of the example an engine that traces runs while it does. Few are fast; but a
        network may write their number into its graph, so None takes them all.
    Raises BadOption for a wrong name or precision, MissingPackage, or EngineFailed with the reason.
    """
    known(name)
    if precision not in PRECISIONS:
        raise BadOption(f"an engine's precision must be fp32 or bf16; found {precision!r}.")
    member = ENGINES.load(name)
    engine: Engine = member(prefix, example, precision=precision, ragged=ragged, rows=rows or len(example[0]))
    return engine


def known(name: str, *others: str) -> None:
    """Raise BadOption with a guess if no engine, and none of `others`, is called `name`."""
    names = [*others, *ENGINES.names()]
    if name not in names:
        guess = did_you_mean(name, names)
        raise BadOption(
            f"engine must be {', '.join(names[:-1])} or {names[-1]}; found {name!r}{guess or '.'}"
        )


def device_of(prefix: nn.Module) -> torch.device:
    """Where the prefix's weights are; the CPU if it has none."""
    for tensor in chain(prefix.parameters(), prefix.buffers()):
        return tensor.device
    return torch.device("cpu")


def handed_out(tensor: Tensor) -> Tensor:
    """A float32 CPU copy that nobody else writes to and that autograd accepts.

    To be called outside inference_mode: an inference tensor cannot be saved for a backward pass.
    """
    copied = tensor.detach().to("cpu", torch.float32, copy=True, memory_format=torch.contiguous_format)
    return copied.contiguous()


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and no log lines: tracers report what the agreement check decides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
