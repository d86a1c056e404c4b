"""Which layers should train: what is known of every stage before anything trains, and what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tunesmith.choosing.folds import fold_of, ridge_answers
from tunesmith.choosing.pilot import Pilot, pilot
from tunesmith.errors import BadData, BadPlan
from tunesmith.networks.network import Network
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.examples import Examples
from tunesmith.training.heads import LAMBDAS, are_numbers, decomposed, encoded, left_out
from tunesmith.training.recorded import Recorded
from tunesmith.training.sampling import drawn
from tunesmith.training.solving import linear_head, probe_head

PROBED: Final = 2000  # training examples that a stage's features are judged by: a standard error of 1 %
BLOCK: Final = 4  # a block is this part of the stages; the networks of Lee et al. have four or five
INPUT: Final = 0.5  # share of the gradient ratios in the first third above which the inputs seem to differ


@dataclass(frozen=True)
class StageEvidence:
    """What is known of a stage, or of the head, before training.

    parameters, macs: of the part itself; macs for one example.
    probe, error: accuracy (of numbers R², the explained share) of a ridge head on what the stage hands on,
        pooled, by exact leave-one-out, and its standard error; of parts macro-F1 or hit@1, out of fold; None
        where nothing of the kind is handed on, and for the head.
    weight, gradient: norms of its weights, and of the loss's gradient by them with a solved head.
    seconds: of an epoch over the training split in which this part and all behind it train, what precedes
        them being stored; measured on a pilot, without validation.
    bytes: one example's part of the store then; 0 where nothing precedes it.
    """

    stage: str
    parameters: int
    macs: int
    probe: float | None
    error: float | None
    weight: float
    gradient: float
    seconds: float
    bytes: int

    @property
    def ratio(self) -> float:
        """How hard the data pull on the stage: |gradient| / |weights|; 0 without weights.

        Lee et al. 2022 (arXiv:2210.11466) call it the relative gradient norm.
        """
        return self.gradient / self.weight if self.weight else 0.0


def evidence(
    network: Network,
    task: Task,
    labels: Labels,
    recorded: Recorded,
    examples: Examples,
    targets: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[StageEvidence, ...]:
    """A row per stage, input first, and one for the head.

    recorded: holds pooled features of the network; what is missing of the probed rows is computed.
    examples, targets: of the training split, targets classes [N] or numbers [N, K].
    groups: [N], what belongs together; a probe is then asked about groups that it has not seen, in five
        folds, instead of leaving one example out.
    Raises BadData for features that are not finite.
    It costs one forward pass of at most 2,000 examples, less what is stored, and forward and backward of
    64. Seconds are measured, so they differ from run to run; nothing else does.
    """
    rows = probed_rows(len(examples.whole), seed)
    K = len(labels.names)
    recorded.fill(examples, examples.rows_of(rows))
    folds = None if groups is None else fold_of(targets[rows], groups[rows], seed=seed)
    probes: list[tuple[float | None, float | None]] = []
    for stage in range(len(network.stages)):
        features = recorded.pooled(examples, rows, stage=stage)
        if not np.isfinite(features).all():
            count = int((~np.isfinite(features)).any(1).sum())
            raise not_finite(network, stage, count, f"{len(rows):,} training examples")
        there = features.shape[1] > 0
        probes.append(probed(features, targets[rows], K, folds=folds) if there else (None, None))
    measured = piloted(network, task, labels, recorded, examples, targets, seed=seed)
    return tuple(beside(network, [*probes, (None, None)], measured, len(examples)))


def piloted(
    network: Network,
    task: Task,
    labels: Labels,
    recorded: Recorded,
    examples: Examples,
    targets: np.ndarray,
    *,
    seed: int = 0,
) -> Pilot:
    """The pilot with the head that a probe solves, where the head is linear."""
    if not has_linear_head(network):
        return pilot(network, task, labels, examples, seed=seed)
    rows = probed_rows(len(examples.whole), seed)
    solved = probe_head(recorded, examples, targets, len(labels.names), rows=rows)
    return pilot(network, task, labels, examples, head=solved, seed=seed)


def probed_rows(count: int, seed: int) -> np.ndarray:
    """The training examples that stages are judged by: all, or 2,000 of them."""
    return drawn(count, PROBED, seed=seed)


def probed(
    features: np.ndarray, targets: np.ndarray, outputs: int, *, folds: np.ndarray | None = None
) -> tuple[float, float]:
    """Accuracy (or R²) of a ridge head that has not seen the example it answers, and its standard error.

    features: [N, D]. targets: classes [N], or numbers [N, K]. The penalty has the least squared
    error, each example left out in turn in closed form (Allen 1974; compare `training.heads.ridge`).
    folds: [N], to answer each fold by a head of the others instead.
    """
    if folds is not None:
        return _judged(np.stack(ridge_answers(features, targets, folds, outputs)), targets)
    N = len(features)
    X = features.astype(np.float64)
    spread = X.std(0)
    scale = np.where(spread > 1e-4 * max(float(spread.max()), 1e-30), spread, np.inf)
    Y = encoded(targets, outputs)
    shares = Y.mean(0)
    Y = Y - shares
    Z, values, _ = decomposed((X - X.mean(0)) / scale)
    answers = [left_out(Z, values, Y, N * penalty) for penalty in LAMBDAS]
    best = min(answers, key=lambda answer: float(((Y - answer) ** 2).mean()))
    return _judged(best + shares, targets)


def steepest_block(found: Sequence[StageEvidence]) -> list[int]:
    """Indices of the contiguous quarter of the stages on which the data pull hardest, in |g| / |w|.

    Both norms run over all weights of the block. Lee et al. 2022 (arXiv:2210.11466) tune one block and
    find that which one is right depends on how the data differ from those of pretraining.
    """
    stages = found[:-1]
    width = max(1, round(len(stages) / BLOCK))

    def pull(start: int) -> float:
        block = stages[start : start + width]
        weight = math.hypot(*(row.weight for row in block))
        return math.hypot(*(row.gradient for row in block)) / weight if weight else 0.0

    start = max(range(len(stages) - width + 1), key=pull)
    return list(range(start, start + width))


def said(
    found: Sequence[StageEvidence], largest: float | None, *, solver: str | None = "lbfgs", parts: str = ""
) -> list[str]:
    """What the evidence says, in a sentence or two.

    largest: share of the largest class, which is right without looking; None where the answers are numbers.
    solver: of a head to begin with; None where none can be solved. parts: what was probed in the place of
    examples.
    """
    stages = [row for row in found[:-1] if row.probe is not None]
    told = []
    if stages:
        best, last = max(stages, key=lambda row: row.probe or 0.0), stages[-1]
        score, error, at_last = best.probe or 0.0, best.error or 0.0, last.probe or 0.0
        if parts and score <= 2 * error:
            told.append(
                f"No stage's frozen features tell the {parts} apart ({score:.3f} ± {error:.3f}): stages have "
                f"to train (--strategy auto)."
            )
        elif largest is None and not parts and score <= 2 * error:
            told.append(
                f"No stage's frozen features say more of the numbers than their mean does (R² {score:.3f}): "
                f"stages have to train (--strategy auto)."
            )
        elif largest is not None and not parts and score <= largest + 2 * error:
            told.append(
                f"No stage's frozen features tell the classes apart better than naming the largest one "
                f"({score:.3f} against {largest:.3f}): stages have to train (--strategy auto)."
            )
        elif at_last >= score - error:
            told.append(
                f"What the last stage hands on answers as well as any ({at_last:.3f}, the best {score:.3f} ± "
                f"{error:.3f}): begin with a head on it (--strategy linear_probe"
                f"{f' --solver {solver}' if solver else ''})."
            )
        else:
            after = len(found) - 2 - [row.stage for row in found].index(best.stage)
            told.append(
                f"What {best.stage} hands on answers better ({score:.3f} ± {error:.3f}) than the last stage "
                f"({at_last:.3f}): what follows it was made for other data, so train that "
                f"(--strategy top --unfreeze {after})."
            )
    ratios = [row.ratio for row in found[:-1]]
    first = sum(ratios[: round(len(ratios) / 3)]) / (sum(ratios) or 1.0)
    if first > INPUT:
        told.append(
            f"{first:.0%} of the gradient ratios lie in the first third of the stages: the inputs seem to "
            f"differ from those of pretraining; try --strategy surgical --unfreeze auto, or --parts norm."
        )
    return told


def has_linear_head(network: Network) -> bool:
    """Whether the head is one linear layer, which a probe's solution fits into."""
    try:
        linear_head(network)
    except BadPlan:
        return False
    return True


def not_finite(network: Network, stage: int, count: int, of: str) -> BadData:
    """What is said of a stage with such features. count, of: how many of what."""
    return BadData(
        f"stage {network.stages[stage].name} of {network.origin} puts out NaN or infinity for {count:,} of "
        f"{of}, so nothing can be said of it; look at these inputs, or take other weights."
    )


def beside(
    network: Network,
    probes: Sequence[tuple[float | None, float | None]],
    measured: Pilot,
    count: int,
) -> list[StageEvidence]:
    """A row per part: its probe's score and error beside what a pilot measured. count: training examples."""
    parameters = dict(network.module.named_parameters())
    return [
        StageEvidence(
            part.name,
            sum(parameters[name].numel() for name in part.weights if name in parameters),
            part.macs,
            *probes[i],
            measured.weights[i],
            measured.gradients[i],
            measured.seconds(i, i, train=count),
            measured.sizes[i],
        )
        for i, part in enumerate(network.parts)
    ]


def _judged(answers: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Accuracy, or R² over all columns together, and the standard error."""
    if are_numbers(targets):
        left = ((answers - targets) ** 2).sum(1)
        all_ = ((targets - targets.mean(0)) ** 2).sum(1)
        share = float(left.sum() / max(float(all_.sum()), 1e-300))
        error = float(np.std(left - share * all_)) / max(float(all_.mean()), 1e-300)
        return 1 - share, error / math.sqrt(len(targets))
    right = float((answers.argmax(1) == targets).mean())
    return right, math.sqrt(right * (1 - right) / len(targets))
