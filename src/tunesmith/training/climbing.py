"""A ladder in training: a phase that must gain is left out, kept, or undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from tunesmith.plan import Phase
from tunesmith.training import processes
from tunesmith.training.events import RungEnd
from tunesmith.training.kept import Kept
from tunesmith.training.progress import Progress
from tunesmith.training.rungs import Rung, given_up, left_out
from tunesmith.training.validating import Validation


class Ladder:
    """The rungs of a plan.

    costs: predicted seconds of each phase, None for one that is not predicted. time_limit: in seconds.
    """

    def __init__(
        self,
        costs: Sequence[float | None],
        time_limit: float | None,
        validation: Validation,
        progress: Progress,
        kept: Kept,
    ) -> None:
        self.costs, self.time_limit = costs, time_limit
        self.validation, self.progress, self.kept = validation, progress, kept

    def refused(self, phase: Phase, elapsed: float) -> RungEnd | None:
        """The end of a rung that would, as predicted, end after the time limit; None: it may begin.

        elapsed: seconds of training so far.
        """
        progress, cost = self.progress, self.costs[self.progress.phase]
        if cost is None or self.time_limit is None:
            return None
        if not processes.any_of(elapsed + cost > self.time_limit):
            return None
        progress.ended = "ladder"
        return self._noted(left_out(phase.name, cost, "too_long"))

    def judged(self, phase: Phase, stopped: str | None, batch: int) -> RungEnd:
        """Keep what a rung made if it gained more than chance; otherwise put back what stood before it.

        stopped: why the phase ended early; one that diverged has gained nothing. batch: of the training.
        """
        progress, cost = self.progress, self.costs[self.progress.phase]
        if stopped == "diverged":
            rung = left_out(phase.name, cost, "diverged")
            progress.begin_anew()  # or the loss that ran away would be counted on in the next rung
        else:
            rung = self.validation.rung(phase.name, cost, batch)
        if not rung.taken and given_up([True, *(row["taken"] for row in progress.rungs), False]):
            progress.ended = progress.ended or "ladder"
        self.kept.end_rung(taken=rung.taken)
        progress.trouble = None
        return self._noted(rung)

    def _noted(self, rung: Rung) -> RungEnd:
        self.progress.rungs.append(asdict(rung))
        return RungEnd(rung)
