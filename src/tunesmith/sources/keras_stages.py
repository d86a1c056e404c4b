"""Where the stages of a Keras network begin.

The graph of a functional model says where a single tensor carries everything that follows; of these places
those are taken where a block begins: another block by the layers' names (`block_3_expand`,
`conv4_block1_1_conv`), or the first weights behind branches that join or behind pooling.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from torch import nn

from tunesmith.networks.network import Stage
from tunesmith.sources.keras_graph import KerasGraph, Step

BLOCK: Final = re.compile(r"(.*block_?\d+[a-z]?|expanded_conv(?:_\d+)?|conv_(?:pad|dw|pw)_\d+)(?:_|$)")
POOLED: Final = re.compile(r".*(?:Average|Avg|Max)Pool(?:ing)?2D$")


def stage_starts(graph: KerasGraph, prefix: str) -> list[str]:
    """Paths of the layers at which stages begin, after the first stage; prefix: the graph's own path.

    Fewer than two places are none: such a network is better cut by what repeats in it.
    """
    starts: list[str] = []
    block, ended, first = "", False, True
    for path, step, narrow in _narrow_steps(graph, prefix):
        module = graph.get_submodule(path.removeprefix(f"{prefix}."))
        named = _block(path)
        weighted = next(module.parameters(), None) is not None
        begins = named != block if named else ended and weighted
        if narrow and begins and not first:
            starts.append(path)
        if narrow and begins:
            ended = False
        first = first and not weighted
        block = named or block
        ended = ended or len(step.reads) > 1 or bool(POOLED.match(_kind(module)))
    return starts if len(starts) > 1 else []


def by_blocks(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The same stages under the names of their blocks, where these tell them apart."""
    names = [_block(stage.name) or stage.name for stage in stages]
    if len(set(names)) < len(names):
        return tuple(stages)
    return tuple(replace(stage, name=name) for stage, name in zip(stages, names, strict=True))


def _narrow_steps(graph: KerasGraph, prefix: str, *, alone: bool = True) -> Iterator[tuple[str, Step, bool]]:
    """Every layer's path and call in order, and whether one tensor alone is alive before it.

    alone: nothing outside of this graph waits for another tensor while it runs.
    """
    steps = graph.steps
    for i, step in enumerate(steps):
        made = set(graph.inputs).union(*(s.outputs for s in steps[:i]))
        wanted = {graph.result}.union(*(s.reads for s in steps[i:]))
        across = {graph.result}.union(*(s.reads for s in steps[i + 1 :])) & made
        module = graph.get_submodule(step.path)
        if isinstance(module, KerasGraph):
            yield from _narrow_steps(module, f"{prefix}.{step.path}", alone=alone and not across)
        else:
            yield f"{prefix}.{step.path}", step, alone and len(made & wanted) == 1


def _block(path: str) -> str:
    """The block that a layer belongs to by its name, or nothing."""
    found = BLOCK.match(path.rpartition(".")[2])
    return re.sub(r"conv_(pad|dw|pw)_", "conv_", found[1]) if found else ""


def _kind(module: nn.Module) -> str:
    return type(getattr(module, "layer", module)).__name__
