"""What a network of transformers makes of pairs: the loss and gradients of transformers' own model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.data.pairs import together
from tunesmith.sources import load
from tunesmith.tasks.named import task as named
from tunesmith.tasks.task import Labels
from tunesmith.testing.stand_ins import speller

PAIRS = [("a fox runs in the rain", "an animal moves"), ("two owls sleep", "nobody rests " * 9), ("b", "a b")]
LABELS: dict[str, tuple[Labels, list[str]]] = {
    "text-pair-classification": (Labels(("no", "yes"), counts=(1, 2)), ["yes", "no", "yes"]),
    "text-pair-regression": (Labels(("score",), means=(2.0,), spreads=(0.5,)), ["2.5", "1.0", "3.25"]),
}


@pytest.fixture
def folder(tiny_text: Callable[[str], Path]) -> Path:
    """A tiny BERT whose tokenizer knows pairs: separators and segments."""
    found = tiny_text("bert")
    speller([text for pair in PAIRS for text in pair]).save_pretrained(found)
    return found


@pytest.mark.parametrize("name", LABELS)
def test_loss_and_gradients_are_those_of_transformers_on_the_same_batch(name: str, folder: Path) -> None:
    import transformers

    labels, written = LABELS[name]
    task = named(name)
    network = load(f"hf/{folder}?pooling=own", task.want(labels, max_length=48))
    reference: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(labels.names)
    )
    reference.load_state_dict(network.module.state_dict())
    network.module.eval()
    reference.eval()

    def ours(pairs: list[tuple[str, str]]) -> torch.Tensor:
        rows = [{"item": together(*pair), "label": own} for pair, own in zip(pairs, written, strict=True)]
        return task.loss(network, task.collate(rows, network.preprocess, labels))

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    firsts, seconds = map(list, zip(*PAIRS, strict=True))
    tokens = tokenizer(firsts, seconds, truncation=True, max_length=48, padding=True, return_tensors="pt")
    assert (tokens["token_type_ids"] == 1).any()
    assert tokens["attention_mask"].sum(1).max() == 48  # one is cut
    if name == "text-pair-classification":
        truth = torch.tensor([labels.names.index(own) for own in written])
    else:
        truth = (torch.tensor([float(own) for own in written]) - 2.0) / 0.5
    theirs = reference(**tokens, labels=truth).loss
    loss = ours(PAIRS)
    assert torch.equal(loss.detach(), theirs.detach())
    (loss + theirs).backward()
    expected = dict(reference.named_parameters())
    for weight, own in network.module.named_parameters():
        assert own.grad is not None
        assert torch.equal(own.grad, expected[weight].grad), weight
    turned = ours([(second, first) for first, second in PAIRS])  # the control
    assert not torch.equal(turned.detach(), theirs.detach())
