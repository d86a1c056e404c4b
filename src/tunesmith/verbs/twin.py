"""The random twin: the same architecture without its pretraining, and what it may cost."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from tunesmith.choosing.learning_curve import MOST, Curve
from tunesmith.errors import BadData, CannotReplay, EngineFailed, TunesmithError
from tunesmith.networks.network import Network
from tunesmith.networks.untrained import untrained
from tunesmith.sources import SOURCES, resolve
from tunesmith.training.baselines import by_features
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.recorded import Recorded
from tunesmith.training.sampling import drawn, sampled
from tunesmith.training.solving_parts import answers_with, gathered
from tunesmith.verbs.curves import curve_of
from tunesmith.verbs.reporting import Reporter
from tunesmith.verbs.started import Started

if TYPE_CHECKING:
    from numpy.typing import NDArray

TWIN: Final = "random twin"
KNOWN: Final = 20_000  # training examples that baselines learn from, at most
CAPPED: Final = 500  # training examples of the random twin, unless all are asked for
SHARE: Final = 0.15  # of the forward passes that the run needs, which its verdict may add
LEAST: Final = 150  # passes that the twin may add in any case: a second or two
BETWEEN: Final = 3  # networks between the pretrained and the trained one that validation looks at
TESTED: Final = 0.4  # of the twin's passes for test examples, where the test split is larger
OTHER_SEED: Final = 1_000_003  # added to the run's, so that a random network's twin is another one


@dataclass(frozen=True)
class Twin:
    """Answers of pretrained and of random features, learned from the same few examples.

    rows: of the test split, which both answered. learned: how many training examples. curve: of the random
    features; None where the metric is a loss, and of answers that have parts. again: passes of the pretrained
    network for it alone.
    """

    rows: NDArray[np.int64]
    learned: int
    pretrained: list[Any]
    random: list[Any]
    curve: Curve | None = None
    again: int = 0


def twin_of(started: Started, targets: NDArray[Any], say: Reporter) -> Twin | str:
    """Ridge heads on pretrained and on random features, or why there is no twin."""
    rows, asked = twin_rows(started, targets)
    train, test, K = started.examples["train"], started.examples["test"], len(started.labels.names)
    try:
        network = random_network(started)
    except Exception as error:  # noqa: BLE001  # whatever a person's own module does when it is copied
        return _uncopied(error)
    with closing(unaudited(network, started, train, engine="eager")) as recorded:
        missing = recorded.missing(train, train.rows_of(rows)) + recorded.missing(test, test.rows_of(asked))
        with say.work(f"baseline: random twin on {len(rows):,} examples", missing):
            try:
                random = by_features(recorded, (train, targets, rows), (test, asked), K)
                pretrained = by_features(started.recorded, (train, targets, rows), (test, asked), K)
            except ValueError as reason:
                return f"{reason}."
        some = rows[sampled(targets[rows], MOST, seed=started.asked["seed"])]
        curve = curve_of(started, recorded, targets, some, asked)
    return Twin(asked, len(rows), pretrained, random, curve)


def twin_of_parts(started: Started, say: Reporter) -> Twin | str | None:
    """The same of heads on tokens (`gathered`); None of a task whose head is not solved so."""
    task, data, labels, seed = started.task, started.data, started.labels, started.asked["seed"]
    depth = max(started.replaying.cuts, default=None) if started.replaying else None
    if started.asked["baselines"] == "all":
        rows, asked = probed_rows(started), np.arange(len(data.test))
    else:
        allowed = max(LEAST, round(SHARE * passes(started) - passes_to_keep(started)))
        allowed = allowed // 2 if depth is None else allowed  # the pretrained network runs live too
        asked = drawn(len(data.test), max(round(TESTED * allowed), 1), seed=seed)
        rows = drawn(len(data.train), min(CAPPED, allowed - len(asked)), seed=seed)
    try:
        network = random_network(started)
    except Exception as error:  # noqa: BLE001  # whatever a person's own module does when it is copied
        return _uncopied(error)
    form, answers = started.network.preprocess, []
    known, test = (
        Examples(split.select(some), form, started.store, task=task)
        for split, some in ((data.train, rows), (data.test, asked))
    )
    batch = 2 * started.plan.settings.batch
    with (
        closing(known),
        closing(test),
        say.work(f"baseline: random twin on {len(rows):,} examples", len(known) + len(test)),
    ):
        for own, recorded, at in ((started.network, started.recorded, depth), (network, None, None)):
            try:
                parts = gathered(own, task, Feed(known, recorded, at), labels, seed=seed)
                if parts is None:
                    return None
                head = parts.head(len(labels.names))
            except BadData as reason:
                return str(reason)
            answers.append(answers_with(head, own, task, Feed(test, recorded, at), labels, batch=batch))
    again = len(rows) + len(asked) if depth is None else 0
    pretrained, random = answers
    return Twin(asked, len(rows), pretrained, random, again=again)


def twin_rows(started: Started, targets: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the training and of the test split that the random twin sees, within what it may cost."""
    seed, test = started.asked["seed"], started.data.test
    if started.asked["baselines"] == "all":
        return probed_rows(started), np.arange(len(test))
    allowed = max(LEAST, round(SHARE * passes(started) - passes_to_keep(started)))
    windows = sum(len(own) for own in started.examples.values())
    allowed = allowed * sum(len(own.whole) for own in started.examples.values()) // windows
    truth = np.asarray(started.task.targets(test, started.labels))
    asked = sampled(truth, max(round(TESTED * allowed), 1), seed=seed)
    return drawn_rows(started, targets, min(CAPPED, allowed - len(asked))), asked


def drawn_rows(started: Started, targets: NDArray[Any], count: int) -> NDArray[np.int64]:
    """At most so many of the training examples whose pretrained features are known."""
    known = probed_rows(started)
    return known[sampled(targets[known], count, seed=started.asked["seed"])]


def passes(started: Started) -> float:
    """The forward passes of the whole network that the run itself needs, a backward pass counted as two.

    One for what is known of each example, and those of training and validation from where a phase goes on.
    """
    sizes = {split: len(own) for split, own in started.examples.items()}
    shares = _live_shares(started)
    trained = sum(p.epochs * share for p, share in zip(started.plan.phases, shares, strict=True))
    return float(sum(sizes.values())) + trained * (3 * sizes["train"] + sizes["valid"])


def passes_to_keep(started: Started) -> float:
    """The forward passes that it takes to see what is worth keeping, and to score that."""
    if started.asked["keep"] != "auto" or not any(any(p.lrs[:-1]) for p in started.plan.phases):
        return 0.0
    valid, test = (len(started.examples[split]) for split in ("valid", "test"))
    return max(_live_shares(started)) * (BETWEEN * valid + test)


def _live_shares(started: Started) -> list[float]:
    """The share of the network's work that each phase does anew, and does not replay."""
    parts = [part.macs for part in started.network.parts]
    at = started.replaying.at if started.replaying is not None else (None,) * len(started.plan.phases)
    total = sum(parts)
    return [sum(parts[i or 0 :]) / total if total else float((i or 0) < len(parts) - 1) for i in at]


def random_network(started: Started) -> Network:
    """The network's architecture with random weights: by its source where it has a name, else by a reset."""
    asked, seed = started.asked["model"] or started.task.model, started.asked["seed"] + OTHER_SEED
    device = next(started.network.module.parameters()).device
    named = isinstance(asked, str | Path) and not (Path(asked).expanduser() / "manifest.json").is_file()
    network = None
    if named:
        want = replace(started.want, head="linear", dropout=0.0, allow_missing=False)
        name = replace(resolve(str(asked)), weights="none")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                network = SOURCES.load(name.source)().load(name, want)
            except TunesmithError:  # a hub that cannot be reached now: what is loaded is reset instead
                network = None
    if network is None:
        network = untrained(started.network, seed=seed)
    network.module.to(device)
    return network


def _uncopied(error: Exception) -> str:
    return f"the network cannot be copied with random weights ({type(error).__name__}: {error})."


def probed_rows(started: Started) -> NDArray[np.int64]:
    """The training examples that the closed-form probe is solved on."""
    return drawn(len(started.data.train), KNOWN, seed=started.asked["seed"])


def unaudited(network: Network, started: Started, train: Examples, *, engine: str) -> Recorded:
    """A network's features, kept in the store where they can be; else computed live, and not kept.

    Unlike `features.recorded_of` it compares no stored record with the network and says nothing: these are
    a baseline's, within what a verdict may cost.
    """
    if not train.storable:
        return Recorded(network, started.store, {}, train, unchecked=True)
    try:
        return Recorded(network, started.store, {}, train, engine=engine)
    except (CannotReplay, EngineFailed):
        if engine not in ("auto", "eager"):
            raise
        return Recorded(network, started.store, {}, train, unchecked=True)
