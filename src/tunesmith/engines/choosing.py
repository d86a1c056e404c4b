"""Which engine runs a prefix: the first of a fixed order that is here, builds and agrees."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from torch import Tensor, nn

from tunesmith.engines.agreeing import Agreement, compared
from tunesmith.engines.compiled import compiler, first_line
from tunesmith.engines.eager import live
from tunesmith.engines.engine import Engine, build, device_of, known
from tunesmith.errors import EngineFailed, MissingPackage

# A fixed order and no race: engines differ in the last bits, and timings must not choose those.
AUTO: Final = ("openvino", "onnxruntime", "compile", "eager")

# Few rows trace fast; all of them where the network writes their number into the graph.
TRACES: Final = ("openvino", "onnxruntime")
TRACED_ROWS = 2

# Multiply-accumulates from which a minute of compiling can pay: what eager does in some five minutes,
# at 3e10 a second on a core and 3e13 on a GPU.
PAYS: Final = MappingProxyType({"cpu": 10**13, "cuda": 10**16})


@dataclass(frozen=True)
class Chosen:
    """An engine that may be used.

    rejected: those before it in the order, each with its reason: "onnxruntime: not installed (...)".
    seconds: what building and checking took, the rejected ones included.
    """

    engine: Engine
    agreement: Agreement
    rejected: tuple[str, ...]
    seconds: float


def choose(
    asked: str,
    prefix: nn.Module,
    chunks: Sequence[Sequence[Tensor]],
    *,
    precision: str = "fp32",
    ragged: bool,
    work: int,
) -> Chosen:
    """The engine that was asked for, or for "auto" the first of AUTO; checked on `chunks`.

    chunks: one or more real chunks, with `ragged` of several sizes of dim 1; the first is traced.
    work: multiply-accumulates of the whole job; with "auto", torch.compile is left out of small ones.
    Raises BadOption for an unknown name, MissingPackage, or EngineFailed with the difference found;
    with "auto" EngineFailed only if not even eager may be used: then run the network live.
    """
    known(asked, "auto")
    started = time.perf_counter()
    reference = live(prefix)
    references = [reference(chunk) for chunk in chunks]
    rejected: list[str] = []
    for name in AUTO if asked == "auto" else (asked,):
        try:
            if asked == "auto" and name == "compile":
                _refuse_small(work, device_of(prefix).type)
            engine, agreement = _checked(name, prefix, references, chunks, precision, ragged)
        except MissingPackage:
            if asked != "auto":
                raise
            rejected.append(f'{name}: not installed (pip install "tunesmith[{name}]")')
        except EngineFailed as error:
            rejected.append(f"{name}: {error}")
        else:
            return Chosen(engine, agreement, tuple(rejected), time.perf_counter() - started)
    if asked == "auto":
        raise EngineFailed(f"no engine agrees with this network: {'; '.join(rejected)}.")
    raise EngineFailed(f"engine {rejected[0]}; with engine auto, the first that agrees is taken.")


def _refuse_small(work: int, device: str) -> None:
    bound = PAYS.get(device, PAYS["cpu"])
    if work < bound:
        raise EngineFailed(
            f"its minute of compiling pays from {bound:.0e} multiply-accumulates; this job has {work:.1e}"
        )
    if device == "cpu" and compiler() is None:
        raise EngineFailed("there is no C++ compiler here (install g++, or set CXX)")


def _checked(
    name: str,
    prefix: nn.Module,
    references: Sequence[Sequence[Tensor]],
    chunks: Sequence[Sequence[Tensor]],
    precision: str,
    ragged: bool,
) -> tuple[Engine, Agreement]:
    """An engine that agrees; where the tracing of few rows failed or misled, all are traced."""
    whole = len(chunks[0][0])
    attempts = [TRACED_ROWS, whole] if name in TRACES and whole > TRACED_ROWS else [whole]
    failure = EngineFailed("it was not tried")
    for rows in attempts:
        try:
            engine = build(name, prefix, chunks[0], precision=precision, ragged=ragged, rows=rows)
            agreement = _run(engine, references, chunks)
        except EngineFailed as error:
            failure = error
            continue
        complaint = agreement.complaint(precision)
        if complaint is None:
            return engine, agreement
        failure = EngineFailed(complaint)
    raise failure


def _run(
    engine: Engine, references: Sequence[Sequence[Tensor]], chunks: Sequence[Sequence[Tensor]]
) -> Agreement:
    try:
        return compared(engine, references, chunks)
    except Exception as error:  # whatever a runtime raises
        raise EngineFailed(f"it failed on real examples: {first_line(error)}") from error
