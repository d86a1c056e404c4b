"""What every task is: the one form that the loop, the evaluation and the doors know.

Nobody else guesses what a task's answers are made of. What others need to know, a task says:

- `answers`: what one example's answer is: one of K classes, K numbers, or "parts" (boxes, maps, tags,
  texts). Of the first two `targets` make an array, int [N] or float [N, K], and all that is solved in
  closed form works for both: probes, baselines, folds, learning curves, evidence per stage. A plan that
  solves the head of a task of parts is refused (`solver` None). Its networks are ranked, its stages judged,
  and a probe and a random twin solved, if it says what its `parts` are called and makes `rows` of them.
- Between the network and `score` and `table` targets and predictions are in the network's terms:
  probabilities and class indices, or numbers in spreads of the training split. `score` and `table` alone
  are given the labels, and speak in the person's terms: names, units.
- `Labels` are what the training split alone tells, saved with the model; what a task has no use for stays
  empty.
- An example's `label` in the data is a string: a name, or JSON of an answer that has parts.
- A task that has to see all of a long text cuts it (`cut`) into windows that fit the network. They are what
  is trained on, stored and replayed; `joined` makes one prediction of those of an example's windows, and
  nobody after that knows of them. Of a task of parts `collate` is told where each token lies (`pieces`). Of
  others an example counts once, whatever its windows, and its features are the mean of theirs.
- `outcomes` are arrays with a row per unit, where an example may hold several units. Some names have a
  meaning: "truth" and "guess" are class indices, and two answers may then be compared by how often they are
  right; "target" and "answer" are numbers, compared by how far off they are; "mistakes" alone say how wrong
  a unit's answer is, from 0 to 1. Anything else is compared by its score.
- `solver`, `valid_loss` and `deciding` are asked where a head is solved, an epoch is told and nobody
  named a metric.
- The name of a metric says its direction: less is better of loss, rmse and mae (`less_is_better`), more
  of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from tunesmith.errors import BadOption
from tunesmith.registry import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from tunesmith.data.data import Data, Finding
    from tunesmith.networks.activations import Activations
    from tunesmith.networks.network import Network, Want
    from tunesmith.networks.preprocess import Preprocess
    from tunesmith.plan import Settings
    from tunesmith.tasks.rows import Rows

    Outcomes = Mapping[str, np.ndarray]
    Inputs = Tensor | Mapping[str, Tensor] | Activations


@dataclass(frozen=True)
class Labels:
    """What a task learned from the training split alone, and saves with the model.

    names: the classes, or the columns of numbers, in the order of the network's outputs.
    counts: training examples of each class; empty where there are no classes.
    means, spreads: of each column of numbers, in the person's unit; empty where there are none.
    widths: half of the interval around an answer, of each column, in the person's unit; empty where it is not
        known.
    thresholds: the margin above which no answer is given, alone; empty where there is always one.
    """

    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    means: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()

    @property
    def imbalance(self) -> float:
        """How many times the largest class is larger than the smallest; 1 without classes."""
        return max(self.counts) / max(min(self.counts), 1) if self.counts else 1.0

    @property
    def largest(self) -> float | None:
        """The share of the largest class; None without classes."""
        return max(self.counts) / sum(self.counts) if self.counts else None

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> Labels:
        """The labels that a run keeps."""
        return Labels(**{name: tuple(values) for name, values in told.items()})


@dataclass(frozen=True)
class Batch:
    """Examples ready for a network.

    inputs: uint8 images [B, 3, H, W], or token tensors [B, T] by name, or stored activations.
    targets: [B] or [B, K], what the task compares with; None when there is nothing to compare with.
    weights: [B], how much each example counts; mean 1 over the training split. [B, T] where a task balances
        tokens.
    pieces: int64 [B, T, 3], where each token lies, of texts that the task cuts into windows: the part (0 the
        text, or a pair's first; 1 its second; -1 no text) and the characters from start to end in it.
    counts: int64 [B], how many losses each example brings into the mean that is the batch's; None: one each.
    """

    inputs: Inputs
    targets: Tensor | None
    weights: Tensor | None
    size: int
    pieces: Tensor | None = None
    counts: Tensor | None = None

    @staticmethod
    def of(
        examples: Sequence[Mapping[str, Any]], preprocess: Preprocess, targets: Callable[[list[str]], Tensor]
    ) -> Batch:
        """Raw inputs, what `targets` makes of the labels where there are any, and weights [B] likewise."""
        import torch

        first = examples[0] if examples else {}
        return Batch(
            preprocess.raw([example["item"] for example in examples]),
            None if first.get("label") is None else targets([example["label"] for example in examples]),
            None
            if first.get("weight") is None
            else torch.tensor([float(example["weight"]) for example in examples]),
            len(examples),
        )

    @property
    def truth(self) -> Tensor:
        """The targets. Raises ValueError where there are none."""
        if self.targets is None:
            raise ValueError("a batch without labels has no loss")
        return self.targets

    def mean(self, each: Tensor) -> Tensor:
        """The mean of the examples' losses [B], each times its weight."""
        return each.mean() if self.weights is None else (each * self.weights).mean()

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; from pinned memory where that device is a GPU."""

        def moved(tensor: Tensor) -> Tensor:
            there = tensor.pin_memory() if device.type == "cuda" and not tensor.is_cuda else tensor
            return there.to(device, non_blocking=True)

        return replace(
            self,
            inputs=_each(self.inputs, moved),
            targets=None if self.targets is None else moved(self.targets),
            weights=None if self.weights is None else moved(self.weights),
            pieces=None if self.pieces is None else moved(self.pieces),
        )

    def parts(self, pieces: int) -> list[Batch]:
        """The batch cut into so many nearly equal pieces, in order."""
        import math

        step = math.ceil(self.size / pieces)
        cuts = [slice(i, min(i + step, self.size)) for i in range(0, self.size, step)]
        return [self.part(cut) for cut in cuts]

    def part(self, cut: slice) -> Batch:
        """Some of the examples."""
        return replace(
            self,
            inputs=_each(self.inputs, lambda tensor: tensor[cut]),
            targets=None if self.targets is None else self.targets[cut],
            weights=None if self.weights is None else self.weights[cut],
            size=len(range(*cut.indices(self.size))),
            pieces=None if self.pieces is None else self.pieces[cut],
            counts=None if self.counts is None else self.counts[cut],
        )

    def share(self, part: Batch) -> float:
        """How much a part of this batch weighs in its loss."""
        if self.counts is None or part.counts is None:
            return part.size / self.size
        return int(part.counts.sum()) / max(int(self.counts.sum()), 1)


def _each(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    from tunesmith.networks.activations import Activations

    if isinstance(inputs, Activations):
        return inputs.each(change)
    if isinstance(inputs, Mapping):
        return {name: change(tensor) for name, tensor in inputs.items()}
    return change(inputs)


LESS: Final = ("loss", "rmse", "mae")  # how the names of metrics end of which less is better


def less_is_better(metric: str) -> bool:
    """Whether a metric, of one class or one column perhaps, is the better the smaller it is.

    >>> [less_is_better(name) for name in ("accuracy", "log_loss", "rmse/price", "recall/loss")]
    [False, True, True, False]
    """
    return metric.partition("/")[0].endswith(LESS)


class Task(Protocol):
    """Read, learn, predict and score one kind of data.

    takes: "image" or "text". kind: under which networks that serve are listed. model: the one that serves
    where none is named. answers: "classes", "numbers" or "parts". metric: what validation usually decides by;
    best: "max" or "min". unit: what a paired comparison pairs. solver: of a linear head to convergence, None
    where none can be solved. valid_loss: the metric that training lowers. parts: what `rows` gives, in the
    plural: "words"; empty where it gives nothing.
    """

    name: str
    takes: str
    kind: str
    model: str
    answers: str
    metric: str
    best: str
    unit: str
    solver: str | None
    valid_loss: str
    parts: str

    def read(self, source: Any, **options: Any) -> Data:
        """The person's data in three splits."""

    def check(self, data: Data) -> list[Finding]:
        """What is wrong with single examples: files that cannot be read, empty texts."""

    def labels(self, data: Data) -> Labels:
        """What the training split alone tells of the answers."""

    def deciding(self, labels: Labels) -> str:
        """The metric that validation decides by, where nobody names one."""

    def configured(self, settings: Settings) -> Task:
        """The task with what a plan's settings say of its loss. Raises BadOption for what it has not."""

    def calibrated(self, labels: Labels, predictions: Sequence[Any], targets: Sequence[Any]) -> Labels:
        """The labels with what the kept network's answers on validation add."""

    def want(self, labels: Labels, **options: Any) -> Want:
        """What the network must give."""

    def collate(self, examples: Sequence[Mapping[str, Any]], preprocess: Preprocess, labels: Labels) -> Batch:
        """Examples as they lie in the data, to one batch on the CPU; no randomness."""

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """A scalar: the mean over the batch's examples, each times its weight."""

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        """One prediction per example, in the network's terms."""

    def targets(self, dataset: Any, labels: Labels) -> list[Any]:
        """The true answers of a split, in its order, in the network's terms."""

    def cut(self, dataset: Any, preprocess: Preprocess) -> Any | None:
        """The windows that examples are cut into, a data set; None: every example is seen as it is.

        It has the columns `id`, `item`, `label` if the data have one, `of` (the row of the example, rising)
        and what else `collate` wants to know of a window.
        """

    def joined(self, predictions: Sequence[Any]) -> Any:
        """One prediction of those of an example's windows, in their order."""

    def rows(self, states: Tensor, batch: Batch) -> Rows | None:
        """The parts of a batch's examples, with their answers; a row depends on its own example alone.

        states: what a stage hands on, token states [B, T, D] or maps. None where no part can be found in
        them, and of a task that has no `parts`.
        """

    def simple(self, train: Any, test: Any, labels: Labels) -> Mapping[str, list[Any]]:
        """By name the answers to a test split by means that need no network, in the network's terms.

        Of classes and numbers there are some already: words, colours and edges.
        """

    def outcomes(self, predictions: Sequence[Any], targets: Sequence[Any]) -> Outcomes:
        """What scoring needs of each unit: arrays of equal length, one row per unit."""

    def score(self, outcomes: Outcomes, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        """The metrics over some units; a pure function, called again for every bootstrap sample.

        only: the one metric that is asked for; others may be left out where they cost time.
        """

    def trivial(self, labels: Labels, count: int) -> tuple[str, list[Any]]:
        """The answer that needs no input, its name and so many copies of it as predictions."""

    def table(
        self, predictions: Sequence[Any], labels: Labels, *, full: bool = False
    ) -> list[dict[str, Any]]:
        """Predictions as rows for a person; all that a file should hold of them if `full`."""

    def from_table(self, columns: Mapping[str, Sequence[Any]], labels: Labels) -> list[Any]:
        """The predictions that `table` wrote with `full`, read back from its columns by name.

        They score as the ones that were written: pages and comparisons are made of them. Columns of floats
        are arrays, others lists. Raises KeyError or ValueError for columns that are not of these labels.
        """


def known_loss(settings: Settings, known: Sequence[str], name: str) -> str:
    """The loss that the settings name, or the first that a task knows.

    known: by name, its own first. name: of the task. Raises BadOption for a loss that it does not know.
    """
    if settings.loss is None:
        return known[0]
    if settings.loss not in known:
        guess = did_you_mean(settings.loss, known) or ";"
        raise BadOption(f"{name} knows no loss {settings.loss!r}{guess} it knows {', '.join(known)}.")
    return settings.loss


def target_array(task: Task, dataset: Any, labels: Labels) -> np.ndarray | None:
    """The true answers of a split as an array, int [N] or float [N, K]; None of a task of parts."""
    import numpy as np

    return None if task.answers == "parts" else np.asarray(task.targets(dataset, labels))
