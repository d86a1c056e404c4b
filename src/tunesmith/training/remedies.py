"""How a phase that went wrong begins anew: at lower rates, from another start, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tunesmith.errors import Diverged, NothingLearned
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.training.progress import Progress
from tunesmith.training.supervisor import SLOWER, TRIES, Remedied, Start, begun_with

RUNAWAY: Final = 4.0  # times the loss that the run began with; fastai's range test stops there too
SETTLED: Final = 20  # steps before the moving average of the loss is believed
NOTHING_MORE: Final = "nothing more is learned"


def as_it_begins(plan: Plan, progress: Progress, remedies: Sequence[Start] | None) -> tuple[Phase, Settings]:
    """The phase that runs and its settings, as the plan has them or as remedies have changed them."""
    phase = plan.phases[progress.phase]
    if remedies is None or (progress.start == 0 and progress.rate == 1.0):
        return phase, plan.settings
    return begun_with(phase, plan.settings, remedies[progress.start], progress.rate)


def remedy_for(
    phase: Phase, failure: Diverged | NothingLearned, progress: Progress, remedies: Sequence[Start] | None
) -> Remedied | None:
    """What is to be done about a failure, and counted as done; None where nothing is left to try.

    Where nothing may be tried any more, but some network has learned something, training ends with the phase.
    remedies: points to start from, the plan's own first; None: the plan's rates stand.
    """
    starts, found = remedies or (), progress.trouble
    free = remedies is not None and not phase.solved and progress.stopped is None
    if isinstance(failure, Diverged):
        if not free or progress.tries == TRIES:
            return None
        found = ["diverged", str(failure).partition("; the highest learning rate")[0]]
        progress.tries, progress.rate = progress.tries + 1, progress.rate / SLOWER
        remedy = f"phase {phase.name!r} begins anew at a third of its rates, try {progress.tries} of {TRIES}"
    elif found is not None and free and progress.start + 1 < len(starts):
        progress.start += 1
        start = starts[progress.start]
        number = f"start {progress.start + 1} of {len(starts)}"
        remedy = f"phase {phase.name!r} begins anew with {start} ({number}; {start.source})"
    elif found is not None and progress.learned:
        progress.stopped = progress.stopped or NOTHING_MORE
        remedy = "training ends here, and the best network before that is the result"
    else:
        return None
    return Remedied(phase.name, found[0], found[1], remedy)


def refuse_trouble(phase: Phase, progress: Progress) -> None:
    """Raise NothingLearned if the newest validation found something wrong."""
    if progress.trouble is not None:
        peak = max(phase.lrs)
        raise NothingLearned(
            f"{progress.trouble[1]} in phase {phase.name!r}, whose highest learning rate is "
            f"{peak:g}; try another (--lr {peak / 10:g}), another model, or look at the labels "
            f"(tunesmith check); the best network so far is the result."
        )


def refuse_runaway(phase: Phase, progress: Progress) -> None:
    """Raise Diverged if the loss, averaged over steps, is several times what the run began with."""
    first, now = progress.first_loss, progress.smooth_loss
    if first is None or now is None or progress.steps < SETTLED:
        return
    if now > RUNAWAY * max(first, 1.0):
        what = f"the loss ran away in phase {phase.name!r}: {now:.3g}, and the run began with {first:.3g}"
        raise diverged(what, phase, progress)


def diverged(what: str, phase: Phase, progress: Progress) -> Diverged:
    """The error that says where it happened, at which rate, and what to do."""
    peak = max(phase.lrs)
    validated = progress.best is not None
    kept = "the best network so far is the result" if validated else "no validation had been reached"
    return Diverged(
        f"{what} at step {progress.phase_steps + 1} of phase {phase.name!r}; the highest learning "
        f"rate there is {peak:g}. Lower it (--lr {peak / 10:g}), or look for inputs that are far out of "
        f"range; {kept}."
    )
