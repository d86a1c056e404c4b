"""What a network says of every example: from the store where a fit left it, by the same engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tunesmith.errors import CannotReplay, EngineFailed
from tunesmith.networks.network import Network
from tunesmith.networks.replay import Cut
from tunesmith.store import Store
from tunesmith.training.examples import Examples
from tunesmith.training.recorded import Recorded
from tunesmith.verbs.reporting import Reporter


def features_of(
    network: Network, store: Store, examples: Mapping[str, Examples], say: Reporter, *, engine: str = "auto"
) -> dict[str, np.ndarray]:
    """What the last stage hands to the head, pooled, for every example: float32 [N, D] by split.

    What a fit computed with the same network, image size and engine is read; the rest is computed and kept.
    """
    recorded = recorded_of(network, store, examples, say, engine=engine)
    try:
        found = {}
        for split, own in examples.items():
            missing = recorded.missing(own)
            if missing:
                with say.work(f"features of {split}", missing) as done:
                    recorded.fill(own, progress=done)
            found[split] = recorded.pooled(own)
        return found
    finally:
        recorded.close()


def recorded_of(
    network: Network,
    store: Store,
    examples: Mapping[str, Examples],
    say: Reporter,
    *,
    engine: str = "auto",
    count: int | None = None,
    cuts: Mapping[int, Cut] | None = None,
) -> Recorded:
    """The records of a network of which nothing trains; close them.

    cuts: by stage, what is stored beside pooled features.
    count: how many examples there are in all, which decides whether an engine is worth its building; None:
    those of `examples`. Where nothing of the network can be stored, its features are computed and not kept.
    """
    train = examples["train"]
    if not train.storable:
        return Recorded(network, store, {}, train, unchecked=True)
    count = sum(len(own) for own in examples.values()) if count is None else count
    work = sum(stage.macs for stage in network.stages) * count
    try:
        recorded = Recorded(network, store, cuts or {}, train, engine=engine, work=work)
        recorded.audit(train)
    except (CannotReplay, EngineFailed) as reason:
        if isinstance(reason, EngineFailed) and engine != "auto":
            raise
        say.warn(f"{reason} Its features are computed by the network itself, and not kept.")
        return Recorded(network, store, {}, train, unchecked=True)
    return recorded
