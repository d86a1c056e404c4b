"""What a training says of itself as it goes: events, in the order in which they happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunesmith.plan import Phase
from tunesmith.training.rungs import Rung
from tunesmith.training.supervisor import Remedied


@dataclass(frozen=True)
class PhaseStart:
    """A phase begins: its index and row of the plan, its steps, and how many numbers train.

    first_token: the block that is computed for its first token alone, because no other is read.
    """

    index: int
    phase: Phase
    steps: int
    parameters: int
    first_token: str | None = None


@dataclass(frozen=True)
class Step:
    """One step is done. loss: of this batch. lr: the highest rate used. examples: in the batch."""

    phase: str
    step: int
    of: int
    loss: float
    lr: float
    examples: int


@dataclass(frozen=True)
class Halved:
    """Memory ran out: batches now go in so many pieces, their gradients added up."""

    pieces: int
    batch: int


@dataclass(frozen=True)
class EpochEnd:
    """An epoch, or what a phase had left of one, is done and validated.

    row: what history.jsonl holds. best: the validation is better than every one before.
    """

    row: dict[str, Any]
    best: bool


@dataclass(frozen=True)
class PhaseEnd:
    """A phase is over, its frozen stages proven unchanged.

    stopped: "patience", "time limit", "nothing more is learned", of a rung "diverged", or None.
    """

    index: int
    phase: Phase
    stopped: str | None


@dataclass(frozen=True)
class RungEnd:
    """A phase that must gain was judged, or left out because it would take too long."""

    rung: Rung


Event = PhaseStart | Step | Halved | EpochEnd | RungEnd | PhaseEnd | Remedied
