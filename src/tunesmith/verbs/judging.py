"""What the test split says of a fine-tuned network: scores of all it is compared with, and alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tunesmith.choosing.learning_curve import forecast
from tunesmith.evaluation import Scores, evaluate, groups_in, sign_of
from tunesmith.verbs.baselines import Baselines
from tunesmith.verbs.curves import curve_metric
from tunesmith.verbs.started import Started
from tunesmith.verbs.twin import TWIN, passes, passes_to_keep
from tunesmith.verdicts import sentence
from tunesmith.verdicts.alarms import Alarm, Suspicion, below, harmed_classes, no_gain, proven
from tunesmith.verdicts.keeping import PROBE, TRAINED
from tunesmith.verdicts.paired import measured, pair

SCRATCH = "from scratch"


def judged(
    started: Started,
    baselines: Baselines,
    metric: str,
    what: str,
    predictions: Mapping[str, list[Any]],
    trained: Mapping[str, list[Any]],
    scratch: list[Any] | str | None,
) -> dict[str, Any]:
    """What scores.json says of the network that was kept, of all it is compared with, and what went wrong.

    what: was kept, and predicts `predictions` by split. trained: predictions of the network as training left
    it. scratch: those of one from scratch for the test split, why there are none, or None if not asked for.
    """
    task, labels, data = started.task, started.labels, started.data
    scores = {}
    for split, own in predictions.items():
        targets, groups = task.targets(data.splits[split], labels), groups_in(data.splits[split])
        scores[split] = evaluate(task, own, targets, labels, groups=groups)
    beside = {SCRATCH: scratch} if isinstance(scratch, list) else {}
    beside |= {TRAINED: trained["test"]} if what != TRAINED else {}
    rows = compared(started, baselines, beside)
    # What is kept is compared with what else it could be; without a probe with the best without a network.
    other = TRAINED if what == PROBE else PROBE
    if other not in rows:
        other = max(baselines.answers, key=lambda name: sign_of(metric) * rows[name][metric].value)
    theirs = trained["test"] if what == PROBE else baselines.answers[other]["test"]
    targets, groups = task.targets(data.test, labels), groups_in(data.test)
    gap = measured(pair(task, labels, predictions["test"], theirs, targets, groups), metric)
    ours, count = scores["test"][metric], len(targets)
    alarms = alarms_of(started, trained["test"], baselines, metric, beside.get(SCRATCH))
    lost = [f"no network from scratch: {scratch}"] if isinstance(scratch, str) else []
    return {
        "verdict": sentence(
            metric, ours, other, rows[other][metric], gap.score, count, detectable=gap.detectable
        ),
        "difference": {"baseline": other, **asdict(gap.score), "detectable": gap.detectable},
        "alarms": [asdict(alarm) for alarm in alarms],
        "not_compared": [*baselines.said, *lost],
        "labels": list(labels.names),
        **{split: own.as_dict() for split, own in scores.items()},
        "baselines": {name: own.as_dict() for name, own in rows.items()},
        **cost(started, baselines),
        **learned(started, baselines),
    }


def compared(started: Started, baselines: Baselines, more: dict[str, list[Any]]) -> dict[str, Scores]:
    """Scores of every baseline on the test split; of the random twin on the part of it that it answered.

    more: predictions of what was trained beside: the network as trained where another is kept, and one
    from scratch.
    """
    task, labels, test = started.task, started.labels, started.data.test
    targets, groups = task.targets(test, labels), groups_in(test)
    answers = {name: own["test"] for name, own in baselines.answers.items()}
    answers |= {f"linear probe of {name}": own for name, own in (baselines.others or {}).items()} | more
    found = {name: evaluate(task, own, targets, labels, groups=groups) for name, own in answers.items()}
    if baselines.twin is not None:
        rows = baselines.twin.rows
        some = None if groups is None else [groups[row] for row in rows]
        own = [targets[row] for row in rows]
        found[TWIN] = evaluate(task, baselines.twin.random, own, labels, groups=some)
    return found


def alarms_of(
    started: Started,
    trained: Sequence[Any],
    baselines: Baselines,
    metric: str,
    scratch: list[Any] | None = None,
) -> tuple[Alarm, ...]:
    """The alarms that are proven on the test split.

    trained: predictions of the network as training left it, kept or not. scratch: of one from scratch.
    """
    task, labels, test = started.task, started.labels, started.data.test
    targets, groups = task.targets(test, labels), groups_in(test)
    found: list[Suspicion] = []
    probe = baselines.answers.get(PROBE, {}).get("test")
    moves = any(any(phase.lrs[:-1]) for phase in started.plan.phases)  # a head alone destroys nothing
    if moves and probe is not None:
        two = pair(task, labels, trained, probe, targets, groups)
        found.append(below("below_probe", two, metric, PROBE, gap=measured(two, metric)))
        if task.answers == "classes":
            found.append(harmed_classes(two, PROBE))
    if (twin := baselines.twin) is not None:
        own = [targets[row] for row in twin.rows]
        some = None if groups is None else [groups[row] for row in twin.rows]
        two = pair(task, labels, twin.pretrained, twin.random, own, some)
        gap = measured(two, metric)
        found.append(below("below_twin", two, metric, TWIN, gap=gap))
        if {"truth", "target", "mistakes"} & two.ours.keys():
            found.append(no_gain(two, metric, gap=gap))
    if scratch is not None:
        two = pair(task, labels, trained, scratch, targets, groups)
        found.append(below("below_scratch", two, metric, SCRATCH, gap=measured(two, metric)))
    for name, answers in (baselines.others or {}).items():
        assert probe is not None  # others are probes too
        two = pair(task, labels, probe, answers, targets, groups)
        found.append(below("better_start", two, metric, name, gap=measured(two, metric)))
    return proven(found, metric)


def learned(started: Started, baselines: Baselines) -> dict[str, Any]:
    """Scores by number of labels, with and without pretraining, and what twice as many are worth.

    doubling: what the last doubling of the labels brought on the same test examples, with its interval,
    and what the next one would if the curve goes on as it went.
    """
    curve, twin, metric = baselines.curve, baselines.twin, curve_metric(started)
    if curve is None or metric is None:
        return {}
    task, labels, test = started.task, started.labels, started.data.test
    two = pair(task, labels, curve.whole, curve.half, task.targets(test, labels), groups_in(test))
    doubling = {
        "labels": curve.sizes[-1],
        **asdict(measured(two, metric).score),
        "forecast": forecast(curve.sizes, curve.values),
    }
    points = list(zip(curve.sizes, curve.values, strict=True))
    found: dict[str, Any] = {"metric": metric, "pretrained": points, "doubling": doubling}
    if twin is not None and twin.curve is not None:
        found["random"] = list(zip(twin.curve.sizes, twin.curve.values, strict=True))
    return {"learning": found}


def cost(started: Started, baselines: Baselines) -> dict[str, Any]:
    """What the twin was given, and how many forward passes the verdict added to those that the run needs."""
    twin = baselines.twin
    found: dict[str, Any] = {}
    added = passes_to_keep(started) + baselines.unasked
    if twin is not None:
        tested = int(np.size(twin.rows))
        found["twin"] = {"learned_from": twin.learned, "tested_on": tested}
        added += twin.learned + tested + twin.again
    return {**found, "passes": {"needed": round(passes(started)), "added": round(added)}}
