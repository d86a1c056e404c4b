"""What is known of every stage of a network on a person's data, before anything trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.choosing.which_stages import StageEvidence, evidence, probed_rows, said, steepest_block
from tunesmith.choosing.which_stages_of_parts import evidence_by_parts
from tunesmith.networks.network import Network
from tunesmith.networks.preprocess import check_long_texts
from tunesmith.store import Store
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.devices import accelerator_for
from tunesmith.training.examples import Examples
from tunesmith.verbs.features import recorded_of
from tunesmith.verbs.loading import check_name, wanted_network
from tunesmith.verbs.options import whole
from tunesmith.verbs.replaying import open_store
from tunesmith.verbs.reporting import Reporter
from tunesmith.verbs.understanding import read_data


@dataclass(frozen=True)
class Looked:
    """A network beside the data: evidence per part, what it says, and how many examples it learns from."""

    network: Network
    evidence: tuple[StageEvidence, ...]
    says: tuple[str, ...]
    examples: int

    @property
    def block(self) -> list[int]:
        """The stages that surgical fine-tuning would train."""
        return steepest_block(self.evidence)


def look(asked: Mapping[str, Any], say: Reporter) -> Looked:
    """Read the data, load the network as a fit would, and gather the evidence.

    asked: options of `fit` by name: what is read, the model, image_size, max_length, long_texts, engine,
        device, seed.
    """
    check_name(asked["model"])
    whole("image_size", asked["image_size"])
    whole("max_length", asked["max_length"])
    check_long_texts(asked["long_texts"])
    store = open_store(asked["store_limit"])
    known: dict[str, bytes] = {}
    data, task, seen = read_data(asked, store, known, say)
    seen.close()
    labels, _, network = wanted_network(asked, task, data, say)
    network.module.to(accelerator_for(asked["device"], "fp32").device)
    train = Examples(data.train, network.preprocess, store, known=known, task=task)
    try:
        return gathered(network, task, labels, train, store, say, asked)
    finally:
        train.close()


def gathered(
    network: Network,
    task: Task,
    labels: Labels,
    train: Examples,
    store: Store,
    say: Reporter,
    asked: Mapping[str, Any],
) -> Looked:
    """The evidence on a training split; the network is left as it is."""
    if task.parts:
        with say.work(f"evidence per stage: a probe of {task.parts} at each, and a pilot", 0):
            by_parts = evidence_by_parts(network, task, labels, train, seed=asked["seed"])
        told = said(by_parts, None, solver=task.solver, parts=task.parts)
        return Looked(network, by_parts, tuple(told), len(train))
    targets = np.asarray(task.targets(train.whole, labels))
    recorded = recorded_of(network, store, {"train": train}, say, engine=asked["engine"])
    try:
        rows = train.rows_of(probed_rows(len(train.whole), asked["seed"]))
        missing = recorded.missing(train, rows)
        if missing:
            with say.work("features of train", missing) as done:
                recorded.fill(train, rows, progress=done)
        with say.work("evidence per stage: a probe of each, and a pilot", 0):
            grouped = "group" in train.whole.column_names
            groups = np.asarray(train.whole["group"][:]) if grouped else None
            found = evidence(
                network, task, labels, recorded, train, targets, groups=groups, seed=asked["seed"]
            )
    finally:
        recorded.close()
    told = said(found, labels.largest, solver=task.solver or "lbfgs")
    return Looked(network, found, tuple(told), len(train.whole))
