"""What a fit ends with: baselines, scores, predictions, the saved network."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from tunesmith.errors import BadRun
from tunesmith.evaluation import difference, evaluate
from tunesmith.reports.moved import Pretrained
from tunesmith.reports.predictions import FILES
from tunesmith.runs import FACTS, Run, save_model
from tunesmith.seals import settle, write_sealed
from tunesmith.tasks.task import Labels, Task
from tunesmith.training import processes
from tunesmith.training.feeds import Feed
from tunesmith.training.loop import Training
from tunesmith.training.predicting import predict
from tunesmith.training.solving import answers_of, probe_head
from tunesmith.verbs.reporting import Reporter, outcome
from tunesmith.verbs.started import Started
from tunesmith.verdicts import sentence

PROBED = 20_000  # training examples that the closed-form probe is solved on, at most


def probe(started: Started, say: Reporter) -> dict[str, dict[str, Any]]:
    """Predictions of the baselines on validation and test: largest class, and closed-form linear probe."""
    task, data, labels = started.task, started.data, started.labels
    found: dict[str, dict[str, Any]] = {}
    name, _ = task.trivial(labels, 0)
    found[name] = {split: task.trivial(labels, len(data.splits[split]))[1] for split in ("valid", "test")}
    recorded, examples = started.recorded, started.examples
    rows = probed_rows(started)
    with say.work("baseline: linear probe on frozen features", len(rows)):
        targets = np.asarray(task.targets(data.train, labels))
        solved = probe_head(recorded, examples["train"], targets, len(labels.names), rows=rows)
        found["linear probe"] = {
            split: answers_of(solved, recorded, examples[split]) for split in ("valid", "test")
        }
    return found


def probed_rows(started: Started) -> np.ndarray:
    """The training examples that the closed-form probe is solved on."""
    count = len(started.data.train)
    if count <= PROBED:
        return np.arange(count)
    return np.sort(np.random.default_rng(started.asked["seed"]).permutation(count)[:PROBED])


def finish(
    started: Started,
    training: Training,
    baselines: Mapping[str, Mapping[str, Any]],
    pretrained: Pretrained | None = None,
) -> Run:
    """Score the kept network and the baselines on the test split, once, and write everything.

    pretrained: what the stages began with; None where it could not be kept.
    """
    folder, task, data, labels, network = (
        started.folder,
        started.task,
        started.data,
        started.labels,
        started.network,
    )
    predictions, scores = {}, {}
    for split in ("valid", "test"):
        predictions[split] = predict(
            network,
            task,
            _kept_feed(started, training, split),
            labels,
            batch=2 * started.plan.settings.batch,
            autocast=training.accelerator.autocast,
            shared=True,
        )
        targets = task.targets(data.splits[split], labels)
        scores[split] = evaluate(task, predictions[split], targets, labels)
    metric = training.metric
    compared = {name: evaluate(task, answers["test"], targets, labels) for name, answers in baselines.items()}
    strongest = "linear probe"
    gap = difference(task, predictions["test"], baselines[strongest]["test"], targets, labels, metric)
    if not processes.main():
        processes.wait()
        return Run(folder.resolve())
    shutil.rmtree(folder / "model", ignore_errors=True)  # of a finish that was interrupted: who knows how
    save_model(network, started.want, task, labels, folder / "model")
    for split, file in FILES.items():
        write_sealed(folder, file, _table(task, data.splits[split], labels, predictions[split]))
    write_sealed(folder, FACTS, json.dumps(_facts(started, pretrained), indent=1) + "\n")
    best = training.progress.best or {}
    written = {
        "metric": metric,
        "kept": {
            "phase": started.plan.phases[int(best.get("phase", 0))].name,
            "epoch": best.get("epoch"),
        },
        "ended": training.progress.ended,
        **({"remedies": training.progress.remedies} if training.progress.remedies else {}),
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
        **_without_duplicates(started, predictions["test"], targets),
    }
    write_sealed(folder, "scores.json", json.dumps(written, indent=1) + "\n")
    # A finished run is never resumed, and its checkpoints are several times the size of its model.
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    run = Run(folder.resolve()).holding(network, task, labels)
    with suppress(OSError, BadRun):  # the run stands; this is for people, who may have touched a file
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write("\n".join(outcome(run)) + "\n")
        settle(folder, "log.txt")
    processes.wait()
    return run


def _without_duplicates(
    started: Started, predictions: list[Any], targets: list[Any]
) -> dict[str, dict[str, Any]]:
    """The test scores without examples that were nearly seen in training; nothing where there are none."""
    left_out = int(started.leaked.sum())
    rows = np.flatnonzero(~started.leaked)
    if not left_out:
        return {}
    if not len(rows):
        return {"without_duplicates": {"count_left_out": left_out, "count": 0, "metrics": {}}}
    ours = [predictions[row] for row in rows], [targets[row] for row in rows]
    scores = evaluate(started.task, *ours, started.labels)
    return {"without_duplicates": {"count_left_out": left_out, **scores.as_dict()}}


def _kept_feed(started: Started, training: Training, split: str) -> Feed:
    """Batches for the kept network: from what is stored of the stages that it never moved."""
    replaying, best = started.replaying, training.progress.best or {}
    phases = started.plan.phases[: int(best.get("phase", 0)) + 1]
    still = min(phase.frozen_prefix for phase in phases)
    depths = [at for at in (replaying.cuts if replaying else ()) if at <= still]
    return Feed(started.examples[split], started.recorded, max(depths, default=None))


def _table(task: Task, dataset: Any, labels: Labels, predictions: list[Any]) -> bytes:
    """Predictions beside the truth, as a Parquet file."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = task.table(predictions, labels, full=True)
    table_ = pa.table(
        {
            "id": dataset["id"],
            "truth": dataset["label"],
            **{name: [row[name] for row in rows] for name in rows[0]},
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table_, buffer)
    return buffer.getvalue()


def _facts(started: Started, pretrained: Pretrained | None) -> dict[str, Any]:
    """What a report wants to know and could find out later only at a price, or not at all.

    seconds: from reading the data on; of processes that were interrupted, what they spent in training.
    """
    moved = None
    with suppress(OSError):  # a report alone wants to know it: the run goes on without
        moved = None if pretrained is None else [asdict(m) for m in pretrained.distances(started.network)]
    return {"seconds": round(time.monotonic() - started.began, 3), "moved": moved}
