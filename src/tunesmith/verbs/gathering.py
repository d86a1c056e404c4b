"""Everything that a run's page says, from the run's folder, its data and its network."""

from __future__ import annotations

import shlex
from collections import Counter
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
from tunesmith.reports.calibration import calibrate
from tunesmith.reports.chosen import most_confident_mistakes, some_of_each
from tunesmith.reports.content import Calibration, Content, Moved, Shown
from tunesmith.reports.predictions import Predictions, read_predictions
from tunesmith.reports.showing import Showing
from tunesmith.runs import Run
from tunesmith.seals import read_sealed
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels
from tunesmith.verbs.again import READING, drew_test, fit_takes, read_from, rerun, shown
from tunesmith.verbs.folders import kept_content
from tunesmith.verbs.options import IN_MEMORY, seconds


def gather(run: Run, *, data: Any = None) -> Content:
    """What the page of a run says; what cannot be had any more is in `missing`, with the reason.

    data: what the run learned from, where it was given in memory.

    Raises BadRun for a run that is unfinished or damaged.
    """
    scores, described, manifest, asked = run.scores, run.described, run.manifest, run.asked
    refuse_numbers(run)
    labels = tuple(described["labels"]["names"])
    learned = tuple(described["labels"]["counts"])
    task = TASKS.load(described["task"])()
    missing: dict[str, str] = {}
    test = read_predictions(run.folder, "test", labels)
    valid = _valid(run, labels, missing)
    read = _read(run, asked, manifest, data, missing)
    showing = Showing(read, _network(run, missing) if read is not None else None, missing)
    calibration = None if valid is None else _calibration(valid, test)
    health = _health(run, missing)
    metric, difference = scores["metric"], scores["difference"]
    plan, history = run.plan, run.history
    return Content(
        name=run.folder.name,
        created=created(run),
        task=task.name,
        takes=task.takes,
        model=manifest["network"],
        seconds=run.facts.get("seconds"),
        labels=labels,
        counts=_counts(labels, learned, valid, test),
        examples=_examples(showing, labels),
        plan=plan,
        parts=tuple(part["name"] for part in described["parts"]),
        replay=run.replay if (run.folder / "replay.json").is_file() else {},
        history=tuple(history),
        scores=scores,
        test=score_of(scores["test"], metric),
        baseline=difference["baseline"],
        baseline_test=score_of(scores["baselines"][difference["baseline"]], metric),
        gap=Score(difference["value"], difference["low"], difference["high"]),
        calibration=calibration,
        mistakes=_mistakes(showing, test, labels),
        moved=_moved(run, missing),
        health=health,
        advice=advise(
            Facts(
                run=shlex.quote(shown(run.folder)),
                data=None if missing.get("pictures") == "data_gone" else read_from(asked),
                takes=task.takes,
                labels=labels,
                counts=learned,
                plan=plan,
                given=asked.get("plan") is not None,
                asked={
                    **asked,
                    "model": asked.get("model") or task.model,
                    "time_limit": seconds(asked.get("time_limit")),
                },
                drawn=read is not None and drew_test(read),
                works=fit_takes(asked, read, showing.network, Labels.from_json(described["labels"]), task),
                history=history,
                scores=scores,
                calibration=calibration,
                health=health,
                solver=task.solver or "lbfgs",
            )
        ),
        command=rerun(run),
        versions=_versions(manifest),
        missing=missing,
        ladder=tuple(run.ladder),
    )


def refuse_numbers(run: Run) -> None:
    """Raise BadRun for a run whose answers are no classes: pages show classes alone as yet."""
    task = TASKS.load(run.described["task"])()
    if task.answers != "classes":
        raise BadRun(
            f"{run.folder} is a run of {task.name}, and pages and comparisons are of classes as yet; its "
            f"scores.json and predictions.parquet hold everything."
        )


def _valid(run: Run, labels: tuple[str, ...], missing: dict[str, str]) -> Predictions | None:
    try:
        return read_predictions(run.folder, "valid", labels)
    except BadRun:
        missing["calibration"] = "not_kept"
        return None


def _read(
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


def _calibration(valid: Predictions, test: Predictions) -> Calibration:
    return calibrate(valid.probabilities, valid.truth, test.probabilities, test.truth)


def _examples(showing: Showing, labels: tuple[str, ...]) -> tuple[Shown, ...]:
    if showing.data is None:
        return ()
    rows = some_of_each(showing.data.train["label"][:], labels)
    return tuple(showing.example("train", row) for row in rows)


def _mistakes(showing: Showing, test: Predictions, labels: tuple[str, ...]) -> tuple[Shown, ...]:
    guess = test.guess
    shown_ = tuple(
        showing.mistake(
            test.ids[row],
            labels[test.truth[row]],
            labels[guess[row]],
            float(test.probabilities[row].max()),
            int(guess[row]),
        )
        for row in most_confident_mistakes(test)
    )
    if showing.unexplained and not any(s.heat or s.tokens for s in shown_):
        showing.missing["heat"] = showing.unexplained
    return shown_


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


def _counts(
    labels: tuple[str, ...], learned: tuple[int, ...], valid: Predictions | None, test: Predictions
) -> dict[str, dict[str, int]]:
    """Examples by label and split, from what the run keeps: the data may be gone."""
    found = {name: {"train": count} for name, count in zip(labels, learned, strict=True)}
    for split, predictions in (("valid", valid), ("test", test)):
        if predictions is not None:
            counted = Counter(predictions.truth.tolist())
            for i, name in enumerate(labels):
                found[name][split] = counted[i]
    return found


def _versions(manifest: Mapping[str, Any]) -> dict[str, str]:
    packages = {name: v for name, v in (manifest.get("packages") or {}).items() if v}
    return {**({"python": manifest["python"]} if manifest.get("python") else {}), **packages}


def created(run: Run) -> str:
    """When the run began, as ISO 8601; of an older run, when its folder was made."""
    made = (run.folder / "manifest.json").stat().st_mtime
    said = run.manifest.get("created")
    return str(said or datetime.fromtimestamp(made).astimezone().isoformat("T", "seconds"))
