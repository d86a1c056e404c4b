"""What a fine-tuned network is compared with: answers that cost little and are made before it trains."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunesmith.choosing.learning_curve import MOST, Curve
from tunesmith.choosing.ranking import furthest_ahead
from tunesmith.errors import BadOption, TunesmithError
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.registry import did_you_mean
from tunesmith.seals import read_sealed
from tunesmith.tasks.task import target_array
from tunesmith.training import processes
from tunesmith.training.baselines import by_looks, looks_of, tf_idf
from tunesmith.training.examples import Examples
from tunesmith.training.feeds import Feed
from tunesmith.training.sampling import sampled
from tunesmith.training.solvers import Linear
from tunesmith.training.solving import answers_of, probe_head
from tunesmith.training.solving_parts import Parts, answers_with, gathered
from tunesmith.verbs.curves import curve_of, curve_of_parts
from tunesmith.verbs.loading import load_network
from tunesmith.verbs.rankings import RANKING
from tunesmith.verbs.reporting import Reporter
from tunesmith.verbs.sides import answers_alone
from tunesmith.verbs.started import Started
from tunesmith.verbs.twin import (
    KNOWN,
    Twin,
    drawn_rows,
    probed_rows,
    twin_of,
    twin_of_parts,
    unaudited,
)
from tunesmith.verdicts.keeping import PROBE

if TYPE_CHECKING:
    from numpy.typing import NDArray

REGRESSION: Final = {"classes": "logistic", "numbers": "ridge"}
KINDS: Final = ("auto", "all", "none")
LOOKED_AT: Final = 1_000  # training images whose colours are counted, unless all are asked for


@dataclass(frozen=True)
class Baselines:
    """Predictions of everything that needs no stage to be trained.

    head: the linear probe, solved in closed form; None of a task of parts that has none. answers:
    predictions by name and split. twin: None where it was not asked for, or cannot be made. others: the
    probes of other networks, on the test split. curve: of the pretrained features; None where the metric is a
    loss, and of parts whose features are not stored. said: what could not be made and why.
    unasked: forward passes of another network that nobody named, because a ranking saw it ahead.
    """

    head: Linear | None
    answers: Mapping[str, Mapping[str, list[Any]]]
    curve: Curve | None = None
    twin: Twin | None = None
    others: Mapping[str, list[Any]] | None = None
    said: tuple[str, ...] = ()
    unasked: int = 0


def check_baselines(asked: Any) -> None:
    """Raise BadOption for a word that says of no baselines which."""
    if asked not in KINDS:
        guess = did_you_mean(str(asked), KINDS)
        raise BadOption(f"baselines must be one of {', '.join(KINDS)}; found {asked!r}{guess}")


def baselines_of(started: Started, say: Reporter) -> Baselines:
    """Everything that the run asks to be compared with."""
    task, data, labels = started.task, started.data, started.labels
    name, _ = task.trivial(labels, 0)
    answers: dict[str, dict[str, list[Any]]] = {
        name: {split: task.trivial(labels, len(data.splits[split]))[1] for split in ("valid", "test")}
    }
    if started.asked["baselines"] != "none":
        plain = processes.from_main(lambda: dict(task.simple(data.train, data.test, labels)))
        answers |= {name: {"test": own} for name, own in plain.items()}
    targets = target_array(task, data.train, labels)
    said: list[str] = []
    twin: Twin | str | None = None
    if targets is None:
        of_parts, parts = _probe_of_parts(started, answers, say)
        curve = None
        if parts is not None and started.asked["baselines"] != "none":
            twin = processes.from_main(lambda: twin_of_parts(started, say))
            curve = processes.from_main(lambda: curve_of_parts(started, parts, say))
        if isinstance(twin, str):
            said.append(f"no random twin: {twin}")
            say.say(said[-1])
            twin = None
        return Baselines(of_parts, answers, curve, twin, said=tuple(said))
    if started.asked["baselines"] != "none":
        simple = processes.from_main(lambda: _simple(started, targets, say))
        if isinstance(simple[1], str):
            said.append(f"no {simple[0]} baseline: {simple[1]}")
        else:
            answers[simple[0]] = {"test": simple[1]}
        alone = processes.from_main(lambda: _alone(started, say)) if data.pairs else {}
        answers |= {f"{side} text alone": {"test": own} for side, own in alone.items()}
    head = _probe(started, targets, answers, say)
    if started.asked["baselines"] != "none":
        twin = processes.from_main(lambda: twin_of(started, targets, say))
    if isinstance(twin, str):
        said.append(f"no random twin: {twin}")
    others = {short(other): _other(started, other, targets, say) for other in names(started.asked["beside"])}
    unasked, ahead = 0, processes.from_main(lambda: _ahead(started))
    if ahead is not None:
        say.say(
            f"{short(ahead)} was ahead of this network in a ranking of these data: its probe is scored too"
        )
        try:
            others[short(ahead)] = _other(started, ahead, targets, say)
            unasked = len(data.test)  # those of training are in the store
        except TunesmithError as reason:
            said.append(f"no linear probe of {short(ahead)}: {reason}")
    for line in said:
        say.say(line)
    curve = None
    if started.asked["baselines"] != "none":
        everything = np.arange(len(data.test))
        some = drawn_rows(started, targets, MOST)
        # The probe has learned from the same rows where they are not more than the curve takes.
        whole = answers[PROBE]["test"] if len(some) == len(probed_rows(started)) else None
        curve = processes.from_main(
            lambda: curve_of(started, started.recorded, targets, some, everything, whole)
        )
    made = twin if isinstance(twin, Twin) else None
    return Baselines(head, answers, curve, made, others, tuple(said), unasked)


def names(beside: Any) -> tuple[str, ...]:
    """Models from an option: text with commas, or a sequence.

    >>> names("timm/a, timm/b"), names(None)
    (('timm/a', 'timm/b'), ())
    """
    parts = beside.split(",") if isinstance(beside, str) else beside or ()
    return tuple(dict.fromkeys(str(part).strip() for part in parts if str(part).strip()))


def _ahead(started: Started) -> str | None:
    """The network that a ranking of these data saw ahead of this one, where nobody named others."""
    if started.asked["beside"] is not None or started.asked["baselines"] == "none":
        return None
    if not (started.folder / RANKING).is_file():
        return None
    try:
        return furthest_ahead(read_sealed(started.folder, RANKING).decode(), started.network.origin)
    except (ValueError, KeyError, TypeError):  # of another version
        return None


def short(model: str) -> str:
    """A model's name as tables and sentences say it: of a file of weights, what it is called.

    >>> short("timm/a"), short("/data/weights/birds.safetensors")
    ('timm/a', 'birds')
    """
    return Path(model).stem if model.endswith(".safetensors") and "@" not in model else model


def _probe_of_parts(
    started: Started, answers: dict[str, dict[str, list[Any]]], say: Reporter
) -> tuple[Linear, Parts] | tuple[None, None]:
    """The linear probe of words or tokens, and of which; its answers are those of the network with it."""
    depth = max(started.replaying.cuts, default=None) if started.replaying else None
    feeds = {s: Feed(own, started.recorded, depth) for s, own in started.examples.items()}
    network, task, labels = started.network, started.task, started.labels
    with say.work("baseline: linear probe on frozen features", len(feeds["train"])):
        parts = gathered(network, task, feeds["train"], labels, seed=started.asked["seed"])
        if parts is None:
            return None, None
        head = parts.head(len(labels.names))
        batch = 2 * started.plan.settings.batch
        answers[PROBE] = {
            split: answers_with(head, network, task, feeds[split], labels, batch=batch)
            for split in ("valid", "test")
        }
        return head, parts


def _probe(
    started: Started, targets: NDArray[Any], answers: dict[str, dict[str, list[Any]]], say: Reporter
) -> Linear:
    recorded, examples, rows = started.recorded, started.examples, probed_rows(started)
    with say.work("baseline: linear probe on frozen features", len(rows)):
        head = probe_head(recorded, examples["train"], targets, len(started.labels.names), rows=rows)
        answers[PROBE] = {split: answers_of(head, recorded, examples[split]) for split in ("valid", "test")}
    return head


def _simple(started: Started, targets: NDArray[Any], say: Reporter) -> tuple[str, list[Any] | str]:
    """Words or colours with logistic or ridge regression: its name, and its answers or why there are none."""
    train, test = started.examples["train"], started.examples["test"]
    K, seed, all_ = len(started.labels.names), started.asked["seed"], started.asked["baselines"] == "all"
    try:
        if started.task.takes == "text":
            rows = sampled(targets, KNOWN, seed=seed)
            with say.work(f"baseline: TF-IDF and {REGRESSION[started.task.answers]} regression", len(rows)):
                known = list(started.data.train[rows.tolist()]["item"])
                return "TF-IDF", tf_idf(known, targets[rows], list(started.data.test["item"][:]), K)
        if not isinstance(train.preprocess, ImagePreprocess):
            return "colour histogram", "the network prepares its images in a way of its own"
        rows = sampled(targets, KNOWN if all_ else LOOKED_AT, seed=seed)
        with say.work("baseline: colours and edges", len(rows) + len(test)) as done:
            known_looks = looks_of(train, rows, started.store, done)
            asked = looks_of(test, np.arange(len(test)), started.store, done)
            return "colour histogram", by_looks(known_looks, targets[rows], asked, K)
    except ValueError as reason:
        return ("TF-IDF" if started.task.takes == "text" else "colour histogram"), f"{reason}."


def _alone(started: Started, say: Reporter) -> dict[str, list[Any]]:
    """The words of one text of each pair, as `_simple` takes those of both."""
    seed = started.asked["seed"]
    with say.work("baseline: TF-IDF of one text of each pair alone", 0):
        return answers_alone(started.data, started.task, started.labels, KNOWN, seed=seed)


def _other(started: Started, model: str, targets: NDArray[Any], say: Reporter) -> list[Any]:
    """The linear probe of another network, on the test split; features that are stored are read."""
    want = replace(started.want, head="linear", dropout=0.0)
    network = load_network(model, want)
    network.module.to(next(started.network.module.parameters()).device)
    splits = {
        s: Examples(started.data.splits[s], network.preprocess, started.store, task=started.task)
        for s in ("train", "test")
    }
    rows, train = probed_rows(started), splits["train"]
    try:
        with closing(unaudited(network, started, train, engine=started.plan.settings.engine)) as recorded:
            for own, some in ((train, train.rows_of(rows)), (splits["test"], None)):
                if missing := recorded.missing(own, some):
                    with say.work(f"features of {model}", missing) as done:
                        recorded.fill(own, some, progress=done)
            head = probe_head(recorded, train, targets, len(started.labels.names), rows=rows)
            return answers_of(head, recorded, splits["test"])
    finally:
        for own in splits.values():
            own.close()
