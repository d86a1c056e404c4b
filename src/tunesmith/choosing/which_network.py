"""Which network: the evidence of stored features and a prior, with what chance could change of it.

Evidence: balanced accuracy and squared error of a ridge probe by exact leave-one-out, the nearest others, and
LogME, each as its distance from the middle of the candidates; of parts what `evidence_of_rows` says. Prior:
size, pretraining, earlier data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tunesmith.choosing.evidence import Evidence, EvidenceOfNumbers, drawn_again
from tunesmith.choosing.evidence_of_rows import EvidenceOfRows
from tunesmith.choosing.nearness import Nearness
from tunesmith.choosing.prior import MOST, prior, weight_of
from tunesmith.choosing.ranking import Failed, Ranking, Row
from tunesmith.errors import BadOption
from tunesmith.evaluation import Score

DRAWS: Final = 200
TO_SIGMA: Final = 1.4826  # of a median distance, for normal values
SURE: Final = 0.9  # of the chances that finalists have together
FINALISTS: Final = 3


@dataclass(frozen=True)
class Candidate:
    """A network whose features were seen.

    model: as it was named. origin: with the digest of its weights. macs: for one example. pretraining: how
    many examples, 0 for random weights, None where nobody says. seconds: for one example, as measured here.
    scores: those that do not decide.
    """

    model: str
    origin: str
    parameters: int
    macs: int
    pretraining: float | None
    evidence: Evidence | EvidenceOfNumbers | EvidenceOfRows
    scores: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float | None = None
    nearness: Nearness | None = None


def ranked(
    candidates: Sequence[Candidate],
    *,
    data: str,
    examples: int,
    groups: np.ndarray | None = None,
    failed: Sequence[Failed] = (),
    ranks: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Ranking:
    """The candidates from best to worst, with the chance that each is the best.

    All saw the same examples in the same order. examples: how many there are to train on, which sets the
    weight of the prior and whether it likes small networks. ranks: as `prior` takes them.

    Chances and intervals are those of the bootstrap over the probe set, the same samples for all candidates:
    leave-one-out answers are drawn again, not made again. So they hold the chance of having been asked these
    examples, not that of having learned from them; LogME stays as it is.
    Raises BadOption for no candidate.
    """
    if not candidates:
        reasons = "; ".join(f"{f.model}: {f.reason}" for f in failed)
        raise BadOption(f"no candidate could be ranked{f' ({reasons})' if reasons else ''}; name others.")
    kind, strata = candidates[0].evidence, candidates[0].evidence.strata
    once = np.ones((1, len(strata)))
    counts = np.concatenate([once, drawn_again(strata, DRAWS, groups=groups, seed=seed)])
    for candidate in candidates:
        if isinstance(candidate.evidence, EvidenceOfRows):  # tokenizers differ in how many examples fit
            counts = counts * candidate.evidence.seen
    evidence = [candidate.evidence.over(counts) for candidate in candidates]
    found = {name: np.stack([own[name] for own in evidence], 1) for name in kind.weights}  # [1 + DRAWS, M]
    expected = prior(
        [c.origin for c in candidates],
        [c.parameters for c in candidates],
        [c.pretraining for c in candidates],
        examples=examples,
        ranks=ranks,
    )
    told = sum(weight * standing(found[name]) for name, weight in kind.weights.items())
    weight = max(weight_of(examples), kind.least_prior)
    joint = weight * expected + (1 - weight) * np.asarray(told)
    order = sorted(range(len(candidates)), key=lambda m: (-joint[0, m], candidates[m].macs, m))
    best = order[0]
    first, third = _chances(joint[1:], 1), _chances(joint[1:], 3)
    accuracy = found["ridge_loo"]
    behind = [_interval(accuracy[:, best] - accuracy[:, m]) for m in range(len(candidates))]
    inside = [m for m in order if m == best or behind[m].low <= 0]
    cheapest = min(inside, key=lambda m: (candidates[m].macs, candidates[m].parameters, m))
    rows = []
    for place, m in enumerate(order, 1):
        own = candidates[m]
        row = Row(
            place=place,
            model=own.model,
            origin=own.origin,
            score=float(joint[0, m]),
            prior=float(expected[m]),
            p_best=float(first[m]),
            p_top3=float(third[m]),
            accuracy=_interval(accuracy[:, m]),
            behind=behind[m],
            within_noise=m in inside,
            cheapest=m == cheapest,
            parameters=own.parameters,
            macs=own.macs,
            seconds=own.seconds,
            pretraining=own.pretraining,
            nearness=own.nearness,
            scores={**own.evidence.scores(), **own.scores},
        )
        rows.append(row)
    classes = int(strata.max()) + 1 if isinstance(kind, Evidence) else 0
    seen = int(counts[0].sum())
    return Ranking(data, seen, classes, examples, weight, tuple(rows), tuple(failed), kind.probed)


def standing(values: np.ndarray) -> np.ndarray:
    """How far each candidate stands from the middle of all, in robust standard deviations, at most 2.5.

    values: [R, M], the sample itself and bootstrap samples. Median and median distance, so that one hopeless
    candidate does not make all others look alike; a spread below the noise of a comparison counts as the
    noise, so that what chance could have done does not decide.
    """
    middle = np.median(values, 1, keepdims=True)
    spread = TO_SIGMA * np.median(np.abs(values - middle), 1, keepdims=True)
    noise = float(np.sqrt(((values - middle)[1:].std(0) ** 2).mean())) if len(values) > 1 else 0.0
    spread = np.maximum(spread, noise)
    far = (values - middle) / np.where(spread > 0, spread, np.inf)
    return np.clip(far, -MOST, MOST)  # type: ignore[no-any-return]


def finalists(ranking: Ranking) -> tuple[Row, ...]:
    """The fewest candidates, three at most, whose chances of being the best sum to 0.9."""
    chosen: list[Row] = []
    for row in sorted(ranking.rows, key=lambda row: (-row.p_best, row.place)):
        if chosen and (sum(r.p_best for r in chosen) >= SURE or len(chosen) == FINALISTS):
            break
        chosen.append(row)
    return tuple(chosen)


def _chances(joint: np.ndarray, places: int) -> np.ndarray:
    """In which share of the samples each candidate is among so many first ones; ties share the place."""
    above = (joint[:, None, :] > joint[:, :, None]).sum(2)  # candidates that are better, [R, M]
    equal = (joint[:, None, :] == joint[:, :, None]).sum(2)
    return np.clip((places - above) / equal, 0, 1).mean(0)  # type: ignore[no-any-return]


def _interval(values: np.ndarray) -> Score:
    low, high = np.percentile(values[1:], (2.5, 97.5))
    return Score(float(values[0]), float(low), float(high))
