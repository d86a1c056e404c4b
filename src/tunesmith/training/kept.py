"""Weights that a training may go back to: of the best validation, of the rung below, of the beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from tunesmith.networks.network import Network
from tunesmith.plan import Plan
from tunesmith.training.progress import Progress
from tunesmith.training.state import TAKEN


@dataclass
class Kept:
    """Copies of weights and buffers by name, in memory; empty where there are none yet.

    best: of the validation `progress.best`. taken: of `progress.taken`, while a rung is climbed; `best` is
    the best of that rung then. first: what a first phase began with, where it may begin anew.
    """

    network: Network
    plan: Plan
    progress: Progress
    best: dict[str, Tensor] = field(default_factory=dict)
    taken: dict[str, Tensor] = field(default_factory=dict)
    first: dict[str, Tensor] = field(default_factory=dict)

    def moved(self) -> dict[str, Tensor]:
        """Weights and buffers of every stage that has been unfrozen so far; no copies."""
        phases = self.plan.phases[: self.progress.phase + 1]
        parts = [i for i in range(len(self.network.parts)) if any(p.lrs[i] > 0 for p in phases)]
        return {name: t for i in parts for name, t in self.network.tensors(i).items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Give the network these weights."""
        if tensors:
            self.network.module.load_state_dict(tensors, strict=False)

    def restore(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put back what a snapshot holds, by kind; the network gets the weights that had moved."""
        self.best = dict(tensors["best"])
        self.taken = dict(tensors.get(TAKEN, {}))
        self.load(dict(tensors["weights"]))

    def keep_first(self) -> None:
        """The network as it is now is where the first phase begins."""
        self.first = _copies(self.moved())

    def keep_best(self) -> None:
        """The network as it is now is the best so far."""
        self.best = _copies(self.moved())

    def complete_best(self) -> None:
        """What a phase will move for the first time belongs to the best network as it still is."""
        if self.best:
            self.best = self.best | _copies({n: t for n, t in self.moved().items() if n not in self.best})

    def go_back(self, *, lost: bool) -> None:
        """To the best network so far, or the first one.

        lost: nothing was learned; of a first phase even the best network may then have lost what it was
        pretrained for.
        """
        self.load(self.first if lost and self.first else self.best or self.taken or self.first)

    def begin_rung(self) -> None:
        """Go on from the best network so far; what the rung makes is measured against it."""
        progress = self.progress
        self.taken, progress.taken = self.best, progress.best
        self.best, progress.best = {}, None
        self.load(self.taken)

    def end_rung(self, *, taken: bool) -> None:
        """Put the rung's best network in place, or what stood before it."""
        progress = self.progress
        if not taken:
            self.best, progress.best = self.taken, progress.taken
        self.load(self.best)
        self.taken, progress.taken = {}, None


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
