"""Find the stages of any network by rule: the order of calls, repetition, the share of work.

A stage ends where one tensor carries everything that comes after: there a frozen prefix can be cut
off and its output stored. That is seen in one forward pass (see trace.py), not read from names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from tunesmith.errors import BadOption
from tunesmith.networks.network import Stage
from tunesmith.networks.trace import Call, Trace, trace
from tunesmith.networks.units import LARGEST, Cutter, Unit


@dataclass(frozen=True)
class Found:
    """A network's ordered parts.

    stages: input first, the head not among them.
    ties: (name in a stage, name in the head) that are one tensor; the stage owns it.
    """

    stages: tuple[Stage, ...]
    head: Stage
    ties: tuple[tuple[str, str], ...]


def find_stages(
    module: nn.Module,
    call: Callable[[nn.Module], object],
    *,
    head: Sequence[str] = (),
    hints: Sequence[str] = (),
) -> Found:
    """A network's stages, in the order in which they run, and its head.

    Blocks (composite modules of one class that repeat) become stages; containers of blocks are
    opened; what lies between blocks and weighs little joins its neighbours; a stage with more than
    35 % of the work is cut further where its parts allow it.

    call: runs one forward pass on one example; the module may lie on the meta device.
    head: paths of the head's modules; empty: the last called weight matrix that makes the output.
    hints: paths at which stages begin, in the place of the rules.
    Raises BadOption for a path of head or hints that the forward pass does not call.
    """
    seen = trace(module, call)
    calls = list(seen.root.walk())[1:]
    ends = [_first(calls, path, "head") for path in head] or [_last_matrix(seen, calls)]
    head_start = min(c.start for c in ends) if head else _last_narrow(seen, calls, ends[0])
    head_start = _with_dropout(seen, calls, head_start)
    marks = sorted(_first(calls, path, "hint").start for path in hints)
    cutter = Cutter(seen, calls, [*marks, head_start])
    units = cutter.at(marks) if marks else cutter.by_rule()
    starts = [0, *(unit.start for unit in units[1:]), *([head_start] if units else [])]
    modules = _once([*(unit.calls for unit in units), _after(seen.root, head_start)])
    weights = _owned(module, seen, modules, starts)
    macs = [seen.macs(start, end) for start, end in pairwise([*starts, seen.root.end])]
    names = [*_shortened([_main(unit, seen) for unit in units]), ends[-1].path or "head"]
    parts = tuple(map(Stage, names, modules, weights, macs))
    return Found(parts[:-1], parts[-1], _ties(module, parts))


# -- the head --------------------------------------------------------------------------------------


def _first(calls: list[Call], path: str, what: str) -> Call:
    for call in calls:
        if call.path == path:
            return call
    raise BadOption(f"{what} {path!r} is no module that the forward pass calls; name one that runs.")


def _last_matrix(seen: Trace, calls: list[Call]) -> Call:
    for call in reversed(calls):
        own = call.module.parameters(recurse=False)
        if not call.children and any(w.ndim > 1 for w in own) and seen.makes_output(call):
            return call
    raise BadOption("the network calls no module with a weight matrix, so it has no head; pass head=[path].")


def _last_narrow(seen: Trace, calls: list[Call], end: Call) -> int:
    """Where the head begins whose last matrix is `end`: where one tensor carries everything.

    That is `end` itself, unless it stands in a residual block or beside a second head.
    """
    for call in reversed([c for c in calls if c.start <= end.start]):
        if seen.macs(call.start, seen.root.end) > LARGEST * seen.macs(0, seen.root.end):
            break
        if len(seen.crossing(call.start)) < 2:
            return call.start
    return end.start


def _with_dropout(seen: Trace, calls: list[Call], start: int) -> int:
    """Where the head begins if dropout right before it is its own.

    Pooling and the like stay with the last stage; dropout there would make its output random.
    """
    for call in reversed([c for c in calls if not c.children and c.end < start]):
        if next(call.module.parameters(), None) is not None or len(seen.crossing(call.start)) > 1:
            break
        if isinstance(call.module, _DropoutNd):
            start = call.start
    return start


# -- who owns what ---------------------------------------------------------------------------------


def _owned(
    module: nn.Module, seen: Trace, modules: list[tuple[str, ...]], starts: list[int]
) -> list[tuple[str, ...]]:
    """Names of the parameters and buffers of each part, every one in exactly one part."""
    part_of = {path: i for i, paths in enumerate(modules) for path in paths}
    owned: list[list[str]] = [[] for _ in modules]
    last = 0  # the stage of the weight that was registered before
    for name in _weights(module):
        part = _called_owner(name, part_of)
        reads = seen.weights[name].reads
        used = bisect_right(starts, reads[0]) - 1 if reads else len(starts)
        if part is None:
            part = used if reads else last
        # A weight that is used before its own module runs must be as frozen as what uses it.
        part = min(part, used)
        last = part if part < len(modules) - 1 else last
        owned[part].append(name)
    return [tuple(names) for names in owned]


def _called_owner(name: str, part_of: dict[str, int]) -> int | None:
    """The part of the module that holds this weight, or the first part inside that module."""
    path = holder = _parent(name)
    while path and path not in part_of:
        path = _parent(path)
    if path in part_of:
        return part_of[path]
    prefix = f"{holder}." if holder else ""
    return min((i for inner, i in part_of.items() if inner.startswith(prefix)), default=None)


def _weights(module: nn.Module) -> list[str]:
    """Parameters and buffers in order of registration, each under its first name."""
    known = {name for name, _ in module.named_parameters()} | {n for n, _ in module.named_buffers()}
    names = []
    for path, part in module.named_modules():
        own = (*part._parameters, *part._buffers)
        names += [name for name in (f"{path}.{n}" if path else n for n in own) if name in known]
    return names


def _ties(module: nn.Module, parts: tuple[Stage, ...]) -> tuple[tuple[str, str], ...]:
    owner = {weight: i for i, part in enumerate(parts) for weight in part.weights}
    first = {id(w): name for name, w in module.named_parameters()}
    inside = tuple(f"{path}." for path in parts[-1].modules)
    return tuple(
        (first[id(w)], name)
        for name, w in module.named_parameters(remove_duplicate=False)
        if name.startswith(inside) and owner[first[id(w)]] < len(parts) - 1
    )


# -- calls, paths, names ---------------------------------------------------------------------------


def _after(call: Call, tick: int) -> tuple[Call, ...]:
    """The outermost calls that start at this tick or later."""
    return tuple(
        c for child in call.children for c in ((child,) if child.start >= tick else _after(child, tick))
    )


def _once(groups: list[tuple[Call, ...]]) -> list[tuple[str, ...]]:
    """The paths of each group, without modules that already ran in an earlier one."""
    known: set[str] = set()
    once = []
    for calls in groups:
        once.append(tuple(dict.fromkeys(call.path for call in calls if call.path not in known)))
        known.update(inner.path for call in calls for inner in call.walk())
    return once


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _main(unit: Unit, seen: Trace) -> str:
    """The path of the module that does most of a stage's work; of equal ones the largest."""

    def weight(call: Call) -> tuple[int, int]:
        size = sum(w.numel() for w in call.module.parameters())
        return seen.macs(call.start, call.end), size

    return max(unit.calls, key=weight).path


def _shortened(paths: list[str]) -> list[str]:
    """Without the wrappers that all share: net.encoder.layer.5 is encoder.layer.5.

    A name never starts with a number: those are indices of stages.
    """
    split = [path.split(".") for path in paths]
    cut = 0
    while split and all(len(p) > cut + 1 and p[cut] == split[0][cut] for p in split):
        cut += 1
    while cut and any(p[cut].isdigit() for p in split):
        cut -= 1
    return [".".join(p[cut:]) for p in split]
