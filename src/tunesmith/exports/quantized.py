"""An ONNX graph in 8-bit integers, and what that costs and gains beside the same graph in float32."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tunesmith.engines.compiled import first_line
from tunesmith.engines.engine import quiet
from tunesmith.errors import BadExport
from tunesmith.evaluation import Score, difference, evaluate, figure
from tunesmith.exports.format import predictions
from tunesmith.exports.golden import Golden
from tunesmith.exports.onnx_graph import opened
from tunesmith.registry import require
from tunesmith.tasks.task import Labels, Task

ROUNDS: Final = 5  # of each graph, in turns
CALIBRATED: Final = 128  # training examples that say in which range activations lie

Batches = Sequence[Mapping[str, Tensor]]


@dataclass(frozen=True)
class Cost:
    """What int8 costs in answers and gains in time and space.

    count: test examples. before, after: the metric in float32 and in int8; gap: how much better int8 is, with
    the 95 % interval of the paired difference: below 0 it is worse. faster: seconds of float32 over those of
    int8, measured in turns on one batch. bytes: of both files.
    """

    count: int
    metric: str
    before: float
    after: float
    gap: Score
    faster: float
    bytes: tuple[int, int]

    def told(self) -> str:
        """In one sentence."""
        before, after = (figure(own, self.metric) for own in (self.before, self.after))
        value, low, high = (
            figure(own, self.metric, sign=True) for own in (self.gap.value, self.gap.low, self.gap.high)
        )
        return (
            f"int8: {self.metric.replace('_', ' ')} {after} against {before} in float32 on the same "
            f"{self.count:,} test examples: {value} [{low}, {high}]; {self.faster:.2f} times as fast, "
            f"{self.bytes[1] / self.bytes[0]:.0%} of the size"
        )


def quantize(whole: Path, small: Path, batches: Batches) -> None:
    """Write a graph in int8: of texts the matrices, ranges found as it runs; of images all, calibrated.

    batches: training examples as the graph takes them, for calibration.
    """
    onnx = require("onnx", "onnxruntime", "int8")
    tools = require("onnxruntime.quantization", "onnxruntime", "int8")
    texts = all(tensor.ndim == 2 for tensor in batches[0].values())
    try:
        with quiet():
            graph = onnx.load(whole)
            # The tool turns matrices around and then stumbles over the shapes that stood beside them.
            del graph.graph.value_info[:]
            if texts:
                tools.quantize_dynamic(graph, small, weight_type=tools.QuantType.QInt8, per_channel=True)
            else:
                tools.quantize_static(
                    graph,
                    small,
                    _reader(tools, batches, [entry.name for entry in graph.graph.input]),
                    quant_format=tools.QuantFormat.QDQ,
                    activation_type=tools.QuantType.QUInt8,
                    weight_type=tools.QuantType.QInt8,
                    per_channel=True,
                )
    except OSError:
        raise
    except Exception as error:  # whatever the tool raises
        raise BadExport(f"onnxruntime cannot write this graph in int8: {first_line(error)}") from error


def cost_of(
    whole: Path,
    small: Path,
    batches: Batches,
    targets: Sequence[Any],
    task: Task,
    labels: Labels,
    *,
    of: Golden | None = None,
) -> Cost:
    """Both graphs on the same test examples, and in turns on the first batch.

    of: all batches together where they are windows of examples.
    """
    sessions = opened(whole), opened(small)
    before, after = (
        predictions(task, torch.cat([session(batch).float() for batch in batches]), labels, of)
        for session in sessions
    )
    metric = task.deciding(labels)
    return Cost(
        len(targets),
        metric,
        evaluate(task, before, targets, labels, samples=1)[metric].value,
        evaluate(task, after, targets, labels, samples=1)[metric].value,
        difference(task, after, before, targets, labels, metric),
        _ratio(sessions, batches[0]),
        (whole.stat().st_size, small.stat().st_size),
    )


def _ratio(sessions: Sequence[Any], batch: Mapping[str, Tensor]) -> float:
    """The median over rounds of one's seconds over the other's: what else the machine does hits both."""
    ratios = []
    for _ in range(ROUNDS + 1):  # the first one warms up
        spent = []
        for session in sessions:
            began = time.perf_counter()
            session(batch)
            spent.append(time.perf_counter() - began)
        ratios.append(spent[0] / spent[1])
    return float(np.median(ratios[1:]))


def _reader(tools: Any, batches: Batches, names: Sequence[str]) -> Any:
    class Reader(tools.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest: Iterator[Mapping[str, Tensor]] = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.rest, None)
            return None if batch is None else {name: batch[name].contiguous().numpy() for name in names}

    return Reader()
