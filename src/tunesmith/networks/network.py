"""A network is an ordered tuple of stages and a head; nothing downstream knows its module names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tunesmith import markup
from tunesmith.errors import TiedWeights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tunesmith.networks.activations import Activations
    from tunesmith.networks.preprocess import Preprocess


@dataclass(frozen=True)
class Stage:
    """Modules that run between two points of the network.

    name: as a person would say it: "layer3.1", "encoder.layer.5".
    modules: paths, in the order in which they are first called.
    weights: names of the parameters and buffers that it owns; no weight has two owners.
    macs: multiply-accumulates for one example, by the size that was traced; 0 if it was not counted.
    """

    name: str
    modules: tuple[str, ...]
    weights: tuple[str, ...]
    macs: int = 0


@dataclass(frozen=True)
class Want:
    """What a task asks of a source; sources never see tasks.

    kind: "image-classification", "text-classification", ...
    outputs: how many numbers the head gives per example.
    labels: their names, in order; empty where outputs have none.
    head: "linear", "mlp" or "conv": a new head; "pretrained": the network's own, as a feature extractor.
    dropout: in the new head, in training.
    image_size: pixels a side; None: as the network was pretrained.
    max_length: tokens; None: the network's window, at most 512.
    long_texts: what becomes of longer ones: "cut" there, or read in "windows" (`TextPreprocess`).
    pairs: texts come in twos (`tunesmith.data.pairs`).
    allow_missing: weights that a checkpoint lacks start random instead of being an error.
    untie: a head that shares a tensor with a stage gets its own copy.
    """

    kind: str
    outputs: int
    labels: tuple[str, ...] = ()
    head: str = "linear"
    dropout: float = 0.0
    image_size: int | None = None
    max_length: int | None = None
    long_texts: str = "cut"
    pairs: bool = False
    allow_missing: bool = False
    untie: bool = False


@dataclass
class Network:
    """A loaded network, its parts in order, and how a raw item becomes its input.

    stages: input first, the head not among them.
    ties: (stage weight, head weight) that are one tensor.
    origin: where it comes from: "timm/mobilenetv2_100@<first 12 digits of the weights' SHA-256>".
    recipe: what its source needs to build the same network again without weights; JSON values only,
        None for a person's own module.
    family: "cnn", "convnext", "vit" or "text": what learning rates suit it (see choosing.which_lr).
    missing: weights that started random although a checkpoint was given.
    loaded: what was found while loading, in words.
    example: input for one forward pass, where `preprocess` cannot make one.
    source_head: the linear layer that a new head took the place of; its answers are the pretraining's.
    """

    module: nn.Module
    stages: tuple[Stage, ...]
    head: Stage
    ties: tuple[tuple[str, str], ...]
    preprocess: Preprocess
    origin: str
    recipe: Mapping[str, Any] | None = None
    family: str = "cnn"
    missing: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    example: Any = None
    source_head: nn.Linear | None = field(default=None, repr=False)
    _owner: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for i, stage in enumerate(self.parts):
            for name in stage.weights:
                self._owner[name] = i

    @property
    def parts(self) -> tuple[Stage, ...]:
        """The stages and then the head: one per learning rate of a phase."""
        return (*self.stages, self.head)

    def __call__(self, inputs: Tensor | Mapping[str, Tensor] | Activations) -> Tensor:
        """What the head gives: logits [B, K] for classification, [B, T, 2] for starts and ends of answers.

        inputs: what the task's collate made: uint8 images [B, 3, H, W] or a mapping of token tensors
        [B, T]; normalised here, on the network's device. Or stored activations: the rest runs.
        """
        from tunesmith.networks.activations import Activations

        if isinstance(inputs, Activations):
            out = inputs.resume(self)
        else:
            out = self.run(self.preprocess.ready(inputs))
        said: Tensor = said_by(out)
        return said

    def _repr_html_(self) -> str:
        """Its parts in a notebook, input first: how many weights they have, and their share of the work."""
        weights = dict(self.module.named_parameters()) | dict(self.module.named_buffers())
        macs = sum(part.macs for part in self.parts)
        rows = [
            (
                part.name,
                f"{sum(weights[name].numel() for name in part.weights):,}",
                f"{100 * part.macs / macs:.1f} %" if macs else "–",
            )
            for part in self.parts
        ]
        told = markup.table(("stage", "weights", "work"), rows, numbers=(1, 2))
        return markup.box(self.origin, markup.lines(*self.loaded), told)

    def run(self, ready: Tensor | Mapping[str, Tensor]) -> Any:
        """What the module puts out for an input that is ready for it."""
        return self.module(**ready) if isinstance(ready, Mapping) else self.module(ready)

    def owner(self, weight: str) -> int:
        """Index into `parts` of the stage that owns a parameter or buffer."""
        return self._owner[weight]

    def tensors(self, part: int) -> dict[str, Tensor]:
        """The parameters and buffers of one stage, or of the head, by name."""
        everything = dict(self.module.named_parameters()) | dict(self.module.named_buffers())
        return {name: everything[name] for name in self.parts[part].weights}

    def index(self, name: str) -> int:
        """Which stage is called `name`; also accepts an index as text.

        Raises UnknownName with a guess.
        """
        from tunesmith.errors import UnknownName
        from tunesmith.registry import did_you_mean

        names = [stage.name for stage in self.stages]
        if name in names:
            return names.index(name)
        if name.isdigit() and int(name) < len(names):
            return int(name)
        inside = [n for n in names if n.startswith(f"{name}.")]
        hint = f"; it is cut into {', '.join(inside)}" if inside else did_you_mean(name, names)
        raise UnknownName(
            f"no stage named {name!r} in {self.origin}{hint or ';'} `tunesmith stages MODEL` lists them."
        )


def said_by(out: Any) -> Any:
    """The tensor that a module's output says its answer with; the output itself where there is none.

    Starts and ends of answers are two tensors [B, T], and become one [B, T, 2].
    """
    import torch

    if hasattr(out, "start_logits"):
        return torch.stack([out.start_logits, out.end_logits], dim=-1)
    return getattr(out, "logits", out)


def digest(tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 over names, types, shapes and bytes: the same for the same bits, anywhere.

    tensors: of any shapes and types, on any device.
    """
    import torch

    total = hashlib.sha256()
    for name, tensor in sorted(dict(tensors).items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return total.hexdigest()


def refuse_ties(network: Network, lrs: Iterable[float]) -> None:
    """Raise TiedWeights if training the head would move a stage that is frozen in this phase."""
    rates = list(lrs)
    for stage_weight, head_weight in network.ties:
        owner = network.owner(stage_weight)
        if rates[owner] == 0 < rates[-1]:
            raise TiedWeights(
                f"{network.origin}: the head's {head_weight} and {stage_weight} of stage "
                f"{network.parts[owner].name} are one tensor, so training the head would move a frozen "
                f"stage; pass untie=True (--untie) to give the head its own copy."
            )


def untied(network: Network) -> Network:
    """The same network, its head holding copies of what it shared with a stage."""
    import torch

    kept = list(network.head.weights)
    for stage_weight, head_weight in network.ties:
        path, _, name = head_weight.rpartition(".")
        owner = network.module.get_submodule(path)
        copy = getattr(owner, name).detach().clone()
        setattr(owner, name, torch.nn.Parameter(copy))
        kept.append(head_weight)
        if dict(network.module.named_parameters())[stage_weight] is getattr(owner, name):
            raise TiedWeights(f"{head_weight} could not be separated from {stage_weight}.")
    return replace(network, head=replace(network.head, weights=tuple(kept)), ties=())
