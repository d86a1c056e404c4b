"""A run's stated probabilities for a split, as they lie in its folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunesmith.errors import BadRun
from tunesmith.seals import read_sealed

FILES = {"valid": "predictions-valid.parquet", "test": "predictions.parquet"}


@dataclass(frozen=True)
class Predictions:
    """What a run answered for each example of a split.

    ids: where the examples come from. truth: indices of their classes [N]. probabilities: [N, K].
    """

    ids: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    @property
    def guess(self) -> NDArray[np.int64]:
        """The likeliest class of each [N]."""
        best: NDArray[np.int64] = self.probabilities.argmax(1)
        return best


def read_predictions(folder: Path, split: str, labels: Sequence[str]) -> Predictions:
    """The predictions of a run's folder, classes in the order of `labels`.

    Raises BadRun for a file that is missing, damaged, or of other classes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / FILES[split]
    content = read_sealed(folder, FILES[split])
    try:
        table = pq.read_table(io.BytesIO(content))
        truth, ids = table["truth"].to_pylist(), table["id"].to_pylist()
        columns = [table[f"p({name})"].to_numpy() for name in labels]
        index = {name: i for i, name in enumerate(labels)}
        rows = np.array([index[name] for name in truth], dtype=np.int64)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise BadRun(f"{path} is missing, damaged or not of this run's classes: {error}") from error
    return Predictions(tuple(ids), rows, np.stack(columns, axis=1).astype(np.float64))
