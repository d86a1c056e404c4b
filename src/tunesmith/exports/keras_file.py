"""A `.keras` file: any Keras 3 opens it, on TensorFlow, JAX or torch; pixels go in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.exports.format import Runtime, Subject, fold_unit
from tunesmith.sources.keras_backend import keras_on_torch
from tunesmith.sources.keras_files import read_keras_file
from tunesmith.sources.keras_writing import LOGITS, labels_in, write_keras


@dataclass(frozen=True)
class KerasFile:
    """See Format."""

    name: str = "keras"
    says: str = "a .keras file"
    file: str = "model.keras"
    # Not keras itself: it must not be imported before its backend is chosen.
    needs: tuple[tuple[str, str], ...] = (("h5py", "keras"),)
    pixels: bool = True
    quantizes: bool = False

    def refuses(self, described: Mapping[str, Any]) -> str | None:
        """Networks of Keras."""
        return None if (described["recipe"] or {}).get("source") == "keras" else "it holds networks of Keras"

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Normalisation inside, labels in its metadata; classes end in probabilities."""
        fold_unit(subject.network, subject.labels)
        classes = not subject.labels.spreads
        write_keras(subject.network, subject.labels.names, folder / self.file, probabilities=classes)
        return {}

    def opened(self, folder: Path, about: Mapping[str, Any]) -> Runtime:  # noqa: ARG002
        """By Keras itself, after every name in its configuration was looked at: no layer runs code."""
        path = folder / self.file
        read_keras_file(path)
        keras = keras_on_torch()
        whole = keras.saving.load_model(path, compile=False)
        model = keras.Model(whole.input, whole.get_layer(LOGITS).output)

        def answer(inputs: Mapping[str, Tensor]) -> Tensor:
            return torch.as_tensor(model.predict(inputs["pixels"].permute(0, 2, 3, 1).numpy(), verbose=0))

        version = f"keras {keras.__version__} on {keras.backend.backend()}"
        return Runtime(answer, labels_in(path), version)
