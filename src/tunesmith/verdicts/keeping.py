"""Which network is kept: of what is as good the simplest, by examples that no candidate learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.evaluation import Groups, figure, sign_of
from tunesmith.tasks.task import Labels, Task
from tunesmith.verdicts.paired import error_if_none, pair

TRAINED: Final = "fine-tuned network"
PROBE: Final = "linear probe"
SHALLOWER: Final = "network trained half as deep"
BETWEEN: Final = "interpolation"
VALIDATION: Final = "on validation"
OUT_OF_FOLD: Final = "out of fold"  # on training examples, by networks that have not seen them
ROUNDING: Final = 1e-6  # of a score: networks that are told apart by less are the same


@dataclass(frozen=True)
class Candidate:
    """One network that could be kept.

    answers: its predictions, of all candidates for the same examples. coefficient: of an interpolation, how
    far it lies from the pretrained network (0) to the trained one (1).
    """

    what: str
    answers: Sequence[Any]
    coefficient: float | None = None

    @property
    def name(self) -> str:
        """As people read it."""
        return self.what if self.coefficient is None else f"{self.what} at {self.coefficient:g}"


@dataclass(frozen=True)
class Decision:
    """What is kept, and why in a sentence.

    valid: the metric of each candidate, by name. where: the examples that it was measured on.
    """

    what: str
    coefficient: float | None
    sentence: str
    valid: Mapping[str, float]
    where: str = VALIDATION


def decide(
    task: Task,
    candidates: Sequence[Candidate],
    targets: Sequence[Any],
    labels: Labels,
    metric: str,
    groups: Groups = None,
    *,
    where: str = VALIDATION,
) -> Decision:
    """The simplest candidate that is within one standard error of the best (Breiman et al. 1984).

    candidates: the simplest first. The error is that of the paired difference on the same examples if
    there were none: a single example that one alone has right is no gain.
    """
    outcomes = [task.outcomes(one.answers, targets) for one in candidates]
    valid = {c.name: task.score(own, labels)[metric] for c, own in zip(candidates, outcomes, strict=True)}
    sign = sign_of(metric)
    best = max(range(len(candidates)), key=lambda i: sign * valid[candidates[i].name])

    def gain(place: int) -> tuple[float, float]:
        """How much better the best is, and the standard error of that."""
        two = pair(task, labels, candidates[best].answers, candidates[place].answers, targets, groups)
        return two.gap(metric), error_if_none(two, metric)

    for place in range(best):
        value, error = gain(place)
        if value <= error + ROUNDING * max(abs(own) for own in valid.values()):
            gained, within = figure(value, metric), figure(error, metric)
            why = f"the {candidates[best].name} gains {gained}, within one standard error ({within})"
            return _decided(candidates[place], why, valid, where)
    if best == 0:
        return _decided(candidates[0], "nothing else is better", valid, where)
    value, error = gain(0)
    gained, within = figure(value, metric), figure(error, metric)
    why = f"it gains {gained} over the {candidates[0].name}, more than one standard error ({within})"
    return _decided(candidates[best], why, valid, where)


def _decided(one: Candidate, why: str, valid: Mapping[str, float], where: str) -> Decision:
    return Decision(one.what, one.coefficient, f"kept: the {one.name}, because {where} {why}.", valid, where)
