"""A run's answers for a split, as they lie in its folder."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import BadData, BadRun
from tunesmith.seals import read_sealed

if TYPE_CHECKING:
    from tunesmith.tasks.task import Labels, Outcomes, Task

FILES = {"valid": "predictions-valid.parquet", "test": "predictions.parquet"}


@dataclass(frozen=True)
class Predictions:
    """What a run answered for each example of a split.

    ids: where the examples come from. truth: their labels as the data have them. targets, answers: the true
    answers and the run's, in the network's terms, as the task predicts and scores them.
    """

    ids: tuple[str, ...]
    truth: tuple[str, ...]
    targets: list[Any]
    answers: list[Any]

    def outcomes(self, task: Task) -> Outcomes:
        """What scoring needs of each unit."""
        return task.outcomes(self.answers, self.targets)


def read_predictions(folder: Path, split: str, task: Task, labels: Labels) -> Predictions:
    """The predictions of a run's folder.

    Raises BadRun for a file that is missing, damaged, or of other labels.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / FILES[split]
    content = read_sealed(folder, FILES[split])
    try:
        table = pq.read_table(io.BytesIO(content))
        # Numbers as arrays: a thousand columns of probabilities would be too many objects.
        columns: dict[str, Any] = {
            name: own.to_numpy() if pa.types.is_floating(own.type) else own.to_pylist()
            for name, own in zip(table.column_names, table.columns, strict=True)
        }
        truth = columns["truth"]
        targets, answers = task.targets({"label": truth}, labels), task.from_table(columns, labels)
    except (OSError, KeyError, ValueError, BadData, pa.ArrowException) as error:
        raise BadRun(f"{path} is missing, damaged or not of this run's labels: {error}") from error
    return Predictions(tuple(columns["id"]), tuple(truth), targets, answers)
