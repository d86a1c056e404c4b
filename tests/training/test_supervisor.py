"""A training that goes wrong is seen, said and begun anew, or stops; a healthy one is left alone."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith.data.data import Data
from tunesmith.errors import Diverged, NothingLearned
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Plan, Settings
from tunesmith.tasks.classification import Classification
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training.events import EpochEnd, Event, PhaseStart
from tunesmith.training.loop import Training
from tunesmith.training.state import Snapshot
from tunesmith.training.supervisor import Remedied, Start, class_weight, ignorant_loss, trouble

Make = Callable[..., Network]
CURE = (Start(), Start(rate=1e10, source="by hand"))  # of a rate that was 10,000,000,000 times too low


class Once(Classification):
    """The task, but at some training steps the loss is no number."""

    def loss(self, network: Network, batch: Batch) -> Tensor:
        good = super().loss(network, batch)
        if torch.is_grad_enabled():
            self.__dict__["seen"] += 1
            if self.__dict__["seen"] in self.__dict__["bad"]:
                return good * math.nan
        return good


class Fitted(Classification):
    """The task of a network that is sure of every example: each loss is 0, and so is each gradient."""

    def loss(self, network: Network, batch: Batch) -> Tensor:
        return super().loss(network, batch) * 0


def made_of(kind: type[Classification], task: Task) -> Any:
    return kind(**{f.name: getattr(task, f.name) for f in dataclasses.fields(Classification)})


def failing(task: Task, *bad: int) -> Any:
    made = made_of(Once, task)
    made.__dict__.update(bad=bad, seen=0)
    return made


def plan(epochs: float, lr: float, **settings: Any) -> Plan:
    return Plan("full", (Phase("full", epochs, (lr,) * 4),), Settings(batch=8, **settings))


def remedied(events: list[Event]) -> list[Remedied]:
    return [event for event in events if isinstance(event, Remedied)]


def weights_of(network: Network) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.module.state_dict().items()}


def equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, two[name]) for name, tensor in one.items())


@pytest.fixture(scope="session")
def many(pixels: Data) -> Data:
    """The pictures with 24 of them for validation, enough to judge by."""
    splits = dict(pixels.splits)
    return dataclasses.replace(pixels, splits={**splits, "valid": splits["train"]})


def test_a_healthy_training_has_the_bits_that_it_has_without_a_supervisor(
    small: Make, task: Task, many: Data
) -> None:
    ends = []
    for remedies in (None, CURE):
        network = small(dropout=0.3)
        training = Training(network, task, many, plan(20, 1e-2), device="cpu", remedies=remedies)
        events = list(training)
        assert remedied(events) == []
        ends.append((weights_of(network), [e.row["train_loss"] for e in events if isinstance(e, EpochEnd)]))
    assert equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


def test_a_phase_that_diverges_begins_anew_at_a_third_of_its_rates(
    small: Make, task: Task, pixels: Data
) -> None:
    training = Training(small(), failing(task, 5), pixels, plan(3, 9e-3), device="cpu", remedies=(Start(),))
    events = list(training)
    (event,) = remedied(events)
    assert event.trouble == "diverged"
    assert event.found == "the loss became nan at step 5 of phase 'full'"
    assert event.remedy == "phase 'full' begins anew at a third of its rates, try 1 of 2"
    peaks = [e.phase.lrs[-1] for e in events if isinstance(e, PhaseStart)]
    assert peaks == pytest.approx([9e-3, 3e-3])
    assert [row["epoch"] for row in training.progress.history] == [1, 2, 3, 4]  # three of them anew
    assert training.progress.remedies == [dataclasses.asdict(event)]


@pytest.mark.parametrize(("bad", "from_best"), [(2, False), (5, True)])
def test_it_begins_anew_from_the_best_network_or_the_first_one(
    bad: int, from_best: bool, small: Make, task: Task, pixels: Data
) -> None:
    network = small()
    first, best, before = weights_of(network), {}, {}
    training = Training(network, failing(task, bad), pixels, plan(3, 1e-2), device="cpu", remedies=(Start(),))
    for event in training:
        if isinstance(event, Remedied):
            break
        if isinstance(event, EpochEnd):
            best = weights_of(network)
        before = weights_of(network)
    now = weights_of(network)
    assert equal(now, best if from_best else first)
    assert equal(now, first) != from_best
    assert from_best or not equal(before, first)  # or nothing had to be put back


def test_a_phase_that_diverges_three_times_stops(small: Make, task: Task, pixels: Data) -> None:
    events: list[Event] = []
    training = Training(
        small(), failing(task, 5, 6, 7), pixels, plan(3, 9e-3), device="cpu", remedies=(Start(),)
    )
    with pytest.raises(Diverged, match=r"became nan at step 1 of phase 'full'; the highest .* is 0\.001"):
        events.extend(training)
    with pytest.raises(Diverged):
        events.extend(Training(small(), failing(task, 5), pixels, plan(3, 9e-3), device="cpu"))
    assert training.keep_best("diverged")
    assert len(training.progress.remedies) == 2


def test_a_training_that_learns_nothing_goes_on_from_the_next_start_and_learns(
    small: Make, task: Task, many: Data
) -> None:
    network = small()
    first = weights_of(network)
    training = Training(network, task, many, plan(40, 1e-12), device="cpu", remedies=CURE)
    events, at_remedy = list[Event](), dict[str, Tensor]()
    for each in training:
        events.append(each)
        if isinstance(each, Remedied):
            at_remedy = weights_of(network)
    (event,) = remedied(events)
    assert equal(at_remedy, first)  # not from what a dead training made of it
    assert event.trouble in ("dead", "one class")
    assert "begins anew with 1e+10 of the rates (start 2 of 2; by hand)" in event.remedy
    assert training.progress.ended == "plan"
    assert max(row["accuracy"] for row in training.progress.history) > 0.6


def test_without_another_start_a_training_that_learns_nothing_stops(
    small: Make, task: Task, many: Data
) -> None:
    for remedies in (None, (Start(),)):
        network, events = small(), list[Event]()
        training = Training(network, task, many, plan(40, 1e-12), device="cpu", remedies=remedies)
        with pytest.raises(
            NothingLearned, match=r"in phase 'full', whose highest learning rate is 1e-12; try"
        ):
            events.extend(training)
        assert training.progress.phase_steps >= 60  # half of the phase
        assert training.progress.phase_steps < 70
        assert training.keep_best("nothing learned")


def test_after_a_phase_that_learned_something_training_ends_and_keeps_it(
    small: Make, task: Task, many: Data
) -> None:
    phases = (Phase("good", 40, (1e-2,) * 4), Phase("lost", 40, (1e-12,) * 4))
    network = small()
    training = Training(network, task, many, Plan("two", phases, Settings(batch=8)), device="cpu")
    head: Any = network.module.get_submodule("head")
    for event in training:
        if isinstance(event, PhaseStart) and event.index == 1:
            good = weights_of(network)
            with torch.no_grad():  # nothing of it is left, and no step leads back
                head.weight.zero_()
                head.bias.copy_(torch.tensor([5.0, 0.0, 0.0]))
        if isinstance(event, Remedied):
            assert event.trouble == "one class"
            assert event.remedy == "training ends here, and the best network before that is the result"
    assert training.progress.ended == "nothing more is learned"
    assert training.progress.best is not None
    assert training.progress.best["score"] > 0.55
    assert equal(weights_of(network), good) or training.progress.best["epoch"] < 40


def test_nobody_is_judged_before_fifty_steps_or_in_a_phase_that_prepares(
    small: Make, task: Task, many: Data
) -> None:
    short = Training(small(), task, many, plan(16, 1e-12), device="cpu")
    assert len([e for e in short if isinstance(e, EpochEnd)]) == 16
    phases = (Phase("first", 30, (0.0, 0.0, 0.0, 1e-12)), Phase("last", 2, (1e-12,) * 4))
    both = Training(small(), task, many, Plan("two", phases, Settings(batch=8)), device="cpu")
    list(both)
    assert both.progress.ended == "plan"


def test_one_class_for_everything_is_found(small: Make, task: Task, many: Data) -> None:
    network = small()
    module: Any = network.module
    with torch.no_grad():
        module.head.bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
    with pytest.raises(NothingLearned, match=r"all 24 validation examples get the same class, of 3"):
        list(Training(network, task, many, plan(40, 1e-12), device="cpu"))


def test_a_stage_that_no_gradient_reaches_is_named_and_the_rest_trains(
    small: Make, task: Task, pixels: Data
) -> None:
    network = small()
    module: Any = network.module
    module.b.register_forward_pre_hook(lambda _, given: tuple(tensor.detach() for tensor in given))
    training = Training(network, task, pixels, plan(2, 1e-3), device="cpu")
    events = list(training)
    (event,) = remedied(events)
    assert event.trouble == "no gradient"
    assert event.found == "no gradient reaches a, which should train in phase 'full'"
    assert training.progress.ended == "plan"


def test_without_any_gradient_training_stops_whatever_may_be_tried(
    small: Make, task: Task, pixels: Data
) -> None:
    network = small()
    module: Any = network.module
    module.head.register_forward_hook(lambda _, given, logits: logits * 0)
    with pytest.raises(NothingLearned, match="no gradient reaches any weight that trains in phase 'full'"):
        list(Training(network, task, pixels, plan(2, 1e-3), device="cpu", remedies=CURE))


def test_behind_a_head_of_zeros_a_gradient_comes_late_enough(small: Make, task: Task, pixels: Data) -> None:
    network = small()
    module: Any = network.module
    torch.nn.init.zeros_(module.head.weight)
    assert remedied(list(Training(network, task, pixels, plan(2, 1e-3), device="cpu"))) == []


def test_a_network_that_is_sure_of_every_example_was_taken_for_one_that_cannot_learn(
    small: Make, task: Task, pixels: Data
) -> None:
    training = Training(small(), made_of(Fitted, task), pixels, plan(2, 1e-3), device="cpu")
    assert remedied(list(training)) == []
    assert training.progress.ended == "plan"


def kept(snapshot: Snapshot) -> Snapshot:
    tensors = {k: {n: t.clone() for n, t in named.items()} for k, named in snapshot.tensors.items()}
    return Snapshot(copy.deepcopy(snapshot.progress), tensors, copy.deepcopy(snapshot.randoms))


def test_a_training_taken_down_around_a_remedy_ends_with_the_same_bits(
    small: Make, task: Task, many: Data
) -> None:
    options: dict[str, Any] = {"device": "cpu", "remedies": CURE}
    network = small(dropout=0.3)
    training = Training(network, task, many, plan(20, 1e-12), **options)
    snapshots, at = [], 0
    for i, event in enumerate(training):
        snapshots.append(kept(training.snapshot()))
        at = i if isinstance(event, Remedied) else at
    whole = weights_of(network), [row["train_loss"] for row in training.progress.history]
    assert len(training.progress.remedies) == 1
    ends = []
    for i in (3, at - 2, at - 1, at, at + 1, at + 2, at + 9):
        torch.manual_seed(99)
        fresh = small(dropout=0.3)
        again = Training(fresh, task, many, plan(20, 1e-12), snapshot=snapshots[i], **options)
        list(again)
        ends.append(equal(weights_of(fresh), whole[0]))
        assert [row["train_loss"] for row in again.progress.history] == whole[1]
    assert ends == [True] * 7
    forgetful = dataclasses.replace(snapshots[at + 2], randoms=snapshots[3].randoms)
    forgetful.progress.start = 0  # the control: were nothing of the remedy kept, it would end otherwise
    fresh = small(dropout=0.3)
    with pytest.raises(NothingLearned):
        list(Training(fresh, task, many, plan(20, 1e-12), device="cpu", snapshot=forgetful))


def judged(right: int, wrong: int, *, loss: float, classes: int = 2, share: float = 0.5) -> str | None:
    """What is said of so many right and wrong answers; `share` of the examples are of class 0."""
    N = right + wrong
    truth = np.asarray([0 if i < share * N else 1 + i % (classes - 1) for i in range(N)])
    guess = truth.copy()
    picked = np.random.default_rng(0).permutation(N)[:wrong]
    guess[picked] = (guess[picked] + 1) % classes
    found = trouble(truth, guess, loss, 0.69)
    return None if found is None else found[0]


def test_an_accuracy_is_judged_with_its_error_and_its_loss() -> None:
    """Of 100 examples in two equal classes two standard errors are 0.10."""
    assert judged(60, 40, loss=0.69) == "dead"
    assert judged(61, 39, loss=0.69) is None
    assert judged(60, 40, loss=0.67) is None  # it has learned something about the training examples
    assert judged(9, 9, loss=0.69) is None  # of 18 examples nobody can say
    assert judged(50, 50, loss=2.0) == "dead"


def test_one_class_is_no_fault_where_nearly_all_examples_are_of_one() -> None:
    rare = np.asarray([1] * 10 + [0] * 90)
    assert trouble(rare, np.zeros(100, int), 0.20, 0.325) is None  # it has learned, and rightly says 0
    found = trouble(rare, np.zeros(100, int), 0.32, 0.325)
    assert found is not None
    assert found[0] == "one class"
    even = np.asarray([0, 1] * 50)
    found = trouble(even, np.zeros(100, int), 0.1, 0.69)  # learned by heart, and blind to anything new
    assert found is not None
    assert found[0] == "one class"
    assert trouble(np.zeros(100, int), np.zeros(100, int), 1.0, 0.1) is None  # there is but one class


def test_the_loss_of_the_ignorant_is_the_entropy_of_what_they_know() -> None:
    targets, labels = np.asarray([0, 0, 0, 1]), Labels(("a", "b"), (3, 1))
    plain = class_weight(targets, labels, None, None)
    assert ignorant_loss(plain, 0.0) == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    balanced = class_weight(targets, labels, np.asarray([2 / 3, 2 / 3, 2 / 3, 2.0]), None)
    assert ignorant_loss(balanced, 0.0) == pytest.approx(math.log(2))
    drawn = class_weight(targets, labels, None, np.asarray([1 / 6, 1 / 6, 1 / 6, 1 / 2]))
    assert ignorant_loss(drawn, 0.0) == pytest.approx(math.log(2))
    assert ignorant_loss(plain, 0.5) == pytest.approx(-(0.625 * math.log(0.625) + 0.375 * math.log(0.375)))
