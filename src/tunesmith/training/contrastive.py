"""Learning from pairs: texts of one class come to lie near each other, texts of two classes apart.

Tunstall et al. 2022 (SetFit, arXiv:2209.11055): with eight labelled texts a class there are few labels but
many pairs of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tunesmith.errors import BadPlan
from tunesmith.networks.network import Network
from tunesmith.plan import Phase
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training.batches import ahead, reading_order
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.solving import linear_head

NO_WINDOWS = "learning from pairs (strategy contrastive) compares texts as one vector each, not in windows"
GROUP = 3  # an example, one of its class, one of another
ROUNDS = 4  # of an epoch, in each of which every example meets two others: five epochs are SetFit's 20


def check_pairs(network: Network, task: Task) -> None:
    """Raise BadPlan unless a network can learn from pairs: texts, classes, a linear head."""
    if task.answers != "classes":
        raise BadPlan(
            f"learning from pairs (strategy contrastive) needs classes, and {task.name} has none; use lp_ft, "
            f"or linear_probe for few examples."
        )
    if network.preprocess.takes != "text":
        raise BadPlan(
            f"learning from pairs (strategy contrastive) is for texts, and {network.origin} takes "
            f"{network.preprocess.takes}s; use lp_ft, or linear_probe for few examples."
        )
    if getattr(network.preprocess, "long_texts", "cut") == "windows":
        raise BadPlan(f"{NO_WINDOWS}; leave long_texts out, or use lp_ft.")
    linear_head(network)


def rounds(phase: Phase) -> int:
    """How often an epoch of a phase goes over the training split."""
    return ROUNDS if phase.loss == "contrastive" else 1


def partners(targets: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
    """For every example one of its own class and one of another, as rows [N, 2]; the same for the same epoch.

    targets: class indices [N], of two classes at least. An example that is alone in its class meets itself.
    """
    random = np.random.default_rng([seed, epoch, 1])
    N = len(targets)
    order = np.argsort(targets, kind="stable")
    counts = np.bincount(targets)
    own, begin = counts[targets], (np.cumsum(counts) - counts)[targets]
    place = np.empty(N, np.int64)
    place[order] = np.arange(N)
    step = 1 + np.floor(random.random(N) * np.maximum(own - 1, 1)).astype(np.int64)
    same = begin + (place - begin + step) % own
    other = (begin + own + np.floor(random.random(N) * (N - own)).astype(np.int64)) % N
    return np.stack([order[same], order[other]], 1)


def groups(rows: np.ndarray, met: np.ndarray, count: int) -> np.ndarray:
    """Each of some rows, followed by the two that it meets.

    rows: counted on from round to round. met: of all rounds [rounds * N, 2]. count: N.

    >>> met = np.asarray([[1, 2], [0, 2], [0, 1], [2, 1], [2, 0], [1, 0]])  # two rounds of three examples
    >>> groups(np.asarray([2, 3]), met, 3).tolist()
    [2, 0, 1, 0, 2, 1]
    """
    return np.concatenate([(rows % count)[:, None], met[rows]], 1).reshape(-1)


def parts(batch: Batch, pieces: int) -> list[Batch]:
    """The batch in so many nearly equal pieces, no group of three torn apart."""
    count = batch.size // GROUP
    step = -(-count // pieces) * GROUP
    return [batch.part(slice(i, min(i + step, batch.size))) for i in range(0, batch.size, step)]


def pair_loss(network: Network, batch: Batch) -> Tensor:
    """Mean squared distance of the pairs' cosine similarities from 1 (same class) and 0 (another).

    batch: of examples in groups of three, as `groups` orders them.
    """
    features = embeddings(network, batch.inputs).float()
    own, same, other = features.reshape(-1, GROUP, features.shape[-1]).unbind(1)
    near, far = cosine_similarity(own, same), cosine_similarity(own, other)
    return ((1 - near).square() + far.square()).mean() / 2


def embeddings(network: Network, inputs: Any) -> Tensor:
    """What the head is given, [B, D]. Raises BadPlan where it is given more than one vector an example."""
    seen: list[Tensor] = []
    hook = linear_head(network).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        network(inputs)
    finally:
        hook.remove()
    if seen[0].ndim != 2:
        raise BadPlan(
            f"{network.origin} gives its head no pooled features, so there are no pairs to compare."
        )
    return seen[0]


class Features:
    """What the head is given now, in the place of records of stages that have moved since.

    Computed once for each split, in eval mode and float32; take a new one after the next step.
    """

    def __init__(self, network: Network, task: Task, labels: Labels, *, batch: int) -> None:
        self._network, self._task, self._labels, self._batch = network, task, labels, batch
        self._known: dict[Examples, np.ndarray] = {}

    def pooled(self, examples: Examples, rows: np.ndarray | None = None) -> np.ndarray:
        """Float32 [n, D]."""
        if examples not in self._known:
            self._known[examples] = self._computed(examples)
        whole = self._known[examples]
        return whole if rows is None else whole[rows]

    def _computed(self, examples: Examples) -> np.ndarray:
        device = next(self._network.module.parameters()).device
        self._network.module.eval()
        order = reading_order(len(examples), self._batch, examples.lengths)
        make = partial(Feed(examples).batch, task=self._task, labels=self._labels)
        found: dict[int, np.ndarray] = {}
        with torch.no_grad():
            for rows, batch in zip(order, ahead(make, order), strict=True):
                features = embeddings(self._network, batch.to(device).inputs).float().cpu().numpy()
                found.update(zip(rows.tolist(), features, strict=True))
        return np.stack([found[row] for row in range(len(examples))])
