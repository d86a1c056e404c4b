"""Evidence per stage: probes from stored features, gradient ratios, seconds and bytes, and what they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.choosing.folds import fold_of
from tunesmith.choosing.pilot import Pilot, pilot
from tunesmith.choosing.which_stages import StageEvidence, evidence, probed, said, steepest_block
from tunesmith.data.data import Data
from tunesmith.errors import BadData
from tunesmith.networks.cuts import find_cut
from tunesmith.networks.network import Network, digest
from tunesmith.store import Store
from tunesmith.tasks.task import Task
from tunesmith.training.examples import Examples
from tunesmith.training.recorded import Recorded
from tunesmith.training.solvers import Linear

Make = Callable[..., Network]
Splits = Callable[[Data, Network], dict[str, Examples]]


def row(name: str, probe: float | None = 0.8, *, weight: float = 1.0, gradient: float = 1.0) -> StageEvidence:
    error = None if probe is None else 0.01
    return StageEvidence(name, 10, 100, probe, error, weight, gradient, 1.0, 4)


def rows(*probes: float | None, gradients: tuple[float, ...] = ()) -> list[StageEvidence]:
    pulls = gradients or (1.0,) * len(probes)
    stages = [row(f"s{i}", p, gradient=g) for i, (p, g) in enumerate(zip(probes, pulls, strict=True))]
    return [*stages, row("head", None)]


def head(seed: int, classes: int = 2) -> Linear:
    random = np.random.default_rng(seed)
    return Linear(random.normal(size=(16, classes)), random.normal(size=classes), 0.0, 0, True, 0.0)


class TestPilot:
    def test_gradients_are_those_of_all_examples_at_once(
        self, linear: Make, task: Task, pictures: Callable[..., Data], examples: Splits
    ) -> None:
        net, data = linear(), pictures("far", 64, 16)
        module: Any = net.module
        own, labels = examples(data, net)["train"], task.labels(data)
        solved = head(1)
        measured = pilot(net, task, labels, own, head=solved)
        with torch.no_grad():
            module.head.weight.copy_(torch.from_numpy(solved.weights.T.copy()))
            module.head.bias.copy_(torch.from_numpy(solved.bias))
        module.eval()
        task.loss(net, own.batch(np.arange(64), task, labels)).backward()  # type: ignore[no-untyped-call]
        for i, (weight, gradient) in enumerate(zip(measured.weights, measured.gradients, strict=True)):
            tensors = list(net.tensors(i).values())
            assert weight == pytest.approx(
                math.sqrt(sum(float((t.detach() ** 2).sum()) for t in tensors)), rel=1e-5
            )
            there = math.sqrt(sum(float((t.grad**2).sum()) for t in tensors if t.grad is not None))
            assert gradient == pytest.approx(there, rel=1e-4)
        other = pilot(net, task, labels, own, head=head(2))
        assert other.gradients[0] != pytest.approx(measured.gradients[0], rel=0.01)  # or the test is blind

    def test_the_network_and_the_generators_are_left_as_they_were(
        self, linear: Make, task: Task, pictures: Callable[..., Data], examples: Splits
    ) -> None:
        net, data = linear(), pictures("near", 40, 16)
        module: Any = net.module
        module.c.train()
        module.a.weight.requires_grad_(False)
        before, drawn = digest(module.state_dict()), torch.get_rng_state()
        pilot(net, task, task.labels(data), examples(data, net)["train"], head=head(1))
        assert digest(module.state_dict()) == before
        assert torch.equal(torch.get_rng_state(), drawn)
        assert [p.requires_grad for p in module.parameters()] == [False, *[True] * 7]
        assert all(p.grad is None for p in module.parameters())
        assert module.c.training
        with torch.no_grad():
            module.a.weight += 1e-3
        assert digest(module.state_dict()) != before  # or the digest is blind

    def test_bytes_are_those_that_a_cut_stores(
        self, linear: Make, task: Task, pictures: Callable[..., Data], examples: Splits
    ) -> None:
        net, data = linear(), pictures("near", 40, 16)
        own = examples(data, net)["train"]
        measured = pilot(net, task, task.labels(data), own)
        first, second = own.raw(np.arange(3)), own.raw(np.arange(2))
        stored = [sum(leaf.bytes(0) for leaf in find_cut(net, at, first, second).stored) for at in (1, 2, 3)]
        assert measured.sizes == (0, *stored)
        assert len(set(stored)) > 1

    def test_every_part_takes_time_both_ways(
        self, linear: Make, task: Task, pictures: Callable[..., Data], examples: Splits
    ) -> None:
        net, data = linear(), pictures("near", 64, 16)
        measured = pilot(net, task, task.labels(data), examples(data, net)["train"])
        assert measured.examples == 64
        assert min(measured.forward) > 0
        assert sum(measured.backward) > 0

    def test_an_epoch_is_forward_and_what_trains_backward_and_validation_forward(self) -> None:
        measured = Pilot((1.0,) * 3, (1.0,) * 3, (4.0, 2.0, 1.0), (8.0, 4.0, 2.0), (0, 8, 4), 64)
        assert measured.seconds(0, train=10) == 10 * (7 + 14)
        assert measured.seconds(1, train=10) == 10 * (7 + 6)
        assert measured.seconds(1, 1, train=10) == 10 * (3 + 6)
        assert measured.seconds(1, 1, train=10, valid=5) == 10 * (3 + 6) + 5 * 3


class TestProbe:
    def test_what_can_be_read_off_is_and_shuffled_labels_are_not(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        features = random.normal(size=(120, 300))
        targets = random.integers(0, 2, 120)
        features[:, :100] += np.where(targets, 0.3, -0.3)[:, None]  # a little in each of many
        score, error = probed(features, targets, 2)
        assert score > 0.8
        assert error == pytest.approx(math.sqrt(score * (1 - score) / 120))
        shuffled, _ = probed(features, random.permutation(targets), 2)
        assert shuffled < 0.7

    def test_a_group_that_was_seen_does_not_vouch_for_the_rest_of_it(self, seed: int) -> None:
        """Eight pictures of each of twenty patients, whose labels were tossed: nothing can be learned."""
        random = np.random.default_rng(seed)
        groups, labels = np.repeat(np.arange(20), 8), np.repeat(np.arange(20) % 2, 8)
        features = random.normal(size=(20, 30))[groups] + 0.01 * random.normal(size=(160, 30))
        folds = fold_of(labels, groups, seed=seed)
        assert probed(features, labels, 2)[0] > 0.95
        assert probed(features, labels, 2, folds=folds)[0] < 0.8

    def test_constant_features_say_as_much_as_the_largest_class(self) -> None:
        targets = np.array([0] * 30 + [1] * 10)
        assert probed(np.ones((40, 6)), targets, 2)[0] == 0.75

    def test_it_is_the_accuracy_of_refits_without_each_example(self, seed: int) -> None:
        """Refitted thirty times with numpy, standardised once, the intercept not punished."""
        from tunesmith.training.heads import LAMBDAS

        random = np.random.default_rng(seed)
        features, targets = random.normal(size=(30, 5)), random.integers(0, 3, 30)
        features[:, 0] += targets
        X, Y = (features - features.mean(0)) / features.std(0), np.eye(3)[targets]

        def refitted(penalty: float) -> np.ndarray:
            found = []
            for i in range(30):
                keep = np.arange(30) != i
                middle, level = X[keep].mean(0), Y[keep].mean(0)
                A = X[keep] - middle
                W = np.linalg.solve(A.T @ A + penalty * np.eye(5), A.T @ (Y[keep] - level))
                found.append((X[i] - middle) @ W + level)
            return np.stack(found)

        answers = [refitted(30 * penalty) for penalty in LAMBDAS]
        best = min(answers, key=lambda answer: float(((Y - answer) ** 2).mean()))
        assert probed(features, targets, 3)[0] == float((best.argmax(1) == targets).mean())


class TestEvidence:
    @pytest.fixture
    def gathered(
        self, linear: Make, task: Task, pictures: Callable[..., Data], tmp_path: Path
    ) -> Callable[[str], tuple[tuple[StageEvidence, ...], Recorded]]:
        def gather(kind: str) -> tuple[tuple[StageEvidence, ...], Recorded]:
            net, data = linear(), pictures(kind)
            store = Store(tmp_path / "store")
            own, labels = Examples(data.train, net.preprocess, store), task.labels(data)
            recorded = Recorded(net, store, {}, own, engine="eager")
            targets = np.asarray(task.targets(data.train, labels))
            return evidence(net, task, labels, recorded, own, targets), recorded

        return gather

    def test_near_labels_are_read_off_frozen_features_and_far_ones_are_not(
        self, gathered: Callable[[str], Any]
    ) -> None:
        near, _ = gathered("near")
        far, _ = gathered("far")
        assert [r.stage for r in near] == ["a", "b", "c", "head"]
        assert min(r.probe for r in near[:-1]) > 0.95
        assert max(r.probe for r in far[:-1]) < 0.65
        assert "begin with a head" in said(near, 0.5)[0]
        assert "stages have to train" in said(far, 0.5)[0]

    def test_nothing_is_computed_twice(self, gathered: Callable[[str], Any]) -> None:
        first, recorded = gathered("near")
        assert recorded.computed == 192
        second, again = gathered("near")
        assert again.computed == 0
        assert [r.probe for r in first] == [r.probe for r in second]
        assert [r.gradient for r in first] == [r.gradient for r in second]

    def test_features_that_are_not_finite_are_refused(
        self, linear: Make, task: Task, pictures: Callable[..., Data], tmp_path: Path
    ) -> None:
        net, data = linear(), pictures("near", 40, 16)
        own, labels = Examples(data.train, net.preprocess), task.labels(data)
        recorded = Recorded(net, Store(tmp_path / "store"), {}, own, engine="eager")
        recorded.fill(own)
        recorded.pooled = lambda *_, **__: np.full((40, 8), np.nan)  # type: ignore[method-assign]
        with pytest.raises(BadData, match=r"stage a of Linear@.* puts out NaN or infinity for 40 of 40"):
            evidence(net, task, labels, recorded, own, np.zeros(40, int))

    def test_parameters_and_work_are_those_of_the_stage(self, gathered: Callable[[str], Any]) -> None:
        found, _ = gathered("near")
        assert [r.parameters for r in found] == [32, 72, 144, 34]
        assert found[1].macs == 64 * 64
        assert found[-1].probe is None


class TestWhatItSays:
    def test_a_last_stage_within_the_error_of_the_best_calls_for_a_head(self) -> None:
        assert "linear_probe" in said(rows(0.7, 0.805, 0.8), 0.3)[0]

    def test_a_better_stage_below_calls_for_training_what_follows_it(self) -> None:
        assert "--strategy top --unfreeze 2" in said(rows(0.7, 0.9, 0.8, 0.8), 0.3)[0]

    def test_features_no_better_than_the_largest_class_call_for_training_stages(self) -> None:
        assert "--strategy auto" in said(rows(0.5, 0.515, 0.51), 0.5)[0]

    def test_gradients_in_the_first_third_point_at_the_inputs(self) -> None:
        assert "--unfreeze auto" in said(rows(0.8, 0.8, 0.8, gradients=(5.0, 1.0, 1.0)), 0.3)[-1]
        assert len(said(rows(0.8, 0.8, 0.8, gradients=(1.0, 5.0, 1.0)), 0.3)) == 1

    def test_stages_that_hand_on_nothing_pooled_are_passed_over(self) -> None:
        assert "linear_probe" in said(rows(None, 0.8, None), 0.3)[0]
        assert said(rows(None, None), 0.3) == []


class TestSteepestBlock:
    def test_it_is_the_quarter_with_the_largest_ratio_of_all_its_weights(self) -> None:
        gradients = (1.0, 1.0, 1.0, 4.0, 3.0, 1.0, 1.0, 1.0)
        assert steepest_block(rows(*[0.8] * 8, gradients=gradients)) == [3, 4]

    def test_a_small_stage_beside_a_large_one_does_not_decide_alone(self) -> None:
        found = [row(f"s{i}") for i in range(8)]
        found[1] = row("s1", weight=0.1, gradient=0.5)  # ratio 5, but its neighbours dwarf it
        found[6] = found[7] = row("s6", weight=1.0, gradient=2.0)
        assert steepest_block([*found, row("head", None)]) == [6, 7]

    def test_of_few_stages_it_is_one(self) -> None:
        assert steepest_block(rows(0.8, 0.8, gradients=(1.0, 2.0))) == [1]

    def test_a_stage_without_weights_is_not_chosen(self) -> None:
        found = [row("s0", weight=0.0, gradient=0.0), row("s1"), row("head", None)]
        assert steepest_block(found) == [1]


class TestOnTheCommandLine:
    PLAN = ("--model", "timm/test_resnet@none", "--image-size", 32, "--engine", "eager", "--device", "cpu")

    def test_a_plan_with_data_shows_every_stage_and_what_it_says(
        self, tunesmith: Callable[..., Any], photos: Path
    ) -> None:
        answer = tunesmith("plan", photos, *self.PLAN)
        assert answer.code == 0, answer.err
        for heading in ("weights", "probe", "|g|/|w|", "stored", "phase", "begin with a head"):
            assert heading in answer.out

    def test_as_json_it_holds_the_plan_and_the_evidence(
        self, tunesmith: Callable[..., Any], photos: Path
    ) -> None:
        import json

        answer = tunesmith(
            "plan", photos, *self.PLAN, "--strategy", "surgical", "--unfreeze", "auto", "--json"
        )
        assert answer.code == 0, answer.err
        found = json.loads(answer.out)
        ratios = {r["stage"]: r["ratio"] for r in found["stages"]}
        trained = [i for i, lr in enumerate(found["plan"]["phases"][0]["lrs"][:-1]) if lr > 0]
        assert trained == list(range(trained[0], trained[-1] + 1))
        assert len(trained) == max(1, round((len(ratios) - 1) / 4))

    def test_auto_without_data_is_refused(self, tunesmith: Callable[..., Any]) -> None:
        answer = tunesmith("plan", "--stages", 4, "--strategy", "surgical", "--unfreeze", "auto")
        assert answer.code == 2
        assert "unfreeze 'auto' is chosen from data: tunesmith plan DATA --model MODEL." in answer.err

    def test_stages_beside_data_are_refused(self, tunesmith: Callable[..., Any], photos: Path) -> None:
        answer = tunesmith("plan", photos, "--stages", 4)
        assert answer.code == 2
        assert "leave --stages out" in answer.err
