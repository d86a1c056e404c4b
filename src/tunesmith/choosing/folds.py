"""Out-of-fold answers: every one of a few examples is asked of a network that has not seen it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.data.split import strata
from tunesmith.errors import BadData
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.heads import are_numbers, ridge
from tunesmith.training.loop import Training
from tunesmith.training.predicting import predict
from tunesmith.training.recorded import Recorded
from tunesmith.training.replaying import Replaying

FOLDS: Final = 5
FEW: Final = 1000  # training examples below which a validation split alone decides too little


def fold_of(targets: np.ndarray, groups: np.ndarray, *, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """The fold of each example, [N] from 0 on: classes (or tenths of numbers) evenly dealt, no group in two.

    targets: classes [N], or numbers [N, K]. groups: [N], equal where examples belong together:
    a patient, or equal bytes. There are fewer folds where there are fewer groups, or fewer examples of every
    class.
    Raises BadData where nothing can be held back: one group only, or folds that leave one class to learn.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names, codes = np.unique(groups, return_inverse=True)
    numbers, targets = are_numbers(targets), strata(targets)
    count = min(folds, len(names), int(np.bincount(targets).max()))
    if count < 2:
        raise BadData(
            f"out-of-fold estimates need two groups or more, and the {len(targets):,} training examples "
            f"are in {len(names)}; leave out --group, or add groups."
        )
    found = np.zeros(len(targets), np.int64)
    with warnings.catch_warnings():  # of classes with fewer examples than folds, which is no fault
        warnings.simplefilter("ignore", UserWarning)
        dealt = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        for fold, (_, held) in enumerate(dealt.split(np.zeros(len(targets)), targets, codes)):
            found[held] = fold
    for fold in () if numbers else np.unique(found):
        if len(np.unique(targets[found != fold])) < 2:
            raise BadData(
                f"fold {fold + 1} of {count} would leave one class to learn from: the groups hold a class "
                f"each. Leave out --group, or add groups with more than one class."
            )
    return found


def groups_of(data: Data, examples: Examples) -> np.ndarray:
    """What belongs together in the training split, [N]: the groups that were named, else equal bytes."""
    if "group" in data.train.column_names:
        return np.asarray(data.train["group"][:])
    return np.unique(np.asarray([key.hex() for key in examples.contents]), return_inverse=True)[1]


def ridge_answers(
    features: np.ndarray, targets: np.ndarray, folds: np.ndarray, outputs: int
) -> list[np.ndarray]:
    """Probabilities or numbers [K] of each example by a ridge head of the other folds, without any step.

    features: [N, D], as stored. The penalty is chosen within those other folds, by leave-one-out.
    """
    found: list[np.ndarray] = [np.zeros(outputs)] * len(targets)
    for fold in np.unique(folds):
        held = folds == fold
        head = ridge(features[~held].astype(np.float64), targets[~held], outputs)
        for row, answer in zip(np.flatnonzero(held), head.answers(features[held]), strict=True):
            found[row] = answer
    return found


@dataclass
class Fold:
    """One part of the training split held back, and what a network has learned of the others so far.

    held: rows of the training split. data, examples: the others, beside the whole's validation split, which
    chooses epochs and penalties as it does in the fit itself. state: weights and buffers that have moved.
    """

    held: np.ndarray
    data: Data
    examples: dict[str, Examples]
    asked: Examples
    state: dict[str, Tensor]

    def close(self) -> None:
        """Let the shelves of texts and images go."""
        self.asked.close()
        self.examples["train"].close()


def parted(
    data: Data,
    examples: Mapping[str, Examples],
    folds: np.ndarray,
    make: Callable[[Any], Examples],
    state: Mapping[str, Tensor],
) -> list[Fold]:
    """The folds before any training. make: Examples of some rows. state: what each begins with."""
    found = []
    for fold in np.unique(folds):
        held, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        learned = data.train.select(rest)
        own = replace(data, splits={**data.splits, "train": learned})
        among = {"train": make(learned), "valid": examples["valid"]}
        found.append(Fold(held, own, among, make(data.train.select(held)), dict(state)))
    return found


def out_of_fold(
    parts: Sequence[Fold],
    learn: Callable[[Fold], list[Any]],
    hopeless: Callable[[Sequence[int], list[Any]], bool] | None = None,
) -> tuple[list[int], list[Any]]:
    """Rows of the training split, and what `learn` answers of each; every fold's held rows.

    hopeless: asked of the rows and answers so far from the second fold on; if so the other folds are spared.
    """
    rows: list[int] = []
    answers: list[Any] = []
    for number, part in enumerate(parts, 1):
        answers += learn(part)
        rows += part.held.tolist()
        if hopeless is not None and 1 < number < len(parts) and hopeless(rows, answers):
            break
    return rows, answers


def climbed(
    fold: Fold,
    network: Network,
    task: Task,
    labels: Labels,
    phases: Sequence[Phase],
    settings: Settings,
    recorded: Recorded,
    replaying: Replaying | None,
    *,
    device: str,
) -> list[np.ndarray]:
    """Train the last of `phases` on a fold, from where the one before it ended; answers to what is held back.

    replaying: of all phases. The fold's state goes on; the network is left trained.
    """
    index = len(phases) - 1
    network.module.load_state_dict(fold.state, strict=False)
    own = replaying and Replaying((replaying.wanted[index],), (replaying.at[index],), replaying.cuts, ())
    training = Training(
        network,
        task,
        fold.data,
        Plan("fold", (replace(phases[-1], must_gain=False),), settings),
        labels=labels,
        device=device,
        examples=fold.examples,
        recorded=recorded,
        replaying=own,
    )
    for _ in training:
        pass
    moved = [i for i in range(len(network.parts)) if any(phase.lrs[i] > 0 for phase in phases)]
    fold.state |= {n: t.detach().clone() for i in moved for n, t in network.tensors(i).items()}
    feed = Feed(fold.asked, recorded, own.at[0] if own is not None else None)
    batch = 2 * settings.batch
    return predict(
        network, task, feed, labels, batch=batch, autocast=training.accelerator.autocast, shared=True
    )


@contextmanager
def put_back(network: Network, phases: Sequence[Phase]) -> Iterator[dict[str, Tensor]]:
    """Copies of all that some phase moves; afterwards the network is as it was, whatever was trained."""
    module = network.module
    moved = [i for i in range(len(network.parts)) if any(phase.lrs[i] > 0 for phase in phases)]
    state = {name: t.detach().clone() for i in moved for name, t in network.tensors(i).items()}
    moves = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        yield state
    finally:
        module.load_state_dict(state, strict=False)
        if next(module.parameters()).device.type == "cpu":
            module.to(memory_format=torch.contiguous_format)  # a training that diverged left its own
        module.eval()
        for parameter, before in moves:
            parameter.requires_grad_(before)
            parameter.grad = None
