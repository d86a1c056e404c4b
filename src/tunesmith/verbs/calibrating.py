"""A run's data again, for int8: training examples to calibrate it, test examples to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from torch import Tensor

from tunesmith.errors import BadData
from tunesmith.exports.format import taken
from tunesmith.exports.golden import Golden, named, windows_of
from tunesmith.exports.proof import BATCH
from tunesmith.exports.quantized import CALIBRATED
from tunesmith.runs import Run
from tunesmith.training.examples import Examples
from tunesmith.training.sampling import drawn
from tunesmith.verbs.gathering import read_again

JUDGED: Final = 2_000  # test examples, at most
REASONS: Final = {
    "data_in_memory": "were given in memory; pass them again: run.export(..., data=...)",
    "data_gone": "cannot be read any more; pass them: run.export(..., data=...)",
    "data_changed": "are not the same any more; put them back",
}


@dataclass(frozen=True)
class Calibration:
    """Raw examples. learned: of the training split. tested: of the test split, with their true answers.

    whole: all that is tested where it is windows, of which several may be of one example; else None.
    """

    learned: list[Mapping[str, Tensor]]
    tested: list[Mapping[str, Tensor]]
    targets: list[Any]
    whole: Golden | None = None

    def batches(
        self, spec: Mapping[str, Any], *, pixels: bool
    ) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
        """Both as an export takes them."""
        learned, tested = (
            [taken(spec, Golden(batch), pixels=pixels) for batch in own]
            for own in (self.learned, self.tested)
        )
        return learned, tested


def calibration_of(run: Run, data: Any) -> Calibration:
    """The examples. Raises BadData where the data cannot be had, with the reason."""
    missing: dict[str, str] = {}
    found = read_again(run, run.asked, run.manifest, data, missing)
    if found is None:
        raise BadData(
            f"int8 is calibrated on training examples and judged on the test split, and the data of "
            f"{run.folder} {REASONS[missing['pictures']]}."
        )
    _, task, labels = run.model
    form = run.model[0].preprocess
    learned, tested = (Examples(found.splits[split], form, task=task) for split in ("train", "test"))
    calibrating = _batches(learned, drawn(len(learned), CALIBRATED, seed=0))
    if tested.of is None:
        rows = drawn(len(tested), JUDGED, seed=0)
        targets = task.targets(found.test, labels)
        return Calibration(calibrating, _batches(tested, rows), [targets[row] for row in rows])
    rows, windows = windows_of(tested, JUDGED, seed=0)
    whole = Golden(named(tested.raw(rows), form.takes), windows=windows)  # all of one length, as answers are
    pieces: list[Mapping[str, Tensor]] = [
        {name: tensor[i : i + BATCH] for name, tensor in whole.inputs.items()}
        for i in range(0, len(whole), BATCH)
    ]
    return Calibration(calibrating, pieces, task.targets({"label": list(windows.truths)}, labels), whole)


def _batches(examples: Examples, rows: np.ndarray) -> list[Mapping[str, Tensor]]:
    takes = examples.preprocess.takes
    return [named(examples.raw(rows[i : i + BATCH]), takes) for i in range(0, len(rows), BATCH)]
