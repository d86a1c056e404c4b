"""The contract of a task: what every task keeps to, whatever its answers are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.data.data import SPLITS, Data
from tunesmith.networks.network import Network, Want
from tunesmith.networks.preprocess import ImagePreprocess, Preprocess, TextPreprocess
from tunesmith.plan import Settings
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Batch, Labels, Task, less_is_better
from tunesmith.testing.answering import Answering
from tunesmith.testing.learning import Learning
from tunesmith.testing.stand_ins import by_heart, dataset, speller
from tunesmith.training.examples import Examples


@dataclass(frozen=True)
class Known:
    """A task, examples that it has learned, and how a network must answer them.

    right: what a network puts out that answers every row right; rows are examples, or their windows.
    mixed: much the same, but with other confidence in each.
    """

    task: Task
    data: Data
    labels: Labels
    preprocess: Preprocess
    seen: Examples
    batch: Batch
    right: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """To each row what is right of its neighbour."""
        return np.roll(self.right, 1, axis=0)

    @property
    def mixed(self) -> np.ndarray:
        """What is right with noise, the same every time."""
        return self.right + 0.3 * np.random.default_rng(0).normal(size=self.right.shape)

    @property
    def targets(self) -> list[Any]:
        """The true answers as scoring gets them."""
        return self.task.targets(self.data.train, self.labels)

    def network(self, outputs: np.ndarray) -> Network:
        """One that puts this out for these rows."""
        return by_heart(self.batch, outputs, self.preprocess)

    def answers(self, outputs: np.ndarray) -> list[Any]:
        """A prediction per example; each row is asked alone, so that it has no neighbours to mind."""
        network = self.network(outputs)
        found = [self.predict(network, piece)[0] for piece in self.batch.parts(self.batch.size)]
        return self.seen.put_together(found, self.task)

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        """What the task predicts for the rows of a batch, as it is asked in a run."""
        with torch.inference_mode():
            return self.task.predict(network, batch)

    def rows(self, *rows: int) -> Batch:
        """A batch of these rows."""
        return self.seen.batch(np.asarray(rows), self.task, self.labels)


def as_data(task: Task, examples: Sequence[tuple[Any, str]], columns: tuple[str, ...] = ()) -> Data:
    """Pairs of item and label as data in which every split is the same."""
    items, written = zip(*examples, strict=True)
    neighbours = zip(written, (*written[1:], written[0]), strict=True)
    if len(examples) < 8 or len(set(written)) < 3 or any(one == other for one, other in neighbours):
        pytest.fail("the contract needs eight examples, three answers, and others for neighbours")
    split = dataset({"id": [f"row {i}" for i in range(len(items))], "item": items, "label": written})
    return Data("contract", task.takes, dict.fromkeys(SPLITS, split), (), "", (), task.answers, columns)


def by_letters(task: Task, data: Data, labels: Labels, window: int) -> Preprocess:
    """A preprocessing that loses nothing of these items: images of 16 x 16 pixels, or texts by letters."""
    if task.takes == "image":
        return ImagePreprocess(16, 16)
    return TextPreprocess(speller(data.train["item"][:]), window, task.want(labels).pairs)


def known_of(
    task: Task,
    data: Data,
    labels: Labels,
    preprocess: Preprocess,
    outputs: Callable[[Batch, Labels], Any],
) -> Known:
    """All that the checks ask for, of the training split."""
    seen = Examples(data.train, preprocess, task=task)
    batch = seen.batch(np.arange(len(seen)), task, labels)
    return Known(task, data, labels, preprocess, seen, batch, np.asarray(outputs(batch, labels), dtype=float))


class TaskContract(Learning, Answering):
    """A member gives `task` and `examples`; one of parts also says with `outputs` how a network answers.

    window: tokens that the network reads of a text; a task that cuts may want to be tried with few.
    """

    window = 256

    @pytest.fixture
    def task(self) -> Task:
        """The task."""
        raise NotImplementedError("give the contract your task: a fixture `task` that returns it")

    @pytest.fixture
    def examples(self) -> Sequence[tuple[Any, str]]:
        """Eight or more (item, label): no item twice, three or more labels, neighbours with different ones.

        The last and the first are neighbours. An item is a text, or an image as `tunesmith.testing.picture`
        makes. A label is a string, as it lies in the data.
        """
        raise NotImplementedError("give the contract data: a fixture `examples` with pairs of item and label")

    @pytest.fixture
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of numbers, for a task of numbers."""
        return ()

    @pytest.fixture
    def data(self, task: Task, examples: Sequence[tuple[Any, str]], columns: tuple[str, ...]) -> Data:
        """The examples, as every split."""
        return as_data(task, examples, columns)

    @pytest.fixture
    def labels(self, task: Task, data: Data) -> Labels:
        """What the task learned from the examples."""
        return task.labels(data)

    @pytest.fixture
    def preprocess(self, task: Task, data: Data, labels: Labels) -> Preprocess:
        """Small images, or texts by letters."""
        return by_letters(task, data, labels, self.window)

    def outputs(self, batch: Batch, labels: Labels) -> Any:
        """What a network puts out that answers the batch right: [B, ...], over tokens [B, T, K].

        Of class indices, [B] or [B, T], five for the right one; of numbers, [B, K], the numbers themselves.
        """
        if batch.targets is None:
            pytest.fail("collate gave no targets for examples that have labels")
        targets = batch.targets.numpy()
        if targets.dtype.kind == "f":
            return targets
        return 5.0 * np.eye(len(labels.names))[targets.clip(0)]

    @pytest.fixture
    def known(self, task: Task, data: Data, labels: Labels, preprocess: Preprocess) -> Known:
        """All of these together."""
        return known_of(task, data, labels, preprocess, self.outputs)

    def test_a_run_finds_it_by_its_name(self, task: Task) -> None:
        """Predicting in another process begins with the name: an entry point, or TASKS.register."""
        assert TASKS.load(task.name)().name == task.name

    def test_it_says_what_it_takes_and_answers(self, task: Task) -> None:
        assert task.takes in ("image", "text")
        assert task.answers in ("classes", "numbers", "parts")
        assert task.solver in ((None,) if task.answers == "parts" else (None, "ridge", "lbfgs"))
        assert all(isinstance(said, str) and said for said in (task.name, task.kind, task.model, task.unit))

    def test_its_metrics_say_in_which_direction_they_are_better(self, known: Known) -> None:
        task, decides = known.task, known.task.deciding(known.labels)
        assert task.best in ("max", "min")
        assert less_is_better(task.metric) == (task.best == "min")
        assert less_is_better(decides) == (task.best == "min")
        assert less_is_better(task.valid_loss)
        scores = task.score(task.outcomes(known.answers(known.right), known.targets), known.labels)
        assert {decides, task.valid_loss} <= scores.keys()

    def test_it_is_configured_by_a_plans_settings(self, task: Task) -> None:
        assert task.configured(Settings()).name == task.name

    def test_it_tells_the_network_what_it_wants(self, task: Task, known: Known) -> None:
        want = task.want(known.labels, head="mlp", max_length=7)
        assert isinstance(want, Want)
        assert (want.kind, want.head, want.max_length) == (task.kind, "mlp", 7)
        assert want.outputs == known.right.shape[-1]

    def test_nothing_is_found_wrong_with_good_examples(self, task: Task, data: Data) -> None:
        assert list(task.check(data)) == []

    def test_what_it_learned_comes_back_from_json(self, known: Known) -> None:
        calibrated = known.task.calibrated(known.labels, known.answers(known.mixed), known.targets)
        for labels in (known.labels, calibrated):
            assert Labels.from_json(json.loads(json.dumps(asdict(labels)))) == labels
