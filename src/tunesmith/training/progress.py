"""How far a training has come: what is counted, step by step, epoch by epoch, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """The place in the plan, in JSON values.

    phase, epoch, step: finished phases, finished epochs of this phase, finished steps of this epoch.
    phase_steps: finished steps of this phase. steps: of all phases.
    pieces: into how many pieces a batch is cut to fit into memory.
    loss_sum, loss_count: of this epoch's training loss.
    first_loss, smooth_loss: what the run began with, and where it is now (moving average).
    best, phase_best: {"score", "loss", "phase", "epoch"} of the best validation, of all and of this phase.
    stale: validations of this phase without gain.
    taken: while a rung is climbed, the best validation of those below. rungs: what became of each, as rows.
    history: one row per epoch. elapsed: seconds of training so far. ended: why training is over.
    stopped: why the phase that runs takes no more steps and is the last one; None: it goes on.
    scaler: of fp16's gradients.
    first_token: the block that this phase computes for its first token alone; empty: none; None: not asked.
    rate: what all rates are multiplied by since a phase ran away. tries, start: how often this phase began
        anew at lower rates, and from which of the points to start from it goes.
    trouble: what the newest validation found wrong, a word and a sentence. remedies: what was, so far.
    learned: whether any validation so far was better than naming the largest class.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    phase_steps: int = 0
    steps: int = 0
    pieces: int = 1
    loss_sum: float = 0.0
    loss_count: int = 0
    first_loss: float | None = None
    smooth_loss: float | None = None
    best: dict[str, float] | None = None
    phase_best: dict[str, float] | None = None
    stale: int = 0
    taken: dict[str, float] | None = None
    rungs: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    elapsed: float = 0.0
    ended: str | None = None
    stopped: str | None = None
    scaler: dict[str, Any] | None = None
    first_token: str | None = None
    rate: float = 1.0
    tries: int = 0
    start: int = 0
    trouble: list[str] | None = None
    learned: bool = False
    remedies: list[dict[str, str]] = field(default_factory=list)

    def count(self, loss: float) -> None:
        """One more step is done, whose batch had this loss."""
        self.step, self.phase_steps, self.steps = self.step + 1, self.phase_steps + 1, self.steps + 1
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1
        if self.first_loss is None or self.smooth_loss is None:
            self.first_loss = self.smooth_loss = loss
        self.smooth_loss = 0.9 * self.smooth_loss + 0.1 * loss

    def end_epoch(self, phase: str, scores: Mapping[str, float], loss: str, lr: float) -> dict[str, Any]:
        """One more epoch is done, with these scores; its row. loss: the name of one of them."""
        self.epoch += 1
        row = {
            "phase": phase,
            "epoch": self.epoch,
            "steps": self.steps,
            "train_loss": self.loss_sum / max(self.loss_count, 1),
            "valid_loss": scores.get(loss),
            **{n: value for n, value in scores.items() if "/" not in n and n != loss},
            "lr": lr,
            "seconds": round(self.elapsed, 3),
        }
        self.history.append(row)
        self.step, self.loss_sum, self.loss_count = 0, 0.0, 0
        return row

    def rate_validation(self, score: float, loss: float) -> bool:
        """Whether this epoch's validation is as good at least as every one before it; more is better.

        Of equal scores, which few examples often have, the later epoch is the better trained one: the loss
        rises before the accuracy falls (Guo et al. 2017, arXiv:1706.04599).
        """
        mark = {"score": score, "loss": loss, "phase": self.phase, "epoch": self.epoch}
        if _better(mark, self.phase_best):
            self.phase_best, self.stale = mark, 0
        else:
            self.stale += 1
        best = self.best is None or score >= self.best["score"]
        if best:
            self.best = mark
        return best

    def begin_anew(self) -> None:
        """The phase that runs goes back to its first step; its epochs are counted on."""
        self.step, self.phase_steps, self.loss_sum, self.loss_count = 0, 0, 0.0, 0
        self.phase_best, self.stale, self.trouble = None, 0, None
        self.smooth_loss = self.first_loss

    def end_phase(self) -> None:
        """The next phase is the one that runs."""
        self.phase, self.epoch, self.step, self.phase_steps = self.phase + 1, 0, 0, 0
        self.phase_best, self.stale, self.tries, self.start = None, 0, 0, 0
        self.first_token = self.stopped = None


def _better(mark: dict[str, float], best: dict[str, float] | None) -> bool:
    """A higher score, or the same with a lower loss: on small validation splits scores tie often."""
    return best is None or (mark["score"], -mark["loss"]) > (best["score"], -best["loss"])
