"""What a training is fed with: which examples stand in which batch, from where, and how much each counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import BadOption
from tunesmith.networks.augment import augmentation
from tunesmith.networks.preprocess import ImagePreprocess, Preprocess
from tunesmith.plan import Plan
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training import contrastive
from tunesmith.training.balance import example_weights, sampling_shares
from tunesmith.training.batches import ahead, epoch_order
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.recorded import Recorded
from tunesmith.training.replaying import Replaying


@dataclass(frozen=True)
class Supply:
    """The batches of every phase of a plan.

    recorded, replaying: what frozen stages put out, and where each phase goes on from it; None: every phase
        runs live.
    weights, shares: how much each training example counts, and how often it is drawn, [N]; None: all the
        same. of_rows: the same of what stands in batches, which may be windows of the examples.
    augment: changes live images [B, 3, H, W]; None: nothing does.
    """

    task: Task
    data: Data
    plan: Plan
    labels: Labels
    examples: Mapping[str, Examples]
    recorded: Recorded | None
    replaying: Replaying | None
    weights: np.ndarray | None
    shares: np.ndarray | None
    of_rows: tuple[np.ndarray | None, np.ndarray | None]
    augment: Callable[[Tensor], Tensor] | None

    def order(self, index: int, epoch: int, batch: int) -> list[np.ndarray]:
        """The batches of one epoch of a phase, each an array of rows of the training split.

        Where the phase has several rounds in an epoch, rows are counted on from round to round.
        """
        count, rounds = len(self.examples["train"]), contrastive.rounds(self.plan.phases[index])
        return [
            rows + turn * count
            for turn in range(rounds)
            for rows in epoch_order(
                count,
                batch,
                seed=self.plan.settings.seed,
                epoch=(index * 1_000_000 + epoch) * rounds + turn,
                lengths=self.examples["train"].lengths,
                shares=self.of_rows[1],
            )
        ]

    def at(self, index: int) -> int | None:
        """The stage before which a phase goes on from what is stored; None: it runs live."""
        return self.replaying.at[index] if self.replaying is not None else None

    def feed(self, split: str, index: int, *, epoch: int = 0) -> Feed:
        """Where a split's batches come from in a phase."""
        examples, at, views = self.examples[split], self.at(index), self.plan.settings.views
        if at is None or (split == "train" and self.augment is not None and not views):
            return Feed(examples)
        view = epoch % views if split == "train" and views else None
        return Feed(examples, self.recorded, at, view)

    def batches(
        self, index: int, epoch: int, order: list[np.ndarray], accelerator: Any
    ) -> Iterator[tuple[int, Batch]]:
        """Of each of some batches how many examples it has, and this process's share of them."""
        world, process = accelerator.num_processes, accelerator.process_index
        shares = [np.array_split(rows, world)[process] for rows in order]
        # One row at least, so that every process takes every step.
        mine = [share if len(share) else rows[:1] for share, rows in zip(shares, order, strict=True)]
        for rows, batch in zip(order, ahead(self._maker(index, epoch), mine), strict=True):
            yield len(rows), batch.to(accelerator.device)

    def few(self, index: int) -> Batch:
        """Two examples of validation, as a phase sees them."""
        rows = np.arange(min(2, len(self.examples["valid"])))
        return self.feed("valid", index).batch(rows, self.task, self.labels)

    def targets(self, split: str) -> np.ndarray:
        """The targets of a split's examples: classes [N], or numbers [N, K]."""
        return np.asarray(self.task.targets(self.data.splits[split], self.labels))

    def _maker(self, index: int, epoch: int) -> Callable[[np.ndarray], Batch]:
        """What makes a training batch of one epoch of a phase out of its rows, without a random number."""
        feed, phase = self.feed("train", index, epoch=epoch), self.plan.phases[index]
        if phase.loss != "contrastive":
            return partial(self._collate, feed)
        targets = self.targets("train")
        rounds, seed = contrastive.rounds(phase), self.plan.settings.seed
        first = (index * 1_000_000 + epoch) * rounds
        met = [contrastive.partners(targets, seed=seed, epoch=first + turn) for turn in range(rounds)]
        every, count = np.concatenate(met), len(targets)
        return lambda rows: self._collate(feed, contrastive.groups(rows, every, count))

    def _collate(self, feed: Feed, rows: np.ndarray) -> Batch:
        batch = feed.batch(rows, self.task, self.labels)
        if (own := self.of_rows[0]) is not None:
            weights = torch.as_tensor(own[rows], dtype=torch.float32)
            if batch.weights is not None and batch.weights.ndim == 2:  # of tokens, which the task balances
                weights = batch.weights * weights[:, None]
            batch = replace(batch, weights=weights)
        return batch


def supply_of(
    task: Task,
    data: Data,
    plan: Plan,
    labels: Labels,
    preprocess: Preprocess,
    *,
    examples: Mapping[str, Examples] | None = None,
    recorded: Recorded | None = None,
    replaying: Replaying | None = None,
) -> Supply:
    """The batches as the plan's settings want them; examples: None: made from `data`.

    Raises BadOption for a change of images where the task has none.
    """
    splits = ("train", "valid")
    balance = "none" if task.answers == "parts" else plan.settings.balance  # which parts balance themselves
    examples = examples or {s: Examples(data.splits[s], preprocess, task=task) for s in splits}
    weights = example_weights(data.train, labels, balance)
    shares = sampling_shares(data.train, labels, balance)
    return Supply(
        task,
        data,
        plan,
        labels,
        examples,
        recorded,
        replaying,
        weights,
        shares,
        rows_count(examples["train"], weights, shares, alike=task.answers == "parts"),
        _augmentation(plan.settings.augment, preprocess, task.takes),
    )


def rows_count(
    examples: Examples, weights: np.ndarray | None, shares: np.ndarray | None, *, alike: bool
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """How much each row counts and how often it is drawn, of what that is of its example.

    alike: a window counts as its example does; else all windows of an example together. What is drawn by
    shares is drawn so, and counts as its example.
    """
    of = examples.of
    if of is None:
        return weights, shares
    each: np.ndarray = np.ones(len(of)) if alike else 1.0 / np.bincount(of)[of]
    if shares is not None:
        shares = shares[of] * each
        return None if weights is None else weights[of], shares / shares.sum()
    if weights is None and alike:
        return None, None
    own = each if weights is None else weights[of] * each
    return own / own.mean(), None


def _augmentation(name: str, preprocess: Preprocess, takes: str) -> Callable[[Tensor], Tensor] | None:
    if name in ("none", "features"):
        return None
    if not isinstance(preprocess, ImagePreprocess):
        raise BadOption(f"augment={name!r} changes images, and this task takes {takes}s.")
    return augmentation(name, preprocess.size)
