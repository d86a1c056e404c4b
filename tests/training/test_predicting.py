"""Predictions stand in the data's order, whatever the batches were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.data.data import Data
from tunesmith.networks.network import Network, Want
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Task
from tunesmith.training.examples import Examples
from tunesmith.training.predicting import predict

Make = Callable[..., Network]


def one_by_one(network: Network, task: Task, dataset: Any, labels: Any) -> np.ndarray:
    network.module.eval()
    with torch.no_grad():
        batches = [task.collate([dataset[i]], network.preprocess, labels) for i in range(len(dataset))]
        return np.array([task.predict(network, batch)[0] for batch in batches])


@pytest.mark.parametrize("batch", [1, 2, 9, 100])
def test_predictions_stand_in_the_datas_order(batch: int, small: Make, task: Task, pixels: Data) -> None:
    network, labels = small(), task.labels(pixels)
    found = np.array(predict(network, task, pixels.valid, labels, batch=batch))
    expected = one_by_one(network, task, pixels.valid, labels)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found != pytest.approx(expected[::-1], abs=1e-6)  # or any order would do


def test_texts_come_back_in_order_although_the_longest_are_read_first(
    tiny_text: Callable[[str], Path], seed: int
) -> None:
    import datasets

    from tunesmith.sources import load

    task: Task = TASKS.load("text-classification")()
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("abcdef "), int(n))) + "x" for n in random.integers(1, 60, 23)]
    dataset = datasets.Dataset.from_dict(
        {"id": texts, "item": texts, "label": ["good", "bad"] * 11 + ["bad"]}
    )
    labels = task.labels(Data("t", "text", {"train": dataset}, (), ""))
    network = load(f"hf/{tiny_text('bert')}", Want("text-classification", 2, labels.names))
    with torch.no_grad():  # a new head is so small that all its answers are alike
        dict(network.module.named_parameters())[network.head.weights[-2]].mul_(500)
    lengths = Examples(dataset, network.preprocess).lengths
    assert lengths is not None
    assert len(set(lengths.tolist())) > 5
    expected = one_by_one(network, task, dataset, labels)
    for batch in (1, 4, 23):
        found = np.array(predict(network, task, dataset, labels, batch=batch))
        assert found == pytest.approx(expected, abs=1e-5)
        assert (found.argmax(1) == expected.argmax(1)).all()
    assert np.abs(expected - expected[::-1]).max() > 0.005  # or the order would not show


def test_labels_are_not_needed_to_predict(small: Make, task: Task, pixels: Data) -> None:
    unlabelled = pixels.valid.remove_columns("label")
    assert len(predict(small(), task, unlabelled, task.labels(pixels), batch=4)) == 9


def test_a_network_short_of_memory_predicts_the_same(small: Make, task: Task, pixels: Data) -> None:
    labels = task.labels(pixels)
    roomy = predict(small(), task, pixels.valid, labels, batch=9)
    narrow = predict(small(room=2), task, pixels.valid, labels, batch=9)
    assert np.array(narrow) == pytest.approx(np.array(roomy), abs=1e-6)


def test_predicting_moves_nothing_and_drops_nothing(small: Make, task: Task, pixels: Data) -> None:
    network, labels = small(dropout=0.5), task.labels(pixels)
    network.module.train()
    before = {n: t.clone() for n, t in network.module.state_dict().items()}
    first = np.array(predict(network, task, pixels.valid, labels, batch=4))
    assert (np.array(predict(network, task, pixels.valid, labels, batch=4)) == first).all()
    assert all(torch.equal(t, before[n]) for n, t in network.module.state_dict().items())


def test_progress_counts_every_example_once(small: Make, task: Task, pixels: Data) -> None:
    done: list[int] = []
    predict(small(), task, pixels.valid, task.labels(pixels), batch=4, progress=done.append)
    assert done == [4, 4, 1]
