"""Where each phase of a plan goes on from stored activations, and what that saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tunesmith.errors import CannotReplay
from tunesmith.networks.cuts import find_cut
from tunesmith.networks.network import Network
from tunesmith.networks.replay import Cut
from tunesmith.plan import Plan
from tunesmith.training.examples import Examples

# What a choice is reckoned with: fixed numbers of a small computer, because timings may not choose.
MACS_A_SECOND: Final = 3e10
BYTES_A_SECOND: Final = 1e9
LOOKED_AT: Final = 64  # examples among which short and long ones are looked for


@dataclass(frozen=True)
class Replaying:
    """A plan's phases and the cuts that they are replayed from.

    wanted: how many stages each phase's frozen prefix has. at: the stage before which it goes on from
    what is stored; None: it runs live. reasons: why a phase runs live, or from an earlier stage.
    """

    wanted: tuple[int, ...]
    at: tuple[int | None, ...]
    cuts: Mapping[int, Cut]
    reasons: tuple[str, ...]

    def share(self, network: Network, plan: Plan) -> float:
        """How much of the frozen stages' work is replayed, over all phases; 1.0 where nothing is frozen."""
        frozen = sum(p.epochs * _macs(network, w) for p, w in zip(plan.phases, self.wanted, strict=True))
        replayed = sum(p.epochs * _macs(network, at or 0) for p, at in zip(plan.phases, self.at, strict=True))
        return replayed / frozen if frozen else 1.0

    def bound(self, network: Network, plan: Plan) -> float:
        """How many times faster all epochs can become by replay alone, at equal speed of every part.

        Of training work, counted in multiply-accumulates: a forward pass of what is frozen and three of
        what trains, in each epoch, against one pass over what is stored, then only the rest.
        """
        total = _macs(network, len(network.parts))
        live = rest = 0.0
        deepest = max((at or 0 for at in self.at), default=0)
        for phase, wanted, at in zip(plan.phases, self.wanted, self.at, strict=True):
            trained = total - _macs(network, wanted)
            frozen = _macs(network, wanted)
            live += phase.epochs * (frozen + 3 * trained)
            rest += phase.epochs * (frozen - _macs(network, at or 0) + 3 * trained)
        return live / (rest + _macs(network, deepest)) if live else 1.0


def plan_replay(
    network: Network, plan: Plan, examples: Examples, *, count: int, room: int | None
) -> Replaying:
    """Find a cut for every phase whose first stages stay frozen, as they were loaded, until it ends.

    examples: of the training split. count: examples in all splits. room: bytes that records may take;
    None: no bound.
    """
    wanted: list[int] = []
    at: list[int | None] = []
    reasons: list[str] = []
    cuts: dict[int, Cut] = {}
    failed: dict[int, str] = {}
    still = len(network.stages)  # stages that no phase has moved so far
    samples: tuple[Any, Any] | None = None
    network.module.eval()
    if any(phase.frozen_prefix for phase in plan.phases) and padding_counts(network, examples):
        frozen = tuple(phase.frozen_prefix for phase in plan.phases)
        why = "padding changes this network's answers, so it runs live"
        return Replaying(frozen, (None,) * len(plan.phases), {}, (why,))
    for phase in plan.phases:
        k = phase.frozen_prefix
        moved = min(still, k)
        if moved < k:
            reasons.append(
                f"phase {phase.name}: {k - moved} of its frozen stages trained before; they run live"
            )
        still, k = moved, moved
        wanted.append(phase.frozen_prefix)
        if k == 0:
            at.append(None)
            continue
        samples = samples or _samples(network, examples)
        for depth in range(k, 0, -1):
            if depth not in cuts and depth not in failed:
                try:
                    cuts[depth] = find_cut(network, depth, *samples)
                except CannotReplay as reason:
                    failed[depth] = str(reason)
            if depth in cuts:
                break
        found = depth if depth in cuts else None
        if found != k:
            where = f"from {network.parts[found].name} on" if found else "live"
            reasons.append(f"phase {phase.name} runs {where}: {failed[k]}")
        at.append(found)
    tokens = 0 if examples.lengths is None else int(np.ceil(examples.lengths.mean()))
    at, said = _worth(network, plan, cuts, at, count, room, tokens)
    used = {depth: cuts[depth] for depth in sorted({a for a in at if a})}
    return Replaying(tuple(wanted), tuple(at), used, (*reasons, *said))


def padding_counts(network: Network, examples: Examples) -> bool:
    """Whether padding changes what the network says of a text: replay pads it less, engines more."""
    if examples.lengths is None:
        return False
    device = next(network.module.parameters()).device
    row = np.argsort(examples.lengths[:LOOKED_AT], kind="stable")[:1]
    window: int = examples.preprocess.max_length  # type: ignore[attr-defined]
    longer = min(int(examples.lengths[row[0]]) + 5, window)
    with torch.no_grad():
        own, padded = (network(_on(device, examples.raw(row, tokens=T))) for T in (None, longer))
    of_text = padded[tuple(slice(size) for size in own.shape)]  # where it says something of every token
    return not torch.allclose(own, of_text, rtol=1e-3, atol=1e-4)


def _worth(
    network: Network,
    plan: Plan,
    cuts: Mapping[int, Cut],
    at: Sequence[int | None],
    count: int,
    room: int | None,
    tokens: int,
) -> tuple[list[int | None], list[str]]:
    """Without cuts that are cheaper to compute than to read, and those that do not fit.

    Those that save the most work per byte stay.
    """
    said: list[str] = []
    saved: dict[int, float] = {}
    for phase, depth in zip(plan.phases, at, strict=True):
        if depth:
            saved[depth] = saved.get(depth, 0.0) + phase.epochs * _macs(network, depth)
    kept: set[int] = set()
    left = room
    sizes = {depth: sum(leaf.bytes(tokens) for leaf in cuts[depth].stored) for depth in saved}
    for depth in sorted(saved, key=lambda d: saved[d] / sizes[d], reverse=True):
        size = sizes[depth]
        name = network.parts[depth].name
        if _macs(network, depth) / MACS_A_SECOND < size / BYTES_A_SECOND:
            said.append(f"what precedes {name} runs live: {size / 1e6:.1f} MB an example cost more to read")
        elif left is not None and size * count > left:
            said.append(
                f"what precedes {name} runs live: {size * count / 1e9:.1f} GB do not fit into the store "
                f"(--store-limit)"
            )
        else:
            kept.add(depth)
            left = None if left is None else left - size * count
    below = {d: max((k for k in kept if k <= d), default=None) for d in saved}
    return [below[d] if d else None for d in at], said


def _samples(network: Network, examples: Examples) -> tuple[Any, Any]:
    """Three examples and two others; of texts the longest and the shortest of the first ones."""
    device = next(network.module.parameters()).device
    rows = np.arange(min(len(examples), LOOKED_AT))
    if examples.lengths is None:
        picked = rows[:3] if len(rows) > 2 else np.resize(rows, 3)
        return _on(device, examples.raw(picked)), _on(device, examples.raw(picked[:2]))
    order = rows[np.argsort(examples.lengths[rows], kind="stable")]
    longest, shortest = np.resize(order[::-1], 3), np.resize(order, 2)
    window: int = examples.preprocess.max_length  # type: ignore[attr-defined]
    short = int(examples.lengths[shortest].max())
    long = min(max(int(examples.lengths[longest].max()), short + 1), window)
    few = _on(device, examples.raw(shortest))
    if short == long:  # every text fills the window
        few = {name: tensor[:, : max(1, short * 2 // 3)] for name, tensor in few.items()}
    return _on(device, examples.raw(longest, tokens=long)), few


def _on(device: torch.device, inputs: Any) -> Any:
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def _macs(network: Network, depth: int) -> int:
    return sum(part.macs for part in network.parts[:depth])
