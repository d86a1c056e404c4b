"""What a fit ends with: baselines, scores, predictions, the saved network."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from tunesmith.errors import BadRun
from tunesmith.evaluation import evaluate
from tunesmith.exports.card import CARD, card
from tunesmith.exports.golden import GOLDEN, golden_of
from tunesmith.files import write_whole
from tunesmith.reports.moved import Pretrained
from tunesmith.reports.predictions import FILES
from tunesmith.runs import FACTS, Run, save_model
from tunesmith.seals import settle, write_sealed
from tunesmith.tasks.task import Labels, Task, target_array
from tunesmith.training import processes
from tunesmith.training.loop import Training
from tunesmith.verbs.baselines import Baselines
from tunesmith.verbs.carding import facts_of
from tunesmith.verbs.judging import judged
from tunesmith.verbs.keeping import keep_better, moved_stages, predictions_of
from tunesmith.verbs.reporting import Reporter, outcome
from tunesmith.verbs.scratch import from_scratch
from tunesmith.verbs.started import Started
from tunesmith.verdicts.keeping import PROBE, TRAINED, Decision


def finish(
    started: Started,
    training: Training,
    baselines: Baselines,
    pretrained: Pretrained | None,
    say: Reporter,
) -> Run:
    """Keep the better network, score it and its baselines on the test split, once, and write everything.

    pretrained: what the stages began with; None where it could not be kept.
    """
    folder, task, data, labels, network = (
        started.folder,
        started.task,
        started.data,
        started.labels,
        started.network,
    )
    moved = moved_stages(started, training)
    trained = {split: predictions_of(started, training, split, moved) for split in FILES}
    kept = keep_better(started, training, baselines, pretrained, trained["valid"], say)
    what, predictions = kept.decision.what, trained
    if what != TRAINED:
        known = {} if kept.valid is None else {"valid": kept.valid}
        predictions = {
            split: known.get(split) or predictions_of(started, training, split, kept.moved) for split in FILES
        }
    scratch = from_scratch(started, say) if started.asked["baselines"] == "all" else None
    if not processes.main():
        processes.wait()
        return Run(folder.resolve())
    labels = task.calibrated(labels, predictions["valid"], task.targets(data.valid, labels))
    started = replace(started, labels=labels)
    said = judged(started, baselines, training.metric, what, predictions, trained, scratch)
    shutil.rmtree(folder / "model", ignore_errors=True)  # of a finish that was interrupted: who knows how
    if task.answers == "numbers" and not labels.widths:
        say.warn(
            f"answers have no interval: {len(data.valid)} validation examples are too few for one of 90 %"
        )
    save_model(network, started.want, task, labels, folder / "model")
    for split, file in FILES.items():
        write_sealed(folder, file, _table(task, data.splits[split], labels, predictions[split]))
    write_sealed(folder, FACTS, json.dumps(_facts(started, pretrained), indent=1) + "\n")
    answered = target_array(task, data.test, labels)
    golden = golden_of(started.examples["test"], answered, seed=started.asked["seed"])
    write_sealed(folder, GOLDEN, golden.to_bytes())
    written = {
        "metric": training.metric,
        "kept": _kept(started, training, kept.decision),
        "ended": training.progress.ended,
        **({"remedies": training.progress.remedies} if training.progress.remedies else {}),
        **said,
        **_without_duplicates(started, predictions["test"]),
    }
    # Not sealed: a card is for people, who may know more than the run does.
    write_whole(folder / "model" / CARD, card(facts_of(Run(folder.resolve()), written)))
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


def _without_duplicates(started: Started, predictions: list[Any]) -> dict[str, dict[str, Any]]:
    """The test scores without examples that were nearly seen in training; nothing where there are none."""
    targets = started.task.targets(started.data.test, started.labels)
    left_out = int(started.leaked.sum())
    rows = np.flatnonzero(~started.leaked)
    if not left_out:
        return {}
    if not len(rows):
        return {"without_duplicates": {"count_left_out": left_out, "count": 0, "metrics": {}}}
    ours = [predictions[row] for row in rows], [targets[row] for row in rows]
    scores = evaluate(started.task, *ours, started.labels)
    return {"without_duplicates": {"count_left_out": left_out, **scores.as_dict()}}


def _kept(started: Started, training: Training, decision: Decision) -> dict[str, Any]:
    """What was kept and why; the epoch is that of the trained network, None where that was not kept."""
    best = training.progress.best or {}
    epoch: dict[str, Any] = {"phase": None, "epoch": None}
    if decision.what != PROBE:
        phase = started.plan.phases[int(best.get("phase", 0))].name
        epoch = {"phase": phase, "epoch": best.get("epoch")}
    return epoch | asdict(decision)


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
