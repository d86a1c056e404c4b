"""What a fit does before it trains so that no frozen stage is computed twice, and what it says of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.cache import cache_folder
from tunesmith.data.rows import counted
from tunesmith.errors import CannotReplay, EngineFailed
from tunesmith.networks.network import Network
from tunesmith.plan import Plan
from tunesmith.seals import read_sealed, write_sealed
from tunesmith.store import Store
from tunesmith.training import processes
from tunesmith.training.examples import Examples
from tunesmith.training.precision import precision_that_agrees
from tunesmith.training.recorded import Recorded
from tunesmith.training.replaying import Replaying, plan_replay
from tunesmith.verbs.options import bytes_in_words, duration, size
from tunesmith.verbs.reporting import Reporter

if TYPE_CHECKING:
    from tunesmith.training.loop import Training
    from tunesmith.verbs.started import Started

PILOT = 64  # examples that are timed before anything is promised
REPLAY = "replay.json"  # the measured choices, in a run's folder


def open_store(limit: str | int) -> Store:
    """The store that all runs of this user share."""
    return Store(cache_folder() / "store", limit=size(limit))


def prepare_replay(
    asked: Mapping[str, Any],
    network: Network,
    plan: Plan,
    examples: Mapping[str, Examples],
    store: Store,
    folder: Path | None,
    targets: np.ndarray | None,
    say: Reporter,
) -> tuple[Recorded, Replaying | None]:
    """Cuts, engine and pilot; says what will be stored, how long it takes, and what it can bring.

    folder: of a run that is resumed, which keeps its engine and its precision. targets: of the training
    split; None of a task of parts, whose precision is not chosen by the answers of a probe.
    """
    settings, train = plan.settings, examples["train"]
    count = sum(len(own) for own in examples.values())
    replaying = None
    if not train.storable:
        say.say("replay: off, because the network's preprocessing is one of its own; all stages run live")
        return Recorded(network, store, {}, train, unchecked=True), None
    if asked["replay"]:
        stored = count + settings.views * len(train)
        replaying = plan_replay(network, plan, train, count=stored, room=store.limit)
    live = replaying is None or any(at is None for at in replaying.at)
    if (live or settings.augment not in ("none", "features")) and plan.epochs > 1:
        for own in examples.values():
            own.keep_pixels()
    before = _choice_of(folder)
    options = {
        "engine": before.get("engine", settings.engine),
        "work": sum(stage.macs for stage in network.stages) * count,
        "augment": settings.augment,
        "seed": settings.seed,
    }
    precision = {"auto": before.get("precision"), "bf16": "bf16"}.get(settings.precision, "fp32")
    if precision is None:
        precision, why = "fp32", "because answers that have parts have no probe to compare"
        if targets is not None:
            precision, why = precision_that_agrees(network, store, train, targets, **options)
        say.say(f"precision of frozen stages: {precision}, {why}")
    cuts = replaying.cuts if replaying else {}
    try:
        recorded = Recorded(network, store, cuts, train, precision=precision, **options)
        recorded.audit(train)
    except (CannotReplay, EngineFailed) as reason:
        if isinstance(reason, EngineFailed) and options["engine"] != "auto":
            raise
        say.warn(f"{reason} All stages run live.")
        replaying, recorded = None, Recorded(network, store, {}, train, unchecked=True)
    _say(recorded, replaying, network, plan, examples, say)
    return recorded, replaying


def fill(started: Started, say: Reporter) -> None:
    """Compute what is missing: records of all examples if a phase needs them, else of the probe's."""
    from tunesmith.verbs.twin import probed_rows

    recorded, replaying = started.recorded, started.replaying
    settings = started.plan.settings
    live_train = settings.augment not in ("none", "features")
    needed = replaying is not None and any(replaying.at) and not live_train
    idle = started.task.answers == "parts" and not recorded.cuts  # pooled features say nothing of parts
    splits = {} if idle else started.examples
    for split, own in splits.items():
        rows = own.rows_of(probed_rows(started)) if split == "train" and not needed else None
        missing = recorded.missing(own, rows)
        if missing:
            with say.work(f"frozen stages of {split}, by {recorded.choice.told()}", missing) as done:
                recorded.fill(own, rows, progress=done)
    views = settings.views if replaying is not None and any(replaying.at) else 0
    for view in range(views):
        missing = recorded.missing(started.examples["train"], view=view)
        if missing:
            with say.work(f"view {view + 1} of {views}, by {recorded.choice.told()}", missing) as done:
                recorded.fill(started.examples["train"], view=view, progress=done)
    full = [shelf.full for shelf in recorded.shelves.values() if shelf.full]
    if full:
        say.warn(f"not everything is stored: {full[0]}; what is missing is computed again when it is needed")
    if processes.main():
        write_sealed(started.folder, REPLAY, json.dumps(replayed(started), indent=1) + "\n")


def replayed(started: Started) -> dict[str, Any]:
    """The measured choices and what they came to, as JSON values; a resumed run chooses the same."""
    recorded, replaying, network = started.recorded, started.replaying, started.network
    phases = zip(started.plan.phases, replaying.at, strict=True) if replaying else ()
    return {
        **asdict(recorded.choice),
        "unchecked": recorded.unchecked,
        "chunk": recorded.chunk,
        "computed": recorded.computed,
        "examples_a_second": round(recorded.computed / recorded.seconds, 2) if recorded.computed else None,
        "bytes_each": recorded.bytes_each,
        "wanted": sum(replaying.wanted) if replaying else 0,
        "share": replaying.share(network, started.plan) if replaying else 0.0,
        "bound": replaying.bound(network, started.plan) if replaying else 1.0,
        "from": {p.name: network.parts[at].name if at else None for p, at in phases},
        "reasons": list(replaying.reasons) if replaying else [],
        "shelves": recorded.keys,
    }


def happened(started: Started, training: Training) -> list[str]:
    """What became of the plan to compute nothing twice, in words."""
    recorded, replaying = started.recorded, started.replaying
    said = []
    if recorded.computed:
        each = recorded.seconds / recorded.computed
        said.append(
            f"frozen stages: {recorded.computed:,} examples computed once, {1 / each:,.0f} a second by "
            f"{recorded.choice.engine}"
        )
    if replaying is not None and any(replaying.at) and training.supply.augment is None:
        done = len(started.examples["train"]) * sum(
            row["epoch"] > 0 and replaying.at[_index(started.plan, row["phase"])] is not None
            for row in training.progress.history
        )
        said.append(f"replayed: {done:,} training passes of frozen stages that were not computed again")
    return said


def _index(plan: Plan, name: str) -> int:
    return [phase.name for phase in plan.phases].index(name)


def _say(
    recorded: Recorded,
    replaying: Replaying | None,
    network: Network,
    plan: Plan,
    examples: Mapping[str, Examples],
    say: Reporter,
) -> None:
    if replaying is None:
        say.say("replay: off, frozen stages are computed in every epoch")
        return
    for reason in replaying.reasons:
        say.say(f"replay: {reason}")
    augmented = plan.settings.augment not in ("none", "features")
    if plan.settings.augment == "features":
        say.say(
            "replay: stored activations are scaled at random, channel by channel, in each step of training"
        )
    if augmented and any(replaying.at):
        views = plan.settings.views
        many = counted(plan.epochs, "pass")
        say.say(
            f"replay: {counted(views, 'view')} of each training image stored, one used in each epoch"
            if views
            else f"replay: augmented training images go through the whole network, {many} over them; "
            f"--views 4 would store 4 views of each instead"
        )
    if not any(replaying.at):
        return
    total = sum(len(own) for own in examples.values())
    missing = sum(recorded.missing(own) for own in examples.values())
    each = sum(recorded.bytes_each.values())
    depths = ", ".join(network.parts[at].name for at in recorded.cuts)
    say.say(
        f"store: what reaches {depths} and pooled features of every stage, float32, "
        f"{bytes_in_words(each)} an example, {bytes_in_words(each * total)} in all; "
        f"{total - missing:,} of {total:,} are there"
    )
    predicted = ""
    if missing:
        predicted = f": about {duration(_pilot(recorded, examples, missing))} for the missing {missing:,}"
    say.say(f"engine: {recorded.choice.told()}{predicted}")
    share = replaying.share(network, plan)
    frozen = (
        "the trained epochs replay none" if augmented and not plan.settings.views else f"replayed {share:.0%}"
    )
    bound = replaying.bound(network, plan)
    say.say(
        f"frozen work: {frozen}; at most {bound:.1f} times faster than without, at equal speed of all parts"
    )


def _pilot(recorded: Recorded, examples: Mapping[str, Examples], missing: int) -> float:
    """Predicted seconds for all that is missing, from a few that are computed, and kept, now."""
    train = examples["train"]
    chunks = recorded.chunks(train, np.flatnonzero(recorded.absent(train)))
    if not chunks:
        return 0.0
    # Whole chunks, of short texts and of long ones; a chunk of the same length goes before each, untimed,
    # because an engine prepares itself for every new length.
    last = max(0, len(chunks) - 2)
    some = np.unique(np.linspace(0, last, max(1, PILOT // recorded.chunk)).round().astype(int))
    first = np.concatenate([chunks[i] for i in some])
    then = np.concatenate([chunks[min(i + 1, len(chunks) - 1)] for i in some])
    then = np.setdiff1d(then, first)
    recorded.warm_up()
    began = time.perf_counter()
    recorded.fill(train, first)
    each = (time.perf_counter() - began) / len(first)
    if len(then):
        began = time.perf_counter()
        recorded.fill(train, then)
        each = (time.perf_counter() - began) / len(then)
    return each * max(0, missing - len(first) - len(then))


def _choice_of(folder: Path | None) -> dict[str, Any]:
    """What a run chose when it was begun; nothing for a new one."""
    if folder is None or not (folder / REPLAY).is_file():
        return {}
    found = json.loads(read_sealed(folder, REPLAY))
    return {} if found["unchecked"] else {name: str(found[name]) for name in ("engine", "precision")}
