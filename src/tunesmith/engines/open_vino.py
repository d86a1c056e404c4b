"""OpenVINO: the prefix traced and compiled for this CPU, in about a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tunesmith.engines.compiled import first_line
from tunesmith.engines.engine import device_of, handed_out, quiet
from tunesmith.errors import EngineFailed
from tunesmith.registry import require

USUAL = {
    "absolute": "abs", "clip": "clamp", "divide": "div", "greater": "gt", "less": "lt", "multiply": "mul",
    "negative": "neg", "subtract": "sub", "true_divide": "div",
}  # fmt: skip
HINTS = {"fp32": "f32", "bf16": "bf16"}


class UsualNames(TorchFunctionMode):
    """Calls operations by the names for which OpenVINO has rules; Keras calls them by their other ones."""

    names: ClassVar[dict[Any, Any]] = {
        getattr(place, other): getattr(place, usual)
        for place in (torch, torch.Tensor)
        for other, usual in USUAL.items()
    }

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The same function under its usual name."""
        return self.names.get(func, func)(*args, **(kwargs or {}))


@dataclass(eq=False)
class OpenVino:
    """Calls one infer request; what it computed lies in the request's memory and is copied out."""

    request: Any
    outputs: int
    precision: str
    name: str = "openvino"

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """See Engine."""
        arrays = [tensor.contiguous().numpy() for tensor in inputs]
        self.request.infer(arrays, share_inputs=True, share_outputs=True)
        return [
            handed_out(torch.from_numpy(self.request.get_output_tensor(i).data)) for i in range(self.outputs)
        ]


def build(
    prefix: nn.Module, example: Sequence[Tensor], *, precision: str, ragged: bool, rows: int
) -> OpenVino:
    """See engine.build. Raises MissingPackage, or EngineFailed where it cannot run the prefix."""
    with no_telemetry():
        openvino = require("openvino", "openvino", "engine openvino")
        frontend = require("openvino.frontend", "openvino", "engine openvino")
        decoder = require("openvino.frontend.pytorch.ts_decoder", "openvino", "engine openvino")
    device = device_of(prefix)
    if device.type != "cpu":
        raise EngineFailed(f"it runs on the CPU, and the network is on {device}")
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineFailed("this CPU has no bf16 arithmetic (ask for precision fp32)")
    try:
        with quiet(), torch.no_grad(), UsualNames():
            # convert_model does the same and, where its telemetry is on, reports to a server at each step.
            few = tuple(tensor[:rows] for tensor in example)
            traced = torch.jit.trace(prefix, few, check_trace=False)  # type: ignore[no-untyped-call]
            pytorch = frontend.FrontEndManager().load_by_framework("pytorch")
            decoded = decoder.TorchScriptPythonDecoder(traced)
            graph = pytorch.convert(pytorch.load(decoded))
        shapes = [[len(t), -1, *t.shape[2:]] if ragged else list(t.shape) for t in example]
        graph.reshape(
            {port: openvino.PartialShape(shape) for port, shape in zip(graph.inputs, shapes, strict=True)}
        )
        compiled = core.compile_model(graph, "CPU", _settings(precision))
    except Exception as error:  # whatever a converter raises
        raise EngineFailed(f"the conversion failed: {first_line(error)}") from error
    return OpenVino(compiled.create_infer_request(), len(compiled.outputs), precision)


def _settings(precision: str) -> dict[str, Any]:
    return {
        # Unless told, a CPU that has bf16 computes in it.
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Pinned, the threads of two runs on one machine would share the first cores.
        "ENABLE_CPU_PINNING": False,
    }


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Hide the package through which OpenVINO reports its use when it is first imported."""
    package = "openvino_telemetry"
    before = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        yield
    finally:
        if before is None:
            sys.modules.pop(package, None)
        else:
            sys.modules[package] = before
