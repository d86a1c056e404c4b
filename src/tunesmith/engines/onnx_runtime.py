"""ONNX Runtime: the prefix exported to ONNX and run by its CPU kernels, or by its CUDA ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.engines.compiled import first_line
from tunesmith.engines.engine import device_of, handed_out, quiet
from tunesmith.errors import EngineFailed
from tunesmith.registry import require


@dataclass(eq=False)
class OnnxRuntime:
    """Calls an onnxruntime session, which holds weights of its own.

    places: of each input of the session, its place among the prefix's; one that the prefix does not
        use, as a mask below the first attention, is not in the file.
    """

    session: Any
    places: Mapping[str, int]
    precision: str = "fp32"
    name: str = "onnxruntime"

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """See Engine."""
        arrays = {name: inputs[i].contiguous().numpy() for name, i in self.places.items()}
        return [handed_out(torch.from_numpy(array)) for array in self.session.run(None, arrays)]


def build(
    prefix: nn.Module, example: Sequence[Tensor], *, precision: str, ragged: bool, rows: int
) -> OnnxRuntime:
    """See engine.build. Raises MissingPackage, or EngineFailed where it cannot run the prefix."""
    runtime = require("onnxruntime", "onnxruntime", "engine onnxruntime")
    require("onnx", "onnxruntime", "engine onnxruntime")
    device = device_of(prefix)
    providers = _providers(runtime, device)
    if precision != "fp32":
        raise EngineFailed("it computes in fp32 only (ask for precision fp32)")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    inputs = tuple(tensor.to(device) for tensor in example)
    try:
        with quiet(), torch.no_grad():
            graph = _exported(prefix, inputs, ragged, rows)
        session = runtime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # whatever an exporter raises
        raise EngineFailed(f"the export to ONNX failed: {first_line(error)}") from error
    names = _names(inputs)
    return OnnxRuntime(session, {entry.name: names.index(entry.name) for entry in session.get_inputs()})


def _providers(runtime: Any, device: torch.device) -> list[Any]:
    if device.type == "cpu":
        return ["CPUExecutionProvider"]
    if device.type != "cuda" or "CUDAExecutionProvider" not in runtime.get_available_providers():
        raise EngineFailed(
            f"the installed onnxruntime does not run on {device} (onnxruntime-gpu does on CUDA)"
        )
    # Its default is TF32, which keeps 10 bits of a float32's 23.
    return [("CUDAExecutionProvider", {"device_id": device.index or 0, "use_tf32": 0})]


def _exported(prefix: nn.Module, inputs: tuple[Tensor, ...], ragged: bool, rows: int) -> bytes:
    """The prefix as an ONNX file.

    The TorchScript exporter takes a tenth of the seconds of the newer one, but it knows fewer
    operations and is to be removed from torch one day.
    """
    try:
        return _by_torchscript(prefix, inputs, ragged, rows)
    except Exception:  # noqa: BLE001  the next exporter may do better, and its error is the one to tell
        require("onnxscript", "onnxruntime", "engine onnxruntime")
    sizes = {1: torch.export.Dim.AUTO} if ragged else {}
    program = torch.onnx.export(
        prefix,
        inputs,
        dynamo=True,
        input_names=_names(inputs),
        dynamic_shapes=tuple(dict(sizes) for _ in inputs),
        verbose=False,
    )
    if program is None:
        raise RuntimeError("the exporter gave nothing back")
    serialized: bytes = program.model_proto.SerializeToString()
    return serialized


def _names(inputs: Sequence[Tensor]) -> list[str]:
    return [f"input{i}" for i in range(len(inputs))]


def _by_torchscript(prefix: nn.Module, inputs: tuple[Tensor, ...], ragged: bool, rows: int) -> bytes:
    names = _names(inputs)
    axes = ({0: "C"} if rows < len(inputs[0]) else {}) | ({1: "T"} if ragged else {})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "prefix.onnx"
        torch.onnx.export(
            prefix,
            tuple(tensor[:rows] for tensor in inputs),
            path,
            dynamo=False,
            input_names=names,
            dynamic_axes={name: dict(axes) for name in names},
        )
        return path.read_bytes()
