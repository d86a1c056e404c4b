"""Who answers for a network that trains no more: an engine that runs all of it, or the network itself."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tunesmith.engines import Engine
from tunesmith.errors import EngineFailed
from tunesmith.networks.network import Network
from tunesmith.networks.replay import behind_the_head
from tunesmith.training.examples import Examples
from tunesmith.training.replaying import padding_counts
from tunesmith.training.runner import Runner, usual_chunk

# Multiply-accumulates from which the seconds of a conversion can pay: eager does 4e9 a second of depthwise
# convolutions on a core, a thousand times as many on a GPU. Fixed numbers, because timings may not choose.
CONVERTS: Final = MappingProxyType({"cpu": 3 * 10**10, "cuda": 3 * 10**13})
CHUNKS: Final = 16  # and how many make up for the check, which runs one four times, and two of texts


def engine_for(
    network: Network, examples: Examples, *, asked: str, folder: Path, held: MutableMapping[str, Engine]
) -> tuple[Runner | None, str]:
    """What runs the whole network on these examples, and why, in words; None: the network itself.

    asked: an engine, which is taken however few examples there are, or "auto": the first that agrees, where
    there are enough of them. The words are empty where auto had nothing to choose.
    folder: of the store, where the choice is kept. held: the engine of an earlier call, for the same weights.
    Raises EngineFailed or MissingPackage where the engine that was asked for cannot be had.
    """
    if asked == "eager":
        return None, "eager, as asked"
    work = sum(part.macs for part in network.parts) * len(examples)
    if asked == "auto" and not _pays(network, len(examples), work):
        return None, ""
    if not examples.storable:
        return None, "eager, because the network's preprocessing is one of its own"
    if padding_counts(network, examples):
        return None, "eager, because padding changes this network's answers"
    whole = [behind_the_head(network)]
    runner = Runner(network, whole, examples, folder, asked=asked, work=work, pooled=False)
    try:
        choice = runner.settle()
        if choice.engine != "eager":
            runner.engine = runner.engine or held.get(runner.key)
            held.clear()
            held[runner.key] = runner.warm_up()
            choice = runner.choice or choice
    except EngineFailed as reason:
        if asked != "auto":
            raise
        return None, f"eager, because {reason}"
    why = "as asked" if asked != "auto" else "; ".join(("the first that agrees", *choice.rejected))
    return None if choice.engine == "eager" else runner, f"{choice.told()}, {why}"


def _pays(network: Network, count: int, work: int) -> bool:
    device = next(network.module.parameters()).device.type
    return count >= CHUNKS * usual_chunk(network) and work >= CONVERTS.get(device, CONVERTS["cpu"])
