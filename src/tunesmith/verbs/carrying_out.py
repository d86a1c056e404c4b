"""How a fit is carried out: the steps between what was asked and the finished run's folder."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from tunesmith.data.data import SPLITS, Data, Finding
from tunesmith.errors import BadData, BadOption, BadRun, TunesmithError
from tunesmith.evaluation import difference, evaluate
from tunesmith.files import clear_leftovers, whole_folder, write_whole
from tunesmith.networks.network import Network, Want
from tunesmith.plan import Plan, Settings, fits, table
from tunesmith.runs import Run, load_model, point_latest, save_model
from tunesmith.sources import load as load_named
from tunesmith.sources.module import with_head
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.training import processes
from tunesmith.training.batches import measured
from tunesmith.training.devices import accelerator_for
from tunesmith.training.heads import head_features, ridge
from tunesmith.training.loop import EpochEnd, Halved, Step, Training
from tunesmith.training.predicting import predict
from tunesmith.training.state import read_checkpoint, write_checkpoint
from tunesmith.verbs import planning
from tunesmith.verbs.environment import described
from tunesmith.verbs.options import IN_MEMORY, seconds, whole
from tunesmith.verbs.reporting import Lines, Reporter, Silent, counted, epoch_line, outcome, words
from tunesmith.verdicts import sentence

IMBALANCED = 3.0  # above this ratio of largest to smallest class accuracy hides what happens to the small
PROBED = 20_000  # training examples that the closed-form probe is solved on, at most
SHOWN = 5  # bad items that a message lists


@dataclass
class Started:
    """A fit whose data are read, whose network is loaded and whose plan is made."""

    folder: Path
    asked: Mapping[str, Any]
    data: Data
    task: Task
    labels: Labels
    want: Want
    network: Network
    plan: Plan


def begin(
    asked: Mapping[str, Any], *, reporter: Reporter | None, folder: Path | None = None
) -> Started | None:
    """Read, check, load, plan; nothing is written until all of it went well.

    folder: of a run that is resumed; None: a new one is made.
    Returns None after a dry run.
    """
    _check_early(asked)
    say = speaker(reporter)
    if isinstance(asked["plan"], str | Path):
        asked = {**asked, "plan": planning.read_plan(asked["plan"])}
    if asked["plan"] is not None:
        asked = {**asked, "seed": asked["seed"] or asked["plan"].settings.seed}
    if folder is None and not asked["dry_run"]:
        check_place(Path(asked["out"] or "runs/new").expanduser())
    with processes.main_first():
        data, task = read_data(asked, say)
    labels = task.labels(data)
    seed_everything(asked["seed"])
    want = task.want(labels, **{f: asked[f] for f in WANTED})
    network = load_network(asked["model"] or task.model, want)
    for line in (f"network: {network.origin}", *network.loaded):
        say.say(line)
    plan = plan_for(asked, network, data, labels)
    if folder is None and asked["plan"] is not None:
        for line in planning.ignored(asked, plan):
            say.warn(line)
    for line in planning.warnings(plan, network):
        say.warn(line)
    task = replace(task, label_smoothing=plan.settings.label_smoothing)  # type: ignore[type-var]
    # What cannot be trained is refused here, before a folder appears.
    rehearsal = Training(network, task, data, plan, labels=labels, device=asked["device"])
    _say_truncation(network, data, rehearsal.lengths, say)
    say.say(
        f"plan: {plan.strategy}, {counted(plan.epochs, 'epoch')}, batches of {plan.settings.batch}, "
        f"{plan.settings.optimizer}, {plan.settings.schedule} schedule; the epoch of the best validation "
        f"{words(plan.settings.metric or task.metric)} is kept"
    )
    say.say(table(plan, [part.name for part in network.parts]))
    for note in plan.notes:
        say.say(note)
    if asked["dry_run"]:
        return None
    if folder is None:
        folder = processes.from_main(lambda: make_folder(asked, data, network, plan))
    else:
        _same_as_before(folder, data, network)
    return Started(folder, asked, data, task, labels, want, network, plan)


def carry_out(started: Started, *, time_limit: float | None, reporter: Reporter | None) -> Run:
    """Train, or go on training, then score and save."""
    say = speaker(reporter)
    folder, network, task, data, labels = (
        started.folder,
        started.network,
        started.task,
        started.data,
        started.labels,
    )
    try:
        baselines = probe(started, say)
        snapshot, complaints = read_checkpoint(folder / "checkpoint")
        for line in complaints:
            say.warn(f"{line} {'The one before it is used.' if snapshot else 'Training begins anew.'}")
        if snapshot is not None:
            say.say(f"going on after {counted(len(snapshot.progress.history), 'epoch')}")
        training = Training(
            network,
            task,
            data,
            started.plan,
            labels=labels,
            device=started.asked["device"],
            time_limit=time_limit,
            snapshot=snapshot,
        )
        with interruptible() as interrupted:
            _train(training, started, say, interrupted)
        run = finish(started, training, baselines)
    except TunesmithError as error:
        error.args = (f"{error} The run is in {folder}.",)
        raise
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"stopped; go on with: tunesmith resume {folder}") from stop
    say.finished(run)
    return run


def speaker(reporter: Reporter | None) -> Reporter:
    """Who tells what happens: of several processes the main one alone."""
    return reporter or Lines() if processes.main() else Silent()


def read_data(asked: Mapping[str, Any], say: Reporter) -> tuple[Data, Task]:
    """The data and the task that fits them; says what was understood, and stops at what cannot be read."""
    options = {
        f: asked[f]
        for f in (
            "item",
            "target",
            "split",
            "group",
            "weight",
            "columns",
            "valid_size",
            "test_size",
            "seed",
        )
    }
    from tunesmith.data.read import read

    if asked["data"] is None or (isinstance(asked["data"], str) and not asked["data"].strip()):
        raise BadOption("name the data to learn from: tunesmith fit DATA, or data: in the configuration.")
    if asked["task"] is not None:
        task: Task = TASKS.load(asked["task"])()
        data = task.read(asked["data"], **options)
    else:
        data = read(asked["data"], **options)
        task = TASKS.load(f"{data.takes}-classification")()
    for line in data.understood:
        say.say(line)
    with say.work("looking for items that cannot be read", sum(len(s) for s in data.splits.values())):
        findings = task.check(data)
    if findings:
        data = without_bad(data, findings, task, say, skip=asked["skip_bad"])
    return data, task


def without_bad(data: Data, findings: list[Finding], task: Task, say: Reporter, *, skip: bool) -> Data:
    """The data without the items that cannot be read, each said; or, unless `skip`, an error."""
    said = [(f.message if f.where in f.message else f"{f.where}: {f.message}").rstrip(".") for f in findings]
    shown = "; ".join(said[:SHOWN])
    more = f" and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
    if not skip:
        raise BadData(
            f"{len(findings)} of {sum(len(s) for s in data.splits.values()):,} {task.unit}s cannot be used: "
            f"{shown}{more}. "
            f"Mend or remove them, or pass --skip-bad (skip_bad=True) to leave them out."
        )
    for line in said:
        say.warn(f"left out: {line}")
    bad = {finding.where for finding in findings}
    splits = {}
    for name, dataset in data.splits.items():
        keep = [i for i, where in enumerate(dataset["id"]) if where not in bad]
        splits[name] = dataset.select(keep)
        if not keep:
            raise BadData(f"nothing is left in the {name} split without the items that cannot be read.")
    count = f"{len(findings):,} {task.unit}s left out, {sum(len(s) for s in splits.values()):,} kept"
    kept = replace(
        data,
        splits=splits,
        understood=(*data.understood, f"{count}: {shown}{more}"),
        fingerprint=f"{data.fingerprint} without {len(findings)}",
    )
    gone = set(data.train["label"]) - set(kept.train["label"])
    if gone or len(set(kept.train["label"])) < 2:
        raise BadData(
            f"without the items that cannot be read, nothing is left to learn of {', '.join(sorted(gone))}."
        )
    say.warn(count)
    return kept


def load_network(model: str | Network | Path, want: Want) -> Network:
    """A network by name, from an earlier run, or as it was given, with the head that is wanted."""
    if isinstance(model, Network):
        return with_head(model, want)
    folder = Path(model).expanduser()
    if (folder / "manifest.json").is_file():
        earlier, _, labels = load_model(folder / "model")
        earlier.origin = f"{folder.resolve().name}/{earlier.origin}"
        if labels.names == want.labels and want.head in ("linear", "pretrained"):
            return replace(earlier, loaded=(f"network and head of {folder.name}",))
        return replace(with_head(earlier, want), loaded=(f"network of {folder.name}, with a new head",))
    return load_named(str(model), want)


def plan_for(asked: Mapping[str, Any], network: Network, data: Data, labels: Labels) -> Plan:
    """The plan that was given, or the strategy's."""
    metric = asked["metric"] or ("macro_f1" if labels.imbalance > IMBALANCED else "accuracy")
    given: Plan | None = asked["plan"]
    if given is None:
        wishes = planning.Wishes(**{f.name: asked[f.name] for f in fields(planning.Wishes)})
        settings = Settings(**{f: asked[f] for f in SETTLED})
        return planning.make_plan(wishes, network, replace(settings, metric=metric), len(data.train))
    fits(given, len(network.stages), network.origin)
    settings = replace(given.settings, metric=given.settings.metric or metric, seed=asked["seed"])
    return replace(given, settings=settings)


def check_place(folder: Path) -> None:
    """Raise BadOption if something is where a run should be written, or if nothing can be."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadOption(
            f"{folder} exists and is not empty; runs are never overwritten. Choose another --out."
        )
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        why = "cannot be written to" if there.is_dir() else "is a file"
        raise BadOption(f"no run can be written at {folder}: {there} {why}. Choose another --out.")


def make_folder(asked: Mapping[str, Any], data: Data, network: Network, plan: Plan) -> Path:
    """The run's folder with what is known before training; appears whole."""
    import yaml

    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(asked["out"]).expanduser() if asked["out"] else Path("runs") / f"{data.name}-{stamp}"
    if asked["out"] is None:
        counted = 2
        while folder.exists():
            folder = folder.with_name(f"{data.name}-{stamp}-{counted}")
            counted += 1
    check_place(folder)
    if folder.exists():
        folder.rmdir()
    with whole_folder(folder) as temporary:
        written = {k: _plain(k, v) for k, v in asked.items() if k not in ("out", "dry_run")}
        (temporary / "asked.yaml").write_text(
            yaml.safe_dump(written, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        manifest = {
            "form": 1,
            "data": data.fingerprint,
            "network": network.origin,
            "seed": asked["seed"],
            **described(),
        }
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        (temporary / "plan.json").write_text(plan.to_json(), encoding="utf-8")
        names = [part.name for part in network.parts]
        (temporary / "plan.txt").write_text(
            "\n".join([*data.understood, network.origin, *network.loaded, table(plan, names), *plan.notes])
            + "\n",
            encoding="utf-8",
        )
    if folder.parent.name == "runs":
        point_latest(folder)
    return folder


def probe(started: Started, say: Reporter) -> dict[str, dict[str, Any]]:
    """Predictions of the baselines on validation and test: largest class, and closed-form linear probe."""
    network, task, data, labels = started.network, started.task, started.data, started.labels
    found: dict[str, dict[str, Any]] = {}
    name, _ = task.trivial(labels, 0)
    found[name] = {split: task.trivial(labels, len(data.splits[split]))[1] for split in ("valid", "test")}
    train = data.train
    if len(train) > PROBED:
        rows = np.sort(np.random.default_rng(started.asked["seed"]).permutation(len(train))[:PROBED])
        train = train.select(rows)
    with say.work("baseline: linear probe on frozen features", len(train)):

        def features(dataset: Any) -> np.ndarray:
            return head_features(
                network,
                task,
                dataset,
                labels,
                batch=started.plan.settings.batch,
                lengths=measured(dataset, network.preprocess),
            ).astype(np.float64)

        solved = ridge(features(train), np.asarray(task.targets(train, labels)), len(labels.names))
        found["linear probe"] = {
            split: solved.probabilities(features(data.splits[split])) for split in ("valid", "test")
        }
    return found


def finish(started: Started, training: Training, baselines: Mapping[str, Mapping[str, Any]]) -> Run:
    """Score the kept network and the baselines on the test split, once, and write everything."""
    folder, task, data, labels, network = (
        started.folder,
        started.task,
        started.data,
        started.labels,
        started.network,
    )
    predictions, scores = {}, {}
    for split in ("valid", "test"):
        dataset = data.splits[split]
        predictions[split] = predict(
            network,
            task,
            dataset,
            labels,
            batch=2 * started.plan.settings.batch,
            lengths=measured(dataset, network.preprocess),
            autocast=training.accelerator.autocast,
            shared=True,
        )
        scores[split] = evaluate(task, predictions[split], task.targets(dataset, labels), labels)
    targets = task.targets(data.test, labels)
    metric = training.metric
    compared = {name: evaluate(task, answers["test"], targets, labels) for name, answers in baselines.items()}
    strongest = "linear probe"
    gap = difference(task, predictions["test"], baselines[strongest]["test"], targets, labels, metric)
    if not processes.main():
        processes.wait()
        return Run(folder.resolve())
    if not (folder / "model").exists():
        save_model(network, started.want, task, labels, folder / "model")
    _write_predictions(folder, task, data, labels, predictions["test"])
    best = training.progress.best or {}
    written = {
        "metric": metric,
        "kept": {
            "phase": started.plan.phases[int(best.get("phase", 0))].name,
            "epoch": best.get("epoch"),
        },
        "ended": training.progress.ended,
        "verdict": sentence(
            metric,
            scores["test"][metric],
            strongest,
            compared[strongest][metric],
            gap,
            len(targets),
        ),
        "difference": {"baseline": strongest, "value": gap.value, "low": gap.low, "high": gap.high},
        "labels": list(labels.names),
        **{split: s.as_dict() for split, s in scores.items()},
        "baselines": {name: s.as_dict() for name, s in compared.items()},
    }
    write_whole(folder / "scores.json", json.dumps(written, indent=1) + "\n")
    # A finished run is never resumed, and its checkpoints are several times the size of its model.
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    run = Run(folder.resolve())
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        log.write("\n".join(outcome(run)) + "\n")
    processes.wait()
    return run


def seed_everything(seed: int) -> None:
    """Seed every generator, before any parameter exists."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """The first Ctrl-C or SIGTERM sets a flag, to end with a checkpoint; the second ends at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def first(number: int, _: FrameType | None) -> None:
        flag.set()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _train(training: Training, started: Started, say: Reporter, interrupted: threading.Event) -> None:
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
        stop = isinstance(event, EpochEnd | Step) and processes.any_of(interrupted.is_set())
        late = isinstance(event, Step) and time.monotonic() - saved > every
        if main and isinstance(event, EpochEnd):
            _write_history(folder, training.progress.history)
            with log.open("a", encoding="utf-8") as lines:
                lines.write(epoch_line(event.row, best=event.best) + "\n")
        if main and isinstance(event, Halved):
            with log.open("a", encoding="utf-8") as lines:
                lines.write(f"memory ran out: {event.pieces} pieces a batch\n")
        if main and (isinstance(event, EpochEnd) or late or stop):
            write_checkpoint(folder / "checkpoint", training.snapshot())
            saved = time.monotonic()
        if stop:
            processes.wait()
            raise KeyboardInterrupt


def _write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    write_whole(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in history))


def _write_predictions(folder: Path, task: Task, data: Data, labels: Labels, predictions: list[Any]) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = task.table(predictions, labels, full=True)
    table_ = pa.table(
        {
            "id": data.test["id"],
            "truth": data.test["label"],
            **{name: [row[name] for row in rows] for name in rows[0]},
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table_, buffer)
    write_whole(folder / "predictions.parquet", buffer.getvalue())


def _check_early(asked: Mapping[str, Any]) -> None:
    """What is wrong whatever the data and the network are."""
    from tunesmith.networks.heads import HEADS
    from tunesmith.plan import Phase
    from tunesmith.registry import did_you_mean

    planning.check(planning.Wishes(**{f.name: asked[f.name] for f in fields(planning.Wishes)}))
    accelerator_for(asked["device"], asked["precision"])
    whole("image_size", asked["image_size"])
    whole("max_length", asked["max_length"])
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
    Plan(
        "asked",
        (Phase("asked", 1, (0.0, 1e-3)),),
        Settings(**wished),
    )


def _same_as_before(folder: Path, data: Data, network: Network) -> None:
    manifest = Run(folder).manifest
    if manifest["data"] != data.fingerprint:
        raise BadRun(
            f"the data are not those that {folder} was begun with, so the rest would not be the same run; "
            f"put them back, or begin a new run."
        )
    if manifest["network"] != network.origin:
        raise BadRun(
            f"{folder} was begun with {manifest['network']}, and the weights are now {network.origin}; "
            f"put them back, or begin a new run."
        )


def _say_truncation(
    network: Network, data: Data, known: Mapping[str, np.ndarray | None], say: Reporter
) -> None:
    window = getattr(network.preprocess, "max_length", None)
    if window is None:
        return
    cut = []
    for split in SPLITS:
        lengths = known.get(split)
        if lengths is None:
            lengths = measured(data.splits[split], network.preprocess)
        long = int((lengths > window).sum()) if lengths is not None else 0
        if long:
            cut.append(f"{long:,} of {len(data.splits[split]):,} {split}")
    if cut:
        say.warn(f"{', '.join(cut)} texts are longer than {window} tokens, and are cut there")


def _plain(key: str, value: Any) -> Any:
    """A value as a configuration file can hold it; what lives in memory only is named as such.

    Paths of data and runs become absolute, so that the run can be resumed from anywhere; a plan is
    the one that lies in the run's folder.
    """
    if key == "plan" and value is not None:
        return "plan.json"
    if key in ("data", "model") and isinstance(value, str | Path):
        path = Path(value).expanduser()
        there = path.exists() if key == "data" else (path / "manifest.json").is_file()
        return str(path.resolve()) if there else str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(v, str | int) for v in value):
        return list(value)
    return f"{IN_MEMORY}{type(value).__name__}>"


WANTED = ("head", "dropout", "image_size", "max_length", "allow_missing", "untie")
SETTLED = (
    "momentum",
    "clip",
    "label_smoothing",
    "balance",
    "augment",
    "precision",
    "batch_norm",
    "metric",
    "seed",
)
