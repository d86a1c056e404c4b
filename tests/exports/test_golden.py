"""Golden examples come back as they were, in one order."""

from __future__ import annotations

import pytest
import torch

from tunesmith.errors import BadRun
from tunesmith.exports.golden import Golden


def test_golden_examples_come_back_with_their_inputs_in_one_order() -> None:
    names = ["token_type_ids", "input_ids", "attention_mask", "bbox"]
    inputs = {name: torch.full((2, 3), i) for i, name in enumerate(names)}
    written = Golden(inputs, ("one", "zwei ü"), torch.tensor([0, 1]), torch.rand(2, 4)).to_bytes()
    for _ in range(20):  # safetensors reads in the order of a hash
        again = Golden.from_bytes(written, where="here")
        assert list(again.inputs) == sorted(names)
    assert again.texts == ("one", "zwei ü")
    assert all(torch.equal(again.inputs[name], inputs[name]) for name in names)


def test_what_is_no_golden_file_is_said_with_its_place() -> None:
    with pytest.raises(BadRun, match="here holds no golden examples"):
        Golden.from_bytes(b"not safetensors", where="here")
