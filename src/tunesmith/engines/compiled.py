"""torch.compile: the prefix as generated C++, or Triton on a GPU."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType

import torch
from torch import Tensor, nn

from tunesmith.engines.engine import device_of, handed_out, quiet
from tunesmith.errors import EngineFailed

COMPILERS = {"darwin": "clang++", "win32": "cl"}


@dataclass(eq=False)
class Compiled:
    """Calls what was compiled; compiles on the first call of each kind of shape."""

    run: Callable[..., tuple[Tensor, ...]]
    precision: str
    device: torch.device
    ragged: bool
    name: str = "compile"

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """See Engine."""
        placed = [tensor.to(self.device, non_blocking=True) for tensor in inputs]
        if self.ragged:
            placed = [tensor.view_as(tensor) for tensor in placed]  # the mark would stay on the caller's
            for tensor in placed:
                torch._dynamo.mark_dynamic(tensor, 1)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.inference_mode(), autocast:
            outputs = self.run(*placed)
        return [handed_out(tensor) for tensor in outputs]


def build(
    prefix: nn.Module, example: Sequence[Tensor], *, precision: str, ragged: bool, rows: int
) -> Compiled:
    """See engine.build; takes about a minute.

    Raises EngineFailed if there is no C++ compiler, or with what torch.compile said.
    """
    del rows
    if compiler() is None:
        raise EngineFailed("there is no C++ compiler here (install g++, or set CXX)")

    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = prefix(*inputs)
        return outputs

    # Dynamo keeps what it compiled on the code object, eight versions at most, and then falls back to
    # eager in silence. A code object of its own starts the count anew and dies with the engine.
    own = FunctionType(call.__code__.replace(), call.__globals__, "prefix", None, call.__closure__)
    run = torch.compile(own, dynamic=None if ragged else False)
    engine = Compiled(run, precision, device_of(prefix), ragged)
    try:
        with quiet():
            engine(example)
    except Exception as error:  # whatever a compiler raises
        raise EngineFailed(f"torch.compile failed: {first_line(error)}") from error
    return engine


def compiler() -> str | None:
    """The C++ compiler that torch.compile would call, or None."""
    return shutil.which(os.environ.get("CXX") or COMPILERS.get(sys.platform, "g++"))


def first_line(error: BaseException) -> str:
    """What an error says, without the pages of trace that compilers add."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
