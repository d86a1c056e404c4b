"""Where training runs, at what precision, in how many processes: accelerate's part."""

from __future__ import annotations

import os
from typing import Any

import torch

from tunesmith.errors import BadOption

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def accelerator_for(device: str, precision: str) -> Any:
    """An Accelerator for a device and a precision.

    device: as for `device_for`.
    precision: "auto" is bf16 on GPUs that have it, else fp32.
    Raises BadOption for a device that is not there, or fp16 without a GPU.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    found = device_for(device)
    on_gpu = found.type == "cuda"
    if on_gpu and found.index is not None:
        torch.cuda.set_device(found)
    if precision == "auto":
        precision = "bf16" if on_gpu and torch.cuda.is_bf16_supported() else "fp32"
    if precision == "fp16" and not on_gpu:
        raise BadOption("precision fp16 needs a CUDA GPU; on a CPU use fp32 or bf16.")
    if on_gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or matrix products vary from run to run
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
    # accelerate keeps one global state and refuses a second Accelerator that differs from the first.
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(mixed_precision=PRECISIONS[precision], cpu=found.type == "cpu")


def device_for(device: str) -> torch.device:
    """Where a network answers, alone in its process: a training that is under way is not disturbed.

    device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1", "mps".
    Raises BadOption for a device that is not there.
    """
    kind = device.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise BadOption(f"device must be auto, cpu, cuda, cuda:N or mps; found {device!r}.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise BadOption(f"device {device!r} was asked for, but torch sees no CUDA GPU here; use cpu or auto.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise BadOption("device 'mps' was asked for, but this machine has no Apple GPU; use cpu or auto.")
    if kind != "auto":
        return torch.device(device)
    there = (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
    return torch.device(next((name for name, here in there if here), "cpu"))
