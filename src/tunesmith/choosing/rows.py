"""Parts of many examples as rows of features: gathered in one pass, and what is nothing made rarer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from tunesmith.data.pairs import apart
from tunesmith.errors import BadData
from tunesmith.networks.activations import Activations
from tunesmith.networks.network import Network
from tunesmith.networks.prefix import main_tensor
from tunesmith.tasks.rows import Rows
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training.batches import reading_order
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed

TOKENS: Final = 20_000  # that a network reads for its probe, at most
SHARE: Final = 3  # rows of what is nothing for each row of what is something, at most
BATCH: Final = 32


@dataclass(frozen=True)
class Gathered:
    """Rows of some examples, as scores take them.

    features: float32 [n, D]. targets: classes, int64 [n], or float64 [n, K] of 0 and 1. of: int64 [n], the
    example of each row. within: int64 [n], its window, among whose rows one is the answer. places,
    background: as `tasks.rows.Rows` has them.
    """

    features: np.ndarray
    targets: np.ndarray
    of: np.ndarray
    within: np.ndarray
    places: np.ndarray
    background: int | None

    def __len__(self) -> int:
        return len(self.of)

    def at(self, rows: np.ndarray) -> Gathered:
        """Some of the rows."""
        features, targets, of = self.features[rows], self.targets[rows], self.of[rows]
        return Gathered(features, targets, of, self.within[rows], self.places[rows], self.background)


def kin(dataset: Any) -> np.ndarray:
    """What belongs together of some examples, [N]: named groups; else equal texts, of pairs second ones."""
    if "group" in dataset.column_names:
        names = [str(group) for group in dataset["group"][:]]
    else:
        items = enumerate(dataset["item"][:])
        names = [(apart(own)[1] or own) if isinstance(own, str) else str(i) for i, own in items]
    found: np.ndarray = np.unique(names, return_inverse=True)[1]
    return found


def windows_within(examples: Examples, tokens: int = TOKENS, *, seed: int) -> np.ndarray:
    """The windows of whole examples, drawn by the seed, that hold so many tokens at most; sorted.

    Two examples in any case. Of images all.
    """
    if examples.lengths is None:
        return np.arange(len(examples))
    of = np.arange(len(examples)) if examples.of is None else examples.of
    each = np.bincount(of, weights=examples.lengths, minlength=len(examples.whole))
    order = np.random.default_rng(seed).permutation(len(each))
    count = int(np.searchsorted(np.cumsum(each[order]), tokens, side="right"))
    return np.flatnonzero(np.isin(of, order[: max(count, 2)]))


def gather(
    network: Network,
    task: Task,
    feed: Feed,
    labels: Labels,
    windows: np.ndarray,
    stages: Sequence[int],
) -> list[Gathered | None]:
    """The rows of some windows by what each of these stages hands on; None for one that hands on no parts.

    Of stored activations before the head nothing runs, and the last stage alone can be asked for.
    """
    device = next(network.module.parameters()).device
    found: list[list[tuple[Rows, np.ndarray]]] = [[] for _ in stages]
    lengths = None if feed.lengths is None else feed.lengths[windows]
    network.module.eval()
    for order in reading_order(len(windows), BATCH, lengths):
        batch = feed.batch(windows[order], task, labels).to(device)
        for own, states in zip(found, _states(network, batch, stages), strict=True):
            rows = None if states is None else task.rows(states.float(), batch)
            if rows is not None and len(rows.of):
                own.append((rows, windows[order]))
    of = feed.examples.of
    return [_joined(own, np.arange(len(feed)) if of is None else of) for own in found]


def thinned(rows: Gathered, task: Task, labels: Labels, *, seed: int) -> Gathered:
    """The rows with at most three of the background for each other one, drawn by the seed.

    A part is drawn by its place in its example, so that all networks are asked about the same ones.
    Raises BadData where there is nothing but background.
    """
    if rows.background is None:
        return rows
    nothing = rows.targets == rows.background
    if nothing.all():
        raise BadData(
            f"all {len(rows):,} {task.parts} that were looked at are {labels.names[rows.background]}, so "
            f"there is nothing to tell apart; look at more --examples."
        )
    draws = np.empty(len(rows))
    for example in np.unique(rows.of):
        own = rows.of == example
        places = rows.places[own]
        draws[own] = np.random.default_rng([seed, int(example)]).random(int(places.max()) + 1)[places]
    draws[~nothing] = -1.0
    count = (1 + SHARE) * int((~nothing).sum())
    return rows.at(np.sort(np.argsort(draws, kind="stable")[:count]))


def _states(network: Network, batch: Batch, stages: Sequence[int]) -> list[Tensor | None]:
    if isinstance(batch.inputs, Activations):
        return [main_tensor(batch.inputs.tensors, batch.size)]
    with torch.inference_mode(), _caught(network, stages) as leaves:
        network(batch.inputs)
    return [main_tensor(leaves.get(stage, ()), batch.size) for stage in stages]


@contextmanager
def _caught(network: Network, stages: Sequence[int]) -> Iterator[dict[int, list[Any]]]:
    """What the part behind each of these stages is given first, while a network runs."""
    leaves: dict[int, list[Any]] = {}

    def catch(stage: int, _: Any, args: Any, kwargs: Any) -> None:
        leaves.setdefault(stage, tree_flatten((args, kwargs))[0])

    behind = [network.module.get_submodule(network.parts[stage + 1].modules[0]) for stage in stages]
    handles = [
        module.register_forward_pre_hook(partial(catch, stage), with_kwargs=True)
        for stage, module in zip(stages, behind, strict=True)
    ]
    try:
        yield leaves
    finally:
        for handle in handles:
            handle.remove()


def _joined(found: Sequence[tuple[Rows, np.ndarray]], example_of: np.ndarray) -> Gathered | None:
    """The rows of all batches, in the order of the examples."""
    if not found:
        return None

    def array(name: str) -> np.ndarray:
        return np.concatenate([getattr(rows, name).cpu().numpy() for rows, _ in found])

    within = np.concatenate([windows[rows.of.cpu().numpy()] for rows, windows in found])
    joined = Gathered(
        array("states"),
        array("targets"),
        example_of[within],
        within,
        array("places"),
        found[0][0].background,
    )
    return joined.at(np.lexsort((joined.places, within)))
