"""Runs side by side, on the same test examples."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.errors import BadOption, BadRun
from tunesmith.verbs.environment import prepare
from tunesmith.verbs.report import check_lang, page_path

if TYPE_CHECKING:
    from tunesmith.reports.content import Compared, Comparison
    from tunesmith.reports.predictions import Predictions
    from tunesmith.runs import Run
    from tunesmith.tasks.task import Labels
    from tunesmith.verdicts.paired import Pair

SHOWN: Final = 3  # examples that a message names
ASIDE: Final = ("data", "out", "dry_run", "checkpoint_every", "offline", "reporter", "config", "store_limit")


def compare(
    runs: Sequence[str | Path | Run], *, page: str | Path | None = None, lang: str = "en"
) -> Comparison:
    """Scores of runs side by side, and how much better each is than the first on the same examples.

    Differences are paired: both runs are drawn on the same test examples in each of 1,000 bootstrap
    samples, so that a gap can be told from chance where the two intervals overlap.

    runs: folders of two or more finished runs with the same test split; the first is what the others are
        compared with.
    page: write the comparison to this HTML file too.
    lang: en or zh, of the page.

    Raises BadRun where the runs were not scored on the same examples, with what differs.
    """
    prepare()
    check_lang(lang)
    path = None if page is None else page_path(page)
    found = compared(runs)
    if path is not None:
        from tunesmith.files import write_whole
        from tunesmith.reports.compare_page import compare_page

        write_whole(path, compare_page(found, lang=lang))
    return found


def compared(runs: Sequence[str | Path | Run]) -> Comparison:
    """The figures of a comparison."""
    from tunesmith.reports.content import Comparison
    from tunesmith.reports.predictions import read_predictions
    from tunesmith.runs import Run as Opened
    from tunesmith.tasks import TASKS
    from tunesmith.verdicts.paired import Pair

    if isinstance(runs, str | Path | Opened) or len(runs) < 2:
        raise BadOption("compare takes two runs or more: tunesmith compare runs/FIRST runs/SECOND.")
    opened = [run if isinstance(run, Opened) else Opened.open(run) for run in runs]
    for run in opened:
        _ = run.scores  # raises for one that is unfinished
    first, labels = opened[0], _same_labels(opened)
    task = TASKS.load(first.described["task"])().configured(first.plan.settings)
    predictions = [read_predictions(run.folder, "test", task, labels) for run in opened]
    aligned = [
        _aligned(mine, predictions[0], run, first) for run, mine in zip(opened, predictions, strict=True)
    ]
    outcomes = [own.outcomes(task) for own in aligned]
    counted = Counter(aligned[0].truth) if task.answers == "classes" else None
    return Comparison(
        task=task.name,
        answers=task.answers,
        metric=first.scores["metric"],
        count=len(next(iter(outcomes[0].values()))),
        counts={} if counted is None else {name: counted[name] for name in labels.names},
        runs=tuple(
            _compared(run, None if run is first else Pair(task, labels, mine, outcomes[0]))
            for run, mine in zip(opened, outcomes, strict=True)
        ),
        differ=_differ(opened),
    )


def _same_labels(runs: Sequence[Run]) -> Labels:
    """The first one's labels. Raises BadRun where another is of another task, or knows other names."""
    from tunesmith.tasks.task import Labels

    first = runs[0].described
    for run in runs[1:]:
        other = run.described
        if other["task"] != first["task"]:
            raise BadRun(
                f"{run.folder} is of {other['task']} and {runs[0].folder} of {first['task']}; "
                "only runs of one task can be compared."
            )
        ours, theirs = set(first["labels"]["names"]), set(other["labels"]["names"])
        if ours != theirs:
            apart = ", ".join(sorted(ours ^ theirs)[:SHOWN])
            raise BadRun(
                f"{run.folder} and {runs[0].folder} know different labels ({apart}), so they cannot be "
                "compared; fit both on the same data."
            )
    return Labels.from_json(first["labels"])


def _aligned(mine: Predictions, first: Predictions, run: Run, other: Run) -> Predictions:
    """The predictions in the first run's order; raises BadRun where the test examples are not the same."""
    from tunesmith.reports.predictions import Predictions as Rows
    from tunesmith.verbs.folders import kept_content

    place = {name: i for i, name in enumerate(mine.ids)}
    lost = [name for name in first.ids if name not in place]
    more = len(mine.ids) - (len(first.ids) - len(lost))
    cure = "fit both with the same data, seed and split"
    if lost or more:
        raise BadRun(
            f"{run.folder} was not scored on the test examples of {other.folder}: {len(lost):,} of "
            f"{len(first.ids):,} are not among them{_named(lost)}, and {more:,} others are; {cure}."
        )
    order = [place[name] for name in first.ids]
    truth = tuple(mine.truth[row] for row in order)
    apart = [name for name, a, b in zip(first.ids, truth, first.truth, strict=True) if a != b]
    if apart:
        raise BadRun(
            f"{run.folder} and {other.folder} hold different labels for {len(apart):,} of their "
            f"{len(first.ids):,} test examples{_named(apart)}; {cure}."
        )
    ours, theirs = kept_content(run.folder), kept_content(other.folder)
    if ours is not None and theirs is not None:
        rewritten = [name for name in first.ids if ours.get(name) != theirs.get(name)]
        if rewritten:
            raise BadRun(
                f"{run.folder} and {other.folder} hold different content for {len(rewritten):,} of their "
                f"{len(first.ids):,} test examples{_named(rewritten)}; {cure}."
            )
    return Rows(first.ids, truth, first.targets, [mine.answers[row] for row in order])


def _compared(run: Run, two: Pair | None) -> Compared:
    """One run of a comparison. two: its answers beside the first one's; None of the first."""
    from tunesmith.evaluation import Score
    from tunesmith.reports.content import Compared
    from tunesmith.verbs.again import rerun, shown
    from tunesmith.verbs.gathering import created
    from tunesmith.verdicts.paired import better_alone, measured

    scores, metric = run.scores["test"]["metrics"], run.scores["metric"]
    # Runs that lowered other losses have metrics that the first one's task does not give.
    known = {} if two is None else two.task.score(two.ours, two.labels)
    whole = [name for name in scores if "/" not in name and name in known]
    only_this, only_first = (0, 0) if two is None else better_alone(two, metric)
    return Compared(
        name=run.folder.name,
        folder=shown(run.folder),
        created=created(run),
        model=run.manifest["network"],
        strategy=run.plan.strategy,
        epochs=run.plan.epochs,
        seconds=run.facts.get("seconds"),
        scores={name: Score(**score) for name, score in scores.items()},
        gaps={} if two is None else {name: measured(two, name).score for name in whole},
        only_first=only_first,
        only_this=only_this,
        plan=run.plan,
        parts=tuple(part["name"] for part in run.described["parts"]),
        command=rerun(run),
    )


def _differ(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """The options in which runs differ, each with a value per run."""
    asked: list[dict[str, Any]] = [run.asked for run in runs]
    names = dict.fromkeys(name for options in asked for name in options if name not in ASIDE)
    values = {name: tuple(_word(options.get(name)) for options in asked) for name in names}
    return {name: told for name, told in values.items() if len(set(told)) > 1}


def _word(value: Any) -> str:
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _named(names: Sequence[str]) -> str:
    return (
        f" ({', '.join(map(shlex.quote, names[:SHOWN]))}{' …' if len(names) > SHOWN else ''})"
        if names
        else ""
    )
