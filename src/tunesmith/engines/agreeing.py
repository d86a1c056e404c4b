"""Whether an engine gives what the live network gives, and the same for a row wherever it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn

from tunesmith.engines.eager import live
from tunesmith.engines.engine import Engine

# Largest relative difference that still counts as the same network. fp32: engines sum in another order
# and fold BatchNorm into weights; PyTorch differs from itself by 3e-5 in another memory layout, engines
# by 1e-6 (BERT) to 6e-5 (MobileNetV2), and a wrong constant or padding by 1e-2 and more. bf16 keeps
# 8 bits, and single values go astray: its root mean square is compared, 1e-2 (BERT) to 0.2 (a map of
# MobileNetV2); 1 is what an engine that gives zeros would reach. Whether bf16 changes any answer is
# another question, which only a head on the features can decide.
TOLERANCE: Final = MappingProxyType({"fp32": 1e-3, "bf16": 0.5})


@dataclass(frozen=True)
class Agreement:
    """How far an engine is from the live network.

    largest: of the worst output, max |a - b| / rms(b), b being the live one; no unit; inf where shapes
        differ or a value is not finite.
    typical: the same with rms(a - b).
    equal_rows: a row's bits depend neither on its place in the chunk nor on its neighbours.
    """

    largest: float
    equal_rows: bool
    typical: float = 0.0

    def complaint(self, precision: str) -> str | None:
        """Why the engine may not be used; None if it may."""
        allowed = TOLERANCE[precision]
        found = (
            self.largest
            if precision == "fp32"
            else (self.typical if math.isfinite(self.largest) else math.inf)
        )
        if not found <= allowed:
            return (
                f"differs from the live network by {found:.2g} of an output's root mean square, "
                f"where {allowed:g} is allowed in {precision}"
            )
        if not self.equal_rows:
            return "what it gives for an example depends on the other examples of the chunk"
        return None


def agreement(engine: Engine, prefix: nn.Module, chunks: Sequence[Sequence[Tensor]]) -> Agreement:
    """Compare an engine with `prefix` run live: eager, fp32.

    chunks: real inputs, of every size of dim 1 that should be checked; each is run three times more.
    """
    run = live(prefix)
    return compared(engine, [run(chunk) for chunk in chunks], chunks)


def compared(
    engine: Engine, references: Sequence[Sequence[Tensor]], chunks: Sequence[Sequence[Tensor]]
) -> Agreement:
    """The same with the live outputs of each chunk at hand."""
    largest, typical, equal = 0.0, 0.0, True
    for reference, chunk in zip(references, chunks, strict=True):
        outputs = engine(chunk)
        if len(outputs) != len(reference):
            return Agreement(math.inf, equal)
        largest = max([largest, *map(difference, outputs, reference)])
        if math.isfinite(largest):
            typical = max([typical, *map(spread, outputs, reference)])
        equal = equal and _equal_rows(engine, outputs, chunk)
    return Agreement(largest, equal, typical)


def spread(a: Tensor, b: Tensor) -> float:
    """rms(a - b) over rms(b), of equal shapes.

    >>> round(spread(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 4.0])), 6)
    0.176777
    """
    if not b.numel():
        return 0.0
    rms, gap = (float(t.square().mean(dtype=torch.float64).sqrt()) for t in (b, a - b))
    return gap / max(rms, torch.finfo(torch.float32).tiny)


def difference(a: Tensor, b: Tensor) -> float:
    """The largest |a - b| over rms(b); inf where shapes differ or a value is not finite.

    >>> difference(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 4.0]))
    0.25
    """
    if a.shape != b.shape:
        return math.inf
    if not b.numel():
        return 0.0
    rms = float(b.square().mean(dtype=torch.float64).sqrt())
    largest = float((a - b).abs().max()) / max(rms, torch.finfo(torch.float32).tiny)
    return largest if math.isfinite(largest) else math.inf


def _equal_rows(engine: Engine, outputs: Sequence[Tensor], chunk: Sequence[Tensor]) -> bool:
    """Turned around, so that every row has another place; and every other row beside zeros."""
    if any(len(output) != len(chunk[0]) for output in outputs):
        return False
    turned = engine([tensor.flip(0) for tensor in chunk])
    if not all(torch.equal(a.flip(0), b) for a, b in zip(turned, outputs, strict=True)):
        return False
    alone = [tensor.clone() for tensor in chunk]
    for tensor in alone:
        tensor[1::2] = 0
    return all(torch.equal(a[::2], b[::2]) for a, b in zip(engine(alone), outputs, strict=True))
