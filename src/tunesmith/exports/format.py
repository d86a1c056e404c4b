"""What a format is: which runs it can hold, how it is written, and how its own runtime opens it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.errors import BadExport
from tunesmith.exports.golden import Golden, named, unnamed
from tunesmith.networks.network import Network
from tunesmith.networks.preprocess import restore
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training.examples import Given


@dataclass(frozen=True)
class Subject:
    """What is exported.

    name: of the run. network: on the CPU, in eval mode, and nobody else's: a format may change it.
    described: what the run's model says of itself: task, labels, want, recipe, preprocess.
    example: two held-out examples as the export takes them, by name. pixels: images go in as uint8 and the
    graph normalises them.
    """

    name: str
    network: Network
    task: Task
    labels: Labels
    described: Mapping[str, Any]
    example: Mapping[str, Tensor]
    pixels: bool = False


@dataclass(frozen=True)
class Runtime:
    """An export, opened by the software that it was made for.

    answer: from inputs as the export takes them to answers [N, K]: logits, or numbers in the person's unit.
    labels: as the network's own file has them. version: of the software.
    """

    answer: Callable[[Mapping[str, Tensor]], Tensor]
    labels: tuple[str, ...]
    version: str

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Answers for inputs by name."""
        with torch.inference_mode():
            return self.answer(inputs)


class Format(Protocol):
    """One way to hand a network on.

    says: what it makes, in words. file: the one that holds the network. needs: (package, extra) that writing
    and opening take. pixels: whether it can hold the normalisation of images. quantizes: whether it has int8.
    """

    name: str
    says: str
    file: str
    needs: tuple[tuple[str, str], ...]
    pixels: bool
    quantizes: bool

    def refuses(self, described: Mapping[str, Any]) -> str | None:
        """Why it cannot hold a run, from what its model says of itself; None where it can."""

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Write the network; JSON values that `opened` needs beside the files."""

    def opened(self, folder: Path, about: Mapping[str, Any]) -> Runtime:
        """The export again, by its own runtime. about: what `export.json` says, `opens` among it."""


def taken(spec: Mapping[str, Any], golden: Golden, *, pixels: bool) -> dict[str, Tensor]:
    """Golden inputs by name, as an export takes them.

    spec: what the preprocessing says of itself.
    """
    if set(golden.inputs) != {"images"} or "mean" not in spec:
        return dict(golden.inputs)
    if pixels:
        return {"pixels": golden.inputs["images"]}
    return named(restore(spec, Path()).ready(golden.inputs["images"]), "image")


def live_answers(network: Network, inputs: Mapping[str, Tensor], labels: Labels, *, batch: int) -> Tensor:
    """What the network answers to raw inputs, in eager float32: logits, or numbers in the person's unit."""
    count = len(next(iter(inputs.values())))
    found = []
    with torch.inference_mode():
        for start in range(0, count, batch):
            piece = {name: tensor[start : start + batch] for name, tensor in inputs.items()}
            found.append(in_unit(network(unnamed(piece, network.preprocess.takes)).float(), labels))
    return torch.cat(found)


def in_unit(answers: Tensor, labels: Labels) -> Tensor:
    """Numbers in the person's unit, of those in spreads from the mean; logits as they are."""
    if not labels.spreads:
        return answers
    return answers * torch.tensor(labels.spreads) + torch.tensor(labels.means)


def in_spreads(answers: Tensor, labels: Labels) -> Tensor:
    """The way back: float64."""
    if not labels.spreads:
        return answers.double()
    means = torch.tensor(labels.means, dtype=torch.float64)
    return (answers.double() - means) / torch.tensor(labels.spreads, dtype=torch.float64)


def predictions(task: Task, answers: Tensor, labels: Labels, golden: Golden | None = None) -> list[Any]:
    """What the task makes of an export's answers, as of a network's own.

    golden: what was answered; of windows one prediction for each example.
    """

    class Answered:
        def __call__(self, _: Any) -> Tensor:
            return in_spreads(answers, labels)

    network: Any = Answered()
    if golden is None or golden.windows is None:
        return task.predict(network, Batch(answers, None, None, len(answers)))
    windows = golden.windows
    told = [{**row, "pieces": np.asarray(row["pieces"])} if "pieces" in row else row for row in windows.told]
    said = task.predict(network, task.collate(told, Given(dict(golden.inputs), task.takes), labels))
    ends = np.searchsorted(windows.of, np.arange(len(windows.truths) + 1))
    return [task.joined(said[a:b]) for a, b in pairwise(ends)]


def fold_unit(network: Network, labels: Labels) -> None:
    """Let the last layer answer in the person's unit: its weights times the spread, its bias plus the mean.

    Raises BadExport where the network does not end in one layer with a bias.
    """
    if not labels.spreads:
        return
    K = len(labels.names)
    layers = [
        m
        for path in network.head.modules
        for m in network.module.get_submodule(path).modules()
        if isinstance(m, nn.Linear | nn.Conv2d) and len(m.weight) == K
    ]
    if not layers or layers[-1].bias is None:
        raise BadExport("this network does not end in one linear layer, which could answer in your unit.")
    spreads, means = torch.tensor(labels.spreads), torch.tensor(labels.means)
    with torch.no_grad():
        layers[-1].weight *= spreads.view(-1, *[1] * (layers[-1].weight.ndim - 1))
        layers[-1].bias.mul_(spreads).add_(means)


def plain_head(described: Mapping[str, Any]) -> str | None:
    """Why a head is not the network's own with other weights; None where it is."""
    want, recipe = described["want"], described["recipe"] or {}
    if want["head"] == "linear":
        return None
    if want["head"] == "pretrained" and recipe.get("num_classes") == want["outputs"]:
        return None
    return f"its head {want['head']!r} is not one that the network's own class builds"
