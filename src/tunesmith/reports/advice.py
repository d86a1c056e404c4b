"""What to try next, from the facts of one run; `advice_words` says it in English and Chinese."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.evaluation import Score
from tunesmith.health.finding import Health
from tunesmith.plan import Plan
from tunesmith.reports.content import Advice
from tunesmith.tasks.task import less_is_better
from tunesmith.verdicts.keeping import TRAINED

FAR: Final = 0.2  # nats of validation loss above training loss; more, and a network learns by heart
WIDE: Final = 0.15  # of an interval; a gain of a usual size cannot be seen through it
LARGER: Final = 0.3  # of the data for the test, where the usual share leaves too few
SMOOTH: Final = 0.1  # label smoothing

Options = Mapping[str, str | float]


@dataclass(frozen=True)
class Facts:
    """What advice rests on.

    run: its folder, as a person would type it. data: what it learned from and how that was read, likewise;
        None: from memory, or gone.
    labels: names of the classes, the columns of numbers, the types of parts. given: the plan was given.
    asked: the run's options by name, time_limit in seconds. drawn: the test split was made by test_size.
    works: tells whether a fit would take some options beside these. solver: of a head, as the task's is best
        solved.
    """

    run: str
    data: str | None
    takes: str
    labels: tuple[str, ...]
    plan: Plan
    given: bool
    asked: Mapping[str, Any]
    drawn: bool
    works: Callable[[Mapping[str, Any]], bool]
    history: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Any]
    health: Health | None
    solver: str = "lbfgs"


def advise(facts: Facts) -> tuple[Advice, ...]:
    """Things to try next, most promising first; nothing that the run's own numbers do not call for.

    What depends on what the answers are made of, the kind adds (`kinds.kind.Kind.advise`).
    """
    found = (
        *_data(facts),
        *_split(facts),
        *_worth(facts),
        *_fit(facts),
    )
    return tuple(found)


def _data(facts: Facts) -> Iterable[Advice]:
    """What is wrong with the data bounds every network."""
    check = "" if facts.data is None else f"tunesmith check {facts.data}"
    found = {finding.kind: finding for finding in (facts.health.findings if facts.health else ())}
    without = facts.scores.get("without_duplicates")
    if without and without.get("count_left_out"):
        yield Advice("leaked", {"count": int(without["count_left_out"]), "command": check})
    elif "byte_equal_across" in found:
        yield Advice("leaked", {"count": found["byte_equal_across"].count, "command": check})
    if "byte_equal_two_labels" in found:
        yield Advice("two_labels", {"count": found["byte_equal_two_labels"].count, "command": check})
    if "suspected_labels" in found:
        # Without a model's features labels are not doubted.
        model = f" --model {shlex.quote(str(facts.asked.get('model')))}" if check else ""
        told = {"count": found["suspected_labels"].count, "command": f"{check}{model}"}
        yield Advice("suspected_labels", told)


def _split(facts: Facts) -> Iterable[Advice]:
    """Whether the test split can answer what it is asked, and resembles validation."""
    metric = facts.scores["metric"]
    valid, test = score_of(facts.scores["valid"], metric), score_of(facts.scores["test"], metric)
    if not less_is_better(metric) and test.high < valid.value and valid.low > test.value:
        command = "" if facts.data is None else f"tunesmith check {facts.data}"
        told = {"metric": metric, "valid": valid.value, "test": test.value, "command": command}
        yield Advice("test_below_valid", told)
    if not less_is_better(metric) and test.high - test.low > WIDE:
        count = int(facts.scores["test"]["count"])
        told = {"metric": metric, "count": count, "low": test.low, "high": test.high}
        share = facts.asked.get("test_size", 0.0), facts.asked.get("valid_size", 0.0)
        more = facts.drawn and share[0] < LARGER and share[1] + LARGER < 1
        command = again(facts, {"test_size": LARGER}, planned=False) if more else ""
        yield Advice("few_tested", {**told, "command": command})


def _worth(facts: Facts) -> Iterable[Advice]:
    """Whether training the stages was worth it."""
    gap, metric = facts.scores["difference"], facts.scores["metric"]
    value, low, high = gap["value"], gap["low"], gap["high"]
    if gap["baseline"] == TRAINED:  # the probe was kept, and the difference is the other way round
        value, low, high = -value, -high, -low
    told = {"metric": metric, "gap": value, "low": low, "high": high}
    if low > 0 or not _stages_train(facts.plan):
        return
    if high < 0:
        peak = max(rate for phase in facts.plan.phases for rate in phase.lrs[:-1])
        command = again(facts, {"lr": float(f"{peak / 5:.0e}")})
        yield Advice("worse_than_probe", {**told, "command": command})
    else:
        whole = {"parts": "all"} if facts.asked.get("parts", "all") != "all" else {}
        command = again(facts, {"strategy": "linear_probe", "solver": facts.solver, **whole})
        yield Advice("no_better_than_probe", {**told, "command": command})


def _fit(facts: Facts) -> Iterable[Advice]:
    """Too little training, or too much of it."""
    rows, kept = list(facts.history), facts.scores.get("kept", {})
    if not rows:
        return
    mark = (kept.get("phase"), kept.get("epoch"))
    best = [i for i, row in enumerate(rows) if (row["phase"], row["epoch"]) == mark]
    row = rows[best[-1]] if best else rows[-1]
    if facts.scores.get("ended") == "time limit":
        minutes = math.ceil((facts.asked.get("time_limit") or 0) / 30)  # twice as long
        command = again(facts, {"time_limit": f"{minutes}m" if minutes > 60 else "1h"}, planned=False)
        yield Advice("out_of_time", {"epochs": len(rows), "command": command})
    train, valid = row.get("train_loss"), row.get("valid_loss")
    if train is not None and valid is not None and valid - train > max(FAR, 0.5 * train):
        yield Advice("learned_by_heart", {"train": train, "valid": valid, "command": _held_back(facts)})
    elif best and best[-1] == len(rows) - 1 and len(rows) > 1 and not facts.plan.phases[-1].solved:
        epochs = facts.plan.epochs  # fewer than were asked for where a phase is solved
        command = again(facts, {"epochs": 2 * facts.asked.get("epochs", epochs)})
        yield Advice("best_was_last", {"epochs": epochs, "command": command})


def _held_back(facts: Facts) -> str:
    """The command that makes it harder to learn by heart: images varied, fewer stages, labels smoothed."""
    settings = facts.plan.settings
    if facts.takes == "image" and settings.augment == "none":
        return again(facts, {"augment": "standard"}) if steps(facts.plan) else ""
    smooth: Options = {"label_smoothing": SMOOTH}
    if settings.label_smoothing >= SMOOTH or not facts.works(smooth):  # numbers have no classes to smooth
        smooth = {}
    trained = facts.plan.stages - min(phase.frozen_prefix for phase in facts.plan.phases)
    fewer: Options = {"strategy": "top", "unfreeze": min(2, trained - 1)}
    command = again(facts, {**fewer, **smooth}) if trained > 1 else ""
    return command or (again(facts, smooth) if smooth and steps(facts.plan) else "")


def again(facts: Facts, options: Options, *, planned: bool = True) -> str:
    """The command for the same run with other options; empty where it would fail or change nothing.

    planned: the options belong to the plan, and so have no say where the plan itself was given.
    """
    same = all(facts.asked.get(name) == value for name, value in options.items())
    if facts.data is None or same or (planned and (facts.given or not facts.works(options))):
        return ""
    told = [
        f"--{name.replace('_', '-')} {value if isinstance(value, str) else f'{value:g}'}"
        for name, value in options.items()
    ]
    return " ".join(["tunesmith fit --config", f"{facts.run}/asked.yaml", *told])


def steps(plan: Plan) -> bool:
    """Whether a phase trains in steps: what is solved sees no augmentation and no smoothing."""
    return any(phase.solver is None for phase in plan.phases)


def _stages_train(plan: Plan) -> bool:
    return any(any(phase.lrs[:-1]) for phase in plan.phases)


def score_of(scores: Mapping[str, Any], metric: str) -> Score:
    """A metric with its interval, of scores as they lie in scores.json."""
    return Score(**scores["metrics"][metric])
