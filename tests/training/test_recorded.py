"""Stored activations: computed once, the same whatever the batch, and training on them changes no bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import BadPlan, CannotReplay
from tunesmith.networks.activations import Activations
from tunesmith.networks.network import Network, Want
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.store import Store
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Task
from tunesmith.training.events import EpochEnd
from tunesmith.training.examples import Examples
from tunesmith.training.loop import Training
from tunesmith.training.precision import equal_answers, precision_that_agrees
from tunesmith.training.recorded import Recorded
from tunesmith.training.replaying import plan_replay
from tunesmith.training.runner import bucket
from tunesmith.training.solving import probe_head

Make = Callable[..., Network]


@pytest.fixture(autouse=True)
def one_thread_and_work_that_is_worth_storing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tunesmith.training.replaying.MACS_A_SECOND", 1.0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def split_up(data: Data, network: Network, store: Store) -> dict[str, Examples]:
    return {name: Examples(split, network.preprocess, store) for name, split in data.splits.items()}


def recorded_for(
    network: Network, plan: Plan, data: Data, store: Store, **options: Any
) -> tuple[Recorded, Any, dict[str, Examples]]:
    network.module.eval()
    examples = split_up(data, network, store)
    replaying = plan_replay(network, plan, examples["train"], count=100, room=None)
    options = {"engine": "eager", **options}
    return Recorded(network, store, replaying.cuts, examples["train"], **options), replaying, examples


def phases(*frozen: int, stages: int = 3, epochs: float = 2) -> tuple[Phase, ...]:
    return tuple(Phase(f"from {k}", epochs, (0.0,) * k + (1e-2,) * (stages + 1 - k)) for k in frozen)


def outcome(training: Training) -> tuple[list[Any], dict[str, Tensor]]:
    rows = [
        {k: v for k, v in event.row.items() if k != "seconds"}
        for event in training
        if isinstance(event, EpochEnd)
    ]
    return rows, {n: t.clone() for n, t in training.network.module.state_dict().items()}


class TestTrainingWithReplay:
    """Bit for bit the training without it, where chunk and batch are the same."""

    @pytest.mark.parametrize(
        "frozen", [(3,), (2,), (1,), (3, 2, 1, 0), (2, 2)], ids=["head", "2", "1", "gradual", "twice"]
    )
    def test_equals_training_without_it(
        self, small: Make, task: Task, pixels: Data, store: Store, frozen: tuple[int, ...], seed: int
    ) -> None:
        # 24 examples in batches of 8: the chunk is the batch, and none is ragged.
        train = pixels.train.select(range(24))
        data = replace(pixels, splits={**pixels.splits, "train": train})
        plan = Plan("test", phases(*frozen), Settings(batch=8, batch_norm="frozen", seed=seed))
        live = outcome(Training(small(), task, data, plan))
        network = small()
        recorded, replaying, examples = recorded_for(network, plan, data, store, chunk=8)
        assert replaying.at == tuple(k or None for k in frozen)
        options = {"examples": examples, "recorded": recorded, "replaying": replaying}
        again = outcome(Training(network, task, data, plan, **options))
        assert [r["train_loss"] for r in live[0]] == [r["train_loss"] for r in again[0]]
        for name, tensor in live[1].items():
            assert torch.equal(tensor, again[1][name]), name

    def test_differs_when_one_record_is_another_ones(
        self, small: Make, task: Task, pixels: Data, store: Store, seed: int
    ) -> None:
        plan = Plan("test", phases(2), Settings(batch=8, batch_norm="frozen", seed=seed))
        live = outcome(Training(small(), task, pixels, plan))
        network = small()
        recorded, replaying, examples = recorded_for(network, plan, pixels, store, chunk=8)
        own = examples["train"].keys
        own[0] = own[1]  # the control: the first example is given the second one's activations
        recorded.fill(examples["train"])
        options = {"examples": examples, "recorded": recorded, "replaying": replaying}
        again = outcome(Training(network, task, pixels, plan, **options))
        assert any(not torch.equal(t, again[1][n]) for n, t in live[1].items())

    def test_a_ragged_last_batch_is_the_same_when_it_is_padded_on_both_sides(
        self, small: Make, task: Task, pixels: Data, store: Store, seed: int
    ) -> None:
        class Padding(Network):
            """Runs every batch as one of 8, as a chunk runs."""

            def __call__(self, inputs: Any) -> Tensor:
                count = len(inputs.tensors[0] if isinstance(inputs, Activations) else inputs)

                def whole(tensor: Tensor) -> Tensor:
                    return torch.cat([tensor, tensor[-1:].expand(8 - count, *tensor.shape[1:])])

                if count < 8:
                    inputs = inputs.each(whole) if isinstance(inputs, Activations) else whole(inputs)
                return super().__call__(inputs)[:count]

        def padded() -> Network:
            network = small()
            network.__class__ = Padding
            return network

        data = replace(pixels, splits={**pixels.splits, "train": pixels.train.select(range(21))})
        plan = Plan("test", phases(2), Settings(batch=8, batch_norm="frozen", seed=seed))
        live = outcome(Training(padded(), task, data, plan))
        network = padded()
        recorded, replaying, examples = recorded_for(network, plan, data, store, chunk=8)
        options = {"examples": examples, "recorded": recorded, "replaying": replaying}
        again = outcome(Training(network, task, data, plan, **options))
        assert [r["train_loss"] for r in live[0]] == [r["train_loss"] for r in again[0]]
        for name, tensor in live[1].items():
            assert torch.equal(tensor, again[1][name]), name


class TestRecords:
    """A record depends on its example alone, and is computed once."""

    def test_does_not_depend_on_chunk_mates(
        self, small: Make, task: Task, pixels: Data, tmp_path: Path
    ) -> None:
        plan = Plan("test", phases(2))
        one, _, forward = recorded_for(small(), plan, pixels, Store(tmp_path / "a"), chunk=8)
        two, _, backward = recorded_for(small(), plan, pixels, Store(tmp_path / "b"), chunk=8)
        rows = np.arange(len(forward["train"]))
        one.fill(forward["train"])
        for row in rows[::-3]:
            two.fill(backward["train"], np.asarray([row]))
        two.fill(backward["train"], rows[::-1])
        a = one.activations(2, forward["train"], rows).tensors[0]
        b = two.activations(2, backward["train"], rows).tensors[0]
        assert torch.equal(a, b)
        assert not torch.equal(a, b.flip(0))

    def test_are_computed_once_and_new_ones_alone(self, small: Make, pixels: Data, store: Store) -> None:
        plan = Plan("test", phases(3))
        few = replace(pixels, splits={**pixels.splits, "train": pixels.train.select(range(10))})
        first, _, examples = recorded_for(small(), plan, few, store)
        first.fill(examples["train"])
        assert first.computed == 10
        for shelf in first.shelves.values():
            shelf.close()
        second, _, examples = recorded_for(small(), plan, pixels, store)
        second.fill(examples["train"])
        assert second.computed == len(set(examples["train"].keys)) - 10
        third, _, examples = recorded_for(small(), plan, pixels, store)
        third.fill(examples["train"])
        assert third.computed == 0

    def test_of_other_weights_are_others(self, small: Make, pixels: Data, store: Store) -> None:
        plan = Plan("test", phases(3))
        first, _, examples = recorded_for(small(), plan, pixels, store)
        first.fill(examples["train"])
        changed = small()
        with torch.no_grad():
            next(changed.module.parameters())[0] += 1e-3
        second, _, examples = recorded_for(changed, plan, pixels, store)
        assert second.missing(examples["train"]) == first.computed
        head = small()
        with torch.no_grad():
            head.module.get_submodule("head").weight.add_(1.0)  # type: ignore[operator]
        third, _, examples = recorded_for(head, plan, pixels, store)
        assert third.missing(examples["train"]) == 0

    def test_that_lie_are_found_before_they_are_believed(
        self, small: Make, pixels: Data, store: Store
    ) -> None:
        plan = Plan("test", phases(3))
        first, _, examples = recorded_for(small(), plan, pixels, store)
        shelf = first.shelves["pooled"]
        wrong = np.full(sum(first.widths), 7.0, np.float32)
        shelf.put(examples["train"].keys[:5], [wrong] * 5)
        with pytest.raises(CannotReplay, match="store clear"):
            first.audit(examples["train"])
        sound, _, examples = recorded_for(small(weights=1), plan, pixels, store)
        sound.fill(examples["train"])
        sound.audit(examples["train"])

    def test_are_held_in_memory_where_nothing_may_be_stored(
        self, small: Make, pixels: Data, tmp_path: Path
    ) -> None:
        plan = Plan("test", phases(2))
        free, _, examples = recorded_for(small(), plan, pixels, Store(tmp_path / "a"), chunk=8)
        none, _, without = recorded_for(small(), plan, pixels, Store(tmp_path / "b", limit=0), chunk=8)
        rows = np.arange(9)
        free.fill(examples["train"], rows)
        none.fill(without["train"], rows)
        assert none.computed == free.computed
        a, b = (r.activations(2, e["train"], rows).tensors[0] for r, e in ((free, examples), (none, without)))
        assert torch.equal(a, b)
        assert none.computed == free.computed

    def test_of_views_differ_from_one_another_and_come_back(
        self, small: Make, pixels: Data, store: Store
    ) -> None:
        plan = Plan("test", phases(3))
        recorded, _, examples = recorded_for(small(), plan, pixels, store, augment="standard", seed=3)
        rows = np.arange(6)
        views = []
        for view in (0, 1, 0):
            recorded.fill(examples["train"], rows, view=view)
            views.append(recorded.activations(3, examples["train"], rows, view=view).tensors[0])
        assert torch.equal(views[0], views[2])
        assert not torch.equal(views[0], views[1])
        assert recorded.computed == 12


class TestTexts:
    """Ragged records of token states."""

    @pytest.fixture
    def texts(self) -> Data:
        import datasets

        words = ["a", "bad", "cafe", "had", "a", "decaf", "bead", "feed", "face", "cabbage"]
        items = [" ".join(words[: 1 + i % 9]) + f" {'abcdef'[i % 6]}" for i in range(24)]
        columns = {"id": items, "item": items, "label": ["good", "bad"] * 12}
        split = datasets.Dataset.from_dict(columns)
        return Data("t", "text", {"train": split, "valid": split, "test": split}, (), "")

    @pytest.mark.parametrize("kind", ["bert", "gpt2"])
    def test_replay_of_a_batch_equals_live(
        self, kind: str, tiny_text: Callable[[str], Path], texts: Data, store: Store, seed: int
    ) -> None:
        from tunesmith.sources import load

        task: Task = TASKS.load("text-classification")()
        labels = task.labels(texts)
        network = load(f"hf/{tiny_text(kind)}", Want("text-classification", 2, labels.names))
        stages = len(network.stages)
        plan = Plan("test", phases(*range(stages, 1, -1), stages=stages))  # embeddings alone are no work
        recorded, replaying, examples = recorded_for(network, plan, texts, store, chunk=8)
        assert replaying.at == tuple(range(stages, 1, -1)), replaying.reasons
        rows = np.asarray([3, 11, 7, 20, 1])
        for at in replaying.cuts:
            live = network(examples["train"].raw(rows))
            again = network(recorded.activations(at, examples["train"], rows))
            assert torch.allclose(live, again, atol=2e-6), at
            other = network(recorded.activations(at, examples["train"], rows[::-1]))
            assert not torch.allclose(live, other, atol=2e-6), at

    def test_token_ids_are_those_of_the_tokenizer(
        self, tiny_text: Callable[[str], Path], texts: Data, store: Store
    ) -> None:
        import transformers

        from tunesmith.networks.preprocess import TextPreprocess

        tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_text("bert"))
        preprocess = TextPreprocess(tokenizer, 12)
        for kept in (store, None):
            for _ in range(2):  # made, then read
                examples = Examples(texts.train, preprocess, kept)
                rows = np.asarray([5, 0, 8])
                expected = preprocess.raw([texts.train[int(i)]["item"] for i in rows])
                found = examples.raw(rows)
                assert found.keys() == expected.keys()
                assert all(torch.equal(found[n], expected[n]) for n in expected)
        whole = [len(ids) for ids in tokenizer(list(texts.train["item"]))["input_ids"]]
        assert examples.whole_lengths is not None
        assert examples.lengths is not None
        assert examples.whole_lengths.tolist() == whole
        assert examples.lengths.tolist() == [min(n, 12) for n in whole]

    def test_a_bucket_is_never_shorter_than_its_text(self) -> None:
        assert all(n <= bucket(n, 512) <= 512 for n in range(1, 513))
        assert len({bucket(n, 512) for n in range(1, 513)}) <= 20


class TestSolvers:
    """A head solved on stored features."""

    @pytest.mark.parametrize("solver", ["ridge", "lbfgs"])
    def test_a_solved_head_fits_better_than_one_step(
        self, small: Make, task: Task, pixels: Data, store: Store, solver: str
    ) -> None:
        plan = Plan("test", (Phase("head", 1, (0.0, 0.0, 0.0, 1e-3), solver=solver),))
        network = small()
        recorded, replaying, examples = recorded_for(network, plan, pixels, store)
        options = {"examples": examples, "recorded": recorded, "replaying": replaying}
        rows, _ = outcome(Training(network, task, pixels, plan, **options))
        stepped = Plan("test", (Phase("head", 1, (0.0, 0.0, 0.0, 1e-3)),))
        other, _ = outcome(Training(small(), task, pixels, stepped))
        assert len(rows) == 1
        assert rows[0]["valid_loss"] < other[0]["valid_loss"]

    def test_only_a_linear_head_is_solved(self, small: Make, task: Task, pixels: Data) -> None:
        network = small()
        network.module.head = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Linear(4, 3))
        plan = Plan("test", (Phase("head", 1, (0.0, 0.0, 0.0, 1e-3), solver="ridge"),))
        with pytest.raises(BadPlan, match="linear head"):
            Training(network, task, pixels, plan)

    def test_a_solver_beside_training_stages_is_refused(self) -> None:
        with pytest.raises(BadPlan, match="ridge, lbfgs"):
            Plan("test", (Phase("x", 1, (0.0, 1e-3), solver="newton"),))
        with pytest.raises(BadPlan, match="head alone"):
            Plan("test", (Phase("x", 1, (1e-3, 1e-3), solver="ridge"),))


class TestPrecision:
    """bf16 only where a probe answers the same."""

    def test_small_differences_keep_the_answers_and_large_ones_do_not(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        targets = np.arange(600) % 3
        exact = random.normal(size=(600, 8)) + np.eye(3, 8)[targets] * 5
        assert equal_answers(exact, exact + 1e-4 * random.normal(size=exact.shape), targets) > 0.995
        assert equal_answers(exact, random.permutation(exact), targets) < 0.6

    def test_few_examples_are_not_enough_to_ask(self, small: Make, pixels: Data, store: Store) -> None:
        network = small()
        examples = split_up(pixels, network, store)["train"]
        precision, why = precision_that_agrees(network, store, examples, np.zeros(24, int), engine="eager")
        assert precision == "fp32"
        assert "500" in why


class TestLacking:
    """Records that are missing in the middle of training."""

    def test_are_computed_from_the_frozen_stages_alone_and_not_kept(
        self,
        small: Make,
        task: Task,
        pixels: Data,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        seed: int,
    ) -> None:
        monkeypatch.setattr("tunesmith.training.recorded.IN_MEMORY", 0)
        plan = Plan("test", phases(2), Settings(batch=8, batch_norm="train", seed=seed))
        network = small(dropout=0.1)
        recorded, replaying, examples = recorded_for(
            network, plan, pixels, Store(tmp_path / "none", limit=0), chunk=8
        )
        recorded.fill(examples["train"])
        modes: list[bool] = []
        network.module.a.register_forward_hook(lambda m, *_: modes.append(m.training))  # type: ignore[union-attr]
        later: list[int] = []
        network.module.c.register_forward_hook(lambda *_: later.append(1))  # type: ignore[union-attr]
        training = Training(
            network, task, pixels, plan, examples=examples, recorded=recorded, replaying=replaying
        )
        steps = sum(1 for event in training if isinstance(event, EpochEnd))
        assert steps == 2
        assert modes
        assert not any(modes)  # frozen, so in eval mode although training goes on
        per_epoch = 3 + 1  # three batches of 8, and validation in one of 16: stage c runs for nothing else
        assert len(later) <= 2 * per_epoch + 2


def test_a_baseline_is_solved_once_for_the_same_features_and_labels(
    small: Callable[[], Network], pixels: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    plan = Plan("test", phases(3))
    recorded, _, examples = recorded_for(small(), plan, pixels, store, chunk=8)
    recorded.fill(examples["train"])
    rows = np.arange(len(pixels.train))
    targets = rows % 2
    first = probe_head(recorded, examples["train"], targets, 2, rows=rows)
    solved: list[str] = []

    def again(*_: Any, **__: Any) -> Any:
        solved.append("again")
        return first

    monkeypatch.setattr("tunesmith.training.solving.least_squares", again)
    kept = probe_head(recorded, examples["train"], targets, 2, rows=rows)
    assert not solved
    assert np.array_equal(kept.weights, first.weights)
    assert np.array_equal(kept.bias, first.bias)
    assert (kept.penalty, kept.loss, kept.converged) == (first.penalty, first.loss, True)
    probe_head(recorded, examples["train"], 1 - targets, 2, rows=rows)  # the control: other labels
    probe_head(recorded, examples["train"], targets, 2, rows=rows[:-2])  # and fewer examples
    assert solved == ["again", "again"]
