"""An ONNX graph: runs in onnxruntime and in whatever else reads ONNX."""

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
from tunesmith.errors import BadExport
from tunesmith.exports.format import Runtime, Subject
from tunesmith.exports.graph import traced
from tunesmith.registry import require

ANSWERS: Final = "answers"


@dataclass(frozen=True)
class Onnx:
    """See Format."""

    name: str = "onnx"
    says: str = "an ONNX graph"
    file: str = "model.onnx"
    needs: tuple[tuple[str, str], ...] = (
        ("onnx", "onnxruntime"),
        ("onnxscript", "onnxruntime"),
        ("onnxruntime", "onnxruntime"),
    )
    pixels: bool = True
    quantizes: bool = True

    def refuses(self, described: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """Any network, as long as it can be traced."""
        return None

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """A batch of any size; labels, preprocessing and task as metadata, in JSON."""
        program = traced(subject)
        try:
            with quiet(), torch.no_grad():
                made = torch.onnx.export(
                    program,
                    dynamo=True,
                    input_names=list(subject.example),
                    output_names=[ANSWERS],
                    verbose=False,
                )
        except Exception as error:  # whatever an exporter raises
            raise BadExport(f"{subject.name} cannot be written as ONNX: {first_line(error)}") from error
        assert made is not None
        made.model.metadata_props.update(
            task=subject.task.name,
            labels=json.dumps(subject.labels.names, ensure_ascii=False),
            preprocess=json.dumps(subject.network.preprocess.spec()),
        )
        for node in made.model.graph:  # where each came from: paths of this machine among it
            node.metadata_props.clear()
        made.save(folder / self.file)
        return {}

    def opened(self, folder: Path, about: Mapping[str, Any]) -> Runtime:  # noqa: ARG002
        """See Format."""
        return opened(folder / self.file)


def opened(path: Path) -> Runtime:
    """A graph in onnxruntime, on the processor, with as many threads as torch has."""
    runtime = require("onnxruntime", "onnxruntime", "an ONNX graph")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    names = tuple(entry.name for entry in session.get_inputs())

    def answer(inputs: Mapping[str, Tensor]) -> Tensor:
        arrays = {name: inputs[name].contiguous().numpy() for name in names}
        return torch.from_numpy(session.run([ANSWERS], arrays)[0])

    return Runtime(answer, tuple(json.loads(told.get("labels", "[]"))), f"onnxruntime {runtime.__version__}")
