"""What goes wrong in training is seen and said, then mended or ended: no network fails in silence.

Of single configurations of fine-tuning, between a quarter and two thirds fail (Pineda Arango et al. 2023,
arXiv:2306.03828, by their released runs). What is looked at here costs no forward pass and draws no random
number: a training in which nothing goes wrong has the bits that it would have without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from tunesmith.errors import NothingLearned
from tunesmith.networks.network import Network
from tunesmith.plan import HIGHEST_LR, Phase, Settings
from tunesmith.tasks.task import Labels
from tunesmith.training.optimize import trainable

SLOWER: Final = 3.0  # what rates are divided by after a training ran away
TRIES: Final = 2  # times that a phase begins anew at lower rates
LOOKED_AT: Final = 3  # the step whose gradients are looked at: behind a head of zeros the first two may be 0
JUDGED_FROM: Final = 50  # steps of a phase before anybody can say that it learns nothing
JUDGED_ON: Final = 20  # validation examples, at least
ERRORS: Final = 2.0  # standard errors that an accuracy must lie above the largest class's share
LEARNED: Final = 0.98  # of the loss that class shares alone give: a training below it has learned something
COLLAPSED: Final = 0.9  # the same, where one class holds most examples and rightly gets most answers
FLAT: Final = 0.01  # of the spread of the true numbers, below which that of the answers is none
MOST: Final = 0.8  # share of the largest class above which that is so


@dataclass(frozen=True)
class Start:
    """A point from which a phase may begin anew, relative to the plan.

    rate: times the plan's rates. batch, warmup, weight_decay: instead of the plan's; None: the plan's.
    decay: share of its rate that each stage towards the input keeps, on top of the plan's own decay.
    source: whose recipe it is.
    """

    rate: float = 1.0
    batch: int | None = None
    warmup: float | None = None
    weight_decay: float | None = None
    decay: float = 1.0
    source: str = ""

    def __str__(self) -> str:
        given = {"batches of": self.batch, "warm-up": self.warmup, "weight decay": self.weight_decay}
        said = [f"{self.rate:g} of the rates", *(f"{n} {v:g}" for n, v in given.items() if v is not None)]
        if self.decay != 1:
            said.append(f"{self.decay:g} of the rate from stage to stage")
        return ", ".join(said)


@dataclass(frozen=True)
class Remedied:
    """Something went wrong in a phase, and what was done about it.

    trouble: "diverged", "dead", "one class", "one number" or "no gradient". found, remedy: in words.
    """

    phase: str
    trouble: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.found}; {self.remedy}"


def begun_with(phase: Phase, settings: Settings, start: Start, rate: float) -> tuple[Phase, Settings]:
    """The phase and settings as they are from another start, all rates once more times `rate`.

    >>> phase = Phase("full", 2, (1e-4, 1e-4, 1e-3))
    >>> begun_with(phase, Settings(), Start(rate=0.5, batch=8, decay=0.5), 1.0)[0].lrs
    (2.5e-05, 5e-05, 0.0005)
    """
    head = len(phase.lrs) - 1
    kept = [start.decay ** (head - 1 - i) if i < head else 1.0 for i in range(head + 1)]
    lrs = tuple(
        min(lr * share * start.rate * rate, HIGHEST_LR) for lr, share in zip(phase.lrs, kept, strict=True)
    )
    given = {"batch": start.batch, "warmup": start.warmup, "weight_decay": start.weight_decay}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(phase, lrs=lrs), replace(settings, **changed)


def unreached(network: Network, phase: Phase, loss: float) -> Remedied | None:
    """That stages train which got no gradient in any weight. Raises NothingLearned if nothing got any.

    loss: of the batch that gave the gradients. At 0 nothing is left to learn of it and every gradient is
    rightly 0, as behind a solved head that is sure of all its examples.
    """
    if loss == 0:
        return None
    reached: dict[int, bool] = {}
    for name, parameter in trainable(network, phase).items():
        part = network.owner(name)
        if part == len(network.stages) and phase.loss == "contrastive":
            continue  # its head is solved
        reached[part] = reached.get(part, False) or (
            parameter.grad is not None and bool(parameter.grad.any())
        )
    if reached and not any(reached.values()):
        raise NothingLearned(
            f"no gradient reaches any weight that trains in phase {phase.name!r}, so nothing can be learned; "
            f"look for detach() or no_grad() in the network's own code."
        )
    names = [network.parts[part].name for part, got in reached.items() if not got]
    if not names:
        return None
    return Remedied(
        phase.name,
        "no gradient",
        f"no gradient reaches {', '.join(names)}, which should train in phase {phase.name!r}",
        "they learn nothing: look for detach() or no_grad() in the network's code, or freeze them",
    )


def ignorant_loss(weights: np.ndarray, smoothing: float) -> float:
    """The least training loss of whoever knows class shares but never looks at an example, in nats.

    weights: how much each class counts in training, [K]. smoothing: of the labels.

    >>> round(ignorant_loss(np.asarray([30.0, 30.0]), 0.0), 4)
    0.6931
    """
    shares = weights / weights.sum()
    shares = (1 - smoothing) * shares + smoothing / len(shares)
    held = shares[shares > 0]
    return float(-(held * np.log(held)).sum())


def class_weight(
    targets: np.ndarray, labels: Labels, weights: np.ndarray | None, shares: np.ndarray | None
) -> np.ndarray:
    """How much each class counts in training, [K].

    targets: classes of the training examples [N]. weights, shares: how much each counts, and how often it is
    drawn, [N]; None: all the same.
    """
    each = np.ones(len(targets)) if weights is None else weights
    each = each if shares is None else each * shares
    return np.bincount(targets, each, minlength=len(labels.names))


def beats_chance(outcomes: Mapping[str, np.ndarray]) -> bool:
    """Whether answers are better than always naming the largest class, or the mean, by two standard errors.

    outcomes: of a task; True for one that has neither classes nor numbers, where nobody can say.
    """
    if {"target", "answer"} <= outcomes.keys():
        return _beats_mean(outcomes["target"], outcomes["answer"])
    if not {"truth", "guess"} <= outcomes.keys():
        return True
    truth, guess = outcomes["truth"], outcomes["guess"]
    return float((truth == guess).mean()) > _bar(truth)


def found_wrong(
    outcomes: Mapping[str, np.ndarray],
    targets: np.ndarray,
    labels: Labels,
    weights: np.ndarray | None,
    shares: np.ndarray | None,
    smoothing: float,
    train_loss: float,
    cost: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> tuple[str, str] | None:
    """What is wrong with the answers of a network that had time to learn, if anything: a word, a sentence.

    outcomes: of validation. targets: of training; classes [N] or numbers [N, K]. weights, shares: how much
    each training example counts, and how often it is drawn, [N]; None: all the same. smoothing: of class
    labels. cost: of numbers, what training lowers: the loss [N] of answers and targets [N, K]; None: the
    squared error.
    """
    if "guess" in outcomes:
        counts = class_weight(targets, labels, weights, shares)
        return trouble(outcomes["truth"], outcomes["guess"], train_loss, ignorant_loss(counts, smoothing))
    each = np.ones(len(targets)) if weights is None else weights
    each = each if shares is None else each * shares
    mean = each @ targets / each.sum()
    answers = np.broadcast_to(mean, targets.shape).copy()
    lost = ((targets - answers) ** 2).mean(1) if cost is None else cost(answers, targets)
    ignorant = float(each @ lost / each.sum())
    return trouble_of_numbers(outcomes["target"], outcomes["answer"], train_loss, ignorant)


def trouble_of_numbers(
    target: np.ndarray, answer: np.ndarray, train_loss: float, ignorant: float
) -> tuple[str, str] | None:
    """What is wrong with answers that are numbers, as `trouble` says it of classes.

    target, answer: of the validation examples [N, K], in spreads. ignorant: the loss of answering the mean.
    "one number": every example gets nearly the same answer. "dead": no better than the mean, by two standard
    errors. In both cases the training loss must say so too.
    """
    N = len(target)
    if N < JUDGED_ON or train_loss <= LEARNED * ignorant or not np.ptp(target, axis=0).all():
        return None
    told = f"training loss {train_loss:.3g}, {ignorant:.3g} by the mean alone"
    if (answer.std(0) < FLAT * target.std(0)).all():
        return "one number", f"all {N:,} validation examples get nearly the same answer ({told})"
    if not _beats_mean(target, answer):
        return "dead", (
            f"nothing is learned: answers to {N:,} validation examples are no better than the mean ({told})"
        )
    return None


def _beats_mean(target: np.ndarray, answer: np.ndarray) -> bool:
    """Whether squared errors are below those of the training mean, 0 here, by two standard errors."""
    gains = (target**2 - (answer - target) ** 2).mean(1)
    return float(gains.mean()) > ERRORS * float(gains.std()) / float(np.sqrt(len(gains)))


def trouble(
    truth: np.ndarray, guess: np.ndarray, train_loss: float, ignorant: float
) -> tuple[str, str] | None:
    """What is wrong with the answers of a network that had time to learn, if anything: a word, a sentence.

    truth, guess: classes of the validation examples [N]. ignorant: what `ignorant_loss` gives.
    "one class": every example gets the same class while there are several; where one class holds most
    examples the training loss must say so too. "dead": no better than always naming the largest class, by
    two standard errors, and a training loss that class shares alone would give.
    """
    N, counts = len(truth), np.bincount(truth)
    classes, largest = int((counts > 0).sum()), float(counts.max()) / N
    if classes < 2 or N < JUDGED_ON:
        return None
    told = f"training loss {train_loss:.3g}, {ignorant:.3g} by class shares alone"
    if len(np.unique(guess)) == 1 and (largest <= MOST or train_loss > COLLAPSED * ignorant):
        return "one class", f"all {N:,} validation examples get the same class, of {classes} ({told})"
    accuracy = float((truth == guess).mean())
    if accuracy <= _bar(truth) and train_loss > LEARNED * ignorant:
        return "dead", (
            f"nothing is learned: accuracy {accuracy:.3f} on {N:,} validation examples, {largest:.3f} by "
            f"always naming the largest class ({told})"
        )
    return None


def _bar(truth: np.ndarray) -> float:
    """The share of the largest class, and two standard errors more."""
    largest = float(np.bincount(truth).max()) / len(truth)
    return largest + ERRORS * float(np.sqrt(largest * (1 - largest) / len(truth)))
