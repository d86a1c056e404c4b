"""Everything that a run's page says, from the run's folder, its data and its network."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tunesmith.data.data import Data
from tunesmith.errors import BadRun, TunesmithError
from tunesmith.evaluation import Score
from tunesmith.health.finding import Health
from tunesmith.health.saving import HEALTH, from_json
from tunesmith.networks.network import Network
from tunesmith.reports.advice import Facts, advise, score_of
from tunesmith.reports.content import Content, Moved
from tunesmith.reports.kinds import kind_name, kind_of
from tunesmith.reports.kinds.kind import Had
from tunesmith.reports.predictions import Predictions, read_predictions
from tunesmith.reports.showing import Showing
from tunesmith.runs import Run
from tunesmith.seals import read_sealed
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task
from tunesmith.verbs.again import READING, drew_test, fit_takes, read_from, rerun, shown
from tunesmith.verbs.folders import kept_content, kept_labels
from tunesmith.verbs.options import IN_MEMORY, seconds


def gather(run: Run, *, data: Any = None) -> Content:
    """What the page of a run says; what cannot be had any more is in `missing`, with the reason.

    data: what the run learned from, where it was given in memory.

    Raises BadRun for a run that is unfinished or damaged.
    """
    scores, described, manifest, asked = run.scores, run.described, run.manifest, run.asked
    task, labels = TASKS.load(described["task"])(), Labels.from_json(described["labels"])
    name = kind_name(task)
    kind, missing = kind_of(name), dict[str, str]()
    test, valid = read_predictions(run.folder, "test", task, labels), _valid(run, task, labels)
    kept = kept_labels(run.folder)
    read = read_again(run, asked, manifest, data, missing)
    showing = Showing(read, _network(run, missing) if read is not None else None, missing)
    had = Had(task, labels, scores, None if kept is None else kept["train"], valid, test, showing)
    own, health = kind.gather(had), _health(run, missing)
    metric, difference = scores["metric"], scores["difference"]
    told = Facts(
        run=shlex.quote(shown(run.folder)),
        data=None if missing.get("pictures") == "data_gone" else read_from(asked),
        takes=task.takes,
        labels=labels.names,
        plan=run.plan,
        given=asked.get("plan") is not None,
        asked={
            **asked,
            "model": asked.get("model") or task.model,
            "time_limit": seconds(asked.get("time_limit")),
        },
        drawn=read is not None and drew_test(read),
        works=fit_takes(asked, read, showing.network, labels, task),
        history=run.history,
        scores=scores,
        health=health,
        solver=task.solver or "lbfgs",
    )
    return Content(
        name=run.folder.name,
        created=created(run),
        task=task.name,
        kind=name,
        takes=task.takes,
        model=manifest["network"],
        seconds=run.facts.get("seconds"),
        labels=labels.names,
        sizes=_sizes(had, kept),
        examples=kind.examples(had),
        plan=run.plan,
        parts=tuple(part["name"] for part in described["parts"]),
        replay=run.replay if (run.folder / "replay.json").is_file() else {},
        history=tuple(run.history),
        scores=scores,
        test=score_of(scores["test"], metric),
        baseline=difference["baseline"],
        baseline_test=score_of(scores["baselines"][difference["baseline"]], metric),
        gap=Score(difference["value"], difference["low"], difference["high"]),
        own=own,
        moved=_moved(run, missing),
        health=health,
        advice=(*advise(told), *kind.advise(told, own)),
        command=rerun(run),
        versions=_versions(manifest),
        missing=missing,
        ladder=tuple(run.ladder),
    )


def _valid(run: Run, task: Task, labels: Labels) -> Predictions | None:
    try:
        return read_predictions(run.folder, "valid", task, labels)
    except BadRun:
        return None


def _sizes(had: Had, kept: Mapping[str, tuple[str, ...]] | None) -> dict[str, int]:
    """Examples by split; of an older run, as far as it can be told from what it kept."""
    if kept is not None:
        return {split: len(own) for split, own in kept.items()}
    valid = 0 if had.valid is None else len(had.valid.ids)
    return {"train": sum(had.labels.counts), "valid": valid, "test": len(had.test.ids)}


def read_again(
    run: Run, asked: Mapping[str, Any], manifest: Mapping[str, Any], given: Any, missing: dict[str, str]
) -> Data | None:
    """The data again, if they are those that the run learned from."""
    source = asked.get("data") if given is None else given
    if isinstance(source, str) and source.startswith(IN_MEMORY):
        missing["pictures"] = "data_in_memory"
        return None
    task = TASKS.load(run.described["task"])()
    try:
        data: Data = task.read(source, **{name: asked[name] for name in READING if name in asked})
    except (TunesmithError, OSError):
        missing["pictures"] = "data_gone"
        return None
    fingerprint, without, _ = str(manifest["data"]).partition(" without ")
    if data.fingerprint != fingerprint:
        missing["pictures"] = "data_changed"
        return None
    return _as_learned(data, run) if without else data


def _as_learned(data: Data, run: Run) -> Data:
    """The data without what the run left out, because it could not be read then."""
    kept = kept_content(run.folder)
    if kept is None:
        return data
    splits = {
        name: own.select([row for row, id_ in enumerate(own["id"][:]) if id_ in kept])
        for name, own in data.splits.items()
    }
    return replace(data, splits=splits)


def _network(run: Run, missing: dict[str, str]) -> Network | None:
    if run.described.get("recipe") is None and run.module is None and "model" not in run.__dict__:
        missing["heat"] = "own_module"
        return None
    try:
        return run.model[0]
    except TunesmithError:
        missing["heat"] = "no_model"
        return None


def _moved(run: Run, missing: dict[str, str]) -> tuple[Moved, ...]:
    kept = run.facts.get("moved")
    if kept is None:
        missing["moved"] = "not_kept"
    return tuple(Moved(**row) for row in kept or ())


def _health(run: Run, missing: dict[str, str]) -> Health | None:
    try:
        return from_json(read_sealed(run.folder, HEALTH).decode("utf-8"))
    except (BadRun, ValueError, TypeError, KeyError):
        missing["health"] = "not_kept"
        return None


def _versions(manifest: Mapping[str, Any]) -> dict[str, str]:
    packages = {name: v for name, v in (manifest.get("packages") or {}).items() if v}
    return {**({"python": manifest["python"]} if manifest.get("python") else {}), **packages}


def created(run: Run) -> str:
    """When the run began, as ISO 8601; of an older run, when its folder was made."""
    made = (run.folder / "manifest.json").stat().st_mtime
    said = run.manifest.get("created")
    return str(said or datetime.fromtimestamp(made).astimezone().isoformat("T", "seconds"))
