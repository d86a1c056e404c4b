"""Every task keeps the public contract."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tunesmith.data.pairs import together
from tunesmith.data.questions import label_of
from tunesmith.data.tags import Answer
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.testing import TaskContract, picture

CLASSES = ("bird", "cat", "dog") * 4
PRICES = tuple(json.dumps(1000 + 10.0 * i**2) for i in range(12))
PAIRS = tuple(json.dumps([0.001 * i**2, 1e6 - i]) for i in range(12))


def texts(written: tuple[str, ...]) -> list[tuple[Any, str]]:
    return [("word " * (1 + i % 3) + f"number {i}", label) for i, label in enumerate(written)]


def twos(written: tuple[str, ...]) -> list[tuple[Any, str]]:
    return [(together(text, f"and {i}"), label) for i, (text, label) in enumerate(texts(written))]


def pictures(written: tuple[str, ...]) -> list[tuple[Any, str]]:
    return [(picture(i), label) for i, label in enumerate(written)]


class OfName(TaskContract):
    name: str

    @pytest.fixture
    def task(self) -> Task:
        task: Task = TASKS.load(self.name)()
        return task

    def test_it_is_called_what_the_registry_calls_it(self, task: Task) -> None:
        assert task.name == self.name


class TestImageClassification(OfName):
    name = "image-classification"

    @pytest.fixture
    def examples(self) -> list[tuple[Any, str]]:
        return pictures(CLASSES)


class TestTextClassification(OfName):
    name = "text-classification"

    @pytest.fixture
    def examples(self) -> list[tuple[Any, str]]:
        return texts(CLASSES)


class TestImageRegression(OfName):
    name = "image-regression"

    @pytest.fixture
    def examples(self) -> list[tuple[Any, str]]:
        return pictures(PRICES)


class TestTextRegression(OfName):
    name = "text-regression"

    @pytest.fixture
    def examples(self) -> list[tuple[Any, str]]:
        return texts(PAIRS)

    @pytest.fixture
    def columns(self) -> tuple[str, ...]:
        return ("dose", "cost")


class TestTextPairClassification(OfName):
    name = "text-pair-classification"

    @pytest.fixture
    def examples(self) -> list[tuple[Any, str]]:
        return twos(CLASSES)


class TestTextPairRegression(OfName):
    name = "text-pair-regression"

    @pytest.fixture
    def examples(self) -> list[tuple[Any, str]]:
        return twos(PRICES)


class TestTokenClassification(OfName):
    name = "token-classification"

    @pytest.fixture
    def examples(self) -> list[tuple[Any, str]]:
        """Nine sentences of four words each."""
        kinds = (("O", "B-PER", "I-PER", "B-LOC"), ("B-LOC", "O", "O", "B-PER"), ("O", "O", "B-ORG", "O"))
        found = []
        for i in range(9):
            words = ["some", "words", "number", f"{i}"]
            ends = np.cumsum([len(word) + 1 for word in words]) - 1
            places = tuple((int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True))
            found.append((" ".join(words), Answer(places, kinds[i % 3]).written()))
        return found


class TestTokenClassificationOfLongTexts(TestTokenClassification):
    window = 12


class TestQuestionAnswering(OfName):
    name = "question-answering"

    @pytest.fixture
    def examples(self) -> list[tuple[Any, str]]:
        found = []
        for i in range(12):
            context = "word " * (1 + i % 3) + f"number {i} ends"
            answers = [(f"number {i}", context.index("number"))] if i % 4 else []
            found.append((together(f"which of {i}", context), label_of(answers)))
        return found

    def outputs(self, batch: Batch, labels: Labels) -> Any:
        assert batch.pieces is not None
        assert batch.targets is not None
        logits = np.zeros((*batch.pieces.shape[:2], 2))
        for row, ends in enumerate(batch.targets.tolist()):
            logits[row, ends, (0, 1)] = 5.0
        return logits


def test_every_task_is_a_member() -> None:
    members = [TestImageClassification, TestTextClassification, TestImageRegression, TestTextRegression]
    members += [TestTextPairClassification, TestTextPairRegression, TestTokenClassification]
    members += [TestQuestionAnswering]
    assert sorted(member.name for member in members) == sorted(TASKS.names())
