"""How a fit is carried out: the steps between what was asked and the finished run's folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.choosing.portfolio import starts
from tunesmith.data.data import SPLITS, Data
from tunesmith.data.rows import counted
from tunesmith.errors import BadOption, Diverged, NothingLearned, TunesmithError
from tunesmith.files import clear_leftovers
from tunesmith.health.saving import HEALTH, to_json
from tunesmith.networks.network import Network
from tunesmith.networks.preprocess import check_long_texts
from tunesmith.plan import Plan, Settings, fits, table
from tunesmith.reports.moved import Pretrained
from tunesmith.runs import Run
from tunesmith.seals import write_sealed
from tunesmith.tasks.task import Labels, Task, target_array
from tunesmith.training import processes
from tunesmith.training.contrastive import NO_WINDOWS
from tunesmith.training.devices import accelerator_for
from tunesmith.training.events import EpochEnd, Event, Halved, Step
from tunesmith.training.examples import Examples
from tunesmith.training.layout import memory_kept
from tunesmith.training.loop import Training
from tunesmith.training.state import read_checkpoint, write_checkpoint
from tunesmith.training.supervisor import Remedied, Start
from tunesmith.verbs import planning
from tunesmith.verbs.baselines import baselines_of, check_baselines, names
from tunesmith.verbs.deciding import LADDER, Begun, decide, predicted, write_ladder
from tunesmith.verbs.finals import with_best
from tunesmith.verbs.folders import check_place, make_folder, refuse_other_data, refuse_other_weights
from tunesmith.verbs.keeping import check_keep
from tunesmith.verbs.loading import check_name, wanted_network
from tunesmith.verbs.options import seconds, whole
from tunesmith.verbs.rankings import RANKING, latest
from tunesmith.verbs.rates import chosen_lr
from tunesmith.verbs.replaying import fill, happened, open_store, prepare_replay
from tunesmith.verbs.reporting import Lines, Reporter, Silent, epoch_line, words
from tunesmith.verbs.scoring import finish
from tunesmith.verbs.started import Started
from tunesmith.verbs.stopping import Request, interruptible
from tunesmith.verbs.understanding import examined_first, read_data, say_truncation

SETTLED = (  # of the plan's settings
    "momentum",
    "clip",
    "loss",
    "label_smoothing",
    "balance",
    "augment",
    "precision",
    "batch_norm",
    "engine",
    "views",
    "metric",
    "seed",
)


def begin(
    asked: Mapping[str, Any], *, reporter: Reporter | None, folder: Path | None = None
) -> Started | None:
    """Read, check, load, plan; nothing is written until all of it went well.

    folder: of a run that is resumed; None: a new one is made.
    Returns None after a dry run.
    """
    began = time.monotonic()
    asked, reason = planning.with_strategy(asked)
    check_early(asked)
    say = speaker(reporter)
    if reason is not None and folder is None:
        say.say(reason)
    if isinstance(asked["plan"], str | Path):
        asked = {**asked, "plan": planning.read_plan(asked["plan"])}
        refuse_pairs(asked)
    if asked["plan"] is not None:
        asked = {**asked, "seed": asked["seed"] or asked["plan"].settings.seed}
    if folder is None and not asked["dry_run"]:
        check_place(Path(asked["out"] or "runs/new").expanduser())
    store = open_store(asked["store_limit"])
    known: dict[str, bytes] = {}
    with processes.main_first():
        data, task, seen = read_data(asked, store, known, say)
        with closing(seen):
            health, leaked = examined_first(seen, data, say, skip_bad=asked["skip_bad"])
    ranking, choosing = None, time.monotonic()
    if folder is None and (
        asked["model"] == planning.AUTO or (asked["model"], asked["plan"]) == (None, None)
    ):
        asked, ranking = with_best(asked, data, task, store, known, say)
    spent = time.monotonic() - choosing
    labels, want, network = wanted_network(asked, task, data, say)
    plan = plan_for(asked, network, data, labels, task)
    if ranking is not None:
        plan = replace(plan, notes=(*plan.notes, ranking.note))
    if folder is None and asked["plan"] is not None:
        for line in planning.ignored(asked, plan):
            say.warn(line)
    for line in planning.warnings(plan, network):
        say.warn(line)
    task = task.configured(plan.settings)
    with ExitStack() as opened:
        examples = {
            s: Examples(data.splits[s], network.preprocess, store, known=known, task=task) for s in SPLITS
        }
        for own in examples.values():
            opened.callback(own.close)
        if folder is not None:
            refuse_other_data(folder, data, examples)
            refuse_other_weights(folder, network)
        # What cannot be trained is refused here, before a folder appears.
        Training(network, task, data, plan, labels=labels, device=asked["device"], examples=examples)
        say_truncation(examples, task, say)
        begun = Begun(network, task, data, labels, examples, store, known, spent)
        decision = decide(asked, plan, begun, say, folder)
        plan = decision.plan
        say.say(
            f"plan: {plan.strategy}, {counted(plan.epochs, 'epoch')}, batches of {plan.settings.batch}, "
            f"{plan.settings.optimizer}{_loss(plan)}, {plan.settings.schedule} schedule; the epoch of the "
            f"best validation {words(plan.settings.metric or task.metric)} is kept"
        )
        say.say(table(plan, [part.name for part in network.parts]))
        for note in plan.notes:
            say.say(note)
        targets = target_array(task, data.train, labels)
        recorded, replaying = prepare_replay(asked, network, plan, examples, store, folder, targets, say)
        opened.callback(recorded.close)
        if asked["lr"] == planning.AUTO and asked["plan"] is None:
            lent: dict[str, Any] = {"labels": labels, "device": asked["device"], "examples": examples}
            training = Training(network, task, data, plan, **lent, recorded=recorded, replaying=replaying)
            lr, note = chosen_lr(training, say)
            notes = (*plan.notes, note)
            plan = replace(plan_for({**asked, "lr": lr}, network, data, labels, task), notes=notes)
            for line in planning.warnings(plan, network):
                say.warn(line)
            say.say(table(plan, [part.name for part in network.parts]))
        if asked["dry_run"]:
            return None
        if folder is None:
            also = {LADDER: decision.to_json()} if decision.rungs else {}
            seen_before = latest(data) if ranking is None else ranking.to_json()
            also |= {RANKING: seen_before} if seen_before is not None else {}
            folder = processes.from_main(lambda: make_folder(asked, data, examples, network, plan, also))
        if processes.main():
            write_sealed(folder, HEALTH, to_json(health))
        if all(len(own.keys) for own in examples.values()):
            known.clear()  # 300 bytes for each file, and nobody asks again
        opened.pop_all()  # carry_out closes them
    return Started(
        folder,
        asked,
        data,
        task,
        labels,
        want,
        network,
        plan,
        examples,
        recorded,
        replaying,
        began,
        leaked,
        store,
        decision,
    )


def carry_out(started: Started, *, time_limit: float | None, reporter: Reporter | None) -> Run:
    """Train, or go on training, then score and save."""
    with memory_kept():
        return _carried_out(started, time_limit, reporter)


def _carried_out(started: Started, time_limit: float | None, reporter: Reporter | None) -> Run:
    say = speaker(reporter)
    if time_limit is not None:
        time_limit = max(1.0, time_limit - started.decided.spent)
    folder, network, task, data, labels = (
        started.folder,
        started.network,
        started.task,
        started.data,
        started.labels,
    )
    pretrained: Pretrained | None = None
    opened = ExitStack()
    for own in started.examples.values():
        opened.callback(own.close)
    opened.callback(started.recorded.close)
    try:
        fill(started, say)
        baselines = baselines_of(started, say)
        snapshot, complaints = read_checkpoint(folder / "checkpoint")
        for line in complaints:
            say.warn(f"{line} {'The one before it is used.' if snapshot else 'Training begins anew.'}")
        if snapshot is not None:
            started.began -= snapshot.progress.elapsed
            say.say(f"going on after {counted(len(snapshot.progress.history), 'epoch')}")
        pretrained = _pretrained(started)
        if pretrained is not None:
            opened.callback(pretrained.close)
        training = Training(
            network,
            task,
            data,
            started.plan,
            labels=labels,
            device=started.asked["device"],
            time_limit=time_limit,
            snapshot=snapshot,
            examples=started.examples,
            recorded=started.recorded,
            replaying=started.replaying,
            costs=predicted(started.plan, started.decided),
            remedies=remedies_for(started),
        )
        try:
            with interruptible() as interrupted:
                _train(training, started, say, interrupted)
        except (Diverged, NothingLearned) as stop:
            # Resuming would fail again at the same step: what was best until then is the result.
            if training.keep_best("diverged" if isinstance(stop, Diverged) else "nothing learned"):
                finish(started, training, baselines, pretrained, say)
            raise
        if processes.main():
            write_ladder(folder, started.decided, training.progress.rungs)
        run = finish(started, training, baselines, pretrained, say)
    except TunesmithError as error:
        error.args = (f"{error} The run is in {folder}.",)
        raise
    except KeyboardInterrupt as stop:
        raise type(stop)(f"stopped; go on with: tunesmith resume {folder}") from stop
    finally:
        opened.close()
    for line in happened(started, training):
        say.say(line)
    say.finished(run)
    return run


def _pretrained(started: Started) -> Pretrained | None:
    """What the stages begin with, to see at the end how far they moved, and to go back where that is better.

    Where the disk does not take it, the run goes on without, and the trained network is what is kept.
    """
    found = None
    with suppress(OSError):
        found = Pretrained(started.network, started.plan, started.folder)
    return None if processes.any_of(found is None) else found  # all processes keep the same network


def remedies_for(started: Started) -> tuple[Start, ...] | None:
    """Where a phase that goes wrong may begin anew; None where a person named the rates, or the plan."""
    asked = Run(started.folder).asked
    if any(asked.get(name) not in (None, planning.AUTO) for name in ("lr", "head_lr", "plan")):
        return None
    options = ("batch", "warmup", "weight_decay", "decay")
    return starts(started.network.family, named=[n for n in options if asked.get(n) is not None])


def speaker(reporter: Reporter | None) -> Reporter:
    """Who tells what happens: of several processes the main one alone."""
    return reporter or Lines() if processes.main() else Silent()


def plan_for(asked: Mapping[str, Any], network: Network, data: Data, labels: Labels, task: Task) -> Plan:
    """The plan that was given, or the strategy's."""
    metric = asked["metric"] or task.deciding(labels)
    given: Plan | None = asked["plan"]
    if given is None:
        settings = Settings(**{f: asked[f] for f in SETTLED})
        return planning.make_plan(
            planning.wishes_of(asked),
            network,
            replace(settings, metric=metric),
            len(data.train),
            solver=None if asked["head"] == "pretrained" else task.solver,  # which would forget what it knows
        )
    fits(given, len(network.stages), network.origin)
    settings = replace(given.settings, metric=given.settings.metric or metric, seed=asked["seed"])
    return replace(given, settings=settings)


def _train(training: Training, started: Started, say: Reporter, interrupted: Request) -> None:
    folder = started.folder
    log = folder / "log.txt"
    main = processes.main()
    if main:
        clear_leftovers(folder)
        _write_history(folder, training.progress.history)
    saved = time.monotonic()
    every = seconds(started.asked["checkpoint_every"]) or 300.0
    for event in training:
        if main:
            say.event(event)
        stop = isinstance(event, EpochEnd | Step) and processes.any_of(bool(interrupted))
        late = isinstance(event, Step) and time.monotonic() - saved > every
        if main and isinstance(event, EpochEnd):
            _write_history(folder, training.progress.history)
        if main and (line := _logged(event)) is not None:
            with log.open("a", encoding="utf-8") as lines:
                lines.write(line + "\n")
        if main and (isinstance(event, EpochEnd) or late or stop):
            write_checkpoint(folder / "checkpoint", training.snapshot())
            saved = time.monotonic()
        if stop:
            processes.wait()
            raise interrupted.answer()
    if processes.any_of(bool(interrupted)):  # asked while the last checkpoint was written
        raise interrupted.answer()


def _logged(event: Event) -> str | None:
    """The line of log.txt on an event; None where it has none."""
    if isinstance(event, EpochEnd):
        return epoch_line(event.row, best=event.best)
    if isinstance(event, Halved):
        return f"memory ran out: {event.pieces} pieces a batch"
    return str(event) if isinstance(event, Remedied) else None


def _write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    write_sealed(folder, "history.jsonl", "".join(json.dumps(row) + "\n" for row in history))


def _loss(plan: Plan) -> str:
    """The loss that was named, as it stands in a line; nothing where it is the task's own."""
    return "" if plan.settings.loss is None else f", loss {plan.settings.loss}"


def refuse_pairs(asked: Mapping[str, Any]) -> None:
    """Raise BadOption for learning from pairs of texts that are read in windows; a plan may ask for it."""
    plan = asked["plan"]
    pairs = isinstance(plan, Plan) and any(phase.loss == "contrastive" for phase in plan.phases)
    if asked["long_texts"] == "windows" and (pairs or asked["strategy"] == "contrastive"):
        raise BadOption(f"{NO_WINDOWS}; leave long_texts out, or take another strategy.")


def check_early(asked: Mapping[str, Any]) -> None:
    """What is wrong whatever the data and the network are."""
    from tunesmith.networks.heads import HEADS
    from tunesmith.plan import Phase
    from tunesmith.registry import did_you_mean

    wishes = planning.wishes_of(asked)
    planning.check(wishes)
    if asked["lr"] == planning.AUTO and (wishes.strategy == planning.AUTO or planning.unanswered(wishes)):
        raise BadOption(
            "lr 'auto' measures the rate of a plan that is known before it trains, and here the stages are "
            "chosen from the data; leave lr out, or name strategy and stages."
        )
    accelerator_for(asked["device"], asked["precision"])
    if asked["model"] != planning.AUTO:
        check_name(asked["model"])
    check_baselines(asked["baselines"])
    check_keep(asked["keep"], asked["head"])
    for name in names(asked["beside"]):
        check_name(name)
    whole("image_size", asked["image_size"])
    whole("max_length", asked["max_length"])
    check_long_texts(asked["long_texts"])
    refuse_pairs(asked)
    if asked["head"] not in HEADS:
        raise BadOption(
            f"head must be one of {', '.join(HEADS)}; found {asked['head']!r}"
            f"{did_you_mean(str(asked['head']), HEADS)}"
        )
    if not isinstance(asked["dropout"], int | float) or not 0 <= asked["dropout"] < 1:
        raise BadOption(f"dropout is a share, from 0 to below 1; found {asked['dropout']!r}.")
    wished = {f: asked[f] for f in SETTLED} | {
        f: asked[f]
        for f in ("optimizer", "weight_decay", "schedule", "warmup", "batch")
        if asked[f] is not None
    }
    Plan("asked", (Phase("asked", 1, (0.0, 1e-3)),), Settings(**wished))  # a plan refuses bad settings
