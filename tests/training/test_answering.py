"""An engine answers for a whole network only where it agrees and pays, and its answers are the network's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.engines import Engine, choosing, eager
from tunesmith.errors import EngineFailed, MissingPackage
from tunesmith.networks.network import Network, Want
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.training import answering
from tunesmith.training.answering import engine_for
from tunesmith.training.examples import Examples
from tunesmith.training.predicting import predict, predict_by
from tunesmith.training.runner import Runner

Make = Callable[..., Network]
Plant = Callable[..., list[str]]
ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"needs {name}"))
    for name in ("openvino", "onnxruntime")
]


class Planted(eager.Eager):
    """PyTorch under another name: its answers times `factor`, and `leak` of another example's in each."""

    factor, leak = 1.0, 0.0

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        return [self.factor * out + self.leak * out.roll(1, 0) for out in super().__call__(inputs)]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Let openvino and onnxruntime be PyTorch with a fault; gives the names of what is built, as it is."""

    def go(**faults: dict[str, float]) -> list[str]:
        built: list[str] = []

        def build(name: str, prefix: Any, *_: Any, **__: Any) -> Engine:
            if name not in faults and name != "eager":
                raise MissingPackage("not here")
            built.append(name)
            engine = Planted(prefix, "fp32", torch.device("cpu"), channels_last=False, name=name)
            for fault, size in faults.get(name, {}).items():
                setattr(engine, fault, size)
            return engine

        monkeypatch.setattr(choosing, "build", build)
        return built

    return go


@pytest.fixture
def paying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few examples be enough."""
    monkeypatch.setattr(answering, "CONVERTS", {"cpu": 0})
    monkeypatch.setattr(answering, "CHUNKS", 0)


def asked_for(network: Network, dataset: Any, task: Task, folder: Path, **options: Any) -> tuple[Any, str]:
    examples = Examples(dataset, network.preprocess, task=task)
    return engine_for(network, examples, **{"asked": "auto", "folder": folder, "held": {}, **options})


def answers_by(runner: Runner | None, task: Task, labels: Labels) -> np.ndarray:
    assert runner is not None
    return np.array(predict_by(runner, task, labels))


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_answers_as_the_network_does(
    name: str, small: Make, task: Task, pixels: Data, tmp_path: Path
) -> None:
    network, labels = small(), task.labels(pixels)
    own = np.array(predict(network, task, pixels.train, labels, batch=32))
    runner, why = asked_for(network, pixels.train, task, tmp_path, asked=name)
    found = answers_by(runner, task, labels)
    assert found == pytest.approx(own, abs=1e-5)
    assert found != pytest.approx(own[::-1], abs=1e-5)  # the control: any order would do
    assert why.startswith(f"{name} in fp32, ")
    assert why.endswith(" from the live network, as asked")
    (again,) = answers_by(
        asked_for(network, pixels.train.select([5]), task, tmp_path, asked=name)[0], task, labels
    )
    assert (again == found[5]).all()  # to the bit, whatever goes beside it


@pytest.mark.parametrize("name", ENGINES)
def test_texts_of_many_lengths_are_answered_in_their_order(
    name: str, tiny_text: Callable[[str], Path], tmp_path: Path, seed: int
) -> None:
    import datasets

    from tunesmith.sources import load

    task: Task = TASKS.load("text-classification")()
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("abcdef "), int(n))) + "x" for n in random.integers(1, 60, 23)]
    columns = {"id": texts, "item": texts, "label": ["good", "bad"] * 11 + ["bad"]}
    dataset = datasets.Dataset.from_dict(columns)
    labels = task.labels(Data("t", "text", {"train": dataset}, (), ""))
    network = load(f"hf/{tiny_text('bert')}", Want("text-classification", 2, labels.names))
    with torch.no_grad():  # a new head is so small that all its answers are alike
        dict(network.module.named_parameters())[network.head.weights[-2]].mul_(500)
    own = np.array(predict(network, task, dataset, labels, batch=8))
    found = answers_by(asked_for(network, dataset, task, tmp_path, asked=name)[0], task, labels)
    assert found == pytest.approx(own, abs=1e-4)
    assert np.abs(own - own[::-1]).max() > 0.005  # the control: the order shows


@pytest.mark.parametrize(
    ("fault", "said"),
    [({"factor": 1.01}, "differs from the live network"), ({"leak": 1e-4}, "depends on the other examples")],
)
@pytest.mark.usefixtures("paying")
def test_an_engine_that_disagrees_is_not_used(
    fault: dict[str, float], said: str, plant: Plant, small: Make, task: Task, pixels: Data, tmp_path: Path
) -> None:
    plant(openvino=fault, onnxruntime={})
    runner, why = asked_for(small(), pixels.train, task, tmp_path / "a")
    assert runner.choice.engine == "onnxruntime"
    assert f"; openvino: {said}" in why.replace("what it gives for an example ", "")
    plant(openvino=fault)
    runner, why = asked_for(small(), pixels.train, task, tmp_path / "b")
    assert runner is None
    assert why.startswith("eager in fp32, the first that agrees; openvino: ")
    assert "onnxruntime: not installed (pip install" in why
    with pytest.raises(EngineFailed, match=f"engine openvino: .*{said}"):
        asked_for(small(), pixels.train, task, tmp_path / "c", asked="openvino")
    plant(openvino={})  # the control: without the fault it is the first
    assert asked_for(small(), pixels.train, task, tmp_path / "d")[0].choice.engine == "openvino"


def test_few_examples_are_left_to_the_network(
    plant: Plant, small: Make, task: Task, pixels: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = plant(openvino={})
    network = small()
    monkeypatch.setattr(answering, "CHUNKS", 3)  # of eight images
    work = sum(part.macs for part in network.parts)
    for enough, count, engine in ((24 * work, 24, True), (24 * work, 23, False), (24 * work + 1, 24, False)):
        monkeypatch.setattr(answering, "CONVERTS", {"cpu": enough})
        found = asked_for(network, pixels.train.select(range(count)), task, tmp_path)
        assert (found[0] is not None) == engine
        assert bool(found[1]) == engine
    monkeypatch.setattr(answering, "CHUNKS", 4)
    monkeypatch.setattr(answering, "CONVERTS", {"cpu": 0})
    assert asked_for(network, pixels.train, task, tmp_path) == (None, "")
    assert built == ["openvino"] * len(built)
    assert asked_for(network, pixels.train.select([0]), task, tmp_path, asked="openvino")[0] is not None
    assert asked_for(network, pixels.train, task, tmp_path, asked="eager") == (None, "eager, as asked")


@pytest.mark.usefixtures("paying")
def test_a_choice_is_taken_again_until_the_network_is_another(
    plant: Plant, small: Make, task: Task, pixels: Data, tmp_path: Path
) -> None:
    plant(openvino={"factor": 1.01}, onnxruntime={})
    assert asked_for(small(), pixels.train, task, tmp_path)[0].choice.engine == "onnxruntime"
    built = plant(openvino={}, onnxruntime={})
    assert asked_for(small(), pixels.valid, task, tmp_path)[0].choice.engine == "onnxruntime"
    assert built == ["onnxruntime"]
    network = small()
    with torch.no_grad():  # the head is part of what the engine runs
        dict(network.module.named_parameters())[network.head.weights[0]].add_(1.0)
    assert asked_for(network, pixels.train, task, tmp_path)[0].choice.engine == "openvino"


@pytest.mark.usefixtures("paying")
def test_an_engine_is_built_once_for_the_same_weights(
    plant: Plant, small: Make, task: Task, pixels: Data, tmp_path: Path
) -> None:
    built = plant(openvino={})
    network, labels, held = small(), task.labels(pixels), dict[str, Engine]()
    first = asked_for(network, pixels.train, task, tmp_path, held=held)[0]
    again = asked_for(network, pixels.valid, task, tmp_path, held=held)[0]
    assert again.engine is first.engine
    assert len(answers_by(again, task, labels)) == len(pixels.valid)
    assert built == ["openvino"]
    with torch.no_grad():
        next(network.module.parameters()).mul_(2.0)
    moved = asked_for(network, pixels.train, task, tmp_path, held=held)[0]
    assert moved.engine is not first.engine  # or it would answer for the weights that were
    assert list(held.values()) == [moved.engine]


@pytest.mark.usefixtures("paying")
def test_a_network_that_no_engine_can_run_answers_itself(
    plant: Plant, small: Make, task: Task, pixels: Data, tmp_path: Path
) -> None:
    plant(openvino={})
    network = small()
    network.module.head.register_forward_hook(lambda *given: given[-1] + torch.rand(()))  # type: ignore[union-attr]
    runner, why = asked_for(network, pixels.train, task, tmp_path)
    assert runner is None
    assert why.startswith("eager, because no engine agrees with this network: openvino: ")
