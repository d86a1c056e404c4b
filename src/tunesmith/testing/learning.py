"""The half of a task's contract that training rests on: labels, batches, loss."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tunesmith.errors import TunesmithError
from tunesmith.testing.stand_ins import same
from tunesmith.training.examples import Examples

if TYPE_CHECKING:
    from tunesmith.data.data import Data
    from tunesmith.tasks.rows import Rows
    from tunesmith.tasks.task import Batch, Task
    from tunesmith.testing.tasks import Known


class Learning:
    """What a task learns from the training split, makes of examples, and lowers."""

    def test_its_labels_are_learned_from_the_training_split_alone(self, task: Task, data: Data) -> None:
        """One answer after the other is left out of training and stays in the other splits."""
        whole, tried = data.train, 0
        for answer in dict.fromkeys(whole["label"][:]):
            rest = whole.select([row for row, label in enumerate(whole["label"]) if label != answer])
            try:
                learned = task.labels(replace(data, splits=dict.fromkeys(data.splits, rest)))
            except TunesmithError:
                continue  # without this answer there is nothing to learn
            others = {"train": rest, "valid": whole, "test": whole}
            assert task.labels(replace(data, splits=others)) == learned
            tried += 1
        assert tried, "labels cannot be learned when any one answer is missing"

    def test_collate_gives_the_weights_of_examples(self, known: Known) -> None:
        count = known.batch.size
        weights = [0.5 + row for row in range(count)]
        seen = copy.copy(known.seen)
        seen.columns = known.seen.dataset.remove_columns("item").add_column("weight", weights)
        batch = seen.batch(np.arange(count), known.task, known.labels)
        assert batch.weights is not None
        assert batch.weights.tolist() == pytest.approx(weights)

    def test_collate_draws_no_random_numbers(self, known: Known) -> None:
        """Augmentation has a place of its own; a batch is the same whenever it is made."""
        rows = np.arange(known.batch.size)
        before = _dice()
        batch = known.seen.batch(rows, known.task, known.labels)
        assert same(_dice(), before)
        for name in ("inputs", "targets", "weights"):
            assert same(getattr(batch, name), getattr(known.batch, name))

    def test_examples_without_labels_are_collated_too(self, known: Known) -> None:
        """That is how `predict` gets them; a column of no labels counts as none."""
        bare = known.data.train.remove_columns("label")
        for given in (bare, bare.add_column("label", [None] * len(bare))):
            seen = Examples(given, known.preprocess, task=known.task)
            batch = seen.batch(np.arange(len(seen)), known.task, known.labels)
            assert (batch.targets, batch.weights, batch.size) == (None, None, known.batch.size)
            with pytest.raises(ValueError, match="loss"):
                known.task.loss(known.network(known.right), batch)

    def test_a_wrong_answer_costs_more_than_a_right_one(self, known: Known) -> None:
        assert _cost(known, known.right) < _cost(known, known.wrong)

    def test_the_loss_is_the_mean_over_the_examples(self, known: Known) -> None:
        """Or a batch that does not fit into memory and is taken in pieces would train something else.

        Of a task of parts an example may count by how many it has; the mean still lies between the examples'.
        """
        each = [_cost(known, known.mixed, piece) for piece in known.batch.parts(known.batch.size)]
        found = _cost(known, known.mixed)
        if known.task.answers == "parts":
            assert min(each) <= found * (1 + 1e-4)
            assert found <= max(each) * (1 + 1e-4)
        else:
            assert found == pytest.approx(np.mean(each), rel=1e-4)

    def test_weights_multiply_each_examples_loss(self, known: Known) -> None:
        batch, size = replace(known.batch, weights=None), known.batch.size
        each = [_cost(known, known.mixed, replace(batch, weights=own)) for own in torch.eye(size)]
        even = _cost(known, known.mixed, replace(batch, weights=torch.ones(size)))
        assert sum(each) == pytest.approx(even, rel=1e-4)
        weights = torch.arange(size) / 2
        found = _cost(known, known.mixed, replace(batch, weights=weights))
        assert found == pytest.approx(np.dot(weights.numpy(), each), rel=1e-4)

    def test_the_loss_moves_what_the_network_puts_out(self, known: Known) -> None:
        """A finite gradient for every example that was answered wrong; a window may have nothing to learn."""
        network = known.network(known.wrong)
        known.task.loss(network, replace(known.batch, weights=None)).backward()  # type: ignore[no-untyped-call]
        gradient: Any = next(network.module.parameters()).grad
        assert gradient is not None
        assert torch.isfinite(gradient).all()
        moved = gradient.flatten(1).abs().amax(1) > 0
        assert moved.any() if known.task.answers == "parts" else moved.all()

    def test_its_parts_depend_on_their_own_example_alone(self, known: Known) -> None:
        """Rankings, evidence per stage and the probe rest on `rows`; a task without `parts` makes none."""
        size = known.batch.size
        states = _states(known.batch)
        rows = known.task.rows(states, known.batch)
        assert known.task.rows(states.flatten(1), known.batch) is None, "no part can be found in [B, D]"
        if not known.task.parts:
            assert rows is None
            return
        assert rows is not None
        assert len(rows.states) == len(rows.of) == len(rows.targets) == len(rows.places) > 0
        pairs = list(zip(rows.of.tolist(), rows.places.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs), "two parts of an example have the same place"
        assert min(min(pair) for pair in pairs) >= 0
        assert max(rows.of.tolist()) < size
        for row in range(size):
            piece = known.rows(row)
            alone = known.task.rows(states[row : row + 1, : _states(piece).shape[1]], piece)
            mine = rows.of == row
            for name in ("states", "targets", "places"):
                found = [] if alone is None else getattr(alone, name).tolist()
                assert found == getattr(rows, name)[mine].tolist()
        _check_answers(rows, len(known.labels.names))


def _dice() -> list[Any]:
    """Where every generator of random numbers stands that a task may reach."""
    numpys: Any = np.random.get_state()
    return [torch.get_rng_state(), numpys[1], numpys[2], random.getstate()]


def _cost(known: Known, outputs: Any, batch: Batch | None = None) -> float:
    """The loss of a network that puts this out."""
    with torch.no_grad():
        return float(known.task.loss(known.network(outputs), known.batch if batch is None else batch))


def _states(batch: Batch) -> Any:
    """What a stage may hand on of a batch, other numbers everywhere: of tokens [B, T, 3], or maps."""
    shape = (batch.size, 8, 4, 4) if batch.pieces is None else (*batch.pieces.shape[:2], 3)
    return torch.arange(float(np.prod(shape))).reshape(shape)


def _check_answers(rows: Rows, outputs: int) -> None:
    """Classes of K, or 0 and 1 with a single 1 of each question in each row of the batch."""
    answers = rows.targets
    if answers.ndim == 1:
        assert not answers.is_floating_point()
        assert answers.min() >= 0
        assert answers.max() < outputs
        assert rows.background is None or 0 <= rows.background < outputs
        return
    assert answers.shape == (len(rows.of), outputs)
    for row in sorted(set(rows.of.tolist())):
        assert answers[rows.of == row].sum(0).tolist() == [1.0] * outputs
    assert ((answers == 0) | (answers == 1)).all()
