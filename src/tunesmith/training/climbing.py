"""A ladder in training: a phase that must gain is left out, kept, or undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from tunesmith.plan import Phase
from tunesmith.training import processes
from tunesmith.training.events import RungEnd
from tunesmith.training.kept import Kept
from tunesmith.training.progress import Progress
from tunesmith.training.rungs import Rung, left_out, passed_over
from tunesmith.training.validating import Validation


class Ladder:
    """The rungs of a plan.

    costs: predicted seconds of each phase, None for one that is not predicted. time_limit: in seconds.
    last: the index of the last phase that must gain.
    """

    def __init__(
        self,
        costs: Sequence[float | None],
        time_limit: float | None,
        last: int,
        validation: Validation,
        progress: Progress,
        kept: Kept,
    ) -> None:
        self.costs, self.time_limit, self.last = costs, time_limit, last
        self.validation, self.progress, self.kept = validation, progress, kept

    def refused(self, phase: Phase, elapsed: float) -> RungEnd | None:
        """The end of a rung that does not begin; None: it may.

        It is passed over for the last one, or would, as predicted, end after the time limit.
        elapsed: seconds of training so far.
        """
        progress, index = self.progress, self.progress.phase
        below = not progress.rungs or bool(progress.rungs[-1]["taken"])
        if passed_over(below=below, last=index == self.last, last_fits=not self._late(self.last, elapsed)):
            progress.end_phase()
            return self._noted(left_out(phase.name, self.costs[index], "passed_over"))
        if not self._late(index, elapsed):
            return None
        progress.ended = "ladder"
        return self._noted(left_out(phase.name, self.costs[index], "too_long"))

    def _late(self, index: int, elapsed: float) -> bool:
        cost = self.costs[index]
        if cost is None or self.time_limit is None:
            return False
        return processes.any_of(elapsed + cost > self.time_limit)

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
        self.kept.end_rung(taken=rung.taken)
        progress.trouble = None
        return self._noted(rung)

    def _noted(self, rung: Rung) -> RungEnd:
        self.progress.rungs.append(asdict(rung))
        return RungEnd(rung)
