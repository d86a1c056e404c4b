"""The contract of a task fails on planted faults, each in the check that names it and in no other."""

from __future__ import annotations

import importlib.util
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.data.tags import Answer
from tunesmith.tasks import TASKS
from tunesmith.tasks.image_classification import ImageClassification
from tunesmith.tasks.image_regression import ImageRegression
from tunesmith.tasks.regression import Regression
from tunesmith.tasks.token_classification import TokenClassification
from tunesmith.testing import TaskContract, picture
from tunesmith.testing.tasks import as_data, by_letters, known_of

CHECKS = [name for name in dir(TaskContract) if name.startswith("test_")]


def planted() -> dict[str, Any]:
    path = Path(__file__).with_name("planted_tasks.py")
    spec = importlib.util.spec_from_file_location("planted_tasks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {plant.__name__: plant for plant in module.PLANTED}


PLANTED = planted()


def sentences() -> list[tuple[Any, str]]:
    """Nine of three words, the last of which is a name, or the first, or the one between."""
    found = []
    for i in range(9):
        words, tags = ["the", "word", f"{i}"], ["O", "O", "O"]
        tags[i % 3] = "B-X"
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        places = tuple((int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True))
        found.append((" ".join(words), Answer(places, tuple(tags)).written()))
    return found


def failing(plant: Any) -> set[str]:
    """The checks that a planted task fails, asked without pytest between: there are a thousand."""
    words, numbers = issubclass(plant, TokenClassification), issubclass(plant, Regression)
    options = {} if words else (ImageRegression if numbers else ImageClassification).keywords
    task = plant(**{**options, "name": "planted", **getattr(plant, "said", {})})
    TASKS.register(getattr(plant, "registered_as", "planted"), lambda: task)
    answers = [json.dumps(i**2) if numbers else "abc"[i % 3] for i in range(9)]
    examples = sentences() if words else [(picture(i), answer) for i, answer in enumerate(answers)]
    data = as_data(task, examples, ("size",) if numbers else ())
    labels = task.labels(data)
    contract = TaskContract()
    known = known_of(task, data, labels, by_letters(task, data, labels, 64), contract.outputs)
    given = {"task": task, "data": data, "labels": labels, "known": known}
    failed = set()
    for check in CHECKS:
        ask = getattr(contract, check)
        try:
            ask(**{name: given[name] for name in inspect.signature(ask).parameters})
        except (Exception, pytest.fail.Exception):  # noqa: BLE001
            failed.add(check)
    TASKS.added.clear()
    return failed


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_fault_is_caught_by_the_check_that_names_it_alone(plant: str) -> None:
    caught_by = PLANTED[plant].caught_by
    assert failing(PLANTED[plant]) == ({caught_by} if caught_by else set())


def test_every_check_has_a_fault_that_it_catches() -> None:
    """But for those that no task fails alone: its form, and what all else rests on."""
    assert set(CHECKS) - {plant.caught_by for plant in PLANTED.values()} == {
        "test_it_says_what_it_takes_and_answers",
        "test_it_is_configured_by_a_plans_settings",
        "test_a_whole_split_has_one_prediction_per_example",
    }
