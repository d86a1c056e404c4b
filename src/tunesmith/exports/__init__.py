"""Exports: a run's network in the forms that other tools open, each proven before it is handed out."""

from __future__ import annotations

from typing import Final

from tunesmith.registry import Registry

FORMATS: Final = Registry(
    "format",
    {
        "onnx": "tunesmith.exports.onnx_graph:Onnx",
        "torch": "tunesmith.exports.torch_program:TorchProgram",
        "transformers": "tunesmith.exports.transformers_folder:TransformersFolder",
        "timm": "tunesmith.exports.timm_checkpoint:TimmCheckpoint",
        "keras": "tunesmith.exports.keras_file:KerasFile",
        "safetensors": "tunesmith.exports.headed_file:HeadedFile",
        "openvino": "tunesmith.exports.openvino_graph:OpenVinoGraph",
    },
)
