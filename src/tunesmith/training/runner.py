"""Who runs a prefix of a network over examples, and what it is fed with.

The engine is chosen once on real examples, the choice is kept in the store and taken again. Chunks have a
fixed size, texts are padded to one of a few lengths, and an engine that mixes rows is not used: what is
computed of an example depends on the example alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tunesmith.engines import Chosen, Engine, build, choose
from tunesmith.engines.compiled import first_line
from tunesmith.errors import EngineFailed, MissingPackage, TunesmithError
from tunesmith.files import write_whole
from tunesmith.networks.network import Network, digest
from tunesmith.networks.prefix import Prefix
from tunesmith.networks.replay import Cut
from tunesmith.store import CHOICES
from tunesmith.store.keys import shelf_key
from tunesmith.training.examples import Examples, tokenizer_digest

# On a CPU the maps of a few images stay in its cache: 8 of them take 0.8 of the time that 32 take, each.
CHUNK: Final = {("image", "cpu"): 8, ("text", "cpu"): 16, ("image", "cuda"): 128, ("text", "cuda"): 128}
USUAL_SIDE = 224  # pixels; larger images go in smaller chunks
PACKAGES: Final = ("torch", "torchvision", "timm", "transformers")  # their code is part of a network's
RUNTIMES = ("openvino", "onnxruntime")  # engines that are packages: another version chooses anew


@dataclass(frozen=True)
class Choice:
    """Which engine runs a prefix; kept with the run and in the store, and taken again.

    agreement: largest difference from the live network, relative to each output's size.
    rejected: engines before it in the order, with reasons. widths: how many pooled features each stage has.
    """

    engine: str
    precision: str
    agreement: float
    rejected: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()

    def told(self) -> str:
        """The engine in words.

        >>> Choice("openvino", "fp32", 4.2e-5).told(), Choice("eager", "fp32", 0.0).told()
        ('openvino in fp32, 4e-05 from the live network', 'eager in fp32')
        """
        gap = f", {self.agreement:.0e} from the live network" if self.engine != "eager" else ""
        return f"{self.engine} in {self.precision}{gap}"


class Runner:
    """A prefix of a network, its engine, and chunks of examples for it.

    cuts: what the prefix puts out, input side first. pooled: the pooled features of every stage too.
    examples: real ones, on which engines are compared with the network. folder: of the store.
    asked, precision: as asked for. work: multiply-accumulates of the whole job.
    chunk: examples in one pass; None: a fixed number by device and image size.
    choice, engine: None until `settle` and `warm_up`. The network's weights must stand as they are now for
        as long as the engine is used.
    """

    def __init__(
        self,
        network: Network,
        cuts: Sequence[Cut],
        examples: Examples,
        folder: Path,
        *,
        asked: str = "auto",
        precision: str = "fp32",
        chunk: int | None = None,
        work: int = 0,
        pooled: bool = True,
    ) -> None:
        self.network, self.examples, self.names = network, examples, examples.names
        self.asked, self.precision = asked, precision
        self.chunk = chunk or usual_chunk(network)
        self.device = next(network.module.parameters()).device.type
        network.module.eval()
        self.prefix = Prefix(network, cuts, names=self.names, pooled=pooled)
        self.choice: Choice | None = None
        self.engine: Engine | None = None
        self._folder, self._work = folder, work
        self._identities: dict[int, dict[str, Any]] = {}

    # -- the engine ------------------------------------------------------------------------------

    def settle(self) -> Choice:
        """The choice that was made before for the same network and cuts, or one made now.

        Raises EngineFailed if no engine agrees with the network, not even PyTorch with itself: it draws
        random numbers, or mixes the examples of a batch; MissingPackage for one that is not installed.
        """
        self.choice = self._remembered()
        if self.choice is None:
            self._choose(self.asked)
        assert self.choice is not None
        return self.choice

    def warm_up(self) -> Engine:
        """The engine, built if it is not there yet; another one where the one remembered fails here."""
        if self.engine is not None:
            return self.engine
        if self.choice is not None:
            try:
                return self._choose(self.choice.engine)
            except (EngineFailed, MissingPackage):
                if self.asked != "auto":
                    raise
                self.choice = None
        return self._choose(self.asked)

    def take_eager(self) -> None:
        """Run by PyTorch without any comparison, and keep no choice."""
        rows = self.chunks(np.arange(min(len(self.examples), self.chunk)), self.examples.lengths)[0]
        sample = self.inputs(self.examples, rows)
        self.engine = build("eager", self.prefix, sample, ragged=bool(self.names))
        self.engine(sample)
        self.choice = Choice("eager", "fp32", 0.0, (), self.prefix.widths)

    @property
    def key(self) -> str:
        """A content address of all that decides the choice."""
        return shelf_key(
            {
                "asked": self.asked,
                "precision": self.precision,
                "chunk": self.chunk,
                "cuts": sorted(cut.at for cut in self.prefix.cuts),
                "device": self.device,
                "network": self.identity(max((len(self.network.stages), *(c.at for c in self.prefix.cuts)))),
                "engines": {name: version(name) for name in RUNTIMES},
            }
        )

    def _choose(self, asked: str) -> Engine:
        lengths = self.examples.lengths
        chunks = self.chunks(np.arange(min(len(self.examples), 8 * self.chunk)), lengths)
        sizes = (
            {0: chunks[0]}
            if lengths is None
            else {int(lengths[rows].max()): rows for rows in (chunks[-1], chunks[0])}
        )
        different = [self.inputs(self.examples, rows) for rows in sizes.values()]
        try:
            chosen: Chosen = choose(
                asked,
                self.prefix,
                different,
                precision=self.precision,
                ragged=bool(self.names),
                work=self._work,
            )
        except TunesmithError:
            raise
        except Exception as error:  # whatever a network does when it is run up to a point
            raise EngineFailed(f"its stages cannot be run alone ({first_line(error)}).") from error
        self.engine = chosen.engine
        if self.choice is None:
            gap = float(chosen.agreement.largest)
            name, precision, widths = chosen.engine.name, chosen.engine.precision, self.prefix.widths
            self.choice = Choice(name, precision, gap, chosen.rejected, widths)
            with suppress(OSError):  # a full disk, or one to read from: it is chosen anew the next time
                self._choice_file().parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._choice_file(), json.dumps(asdict(self.choice), indent=1) + "\n")
        return chosen.engine

    def _remembered(self) -> Choice | None:
        try:
            found = json.loads(self._choice_file().read_text(encoding="utf-8"))
            found |= {name: tuple(found[name]) for name in ("rejected", "widths")}
            return Choice(**found)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _choice_file(self) -> Path:
        return self._folder / CHOICES / f"{self.key}.json"

    def identity(self, at: int) -> dict[str, Any]:
        """All that decides what the parts before `at` put out; their weights are read once."""
        if at not in self._identities:
            self._identities[at] = self._identified(at)
        return self._identities[at]

    def _identified(self, at: int) -> dict[str, Any]:
        network = self.network
        tensors = {name: t for i in range(at) for name, t in network.tensors(i).items()}
        code = [str(network.module.get_submodule(p)) for s in network.parts[:at] for p in s.modules]
        try:
            code.append(inspect.getsource(type(network.module)))
        except (OSError, TypeError):
            code.append(type(network.module).__qualname__)
        tokenizer = getattr(network.preprocess, "tokenizer", None)
        form = dict(network.preprocess.spec())
        form.pop("long_texts", None)  # which decides what is a row, and not what is said of it
        return {
            "weights": digest(tensors),
            "code": hashlib.sha256("\n".join(code).encode()).hexdigest(),
            "packages": {package: version(package) for package in PACKAGES},
            "preprocess": form,
            "tokenizer": tokenizer_digest(tokenizer) if tokenizer is not None else "",
            "at": network.parts[at].name if at < len(network.stages) else "head",
        }

    # -- what it is fed with ---------------------------------------------------------------------

    def chunks(self, rows: np.ndarray, lengths: np.ndarray | None) -> list[np.ndarray]:
        """The rows as the engine takes them: texts of similar length together, the longest first."""
        if lengths is None:
            return [rows[i : i + self.chunk] for i in range(0, len(rows), self.chunk)]
        longest: int = self.network.preprocess.max_length  # type: ignore[attr-defined]
        sizes = np.asarray([bucket(int(n), longest) for n in lengths[rows]])
        groups = [rows[sizes == size] for size in sorted(set(sizes.tolist()), reverse=True)]
        return [g[i : i + self.chunk] for g in groups for i in range(0, len(g), self.chunk)]

    def inputs(self, examples: Examples, rows: np.ndarray) -> list[Tensor]:
        """Raw inputs of a whole chunk: the last row stands for those that are not there."""
        if not self.names:
            return [self.padded(examples.raw(rows))]
        tokens = None
        if examples.lengths is not None:
            longest: int = self.network.preprocess.max_length  # type: ignore[attr-defined]
            tokens = bucket(int(examples.lengths[rows].max()), longest)
        found = examples.raw(rows, tokens=tokens)
        return [self.padded(found[name]) for name in self.names]

    def padded(self, tensor: Tensor) -> Tensor:
        """With copies of the last row up to a whole chunk."""
        lacking = self.chunk - len(tensor)
        if lacking <= 0:
            return tensor
        return torch.cat([tensor, tensor[-1:].expand(lacking, *tensor.shape[1:])])


def bucket(tokens: int, longest: int) -> int:
    """The length that a text is padded to: one of a few, so that engines meet few shapes.

    >>> [bucket(n, 512) for n in (3, 8, 9, 64, 65, 130, 300)]
    [8, 8, 16, 64, 80, 160, 320]
    """
    step = 8 if tokens <= 64 else 16 if tokens <= 128 else 32 if tokens <= 256 else 64
    return min(-(-tokens // step) * step, max(longest, tokens))


def version(package: str) -> str:
    """A package's version; empty if it is not installed, or no package of its own (eager, compile)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def usual_chunk(network: Network) -> int:
    """How many examples go through an engine together, by device and image size."""
    device = next(network.module.parameters()).device.type
    takes = network.preprocess.takes
    chunk = CHUNK.get((takes, device), CHUNK[takes, "cpu"])
    size = getattr(network.preprocess, "size", USUAL_SIDE)
    while chunk > 1 and size * size * chunk > 2 * CHUNK[takes, "cpu"] * USUAL_SIDE**2:
        chunk //= 2
    return chunk
