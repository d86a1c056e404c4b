"""What every task keeps to, whatever its answers are made of."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from torch import nn

from tunesmith.data.data import SPLITS, Data
from tunesmith.networks.network import Network, Stage
from tunesmith.plan import Settings
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Batch, Labels, Task, less_is_better


class Words:
    """A preprocessing that turns an item into its length."""

    takes = "text"

    def raw(self, items: Any) -> dict[str, torch.Tensor]:
        return {"lengths": torch.tensor([[float(len(str(item)))] for item in items])}

    def ready(self, inputs: Any) -> Any:
        return inputs


class Said(nn.Module):
    """Outputs that are given."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self.outputs = nn.Parameter(
            torch.as_tensor(np.asarray(outputs), dtype=torch.float32), requires_grad=False
        )

    def forward(self, lengths: torch.Tensor) -> torch.Tensor:
        return self.outputs[: len(lengths)]


def network(outputs: Any) -> Network:
    """A network that says what it is given, whatever it sees."""
    return Network(Said(outputs), (), Stage("all", ("",), ("outputs",)), (), Words(), "given")  # type: ignore[arg-type]


def cost(task: Task, outputs: Any, batch: Batch) -> float:
    """The loss of a network that says this."""
    return float(task.loss(network(outputs), batch))


class TaskContract:
    """A member gives `name`, the labels of a dozen examples, and the outputs that answer them right."""

    name: str
    written: tuple[str, ...]
    targets: tuple[str, ...] = ()

    @pytest.fixture
    def task(self) -> Task:
        task: Task = TASKS.load(self.name)()
        return task

    @pytest.fixture
    def data(self, task: Task) -> Data:
        rows = {"id": [f"r{i}" for i in range(12)], "item": ["x" * (i + 1) for i in range(12)]}
        split = datasets.Dataset.from_dict({**rows, "label": list(self.written)})
        return Data("d", task.takes, dict.fromkeys(SPLITS, split), (), "", (), task.answers, self.targets)

    @pytest.fixture
    def labels(self, task: Task, data: Data) -> Labels:
        return task.labels(data)

    @pytest.fixture
    def batch(self, task: Task, data: Data, labels: Labels) -> Batch:
        return task.collate(list(data.train), Words(), labels)  # type: ignore[arg-type]

    def outputs(self, batch: Batch, labels: Labels) -> Any:
        raise NotImplementedError

    def test_it_is_called_what_the_registry_calls_it(self, task: Task) -> None:
        assert task.name == self.name
        assert task.name.startswith(task.takes)
        assert task.answers in ("classes", "numbers", "parts")

    def test_its_metric_says_in_which_direction_it_is_better(self, task: Task, labels: Labels) -> None:
        assert less_is_better(task.deciding(labels)) == (task.best == "min")
        assert less_is_better(task.valid_loss)

    def test_a_wrong_answer_costs_more_than_a_right_one(
        self, task: Task, batch: Batch, labels: Labels
    ) -> None:
        right = self.outputs(batch, labels)
        wrong = np.roll(right, 1, axis=0)
        assert cost(task, right, batch) < cost(task, wrong, batch)

    def test_weights_multiply_each_examples_loss(self, task: Task, batch: Batch, labels: Labels) -> None:
        said = self.outputs(batch, labels).copy()
        said[0] = self.outputs(batch, labels)[1]  # the first alone is wrong
        heavy = torch.zeros(batch.size)
        heavy[0] = float(batch.size)
        alone = Batch({"lengths": torch.zeros(1, 1)}, batch.targets[:1], None, 1)  # type: ignore[index]
        weighted = Batch(batch.inputs, batch.targets, heavy, batch.size)
        expected = cost(task, said, alone)
        assert cost(task, said, weighted) == pytest.approx(expected, rel=1e-6)
        assert cost(task, said, batch) != pytest.approx(expected, rel=1e-6)

    def test_right_answers_score_best_in_every_metric(
        self, task: Task, data: Data, batch: Batch, labels: Labels
    ) -> None:
        targets = task.targets(data.test, labels)
        right = self.outputs(batch, labels)
        best, worse = (
            task.score(task.outcomes(task.predict(network(said), batch), targets), labels)
            for said in (right, np.roll(right, 1, axis=0))
        )
        assert best.keys() == worse.keys()
        for metric in best:
            sign = -1 if less_is_better(metric) else 1
            assert sign * best[metric] >= sign * worse[metric]
        decides = task.deciding(labels)
        assert best[decides] != worse[decides]

    def test_outcomes_hold_a_row_per_unit_in_every_array(
        self, task: Task, data: Data, batch: Batch, labels: Labels
    ) -> None:
        predictions = task.predict(network(self.outputs(batch, labels)), batch)
        outcomes = task.outcomes(predictions, task.targets(data.test, labels))
        assert {len(values) for values in outcomes.values()} == {len(data.test)}
        every = task.score(outcomes, labels)
        again = task.score({name: values[::-1] for name, values in outcomes.items()}, labels)
        assert again == pytest.approx(every)

    def test_one_metric_alone_is_the_one_among_all(
        self, task: Task, data: Data, batch: Batch, labels: Labels
    ) -> None:
        predictions = task.predict(network(np.roll(self.outputs(batch, labels), 1, axis=0)), batch)
        outcomes = task.outcomes(predictions, task.targets(data.test, labels))
        for metric, value in task.score(outcomes, labels).items():
            assert task.score(outcomes, labels, only=metric)[metric] == value

    def test_targets_are_what_collate_gives(
        self, task: Task, data: Data, batch: Batch, labels: Labels
    ) -> None:
        assert batch.targets is not None
        assert np.asarray(task.targets(data.train, labels)) == pytest.approx(batch.targets.numpy(), abs=1e-6)

    def test_examples_without_labels_are_collated_too(self, task: Task, labels: Labels) -> None:
        found = task.collate([{"item": "a"}, {"item": "b", "label": None}], Words(), labels)  # type: ignore[arg-type]
        assert (found.targets, found.weights, found.size) == (None, None, 2)
        with pytest.raises(ValueError, match="has no loss"):
            task.loss(network(np.zeros((2, len(labels.names)))), found)

    def test_the_trivial_answer_can_be_scored_and_shown(self, task: Task, data: Data, labels: Labels) -> None:
        name, answers = task.trivial(labels, len(data.test))
        assert name
        assert task.score(task.outcomes(answers, task.targets(data.test, labels)), labels)
        assert len(task.table(answers, labels, full=True)) == len(data.test)

    def test_labels_come_back_from_json(self, task: Task, data: Data, batch: Batch, labels: Labels) -> None:
        predictions = task.predict(network(self.outputs(batch, labels)), batch)
        known = task.calibrated(labels, predictions, task.targets(data.valid, labels))
        assert Labels.from_json(json.loads(json.dumps(asdict(known)))) == known

    def test_a_table_has_a_row_per_prediction_with_the_same_columns(
        self, task: Task, batch: Batch, labels: Labels
    ) -> None:
        predictions = task.predict(network(self.outputs(batch, labels)), batch)
        for full in (False, True):
            rows = task.table(predictions, labels, full=full)
            assert len(rows) == batch.size
            assert len({tuple(row) for row in rows}) == 1
            json.dumps(rows)

    def test_what_a_file_holds_of_predictions_scores_as_they_do(
        self, task: Task, data: Data, batch: Batch, labels: Labels
    ) -> None:
        predictions = task.predict(network(np.roll(self.outputs(batch, labels), 1, axis=0)), batch)
        rows = task.table(predictions, labels, full=True)
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        again, targets = task.from_table(columns, labels), task.targets(data.test, labels)
        scores = [task.score(task.outcomes(own, targets), labels) for own in (predictions, again)]
        assert scores[1] == pytest.approx(scores[0], rel=1e-9)
        with pytest.raises((KeyError, ValueError)):
            task.from_table({"id": list(data.test["id"])}, labels)

    def test_it_is_configured_by_a_plans_settings(self, task: Task) -> None:
        assert task.configured(Settings()).name == task.name

    def test_the_network_wants_one_output_per_name(self, task: Task, labels: Labels) -> None:
        want = task.want(labels, head="mlp")
        assert (want.kind, want.outputs, want.labels, want.head) == (
            task.kind,
            len(labels.names),
            labels.names,
            "mlp",
        )


class OfClasses(TaskContract):
    written = ("bird", "cat", "dog") * 4

    def outputs(self, batch: Batch, labels: Labels) -> Any:
        assert batch.targets is not None
        return 5.0 * np.eye(len(labels.names))[batch.targets.numpy()]


class OfNumbers(TaskContract):
    def outputs(self, batch: Batch, labels: Labels) -> Any:
        assert batch.targets is not None
        return batch.targets.numpy()


class TestImageClassification(OfClasses):
    name = "image-classification"


class TestTextClassification(OfClasses):
    name = "text-classification"


class TestImageRegression(OfNumbers):
    name = "image-regression"
    written = tuple(json.dumps(1000 + 10.0 * i**2) for i in range(12))
    targets = ("price",)


class TestTextRegression(OfNumbers):
    name = "text-regression"
    written = tuple(json.dumps([0.001 * i**2, 1e6 - i]) for i in range(12))
    targets = ("dose", "cost")


def test_every_task_is_a_member() -> None:
    members = [TestImageClassification, TestTextClassification, TestImageRegression, TestTextRegression]
    assert sorted(member.name for member in members) == sorted(TASKS.names())
