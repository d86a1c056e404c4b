"""From a ranking to a run: a fit of the first, or a short one of each that may be the best."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.choosing.ranking import Ranking, Row
from tunesmith.choosing.which_network import finalists
from tunesmith.errors import TunesmithError
from tunesmith.evaluation import sign_of
from tunesmith.training import processes
from tunesmith.verbs.options import seconds
from tunesmith.verbs.reporting import Reporter, Silent

if TYPE_CHECKING:
    from tunesmith.data.data import Data
    from tunesmith.networks.network import Network
    from tunesmith.store import Store
    from tunesmith.tasks.task import Task

EPOCHS: Final = 3
SHARED: Final = (  # options that a ranking and a fit have in common
    "data", "task", "item", "target", "split", "group", "weight", "columns", "valid_size", "test_size",
    "skip_bad", "image_size", "max_length", "long_texts", "engine", "store_limit", "device", "seed",
    "offline",
)  # fmt: skip


def with_best(
    asked: Mapping[str, Any], data: Data, task: Task, store: Store, known: dict[str, bytes], say: Reporter
) -> tuple[Mapping[str, Any], Ranking | None]:
    """A fit's options with a network named, and the ranking that named it; None where one is all there is.

    Where none is asked for it is chosen from what is at hand; for "auto" from what `rank` looks at. A ranking
    may take a third of the time limit.
    """
    from tunesmith.verbs.candidates import at_hand, candidates
    from tunesmith.verbs.rank import rankable, ranking_of

    if task.answers == "parts" and asked["model"] is None:
        return {**asked, "model": task.model}, None  # single parts say too little to choose by unasked
    rankable(task)
    began, limit = time.monotonic(), seconds(asked["time_limit"])
    look = at_hand if asked["model"] is None else partial(candidates, None)

    def left() -> float:
        return float("inf") if limit is None else limit / 3 - (time.monotonic() - began)

    def ranked() -> str | Ranking:
        chosen = look(task.kind, default=task.model)
        if len(chosen) == 1:
            return str(chosen[0])
        return ranking_of(chosen, data, task, asked, store, known, say, left)

    found = processes.from_main(ranked)
    if isinstance(found, str):
        return {**asked, "model": found}, None
    for line in str(found).splitlines():
        say.say(line)
    return {**asked, "model": found.best.model}, found


def with_finals(
    ranking: Ranking,
    chosen: Sequence[str | Network],
    asked: Mapping[str, Any],
    say: Reporter,
    left: Callable[[], float],
) -> Ranking:
    """The ranking with its finalists in the order of a real run: the head and the last stage, 3 epochs.

    Everything below the last stage is replayed from the store. One finalist needs no run; one whose run
    fails, or does not fit into the time that is left, keeps its place behind those that ran.
    """
    rows = finalists(ranking)
    if len(rows) < 2:
        return ranking
    models = {model if isinstance(model, str) else model.origin: model for model in chosen}
    found: dict[str, float] = {}
    for i, row in enumerate(rows):
        share = left() / (len(rows) - i)
        if share <= 0:
            say.warn(f"no short run of {row.model}: the time limit had passed")
            continue
        with say.work(f"a short run of {row.model}", 0):
            try:
                found[row.origin] = _run(models[row.model], asked, share)
            except TunesmithError as error:
                say.warn(f"no short run of {row.model}: {error}")
    return reordered(ranking, found)


def reordered(ranking: Ranking, found: Mapping[str, float]) -> Ranking:
    """The rows that ran first, by what they reached; then the others as they were.

    found: validation score by origin.
    """
    ran = [replace(row, finals=found[row.origin]) for row in ranking.rows if row.origin in found]
    ran.sort(key=lambda row: (-(row.finals or 0.0), row.place))
    rest: list[Row] = [row for row in ranking.rows if row.origin not in found]
    return replace(ranking, rows=tuple(replace(row, place=i) for i, row in enumerate([*ran, *rest], 1)))


def _run(model: str | Network, asked: Mapping[str, Any], share: float) -> float:
    """The best validation score of a short fit, more being better; its folder is thrown away."""
    import copy

    from tunesmith.verbs.fit import fit

    with tempfile.TemporaryDirectory() as folder:
        run = fit(
            **{name: asked[name] for name in SHARED},
            model=copy.deepcopy(model),
            strategy="top",
            unfreeze=1,
            epochs=EPOCHS,
            baselines="none",  # its history alone is read
            keep="trained",
            time_limit=None if share == float("inf") else share,
            out=Path(folder) / "run",
            reporter=Silent(),
        )
        assert run is not None
        metric = run.scores["metric"]
        return max(sign_of(metric) * float(row[metric]) for row in run.history)
