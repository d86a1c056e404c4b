"""What a fit leaves to evidence: the block that surgical fine-tuning trains, and how far up auto climbs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tunesmith.choosing import ladder
from tunesmith.choosing.folds import FEW, FOLDS, fold_of, groups_of, ridge_answers
from tunesmith.choosing.pilot import pilot
from tunesmith.data.data import Data
from tunesmith.errors import BadData
from tunesmith.evaluation import groups_in
from tunesmith.networks.network import Network
from tunesmith.plan import Plan
from tunesmith.seals import read_sealed, write_sealed
from tunesmith.store import Store
from tunesmith.tasks.task import Labels, Task
from tunesmith.training import processes
from tunesmith.training.examples import Examples
from tunesmith.training.recorded import Recorded
from tunesmith.training.rungs import Rung
from tunesmith.verbs import planning
from tunesmith.verbs.options import duration, seconds
from tunesmith.verbs.replaying import prepare_replay
from tunesmith.verbs.reporting import Reporter, Silent, rung_line
from tunesmith.verbs.stage_evidence import gathered
from tunesmith.verdicts import keeping

MARGIN: Final = 0.9  # of the time that is left, for predictions are no promises and a head is solved first
LADDER: Final = "ladder.json"  # the rungs and what became of them, in a run's folder


@dataclass(frozen=True)
class Decided:
    """The plan that trains, and for auto the rungs.

    spent: seconds that deciding took of the time limit. kept: what is kept at the end, where folds decided.
    """

    plan: Plan
    rungs: tuple[Rung, ...] = ()
    spent: float = 0.0
    kept: keeping.Decision | None = None

    def to_json(self, rungs: Sequence[Rung] = ()) -> str:
        """What a run keeps of it beside the plan. rungs: as training left them; none: as they are."""
        told = {"rungs": [asdict(rung) for rung in rungs or self.rungs], "spent": self.spent}
        kept = {} if self.kept is None else {"kept": asdict(self.kept)}
        return json.dumps({**told, **kept}, indent=1) + "\n"


@dataclass(frozen=True)
class Begun:
    """What is there when a decision is asked for. spent: seconds that choosing the network took."""

    network: Network
    task: Task
    data: Data
    labels: Labels
    examples: Mapping[str, Examples]
    store: Store
    known: dict[str, bytes]
    spent: float


def decide(asked: Mapping[str, Any], plan: Plan, begun: Begun, say: Reporter, folder: Path | None) -> Decided:
    """The plan as it will train; what it rests on is said.

    plan: as the strategy makes it; of one that was given, by a resumed run too, nothing is left to decide.
    folder: of a run that is resumed.
    """
    if folder is not None:
        return _kept(plan, folder)
    if asked["plan"] is not None:
        climbs = any(phase.must_gain for phase in plan.phases)
        return Decided(plan, tuple(ladder.expected(plan, [None] * len(plan.phases))) if climbs else ())
    if planning.unanswered(planning.wishes_of(asked)):
        return Decided(_with_block(asked, plan, begun, say), spent=begun.spent)
    if plan.strategy == "auto":
        return _climbed(asked, plan, begun, say)
    return Decided(plan, spent=begun.spent)


def write_ladder(folder: Path, decided: Decided, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what became of the rungs. rows: of those that training judged."""
    if decided.rungs:
        write_sealed(folder, LADDER, decided.to_json(ladder.outcome(decided.rungs, rows)))


def predicted(plan: Plan, decided: Decided) -> list[float | None]:
    """Seconds that each phase of a plan was predicted to take, where it was."""
    known = {rung.name: rung.seconds for rung in decided.rungs}
    return [known.get(phase.name) for phase in plan.phases]


def _kept(plan: Plan, folder: Path) -> Decided:
    if not (folder / LADDER).is_file():
        return Decided(plan)
    found = json.loads(read_sealed(folder, LADDER))
    kept = keeping.Decision(**found["kept"]) if "kept" in found else None
    return Decided(plan, tuple(Rung(**row) for row in found["rungs"]), found["spent"], kept)


def _with_block(asked: Mapping[str, Any], plan: Plan, begun: Begun, say: Reporter) -> Plan:
    """Surgical fine-tuning of the block on which the data pull hardest."""
    network, train = begun.network, begun.examples["train"]
    found = gathered(network, begun.task, begun.labels, train, begun.store, say, asked)
    for line in found.says:
        say.say(line)
    ratios = ", ".join(f"{row.stage} {row.ratio:.1e}" for row in found.evidence[:-1])
    names = [network.stages[i].name for i in found.block]
    note = f"unfrozen: {', '.join(names)}, on which the data pull hardest; |gradient| / |weights|: {ratios}"
    chosen = planning.make_plan(
        planning.wishes_of({**asked, "unfreeze": [str(i) for i in found.block]}),
        network,
        plan.settings,
        len(train.whole),
        solver=begun.task.solver,
    )
    return replace(chosen, notes=(*chosen.notes, note))


def _climbed(asked: Mapping[str, Any], plan: Plan, begun: Begun, say: Reporter) -> Decided:
    """The ladder: decided between phases from 1,000 training examples on, below that out of fold, before."""
    began = time.monotonic() - begun.spent
    folded = len(begun.data.train) < FEW and begun.task.answers != "parts"
    train, valid = begun.examples["train"], begun.examples["valid"]
    with say.work("pilot: what each stage costs", 0):
        measured = pilot(begun.network, begun.task, begun.labels, train, seed=asked["seed"])
    replayed = asked["replay"] and train.storable and plan.settings.augment in ("none", "features")
    sizes = {"train": len(train), "valid": len(valid)}
    # Each process measures its own seconds, and they must all decide alike.
    costs = processes.from_main(lambda: ladder.costs(plan, measured, **sizes, replayed=replayed))
    limit = seconds(asked["time_limit"])
    if limit is not None:
        left = MARGIN * (limit - (time.monotonic() - began))
        plan, costs = ladder.within(plan, costs, left, times=FOLDS if folded else 1)
    rungs = ladder.expected(plan, costs)
    if not folded or asked["dry_run"]:
        where = "out of fold, which a dry run leaves out" if folded else "on validation"
        say.say(f"auto: each rung must gain more than its error, {where}")
        for rung in rungs:
            say.say(
                f"rung {rung.name}: {'solved' if rung.seconds is None else f'about {duration(rung.seconds)}'}"
            )
        return Decided(plan, tuple(rungs), time.monotonic() - began)
    try:
        folds = fold_of(
            np.asarray(begun.task.targets(begun.data.train, begun.labels)),
            groups_of(begun.data, train),
            seed=asked["seed"],
        )
    except BadData as reason:
        say.warn(f"{reason} The validation split decides alone.")
        return Decided(plan, tuple(rungs), time.monotonic() - began)
    climbed, kept = _out_of_fold(asked, plan, begun, say, folds, costs)
    decided = ladder.cut_down(plan, climbed)
    # A plan says nothing of seconds: the same command makes the same plan.
    notes = tuple(rung_line(replace(rung, seconds=None)) for rung in climbed)
    spent = time.monotonic() - began
    return Decided(replace(decided, notes=(*plan.notes, *notes)), climbed, spent, kept)


def _out_of_fold(
    asked: Mapping[str, Any],
    plan: Plan,
    begun: Begun,
    say: Reporter,
    folds: np.ndarray,
    costs: Sequence[float | None],
) -> tuple[tuple[Rung, ...], keeping.Decision]:
    """What became of each rung in the folds, said as it is known, and what they say is to be kept."""
    network, data, store, examples = begun.network, begun.data, begun.store, dict(begun.examples)
    targets = np.asarray(begun.task.targets(data.train, begun.labels))
    count = len(set(folds.tolist()))
    # Each fold learns from all but its own part, and what is taken trains once more, on all.
    most = duration(count * sum(cost or 0.0 for cost in costs))
    say.say(
        f"auto: {len(targets):,} training examples, so {count} folds decide on each rung, in about {most} at "
        f"most (--time-limit gives them less)"
    )
    recorded, replaying = prepare_replay(asked, network, plan, examples, store, None, targets, Silent())
    live = replaying is None or any(at is None for at in replaying.at)

    def make(dataset: Any) -> Examples:
        made = Examples(dataset, network.preprocess, store, known=begun.known, task=begun.task)
        if live:
            made.keep_pixels()
        return made

    try:
        for split in ("train", "valid"):
            missing = recorded.missing(examples[split])
            if missing:
                with say.work(f"frozen stages of {split}", missing) as done:
                    recorded.fill(examples[split], progress=done)
        climbed = ladder.climb(
            network,
            begun.task,
            data,
            begun.labels,
            plan,
            examples,
            recorded,
            replaying,
            folds,
            metric=str(plan.settings.metric),
            make=make,
            seconds=costs,
            told=lambda rung: say.say(rung_line(rung)),
            time_limit=seconds(asked["time_limit"]),
            device=asked["device"],
        )
        moves = any(rung.taken for rung in climbed.rungs[1:])
        kept = processes.from_main(
            lambda: _kept_by_folds(begun, recorded, plan, folds, climbed.answers, moves=moves)
        )
    finally:
        recorded.close()
    return climbed.rungs, kept


def _kept_by_folds(
    begun: Begun, recorded: Recorded, plan: Plan, folds: np.ndarray, answers: list[Any], *, moves: bool
) -> keeping.Decision:
    """Whether the network that the folds trained is better than a probe that learned from the same folds.

    moves: whether a stage was trained; a head alone is as simple as the probe, and was asked for.
    """
    task, train, labels = begun.task, begun.data.train, begun.labels
    targets = task.targets(train, labels)
    features = recorded.pooled(begun.examples["train"])
    solved = ridge_answers(features, np.asarray(targets), folds, len(labels.names))
    candidates = [keeping.Candidate(keeping.PROBE, solved), keeping.Candidate(keeping.TRAINED, answers)]
    return keeping.decide(
        task,
        candidates if moves else candidates[::-1],
        targets,
        labels,
        str(plan.settings.metric),
        groups_in(train),
        where=keeping.OUT_OF_FOLD,
    )
