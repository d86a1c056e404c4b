"""Keep the better network: as trained, its own linear probe, or one between the two: shallower, or mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.errors import BadOption, BadPlan
from tunesmith.evaluation import groups_in
from tunesmith.registry import did_you_mean
from tunesmith.reports.moved import Pretrained
from tunesmith.training import processes
from tunesmith.training.feeds import Feed
from tunesmith.training.loop import Training
from tunesmith.training.predicting import predict
from tunesmith.training.solving import linear_head
from tunesmith.verbs.baselines import Baselines
from tunesmith.verbs.reporting import Reporter
from tunesmith.verbs.started import Started
from tunesmith.verdicts.keeping import BETWEEN, PROBE, SHALLOWER, TRAINED, Candidate, Decision, decide

KEEPS: Final = ("auto", "trained", "probe")
GRID: Final = (0.33, 0.67)  # of the way from the pretrained to the trained network
CHECKED: Final = 8  # validation examples on which a probe in the head must answer as the solved one
AGREEING: Final = 0.1  # by which probabilities may differ: reduced precision moves them by less

Weights = dict[str, Tensor]
Ways = dict[tuple[str, float | None], tuple[Callable[[], Weights], tuple[int, ...]]]


def check_keep(asked: Any, head: Any) -> None:
    """Raise BadOption for a word that is none of the three, and for a probe where it has no place."""
    if asked not in KEEPS:
        guess = did_you_mean(str(asked), KEEPS)
        raise BadOption(f"keep must be one of {', '.join(KEEPS)}; found {asked!r}{guess}")
    if asked == "probe" and head in ("mlp", "conv"):
        raise BadOption(
            f"keep 'probe' puts a linear head on the network, and head {head!r} is none; use 'linear'."
        )


@dataclass(frozen=True)
class Kept:
    """What a fit ends with; its network holds these weights.

    moved: stages that are not as pretrained. valid: its predictions for validation, where they are known.
    """

    decision: Decision
    moved: tuple[int, ...]
    valid: list[Any] | None = None


def keep_better(
    started: Started,
    training: Training,
    baselines: Baselines,
    pretrained: Pretrained | None,
    trained: list[Any],
    say: Reporter,
) -> Kept:
    """Decide on validation what is kept, and put it into the network.

    Candidates, the simplest first: the linear probe as head on the pretrained stages; the trained network
    with the lower half of its stages put back as they were pretrained; interpolations of all weights and
    buffers between probe and trained network (Wortsman et al. 2022, arXiv:2109.01903); the trained network.
    Where no stage was trained, its head comes first, being as simple as the probe's.
    Where folds decided how far to climb they have decided this too, between the probe and the network.

    pretrained: what the stages began with. trained: predictions of the trained network for validation.
    """
    moved = moved_stages(started, training)
    asked = started.asked["keep"]
    alone = Candidate(TRAINED, trained)
    if asked == "trained":
        return Kept(_only(started, training, alone, "it was asked for"), moved)
    after = _weights(started, moved)
    before, reason = _probed(started, baselines, pretrained, moved)
    if before is None:
        _put(started, after)
        if asked == "probe":
            say.warn(f"the linear probe cannot be kept: {reason}.")
        return Kept(_only(started, training, alone, reason), moved)
    probe = Candidate(PROBE, baselines.answers[PROBE]["valid"])
    if asked == "probe":
        _put(started, before)
        return Kept(_only(started, training, probe, "it was asked for"), ())
    folds = started.decided.kept
    if folds is not None and training.progress.ended == "plan":  # as the folds' networks were trained
        _put(started, before if folds.what == PROBE else after)
        return Kept(folds, () if folds.what == PROBE else moved)
    ways = _between(started, before, after, moved)
    between = []
    for (what, share), (weights, own) in ways.items():
        _put(started, weights())
        between.append(Candidate(what, predictions_of(started, training, "valid", own), share))
    candidates = [probe, *between, alone] if moved else [alone, probe]
    targets = started.task.targets(started.data.valid, started.labels)
    groups = groups_in(started.data.valid)
    decision = processes.from_main(
        lambda: decide(started.task, candidates, targets, started.labels, training.metric, groups)
    )
    chosen = decision.what, decision.coefficient
    if chosen in ways:
        weights, moved = ways[chosen]
        _put(started, weights())
        valid = next(one.answers for one in between if (one.what, one.coefficient) == chosen)
        return Kept(decision, moved, list(valid))
    _put(started, before if decision.what == PROBE else after)
    return Kept(decision, () if decision.what == PROBE else moved)


def _between(started: Started, before: Weights, after: Weights, moved: tuple[int, ...]) -> Ways:
    """By name and coefficient, the networks between probe and trained: how to make them, and what moved."""
    ways: Ways = {}
    upper = moved[len(moved) // 2 :]
    if len(moved) > 1:
        lower = {n: t for n, t in before.items() if started.network.owner(n) in set(moved) - set(upper)}
        ways[SHALLOWER, None] = (lambda: after | lower), upper
    for share in GRID if moved else ():
        ways[BETWEEN, share] = partial(_mixed, before, after, share), moved
    return ways


def predictions_of(started: Started, training: Training, split: str, moved: tuple[int, ...]) -> list[Any]:
    """Predictions of the network as it is now: from what is stored of the stages that never moved."""
    still = min(moved, default=len(started.network.stages))
    depths = [at for at in (started.replaying.cuts if started.replaying else ()) if at <= still]
    return predict(
        started.network,
        started.task,
        Feed(started.examples[split], started.recorded, max(depths, default=None)),
        started.labels,
        batch=2 * started.plan.settings.batch,
        autocast=training.accelerator.autocast,
        shared=True,
    )


def moved_stages(started: Started, training: Training) -> tuple[int, ...]:
    """The stages that the trained network has moved: those unfrozen until its best epoch."""
    best = training.progress.best or {}
    phases = started.plan.phases[: int(best.get("phase", 0)) + 1]
    return tuple(i for i in range(len(started.network.stages)) if any(phase.lrs[i] > 0 for phase in phases))


def _only(started: Started, training: Training, one: Candidate, why: str) -> Decision:
    task, valid, labels = started.task, started.data.valid, started.labels
    outcomes = task.outcomes(one.answers, task.targets(valid, labels))
    value = task.score(outcomes, labels)[training.metric]
    return Decision(one.what, None, f"kept: the {one.name}, because {why}.", {one.name: value})


def _probed(
    started: Started, baselines: Baselines, pretrained: Pretrained | None, moved: tuple[int, ...]
) -> tuple[Weights | None, str]:
    """The weights of the pretrained stages with the probe as head, and put there; or None and why not."""
    network, head = started.network, baselines.head
    if head is None:
        return None, "answers that have parts have no linear probe in closed form"
    try:
        layer = linear_head(network)
    except BadPlan:
        return None, "its head is not one linear layer, which a probe could take the place of"
    if layer.weight.shape != head.weights.T.shape or layer.bias is None:
        return None, "its head does not take the features that the probe was solved on"
    if moved and pretrained is None:
        return None, "the disk could not hold what its stages began with"
    try:
        weights = pretrained.tensors(network) if moved and pretrained is not None else {}
    except OSError as error:
        return None, f"what its stages began with cannot be read again ({error.strerror})"
    weights = {name: tensor for name, tensor in weights.items() if network.owner(name) in moved}
    weights |= _head(started, layer, head.weights, head.bias)
    _put(started, weights)
    if not _agrees(started, baselines):
        return None, "its head does more than a linear layer on what the probe was solved on"
    return weights, ""


def _head(started: Started, layer: nn.Linear, weights: Any, bias: Any) -> Weights:
    """The head's tensors with a solved one in the place of its layer."""
    own = started.network.tensors(len(started.network.stages))
    solved = {id(layer.weight): weights.T, id(layer.bias): bias}
    return {
        name: torch.tensor(np.ascontiguousarray(solved[id(t)]), dtype=t.dtype)
        if id(t) in solved
        else t.detach().cpu().clone()
        for name, t in own.items()
    }


def _agrees(started: Started, baselines: Baselines) -> bool:
    """Whether the network, with the probe as its head, says what the probe says; of parts that made it so."""
    if started.task.answers == "parts":
        return True
    network, valid = started.network, started.examples["valid"]
    some = np.arange(min(CHECKED, len(valid.whole)))
    rows = valid.rows_of(some)
    device = next(network.module.parameters()).device
    network.module.eval()
    with torch.inference_mode():
        batch = Feed(valid).batch(rows, started.task, started.labels).to(device)
        said = started.task.predict(network, batch)
    answers = np.stack(valid.put_together(said, started.task, some))
    solved = np.stack([baselines.answers[PROBE]["valid"][row] for row in some])
    return bool(np.abs(answers - solved).max() <= AGREEING)


def _weights(started: Started, moved: tuple[int, ...]) -> Weights:
    """Copies of what the trained network has moved, its head among it."""
    parts = (*moved, len(started.network.stages))
    return {n: t.detach().cpu().clone() for i in parts for n, t in started.network.tensors(i).items()}


def _mixed(before: Weights, after: Weights, share: float) -> Weights:
    """So far from one to the other; running statistics of BatchNorm too, counts as they are in the latter.

    Statistics between two networks are not those of the network between them, but nearer to them than
    either end's, and counting them anew would take the training split once more.
    """
    return {
        name: torch.lerp(before[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in after.items()
    }


def _put(started: Started, weights: Weights) -> None:
    started.network.module.load_state_dict(weights, strict=False)
