"""What frozen stages put out for each example: computed once, at an engine's speed, and kept.

One pass over an example writes the tensors of every cut that the plan replays from, and the pooled
features of every stage. A record depends on the example alone: see training.runner.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tunesmith.engines import TOLERANCE, Engine
from tunesmith.errors import CannotReplay
from tunesmith.networks.activations import Activations
from tunesmith.networks.augment import augmentation
from tunesmith.networks.network import Network
from tunesmith.networks.prefix import Prefix
from tunesmith.networks.replay import Cut, Leaf
from tunesmith.store import Shelf, Store
from tunesmith.store.keys import record_key, shelf_key
from tunesmith.training.batches import ahead
from tunesmith.training.examples import Examples
from tunesmith.training.runner import Choice, Runner, version

AUDITED = 4  # known records that are computed again before any is believed
IN_MEMORY = 512 << 20  # bytes of records that are held when the store takes no more
TOGETHER = 2 << 30  # bytes of a split's head inputs that are copied into one file beside the store
POOLED: Final = "pooled"  # the shelf of pooled features; those of cuts are called by their stage
SAVED_EVERY: Final = 30.0  # seconds after which what was computed is made to survive a power cut


@dataclass(frozen=True)
class _Work:
    """A chunk that is ready for the engine: claimed, its rows' keys, which shelf lacks which, raw inputs."""

    claims: ExitStack
    keys: list[bytes]
    mine: Mapping[str, np.ndarray]
    inputs: list[Tensor]
    rows: np.ndarray


class Recorded:
    """The records of one network in one store: filled for a split, then handed out by row.

    cuts: by stage. Weights of frozen stages must stand as they are now for as long as this is used.
    engine, precision: as asked; a choice made before for the same network and cuts is taken again.
    chunk: examples in one pass of the engine; None: a fixed number by device and image size.
    unchecked: features of a network of which nothing can be replayed, for a baseline; nothing is stored.
    Raises EngineFailed if no engine agrees with the network, not even PyTorch with itself: it draws random
    numbers, or mixes the examples of a batch.
    """

    def __init__(
        self,
        network: Network,
        store: Store,
        cuts: Mapping[int, Cut],
        examples: Examples,
        *,
        engine: str = "auto",
        precision: str = "fp32",
        chunk: int | None = None,
        work: int = 0,
        augment: str = "none",
        seed: int = 0,
        unchecked: bool = False,
    ) -> None:
        self.network, self.cuts = network, dict(cuts)
        self._store, self._augment, self._seed = store, augment, seed
        self.runner = Runner(
            network,
            tuple(self.cuts.values()),
            examples,
            store.folder,
            asked=engine,
            precision=precision,
            chunk=chunk,
            work=work,
        )
        self._memory: dict[tuple[str, bytes], np.ndarray] = {}
        self._held = 0
        self._features: dict[Examples, np.ndarray | None] = {}
        self.computed, self.seconds = 0, 0.0
        self._salt = uuid.uuid4().hex if unchecked else ""
        if unchecked:
            self._store = Store(store.folder, limit=0)
            self.runner.take_eager()
        else:
            self.runner.settle()
        self._open()

    # -- what is there, and what is not ----------------------------------------------------------

    def missing(self, examples: Examples, rows: np.ndarray | None = None, *, view: int | None = None) -> int:
        """How many different examples must still be computed."""
        keys = self._keys(examples, rows, view)
        return len({key for key, absent in zip(keys, self._absent(keys), strict=True) if absent})

    def absent(self, examples: Examples) -> np.ndarray:
        """Which rows must still be computed, bool [N]."""
        return self._absent(examples.keys)

    def chunks(self, examples: Examples, rows: np.ndarray) -> list[np.ndarray]:
        """The rows as the engine takes them: texts of similar length together, the longest first."""
        return self.runner.chunks(rows, examples.lengths)

    def warm_up(self) -> Engine:
        """The engine, built if it is not there yet; another one where the one remembered fails here."""
        before = self.choice
        engine = self.runner.warm_up()
        if self.choice != before:
            self._open()
        return engine

    @property
    def choice(self) -> Choice:
        """Which engine runs the prefix."""
        assert self.runner.choice is not None
        return self.runner.choice

    @property
    def chunk(self) -> int:
        """Examples in one pass of the engine."""
        return self.runner.chunk

    @property
    def unchecked(self) -> bool:
        """Whether nothing was compared with the live network, and nothing is stored."""
        return bool(self._salt)

    @property
    def bytes_each(self) -> dict[str, int]:
        """Bytes of one example's record on each shelf; of ragged texts for 32 tokens."""
        found = {name: sum(leaf.bytes(32) for leaf in leaves) for name, leaves in self._leaves.items()}
        return {name: size + (4 * sum(self.widths) if name == POOLED else 0) for name, size in found.items()}

    def fill(
        self,
        examples: Examples,
        rows: np.ndarray | None = None,
        *,
        view: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Compute what is missing of these rows; what other processes compute is waited for.

        view: a number of an augmented view of each image; None: the image itself.
        """
        rows = np.arange(len(examples)) if rows is None else rows
        keys = self._keys(examples, rows, view)
        while True:
            absent = self._absent(keys)
            wanted = dict(zip([k for k, a in zip(keys, absent, strict=True) if a], rows[absent], strict=True))
            if not wanted:
                break
            done = self._compute(examples, np.asarray(list(wanted.values())), view, progress)
            if any(shelf.full for shelf in self.shelves.values()):
                break  # the rest is computed whenever it is needed
            if not done:
                time.sleep(0.1)  # another process has claimed the rest
        self._commit()
        if self.computed:
            each = self.seconds / self.computed
            for shelf in self.shelves.values():
                shelf.note(seconds=each)

    # -- handing out -----------------------------------------------------------------------------

    def pooled(self, examples: Examples, rows: np.ndarray | None = None, *, stage: int = -1) -> np.ndarray:
        """Pooled features of examples that a stage hands on, float32 [n, D]; the last one's go to the head.

        rows: of `examples.whole`; None: all. Of an example that is cut into windows the mean of theirs.
        """
        some = np.arange(len(examples.whole)) if rows is None else rows
        return examples.means(self._handed_on(examples, examples.rows_of(some), stage), some)

    def _handed_on(self, examples: Examples, rows: np.ndarray, stage: int) -> np.ndarray:
        """The same of rows, which may be windows."""
        ends = np.cumsum(self.widths)
        stage = stage % len(self.widths)
        part = slice(int(ends[stage] - self.widths[stage]), int(ends[stage]))
        out = np.empty((len(rows), self.widths[stage]), np.float32)
        for i, record in enumerate(self._records(POOLED, examples, rows, None)):
            out[i] = record[part]
        return out

    def solved(self, how: str) -> Shelf:
        """Where it is kept what was solved on pooled features; `how` says with what. Close it."""
        about = {"what": "heads solved on pooled features", "how": how, "features": self.keys[POOLED]}
        return self._store.shelf(shelf_key(about), {**about, "model": self.network.origin})

    def activations(
        self, at: int, examples: Examples, rows: np.ndarray, *, view: int | None = None
    ) -> Activations:
        """A batch to go on from at a cut; copies, on the CPU."""
        cut = self.cuts[at]
        if at == self._inside:
            if view is None and (together := self._together(examples)) is not None:
                return Activations(cut, (torch.from_numpy(np.asarray(together[rows])),))
            start = sum(self.widths[:-1])
            found = [record[start:] for record in self._records(POOLED, examples, rows, view)]
            return Activations(cut, (torch.from_numpy(np.stack(found)),))
        lengths = examples.lengths[rows] if examples.lengths is not None else np.zeros(len(rows), np.int64)
        T = int(lengths.max(initial=0))
        tensors = [torch.zeros(leaf.shape(len(rows), T)) for leaf in cut.stored]
        for i, record in enumerate(self._records(str(at), examples, rows, view)):
            start = 0
            for leaf, tensor in zip(cut.stored, tensors, strict=True):
                own = (tensor[i, : lengths[i]] if leaf.ragged else tensor[i]).numpy()
                own[...] = record[start : start + own.size].reshape(own.shape)
                start += own.size
        rest = None if cut.chain or not self.runner.names else examples.raw(rows)
        return Activations(cut, tuple(tensors), rest)

    def _together(self, examples: Examples) -> np.ndarray | None:
        """What the head is given for a whole split in one array, in a file without a name; None if too large.

        A batch of 32 is then one gather instead of 32 records, and memory stays flat.
        """
        if examples not in self._features:
            shape = len(examples), self.widths[-1]
            self._features[examples] = None
            with suppress(OSError), tempfile.TemporaryFile(dir=self._store.folder) as file:
                if 4 * shape[0] * shape[1] <= TOGETHER:
                    array = np.memmap(file, np.float32, "w+", shape=shape)
                    for start in range(0, shape[0], 1024):
                        rows = np.arange(start, min(start + 1024, shape[0]))
                        array[rows] = self._handed_on(examples, rows, -1)
                    self._features[examples] = array
        return self._features[examples]

    def audit(self, examples: Examples) -> None:
        """Compute a few known records live and compare. Raises CannotReplay if they differ."""
        keys = examples.keys
        known = np.flatnonzero(~self.shelves[POOLED].missing(keys[:200]))[:AUDITED]
        if not len(known):
            return
        live = self._live(examples, known)
        kept = np.stack([r.copy() for r in self._records(POOLED, examples, known, None)])
        scale = float(np.sqrt((live**2).mean())) or 1.0
        gap = float(np.abs(live - kept).max()) / scale
        if not gap <= 10 * TOLERANCE[self.choice.precision]:  # NaN too
            raise CannotReplay(
                f"stored records of this network differ from it by {gap:.1g}; "
                f"`tunesmith store clear {self.keys[POOLED][:12]}` removes them."
            )

    # -- computing -------------------------------------------------------------------------------

    def _compute(
        self,
        examples: Examples,
        rows: np.ndarray,
        view: int | None,
        progress: Callable[[int], None] | None,
    ) -> int:
        """Compute rows that nobody else is computing; returns how many were."""
        engine = self.warm_up()
        chunks = self.chunks(examples, rows)
        done, open_claims = 0, set[ExitStack]()

        def prepare(chunk: np.ndarray) -> _Work | None:
            claims = ExitStack()
            open_claims.add(claims)
            keys = self._keys(examples, chunk, view)
            mine = {n: claims.enter_context(shelf.claim(keys)).mine for n, shelf in self.shelves.items()}
            needed = np.logical_or.reduce(list(mine.values()))
            if not needed.any():
                claims.close()
                return None
            chunk, keys = chunk[needed], [k for k, n in zip(keys, needed, strict=True) if n]
            inputs = self._inputs(examples, chunk, view, keys)
            return _Work(claims, keys, {name: own[needed] for name, own in mine.items()}, inputs, chunk)

        began = saved = time.perf_counter()
        try:
            with closing(ahead(prepare, chunks)) as prepared:  # its thread ends before claims are given back
                for work in prepared:
                    if work is None:
                        continue
                    self._keep(work, engine(work.inputs), examples)
                    work.claims.close()
                    done += len(work.keys)
                    if progress:
                        progress(len(work.keys))
                    if time.perf_counter() - saved > SAVED_EVERY:
                        self._commit()
                        saved = time.perf_counter()
        finally:
            for claims in open_claims:
                claims.close()
            self.seconds += time.perf_counter() - began
            self.computed += done
        return done

    def _commit(self) -> None:
        for shelf in self.shelves.values():
            shelf.commit()

    def _keep(self, work: _Work, outputs: Sequence[Tensor], examples: Examples) -> None:
        keys, rows = work.keys, work.rows
        for name, shelf in self.shelves.items():
            picked = [i for i in range(len(keys)) if work.mine[name][i]]
            records = [self._record(name, outputs, i, examples, rows[i]) for i in picked]
            stored = shelf.put([keys[i] for i in picked], records)
            for i, record in list(zip(picked, records, strict=True))[stored:]:
                if self._held + record.nbytes <= IN_MEMORY:
                    self._memory[name, keys[i]] = record.copy()
                    self._held += record.nbytes

    def _record(
        self,
        name: str,
        outputs: Sequence[Tensor],
        i: int,
        examples: Examples,
        row: int,
        places: Sequence[int] | None = None,
    ) -> np.ndarray:
        """What a shelf keeps of the i-th example of a chunk, float32, flat; of texts without padding."""
        if name == POOLED:
            return np.asarray(outputs[-1][i])
        length = int(examples.lengths[row]) if examples.lengths is not None else 0
        parts = [outputs[place][i].numpy() for place in (self._places[name] if places is None else places)]
        leaves = zip(parts, self._leaves[name], strict=True)
        return np.concatenate([(p[:length] if leaf.ragged else p).reshape(-1) for p, leaf in leaves])

    def _inputs(
        self, examples: Examples, rows: np.ndarray, view: int | None, keys: Sequence[bytes]
    ) -> list[Tensor]:
        """Raw inputs of a whole chunk, of images a view of each where one is asked for."""
        if view is None or self.runner.names:
            return self.runner.inputs(examples, rows)
        return [self.runner.padded(self._viewed(examples.raw(rows), keys))]

    def _viewed(self, images: Tensor, keys: Sequence[bytes]) -> Tensor:
        """Each image changed at random, by a seed of its own: the same view whatever the chunk."""
        change = augmentation(self._augment, int(images.shape[-1]))
        if change is None:
            return images
        out = []
        before = torch.default_generator.get_state()
        for image, key in zip(images, keys, strict=True):
            torch.default_generator.manual_seed(int.from_bytes(key[:7], "little"))
            out.append(change(image[None])[0])
        torch.default_generator.set_state(before)
        return torch.stack(out)

    def _live(self, examples: Examples, rows: np.ndarray) -> np.ndarray:
        """Pooled features by the live network, float32 [n, D]."""
        device = next(self.network.module.parameters()).device
        with torch.inference_mode():
            inputs = [t[: len(rows)].to(device) for t in self._inputs(examples, rows, None, [])]
            found = self.runner.prefix(*inputs)[-1]
        return np.asarray(found.float().cpu())

    # -- shelves ---------------------------------------------------------------------------------

    def _open(self) -> None:
        network = self.network
        self.widths = self.choice.widths
        end = len(network.stages)
        head = self.cuts.get(end)
        self._inside = end if head is not None and _is_head_input(head, self.widths[-1]) else None
        self.shelves: dict[str, Shelf] = {}
        self.keys: dict[str, str] = {}
        self._leaves: dict[str, tuple[Leaf, ...]] = {}
        self._places: dict[str, list[int]] = {}
        start = 0
        for at, cut in self.cuts.items():
            places = list(range(start, start + len(cut.stored)))
            start += len(cut.stored)
            if at != self._inside:
                self._shelf(str(at), at, cut.stored, places, f"before {network.parts[at].name}")
        self._shelf(POOLED, end, (), [], "pooled, every stage")

    def _shelf(self, name: str, at: int, leaves: tuple[Leaf, ...], places: list[int], where: str) -> None:
        choice = self.choice
        identity: dict[str, Any] = {
            "what": "activations" if leaves else "pooled features",
            "network": self.runner.identity(at),
            "stored": [repr(leaf) for leaf in leaves],
            "engine": f"{choice.engine} {version(choice.engine)}".strip(),
            "precision": choice.precision,
            "chunk": self.chunk,
            "unchecked": self._salt,
            "device": self.runner.device,
        }
        axes = self.runner.prefix.axes
        if not leaves and any(axes):  # maps that say it themselves are pooled as they say
            identity["channels"] = axes
        extra = {"model": self.network.origin, "cut": where, "dtype": "float32"}
        self.keys[name] = shelf_key(identity)
        self.shelves[name] = self._store.shelf(self.keys[name], {**identity, **extra})
        self._leaves[name], self._places[name] = leaves, places

    def _keys(self, examples: Examples, rows: np.ndarray | None, view: int | None) -> list[bytes]:
        keys = examples.keys if rows is None else [examples.keys[row] for row in rows]
        if view is None:
            return list(keys)
        said = f"{self._augment}, view {view}, seed {self._seed}"
        return [record_key(key, said) for key in keys]

    def _absent(self, keys: Sequence[bytes]) -> np.ndarray:
        found = np.zeros(len(keys), bool)
        for name, shelf in self.shelves.items():
            absent = shelf.missing(keys)
            if self._memory:
                absent = absent & np.asarray([(name, key) not in self._memory for key in keys])
            found |= absent
        return found

    def _records(self, name: str, examples: Examples, rows: np.ndarray, view: int | None) -> list[np.ndarray]:
        """Float32 records in the order of the rows; what is missing is computed now, and not kept."""
        shelf = self.shelves[name]
        found: list[np.ndarray | None] = []
        for key in self._keys(examples, rows, view):
            record = self._memory.get((name, key)) if self._memory else None
            if record is None and (kept := shelf.get(key)) is not None:
                record = np.frombuffer(kept, np.float32)
            found.append(record)
        lacking = [i for i, record in enumerate(found) if record is None]
        if lacking:
            again = self._again(name, examples, rows[lacking], view)
            for i, record in zip(lacking, again, strict=True):
                found[i] = record
        return [record for record in found if record is not None]

    def _again(self, name: str, examples: Examples, rows: np.ndarray, view: int | None) -> list[np.ndarray]:
        """Records that are damaged, or that no place was left for, by the live network up to their cut.

        An engine may have been built of weights that have moved since behind the cut; what precedes the
        cut is frozen, and stands in eval mode during training too.
        """
        cuts = () if name == POOLED else (self.cuts[int(name)],)
        prefix = Prefix(self.network, cuts, names=self.runner.names, pooled=name == POOLED)
        device = next(self.network.module.parameters()).device
        made: list[np.ndarray] = []
        for start in range(0, len(rows), self.chunk):
            some = rows[start : start + self.chunk]
            inputs = self._inputs(examples, some, view, self._keys(examples, some, view))
            with torch.no_grad():
                outputs = [t.float().cpu() for t in prefix(*(t[: len(some)].to(device) for t in inputs))]
            places = range(len(outputs))
            made += [self._record(name, outputs, i, examples, row, places) for i, row in enumerate(some)]
        return made

    def close(self) -> None:
        """Let the shelves go: they may be evicted, and their files are closed."""
        for shelf in self.shelves.values():
            shelf.close()
        self.runner.engine = None


def _is_head_input(cut: Cut, width: int) -> bool:
    """Whether what is stored before the head is the vector that pooled features end with."""
    leaf = cut.stored[0]
    return bool(cut.chain) and len(leaf.sizes) == 2 and leaf.sizes[1].at(1, 1) == width
