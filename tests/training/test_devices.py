"""Where training runs, and that whoever only answers does not disturb it."""

from __future__ import annotations

import pytest
import torch

from tunesmith.errors import BadOption
from tunesmith.training.devices import accelerator_for, device_for


def test_an_answer_between_two_steps_leaves_the_training_its_precision() -> None:
    training = accelerator_for("cpu", "bf16")
    assert device_for("cpu") == torch.device("cpu")
    assert training.mixed_precision == "bf16"
    accelerator_for("cpu", "fp32")  # the control: a second one takes the state of the first
    assert training.mixed_precision == "no"


@pytest.mark.parametrize("device", ["gpu", "cudas", ""])
def test_a_device_that_does_not_exist_is_refused(device: str) -> None:
    with pytest.raises(BadOption, match="device must be auto, cpu, cuda"):
        device_for(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_here_is_refused() -> None:
    with pytest.raises(BadOption, match="torch sees no CUDA GPU here"):
        device_for("cuda:1")
