"""One label per example, out of two or more: what images and texts have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tunesmith.data.data import Data, Finding
from tunesmith.data.read import read
from tunesmith.networks.network import Network, Want
from tunesmith.networks.preprocess import Preprocess
from tunesmith.tasks.long_texts import likely_of, text_windows
from tunesmith.tasks.task import Batch, Labels, known_loss
from tunesmith.tasks.uncut import Uncut

if TYPE_CHECKING:
    from tunesmith.plan import Settings
    from tunesmith.tasks.task import Outcomes

IMBALANCED = 3.0  # above this ratio of largest to smallest class accuracy hides what happens to the small
LOSSES = ("cross_entropy",)
SMALLEST = 1e-12  # probabilities are not below it, so that a surprise stays finite


@dataclass(frozen=True)
class Classification(Uncut):
    """A classification task; its members name what they take and what they check.

    label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2015,
        arXiv:1512.00567).
    """

    name: str
    takes: str
    kind: str
    model: str
    inspect: Callable[[Data], list[Finding]]
    answers: str = "classes"
    metric: str = "accuracy"
    best: str = "max"
    unit: str = "example"
    pairs: bool = False
    solver: str | None = "lbfgs"
    valid_loss: str = "log_loss"
    label_smoothing: float = 0.0

    def read(self, source: Any, **options: Any) -> Data:
        """Labelled examples in three splits; options as `tunesmith.data.read.read` takes them."""
        return read(source, takes=self.takes, answers=self.answers, pairs=self.pairs, **options)

    def check(self, data: Data) -> list[Finding]:
        """Examples that cannot be learned from."""
        return self.inspect(data)

    def labels(self, data: Data) -> Labels:
        """The classes of the training split, sorted, and how often each occurs."""
        names, counts = np.unique(np.asarray(data.train["label"][:]), return_counts=True)
        return Labels(tuple(str(n) for n in names), tuple(int(c) for c in counts))

    def deciding(self, labels: Labels) -> str:
        """Accuracy; macro-F1 where it would hide what happens to the small classes."""
        return "macro_f1" if labels.imbalance > IMBALANCED else self.metric

    def configured(self, settings: Settings) -> Classification:
        """With the label smoothing of the settings. Raises BadOption for a loss that is not cross-entropy."""
        known_loss(settings, LOSSES, self.name)
        return replace(self, label_smoothing=settings.label_smoothing)

    def want(self, labels: Labels, **options: Any) -> Want:
        """One output per class."""
        names = labels.names
        return Want(kind=self.kind, outputs=len(names), labels=names, pairs=self.pairs, **options)

    def cut(self, dataset: Any, preprocess: Preprocess) -> Any | None:
        """Windows of the texts that are too long for the network, if it is to read all of them; else None."""
        return text_windows(dataset, preprocess)

    def joined(self, predictions: Sequence[Any]) -> Any:
        """The geometric mean of the windows' probabilities, made to sum to 1."""
        return likely_of(predictions)

    def collate(self, examples: Sequence[Mapping[str, Any]], preprocess: Preprocess, labels: Labels) -> Batch:
        """Raw inputs, class indices int64 [B] where there are labels, weights [B] where there are any."""
        index = {name: i for i, name in enumerate(labels.names)}
        return Batch.of(examples, preprocess, lambda written: torch.tensor([index[name] for name in written]))

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Cross-entropy, in nats."""
        each = cross_entropy(
            network(batch.inputs).float(),
            batch.truth,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return batch.mean(each)

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        """Probabilities, float64 [K] per example."""
        return list(torch.softmax(network(batch.inputs).double(), dim=-1).cpu().numpy())

    def targets(self, dataset: Any, labels: Labels) -> list[Any]:
        """Class indices."""
        index = {name: i for i, name in enumerate(labels.names)}
        return [index[label] for label in dataset["label"][:]]  # a slice is read at once, a column row by row

    def outcomes(self, predictions: Sequence[Any], targets: Sequence[Any]) -> Outcomes:
        """Per example: the true class, the likeliest class, and -log of the true one's probability."""
        probabilities = np.stack(list(predictions))
        truth = np.asarray(targets, dtype=np.int64)
        own = np.clip(probabilities[np.arange(len(truth)), truth], SMALLEST, 1.0)
        return {"truth": truth, "guess": probabilities.argmax(1), "surprise": -np.log(own)}

    def score(self, outcomes: Outcomes, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        """accuracy, balanced_accuracy, macro_f1, log_loss; precision, recall and f1 of each class.

        As scikit-learn defines them: what would divide by zero is 0; balanced accuracy runs over the
        classes that occur, macro-F1 over those that occur or are guessed.
        """
        K = len(labels.names)
        truth, guess = outcomes["truth"], outcomes["guess"]
        if only == "accuracy":  # what a bootstrap asks thousands of times
            return {"accuracy": float((truth == guess).mean())}
        right = np.bincount(truth[truth == guess], minlength=K).astype(float)
        there, guessed = np.bincount(truth, minlength=K), np.bincount(guess, minlength=K)
        recall = right / np.maximum(there, 1)
        precision = right / np.maximum(guessed, 1)
        f1 = 2 * right / np.maximum(there + guessed, 1)
        scores = {
            "accuracy": float(right.sum() / len(truth)),
            "balanced_accuracy": float(recall[there > 0].mean()),
            "macro_f1": float(f1[there + guessed > 0].mean()),
            "log_loss": float(outcomes["surprise"].mean()),
        }
        for i, name in enumerate(labels.names if only not in scores else ()):
            scores |= {f"precision/{name}": float(precision[i]), f"recall/{name}": float(recall[i])}
            scores[f"f1/{name}"] = float(f1[i])
        return scores

    def trivial(self, labels: Labels, count: int) -> tuple[str, list[Any]]:
        """The class shares of the training split, whatever the input: always its largest class."""
        shares = np.asarray(labels.counts, dtype=float) / sum(labels.counts)
        return "majority class", [shares] * count

    def table(
        self, predictions: Sequence[Any], labels: Labels, *, full: bool = False
    ) -> list[dict[str, Any]]:
        """The likeliest label and its probability; with `full` a column of probabilities per class."""
        rows = []
        for probabilities in predictions:
            best = int(np.argmax(probabilities))
            row: dict[str, Any] = {
                "label": labels.names[best],
                "probability": float(probabilities[best]),
            }
            if full:
                row |= {f"p({n})": float(p) for n, p in zip(labels.names, probabilities, strict=True)}
            rows.append(row)
        return rows

    def from_table(self, columns: Mapping[str, Sequence[Any]], labels: Labels) -> list[Any]:
        """Probabilities, float64 [K] per example, of the columns of classes."""
        own = [np.asarray(columns[f"p({name})"], dtype=np.float64) for name in labels.names]
        return list(np.stack(own, axis=1))
