"""A program of torch.export (.pt2): runs wherever torch does, without the code of the network."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tunesmith.exports.format import Runtime, Subject
from tunesmith.exports.graph import traced


@dataclass(frozen=True)
class TorchProgram:
    """See Format."""

    name: str = "torch"
    says: str = "a torch.export program"
    file: str = "model.pt2"
    needs: tuple[tuple[str, str], ...] = ()
    pixels: bool = True
    quantizes: bool = False

    def refuses(self, described: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """Any network, as long as it can be traced."""
        return None

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Labels and preprocessing travel inside as `labels.json` and `preprocess.json`."""
        inside = {
            "labels.json": json.dumps(subject.labels.names),
            "preprocess.json": json.dumps(subject.network.preprocess.spec()),
        }
        # In memory first: torch's own writer ends the process where a disk takes no more.
        whole = io.BytesIO()
        torch.export.save(traced(subject), whole, extra_files=inside)
        (folder / self.file).write_bytes(whole.getbuffer())
        return {}

    def opened(self, folder: Path, about: Mapping[str, Any]) -> Runtime:
        """See Format."""
        inside = {"labels.json": ""}
        program = torch.export.load(folder / self.file, extra_files=inside).module()
        labels = tuple(json.loads(inside["labels.json"]))
        names = about["inputs"]  # a program takes its inputs by place
        return Runtime(
            lambda inputs: program(*(inputs[name] for name in names)), labels, f"torch {torch.__version__}"
        )
