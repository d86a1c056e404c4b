"""Where to cut a traced network: units that end where one tensor carries everything that follows."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from tunesmith.networks.trace import Call, Trace, Value

LARGEST = 0.35  # of a network's MACs in one unit, where it can be cut further
SMALL = 0.10  # of a network's MACs in neighbours that are not blocks and become one unit


@dataclass(frozen=True)
class Unit:
    """Neighbouring calls that stay together; blocks: how many of what repeats are among them."""

    calls: tuple[Call, ...]
    blocks: int = 0

    @property
    def start(self) -> int:
        """The tick at which the first call starts."""
        return self.calls[0].start

    @property
    def end(self) -> int:
        """The tick at which the last call ends."""
        return self.calls[-1].end

    @property
    def paths(self) -> tuple[str, ...]:
        """Each module once, in order of its first call."""
        return tuple(dict.fromkeys(call.path for call in self.calls))

    def __add__(self, other: Unit) -> Unit:
        return Unit(self.calls + other.calls, self.blocks + other.blocks)


class Cutter:
    """Cuts one traced network into units.

    calls: of every module, in order.
    marks: ticks at which it must be cut; nothing at or after the last one, the head's, is looked at.
    """

    def __init__(self, seen: Trace, calls: list[Call], marks: list[int]) -> None:
        self.seen, self.marks, self.head_start = seen, marks, marks[-1]
        self.total = seen.macs(0, seen.root.end)
        members = list({c.path: c for c in calls if has_matrix(c)}.values())
        self.runs = Counter(c.path for c in calls)
        self.siblings = Counter(map(_family, members))
        self.numbered = Counter((_family(c), _unnumbered(c.path)) for c in members)
        self.by_class: dict[type, list[Call]] = {}
        for c in calls:
            self.by_class.setdefault(type(c.module), []).append(c)
        self.indivisible: dict[type, bool] = {nn.Sequential: False}
        self.divided: dict[Call, list[Unit]] = {}

    def by_rule(self) -> list[Unit]:
        """Blocks, what lies between them, and parts of what does more than LARGEST of the work."""
        return self._tidy(self._lighten(self._joined(self._units(self.seen.root))))

    def at(self, begins: list[int]) -> list[Unit]:
        """One unit from each of these ticks to the next; what runs before the first is one too."""
        units: list[Unit] = []
        for call in self._between_marks(self.seen.root):
            if units and bisect_right(begins, units[-1].end) == bisect_right(begins, call.start):
                units[-1] += Unit((call,))
            else:
                units.append(Unit((call,)))
        return units

    def _between_marks(self, call: Call) -> Iterator[Call]:
        for child in call.children:
            if self._spans_mark(child):
                yield from self._between_marks(child)
            elif child.start < self.head_start:
                yield child

    def _spans_mark(self, call: Call) -> bool:
        return any(call.start < mark < call.end for mark in self.marks)

    def _repeats(self, call: Call, *, leaf: bool = False) -> bool:
        """Whether this is a block: siblings of its class run too, or it runs several times."""
        if not call.children and not leaf:
            return False
        again = self.runs[call.path] > 1 and has_matrix(call)
        sequence = type(call.module) is nn.Sequential
        alike = self._is_numbered(call) or (not sequence and self.siblings[_family(call)] > 1)
        return again or alike

    def _is_numbered(self, call: Call) -> bool:
        """Whether the names of siblings of its class differ in a number only."""
        return self.numbered[_family(call), _unnumbered(call.path)] > 1

    # -- cut where one tensor crosses ----------------------------------------------------------

    def _divide(self, call: Call) -> list[Unit]:
        """The call as one unit, or as several if it only passes blocks through."""
        if call not in self.divided:
            self.divided[call] = self._divided(call)
        return self.divided[call]

    def _divided(self, call: Call) -> list[Unit]:
        if call.start >= self.head_start:
            return []
        if self._spans_mark(call):
            return self._joined(self._opened(call))
        inside = self._joined(self._units(call))
        if self._passes_through(call, inside):
            return inside
        block = self._repeats(call) or self._is_indivisible(type(call.module))
        return [Unit((call,), 1 if block else sum(unit.blocks for unit in inside))]

    def _passes_through(self, call: Call, inside: list[Unit]) -> bool:
        """Whether a module only holds blocks, as a Sequential does or a list of lists of blocks."""
        if not any(unit.blocks for unit in inside) or self._is_indivisible(type(call.module)):
            return False
        if self._repeats(call) and not any(self._is_numbered(unit.calls[0]) for unit in inside):
            return False
        alone = len(inside) == 1
        return not alone or (len(inside[0].paths) == 1 and len(self.seen.crossing(inside[0].end)) < 2)

    def _units(self, call: Call) -> list[Unit]:
        return [unit for child in call.children for unit in self._divide(child)]

    def _opened(self, call: Call) -> list[Unit]:
        """Its parts; where it had to be opened, layers that repeat are blocks too."""
        return [
            Unit(unit.calls, unit.blocks or self._repeats(unit.calls[0], leaf=True))
            for unit in self._units(call)
        ]

    def _is_indivisible(self, kind: type) -> bool:
        """Whether blocks inside one module of this class cannot be parted: then none is opened.

        A residual block without its shortcut (where the stride is 2) could be cut, but the same
        class should be the same thing everywhere.
        """
        if kind not in self.indivisible:
            self.indivisible[kind] = False  # for a class that holds itself
            for call in self.by_class.get(kind, ()):
                units = self._units(call)
                if sum(u.blocks for u in units) > 1 and len(self._joined(units)) == 1:
                    self.indivisible[kind] = True
        return self.indivisible[kind]

    def _joined(self, units: list[Unit]) -> list[Unit]:
        """Neighbours between which more than one tensor passes become one."""
        joined: list[Unit] = []
        for i, unit in enumerate(units):
            earlier = self._again(joined, unit)
            if earlier is not None:
                joined[earlier:] = [sum(joined[earlier + 1 :], joined[earlier]) + unit]
            elif joined and not self._one_crosses(units, i - 1):
                joined[-1] += unit
            else:
                joined.append(unit)
        return joined

    def _again(self, units: list[Unit], unit: Unit) -> int | None:
        """Where a module with weights ran before, if it now runs on what came out of there."""
        call = unit.calls[0]
        for i, earlier in enumerate(units):
            if call.path in earlier.paths and has_matrix(call):
                return i if self.seen.reads_activation(call) else None
        return None

    def _one_crosses(self, units: list[Unit], i: int) -> bool:
        """Whether the output of unit i is all that unit i + 1 and what follows build on.

        What blocks of one class read all along (an encoder's output, in a decoder) does not count.
        """
        crossing = self.seen.crossing(units[i].end)
        if len(crossing) > 1:
            crossing = [value for value in crossing if not _is_context(value, units)]
        return len(crossing) == 1 and _reads_after(crossing[0], units[i].end) < units[i + 1].end

    # -- cut further where the work is ---------------------------------------------------------

    def _lighten(self, units: list[Unit], until: int | None = None) -> list[Unit]:
        light: list[Unit] = []
        starts = [unit.start for unit in units] + [self.head_start if until is None else until]
        i = 0
        while i < len(units):
            unit, i = units[i], i + 1
            if not self._is_heavy(unit.start, starts[i]):
                light.append(unit)
                continue
            # Where a module ends in a step of its own (a dense block joins its layers' outputs), its
            # last part ends before that step; only what follows has one output again.
            tail = units[i] if i < len(units) and len(self._crossing_within(unit)) > 1 else None
            pieces = self._pieces(unit, starts[i + 1 if tail else i])
            if tail and len(pieces) > 1:
                pieces[-1] += tail
                i += 1
            light += self._lighten(pieces, starts[i]) if len(pieces) > 1 else [unit]
        return light

    def _is_heavy(self, start: int, end: int) -> bool:
        return self.seen.macs(start, end) > LARGEST * self.total

    def _crossing_within(self, unit: Unit) -> list[Value]:
        """What must stay alive when the last part of a unit has run, but not yet the unit."""
        last = unit.calls[-1]
        return self.seen.crossing(last.children[-1].end if last.children else last.end)

    def _pieces(self, unit: Unit, end: int) -> list[Unit]:
        if len(unit.paths) == 1:
            if len(unit.calls) > 1:
                return [unit]  # one module that runs many times is one stage
            units = self._opened(unit.calls[0])
        else:
            units = [Unit((c,), int(self._repeats(c))) for c in unit.calls]
        joined = self._joined(units)
        if len(joined) > 1:
            return joined
        if len(units) == 1:
            return self._pieces(units[0], end)
        return self._cut_at_narrowest(units, end)

    def _cut_at_narrowest(self, units: list[Unit], end: int) -> list[Unit]:
        """Cut where the fewest tensors cross, but never between the parts of one block.

        One cut into two light pieces, if there is one; else wherever as few cross.
        end: up to where the work of the last piece counts.
        """
        widths = [
            min(len(self.seen.crossing(a.end)), len(self.seen.crossing(b.start))) for a, b in pairwise(units)
        ]
        blocks = sum(unit.blocks for unit in units)
        if not widths or (min(widths) > 1 and blocks < 2) or self._loops(units):
            return units[:1]
        cuts = [i for i, width in enumerate(widths, 1) if width == min(widths)]
        if min(widths) > 1:
            begin, starts = units[0].start, [unit.start for unit in units]
            halves = [i for i, at in enumerate(starts) if i and not self._is_heavy(begin, at)]
            halves = [i for i in halves if not self._is_heavy(starts[i], end)]
            cuts = sorted(halves, key=lambda i: widths[i - 1])[:1] or cuts
        return [sum(units[a + 1 : b], units[a]) for a, b in pairwise([0, *cuts, len(units)])]

    def _loops(self, units: list[Unit]) -> bool:
        """Whether most of this is the same few modules again and again: no prefix of it can be frozen."""
        counts = Counter(path for unit in units for path in unit.paths if has_matrix(unit.calls[0]))
        again = [unit for unit in units if counts[unit.paths[0]] > 1]
        return sum(self.seen.macs(u.start, u.end) for u in again) > SMALL * self.total

    # -- join what is too little to be a stage -------------------------------------------------

    def _tidy(self, units: list[Unit]) -> list[Unit]:
        """Norms and what has no weights of its own join the unit before; small neighbours become one."""
        tidy: list[Unit] = []
        known: set[str] = set()
        first_is_bare = False
        for unit in units:
            bare = not any(has_matrix(call) for call in unit.calls if call.path not in known)
            if tidy and (bare or first_is_bare or self._are_small(tidy[-1], unit)):
                tidy[-1] += unit
            else:
                tidy.append(unit)
            first_is_bare = bare and (len(known) == 0 or first_is_bare)
            known.update(inner.path for call in unit.calls for inner in call.walk())
        return tidy

    def _are_small(self, a: Unit, b: Unit) -> bool:
        if a.blocks or b.blocks:
            return False
        return self.seen.macs(a.start, b.end) <= SMALL * self.total


def _is_context(value: Value, units: list[Unit]) -> bool:
    """Whether two or more blocks of one class read this value, and nothing else does."""
    starts = [unit.start for unit in units]
    found = [bisect_right(starts, tick) - 1 for tick in value.reads]
    readers = {i for i in found if i >= 0 and units[i].blocks}
    inside = all(i in readers and tick < units[i].end for i, tick in zip(found, value.reads, strict=True))
    return inside and len(readers) > 1 and len({type(units[i].calls[0].module) for i in readers}) == 1


def _reads_after(value: Value, tick: int) -> int:
    return value.reads[bisect_right(value.reads, tick)]


def has_matrix(call: Call) -> bool:
    """Whether weights of two or more dimensions are inside: norms have none."""
    return any(sum(side > 1 for side in w.shape) > 1 for w in call.module.parameters())


def _family(call: Call) -> tuple[str, type]:
    return _parent(call.path), type(call.module)


def _unnumbered(path: str) -> str:
    return "".join(c for c in path.rpartition(".")[2] if not c.isdigit())


def _parent(path: str) -> str:
    return path.rpartition(".")[0]
