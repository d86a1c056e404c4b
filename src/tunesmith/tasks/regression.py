"""One number per example, or several: what images and texts have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from tunesmith.data.data import Data, Finding
from tunesmith.data.numbers import numbers_in
from tunesmith.data.read import read
from tunesmith.errors import BadData
from tunesmith.networks.network import Network, Want
from tunesmith.networks.preprocess import Preprocess
from tunesmith.tasks.long_texts import mean_of, text_windows
from tunesmith.tasks.task import Batch, Labels, known_loss
from tunesmith.tasks.uncut import Uncut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.plan import Settings
    from tunesmith.tasks.task import Outcomes

COVERED: Final = 0.9  # of the true numbers, by the intervals around answers


@dataclass(frozen=True)
class Regression(Uncut):
    """A regression task; its members name what they take and what they check.

    The network gives each column in spreads of the training split from its mean, so that columns of any unit
    weigh alike and rates need not know the unit.

    lowers: the loss, of errors in spreads: "mse"; "mae", which a few numbers far off pull less; or "huber"
        (1964), which is half of mse below one spread and grows as mae does beyond.
    """

    name: str
    takes: str
    kind: str
    model: str
    inspect: Callable[[Data], list[Finding]]
    answers: str = "numbers"
    metric: str = "rmse"
    best: str = "min"
    unit: str = "example"
    pairs: bool = False
    solver: str | None = "ridge"
    valid_loss: str = "squared_loss"
    lowers: str = "mse"

    def read(self, source: Any, **options: Any) -> Data:
        """Examples with numbers in three splits; options as `tunesmith.data.read.read` takes them."""
        return read(source, takes=self.takes, answers=self.answers, pairs=self.pairs, **options)

    def check(self, data: Data) -> list[Finding]:
        """Examples that cannot be learned from."""
        return self.inspect(data)

    def labels(self, data: Data) -> Labels:
        """Mean and standard deviation of each column over the training split.

        Raises BadData for a column of equal numbers.
        """
        numbers = numbers_in(data.train["label"][:])
        names = data.targets or tuple(f"number {k + 1}" for k in range(numbers.shape[1]))
        for name, column in zip(names, numbers.T, strict=True):
            if np.ptp(column) == 0:
                raise BadData(
                    f"every training example has the same {name}, {column[0]:g}: there is nothing to learn; "
                    f"name another column with --target."
                )
        means, spreads = numbers.mean(0), numbers.std(0)
        return Labels(names, means=tuple(means.tolist()), spreads=tuple(spreads.tolist()))

    def deciding(self, labels: Labels) -> str:
        """RMSE; of several columns the mean of theirs, each in its spread."""
        return self.metric if len(labels.names) == 1 else "standardised_rmse"

    def configured(self, settings: Settings) -> Regression:
        """With the loss of the settings. Raises BadOption for one that is not known, or label smoothing."""
        super().configured(replace(settings, loss=None))
        name = known_loss(settings, tuple(LOSSES), self.name)
        return replace(self, lowers=name, valid_loss=LOSSES[name][0])

    def calibrated(self, labels: Labels, predictions: Sequence[Any], targets: Sequence[Any]) -> Labels:
        """The labels with the half-widths of intervals that hold 90 % of true numbers.

        Split conformal prediction (Lei et al. 2018, arXiv:1604.04173): the residual on validation of rank
        0.9 (n + 1). Below 9 validation examples there is none, and so no width. Validation also chose the
        network, so the intervals are a little narrower than they should be.
        """
        residuals = np.sort(np.abs(np.stack(list(predictions)) - np.stack(list(targets))), axis=0)
        rank = math.ceil((len(residuals) + 1) * COVERED)
        if rank > len(residuals):
            return replace(labels, widths=())
        widths = residuals[rank - 1] * np.asarray(labels.spreads)
        return replace(labels, widths=tuple(widths.tolist()))

    def want(self, labels: Labels, **options: Any) -> Want:
        """One output per column."""
        names = labels.names
        return Want(kind=self.kind, outputs=len(names), labels=names, pairs=self.pairs, **options)

    def cut(self, dataset: Any, preprocess: Preprocess) -> Any | None:
        """Windows of the texts that are too long for the network, if it is to read all of them; else None."""
        return text_windows(dataset, preprocess)

    def joined(self, predictions: Sequence[Any]) -> Any:
        """The mean of the windows' numbers."""
        return mean_of(predictions)

    def collate(self, examples: Sequence[Mapping[str, Any]], preprocess: Preprocess, labels: Labels) -> Batch:
        """Raw inputs, standardised numbers float32 [B, K] where there are any, weights [B] likewise."""

        def numbers(written: Sequence[str]) -> Tensor:
            return torch.from_numpy(_standardised(written, labels).astype(np.float32))

        return Batch.of(examples, preprocess, numbers)

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The mean loss over the columns, each in its spread."""
        _, of_errors = LOSSES[self.lowers]
        return batch.mean(of_errors(network(batch.inputs).float(), batch.truth, reduction="none").mean(1))

    def cost(self, answer: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss of each example [N], of numbers in spreads [N, K]: what `loss` takes the mean of."""
        _, of_errors = LOSSES[self.lowers]
        each: Tensor = of_errors(torch.from_numpy(answer), torch.from_numpy(target), reduction="none")
        found: NDArray[np.float64] = each.mean(1).numpy()
        return found

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        """Numbers in spreads from the mean, float64 [K] per example."""
        return list(network(batch.inputs).double().cpu().numpy())

    def targets(self, dataset: Any, labels: Labels) -> list[Any]:
        """Numbers in spreads from the mean, float64 [K] per example."""
        return list(_standardised(dataset["label"][:], labels))

    def outcomes(self, predictions: Sequence[Any], targets: Sequence[Any]) -> Outcomes:
        """Per example the true numbers and the answered ones, float64 [n, K], in spreads from the mean."""
        return {"target": np.stack(list(targets)), "answer": np.stack(list(predictions))}

    def score(self, outcomes: Outcomes, labels: Labels, *, only: str | None = None) -> dict[str, float]:
        """rmse, mae, r2, pearson and spearman in the person's unit, squared_loss, and the loss it lowers.

        Of several columns each has its own ("rmse/price"), and there are standardised_rmse, the mean of their
        RMSE in spreads of the training split, and the means of r2, pearson and spearman. As scikit-learn and
        SciPy define them, but that a correlation with equal numbers, which is none, is 0.
        """
        spreads = np.asarray(labels.spreads)
        target = outcomes["target"] * spreads + labels.means
        answer = outcomes["answer"] * spreads + labels.means
        kind = None if only is None else only.partition("/")[0].removeprefix("standardised_")
        of_each: dict[str, NDArray[np.float64]] = {
            name: np.asarray([metric(*own) for own in zip(target.T, answer.T, strict=True)])
            for name, metric in METRICS.items()
            if kind in (None, name)
        }
        lost = {"squared_loss": float(((outcomes["answer"] - outcomes["target"]) ** 2).mean())}
        if self.lowers != "mse":
            lost[self.valid_loss] = float(self.cost(outcomes["answer"], outcomes["target"]).mean())
        if len(labels.names) == 1:
            return {name: float(values[0]) for name, values in of_each.items()} | lost
        scores: dict[str, float] = {
            name: float(of_each[name].mean()) for name in ("r2", "pearson", "spearman") if name in of_each
        }
        if "rmse" in of_each:
            scores = {"standardised_rmse": float((of_each["rmse"] / spreads).mean())} | scores
        scores |= lost
        for k, column in enumerate(labels.names):
            scores |= {f"{name}/{column}": float(values[k]) for name, values in of_each.items()}
        return scores

    def trivial(self, labels: Labels, count: int) -> tuple[str, list[Any]]:
        """The mean of the training split, whatever the input."""
        return "training mean", [np.zeros(len(labels.names))] * count

    def table(
        self, predictions: Sequence[Any], labels: Labels, *, full: bool = False
    ) -> list[dict[str, Any]]:
        """Each column's number with its interval, where there is one; with `full` named as files have it."""
        rows = []
        for own in predictions:
            numbers = np.asarray(own) * labels.spreads + labels.means
            row: dict[str, Any] = {}
            for k, (name, number) in enumerate(zip(labels.names, numbers.tolist(), strict=True)):
                said = f"answer({name})" if full else name
                row[said] = number
                if labels.widths:
                    row |= {
                        f"{said} low": number - labels.widths[k],
                        f"{said} high": number + labels.widths[k],
                    }
            rows.append(row)
        return rows

    def from_table(self, columns: Mapping[str, Sequence[Any]], labels: Labels) -> list[Any]:
        """Numbers in spreads from the mean, float64 [K] per example, of the columns of answers."""
        own = [np.asarray(columns[f"answer({name})"], dtype=np.float64) for name in labels.names]
        return list((np.stack(own, axis=1) - labels.means) / np.asarray(labels.spreads))


def _standardised(written: Sequence[str], labels: Labels) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (numbers_in(written) - labels.means) / np.asarray(labels.spreads)
    return found


def _rmse(target: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    return math.sqrt(float(((answer - target) ** 2).mean()))


def _mae(target: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    return float(np.abs(answer - target).mean())


def _r2(target: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    """The share of the spread that is explained; of equal targets 1 if they are met and 0 if not."""
    left = float(((target - answer) ** 2).sum())
    if np.ptp(target) == 0:
        return 1.0 if left == 0 else 0.0
    return 1 - left / float(((target - target.mean()) ** 2).sum())


def _pearson(target: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    if np.ptp(target) == 0 or np.ptp(answer) == 0:
        return 0.0
    return float(np.corrcoef(target, answer)[0, 1])


def _spearman(target: NDArray[np.float64], answer: NDArray[np.float64]) -> float:
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    return _pearson(rankdata(target), rankdata(answer))


METRICS: Final[Mapping[str, Callable[[NDArray[np.float64], NDArray[np.float64]], float]]] = {
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "pearson": _pearson,
    "spearman": _spearman,
}
# By name: the metric that it is on validation, and the function of torch.
LOSSES: Final[Mapping[str, tuple[str, Callable[..., Tensor]]]] = {
    "mse": ("squared_loss", mse_loss),
    "mae": ("absolute_loss", l1_loss),
    "huber": ("huber_loss", huber_loss),
}
