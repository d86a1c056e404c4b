"""An OpenVINO graph (IR), model.xml and model.bin: for the processors that OpenVINO knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tunesmith.engines.compiled import first_line
from tunesmith.engines.engine import quiet
from tunesmith.engines.open_vino import no_telemetry
from tunesmith.errors import BadExport, DiskFailed
from tunesmith.exports.format import Runtime, Subject
from tunesmith.exports.graph import traced
from tunesmith.registry import require

TOLD: Final = "tunesmith"  # under which a graph says what it is


@dataclass(frozen=True)
class OpenVinoGraph:
    """See Format."""

    name: str = "openvino"
    says: str = "an OpenVINO graph"
    file: str = "model.xml"
    needs: tuple[tuple[str, str], ...] = (("openvino", "openvino"),)
    pixels: bool = True
    quantizes: bool = False

    def refuses(self, described: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """Any network, as long as it can be traced."""
        return None

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """A batch of any size, in float32; labels and preprocessing in its runtime information."""
        with no_telemetry():
            openvino = require("openvino", "openvino", "an OpenVINO graph")
            frontend = require("openvino.frontend", "openvino", "an OpenVINO graph")
            decoder = require("openvino.frontend.pytorch.fx_decoder", "openvino", "an OpenVINO graph")
        program = traced(subject)
        try:
            with quiet(), torch.no_grad():
                decoded = decoder.TorchFXPythonDecoder.from_exported_program(program)
                pytorch = frontend.FrontEndManager().load_by_framework("pytorch")
                graph = pytorch.convert(pytorch.load(decoded))
            for port, name in zip(graph.inputs, subject.example, strict=True):
                port.get_tensor().set_names({name})
            for key, told in (
                ("labels", subject.labels.names),
                ("preprocess", subject.network.preprocess.spec()),
                ("task", subject.task.name),
            ):
                graph.set_rt_info(json.dumps(told), [TOLD, key])
        except Exception as error:  # whatever a converter raises
            raise BadExport(
                f"{subject.name} cannot be written as an OpenVINO graph: {first_line(error)}"
            ) from error
        try:
            openvino.save_model(graph, folder / self.file, compress_to_fp16=False)
        except RuntimeError as error:  # "iostream error": it does not say which
            raise DiskFailed(
                f"{folder / self.file} cannot be written by OpenVINO ({first_line(error)}); look whether "
                f"that disk is full, or name a folder on another."
            ) from error
        return {}

    def opened(self, folder: Path, about: Mapping[str, Any]) -> Runtime:  # noqa: ARG002
        """See Format."""
        with no_telemetry():
            openvino = require("openvino", "openvino", "an OpenVINO graph")
        core = openvino.Core()
        graph = core.read_model(folder / self.file)
        # Unless told, a processor that has bf16 computes in it.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        compiled = core.compile_model(graph, "CPU", settings)
        names = tuple(port.get_any_name() for port in graph.inputs)

        def answer(inputs: Mapping[str, Tensor]) -> Tensor:
            found = compiled({name: inputs[name].contiguous().numpy() for name in names})
            return torch.from_numpy(found[0].copy())

        labels = tuple(json.loads(graph.get_rt_info([TOLD, "labels"]).astype(str)))
        return Runtime(answer, labels, f"openvino {openvino.__version__.partition('-')[0]}")
