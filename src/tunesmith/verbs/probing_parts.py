"""One candidate of a ranking for answers that have parts: what its features say of words, tokens, pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from tunesmith.choosing.evidence_of_rows import evidence_of_rows
from tunesmith.choosing.rows import gather, kin, thinned, windows_within
from tunesmith.choosing.which_network import Candidate
from tunesmith.data.data import Data
from tunesmith.errors import BadData
from tunesmith.networks.network import Network, Want
from tunesmith.networks.replay import Cut
from tunesmith.store import Store
from tunesmith.strategies.linear_probe import plan
from tunesmith.tasks.task import Labels, Task
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.recorded import POOLED
from tunesmith.training.replaying import plan_replay
from tunesmith.verbs.features import recorded_of
from tunesmith.verbs.probing import Probe, candidate, fill, loaded, probe_of
from tunesmith.verbs.reporting import Reporter

FEWEST_WITH_PARTS: Final = 10  # examples that a probe of their parts should see: a fold each


def probe_of_parts(data: Data, task: Task, count: int, known: dict[str, bytes], total: int) -> Probe:
    """The probe set of a task whose answers have parts: so many examples, evenly over the training split.

    Its targets are zeros: what is asked depends on the network's tokenizer. Questions on one text are left
    out together. Raises BadData where nothing could be left out.
    """
    train = data.train
    probe = probe_of(train, np.zeros(len(train), np.int64), count, known, total)
    if task.takes == "text":
        probe = replace(probe, groups=kin(probe.dataset))
    if len(np.unique(probe.groups)) < 2:
        grouped = "group" in train.column_names
        of = "one group alone" if grouped else f"one {task.unit} alone, or copies of it,"
        raise BadData(
            f"the training split of {data.name} holds {of} and a probe that ranks networks answers the "
            f"{task.parts} of some examples having learned from others; give more data, or name one --model."
        )
    return probe


def seen_in_parts(
    model: str | Network,
    want: Want,
    task: Task,
    labels: Labels,
    probe: Probe,
    store: Store,
    known: dict[str, bytes],
    say: Reporter,
    *,
    engine: str,
    device: str,
    seed: int,
    left: Callable[[], float],
) -> Candidate:
    """A candidate with its evidence, as `probing.seen` gives it of whole examples.

    Of examples in a seeded order as many are looked at as hold 20,000 of the network's tokens.
    """
    network = loaded(model, want, device=device, seed=seed)
    examples = Examples(probe.dataset, network.preprocess, store, known=known, task=task)
    name, recorded, feed = network.origin.partition("@")[0], None, Feed(examples)
    try:
        windows = windows_within(examples, seed=seed)
        if cuts := _before_head(network, examples, probe.total):
            train = {"train": examples}
            recorded = recorded_of(network, store, train, say, engine=engine, count=probe.total, cuts=cuts)
        if recorded is not None and recorded.cuts:
            fill(recorded, examples, windows, say, left)
            feed = Feed(examples, recorded, max(recorded.cuts))
        with say.work(f"a probe of {task.parts} by {name}", 0):
            (rows,) = gather(network, task, feed, labels, windows, [len(network.stages) - 1])
            if rows is None:
                raise BadData(f"{name} hands nothing to its head that would belong to single {task.parts}.")
            evidence, scores = evidence_of_rows(
                thinned(rows, task, labels, seed=seed),
                probe.groups,
                parts=task.parts,
                outputs=len(labels.names),
                seed=seed,
            )
        seconds = None if recorded is None else recorded.shelves[POOLED].about.get("seconds")
        return candidate(model, network, evidence, scores, seconds)
    finally:
        if recorded is not None:
            recorded.close()
        examples.close()


def _before_head(network: Network, examples: Examples, count: int) -> Mapping[int, Cut]:
    """The cut before the head, from which a linear probe is replayed; empty where the network runs live."""
    if not examples.storable:
        return {}
    head_alone = plan(len(network.stages), epochs=1, lr=1e-3)
    return plan_replay(network, head_alone, examples, count=count, room=None).cuts
