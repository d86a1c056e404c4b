"""From what was asked to a plan: a strategy's table, or a plan that was edited by hand."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.choosing.which_lr import Defaults, defaults, too_high
from tunesmith.errors import BadOption, BadPlan
from tunesmith.plan import HIGHEST_LR, PARTS, SOLVERS, Phase, Plan, Settings, with_lrs
from tunesmith.registry import did_you_mean
from tunesmith.strategies import STRATEGIES
from tunesmith.verbs.options import whole

if TYPE_CHECKING:
    from tunesmith.networks.network import Network

LARGEST = 10_000_000  # bytes of a plan; one of 200 phases for 200 stages has 1 MB
AUTO = "auto"  # in the place of stages or of a rate: chosen from evidence, measured by a range test
WITHOUT_LADDER = "lp_ft"  # the strategy of a fit that names none, where auto cannot be
PATIENCE = 2  # validations without gain that end a rung of auto
FEW = 500  # training examples below which batches of 16 leave enough steps in an epoch


@dataclass(frozen=True)
class Wishes:
    """What a person may say of a plan; None: the family's default, or the strategy's."""

    strategy: str = "lp_ft"
    epochs: float = 5
    lr: float | None = None
    head_lr: float | None = None
    decay: float | None = None
    unfreeze: str | int | Sequence[str | int] | None = None
    parts: str = "all"
    patience: int | None = None
    optimizer: str = "adamw"
    weight_decay: float | None = None
    schedule: str | None = None
    warmup: float | None = None
    batch: int | None = None
    solver: str | None = None


def check(wishes: Wishes) -> None:
    """Raise for what no network could make good, before one is loaded."""
    STRATEGIES.load(wishes.strategy)
    for name in ("lr", "head_lr"):
        value = getattr(wishes, name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= HIGHEST_LR
        ):
            raise BadOption(
                f"{name} must lie above 0 and at most {HIGHEST_LR:g}; found {value!r}. Usual rates are 1e-3 "
                f"for a new head and 1e-5 to 1e-4 for pretrained stages with AdamW; lr='auto' measures one."
            )
    if (
        isinstance(wishes.epochs, bool)
        or not isinstance(wishes.epochs, int | float)
        or not 0 < wishes.epochs <= 100_000
    ):
        raise BadOption(f"epochs must be above 0; found {wishes.epochs!r}.")
    if wishes.parts not in PARTS:
        guess = did_you_mean(str(wishes.parts), PARTS) or "."
        raise BadOption(f"parts must be one of {', '.join(PARTS)}; found {wishes.parts!r}{guess}")
    whole("patience", wishes.patience)
    if wishes.solver is not None and wishes.solver not in SOLVERS:
        guess = did_you_mean(str(wishes.solver), SOLVERS) or "."
        raise BadOption(f"solver must be one of {', '.join(SOLVERS)}; found {wishes.solver!r}{guess}")


def with_strategy(asked: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """A fit's options with a strategy named; and why it is not `auto`, in a sentence, or None.

    Where none is named it is `auto`, and `lp_ft` where the stages cannot be left to evidence.
    Raises BadOption for `unfreeze`, which every strategy reads in a way of its own.
    """
    from tunesmith.choosing.prior import RANDOM

    if asked["strategy"] is not None:
        return asked, None
    if asked["plan"] is not None:  # it decides, and names a strategy of its own
        return {**asked, "strategy": WITHOUT_LADDER}, None
    if asked["unfreeze"] is not None:
        raise BadOption(
            f"unfreeze={asked['unfreeze']!r} needs a strategy that says what it means: 'top' (how many of "
            f"the last stages train), 'surgical' (which ones), or 'auto' (how many in each rung: 1,4,12)."
        )
    model = asked["model"]
    if asked["lr"] == AUTO:
        why = "lr 'auto' measures the rate of stages that are known before training"
    elif str(getattr(model, "origin", model)).endswith(RANDOM):
        why = "random weights have no features yet that a ladder could begin with"
    else:
        return {**asked, "strategy": AUTO}, None
    return {**asked, "strategy": WITHOUT_LADDER}, f"strategy: {WITHOUT_LADDER}, for {why}"


def wishes_of(asked: Mapping[str, Any]) -> Wishes:
    """Of all options those that make a plan; a rate that is still to be measured is none that was asked."""
    found = {field.name: asked[field.name] for field in fields(Wishes)}
    return Wishes(**{**found, "lr": None if asked["lr"] == AUTO else asked["lr"]})


def unanswered(wishes: Wishes) -> bool:
    """Whether the stages to unfreeze are to be chosen from the data."""
    return wishes.strategy == "surgical" and wishes.unfreeze == AUTO


def make_plan(
    wishes: Wishes, network: Network, settings: Settings, examples: int, *, solver: str | None = "lbfgs"
) -> Plan:
    """The plan for a network.

    settings: what was asked of them; batch, weight decay, schedule and warm-up come from `wishes`.
    examples: in the training split. solver: of a head, as the task's is best solved.
    """
    base = defaults(network.family, wishes.optimizer)
    unfreeze = indices(wishes.unfreeze, wishes.strategy, network)
    if wishes.strategy == "auto" and wishes.solver is None and _solvable(network):
        wishes = replace(wishes, solver=solver)
    plan = table(wishes, len(network.stages), base, unfreeze, settings, examples)
    return moved_where_missing(plan, network)


def table(
    wishes: Wishes, stages: int, base: Defaults, unfreeze: Any, settings: Settings, examples: int
) -> Plan:
    """The strategy's plan for so many stages."""
    settings = replace(
        settings,
        optimizer=wishes.optimizer,
        weight_decay=base.weight_decay if wishes.weight_decay is None else wishes.weight_decay,
        schedule=wishes.schedule or base.schedule,
        warmup=base.warmup if wishes.warmup is None else wishes.warmup,
        batch=_usual_batch(wishes.strategy, examples) if wishes.batch is None else wishes.batch,
    )
    function = STRATEGIES.load(wishes.strategy)
    lr, head_lr = rates(wishes, base)
    options: dict[str, Any] = {
        "head_lr": head_lr,
        "decay": base.decay if wishes.decay is None else wishes.decay,
        "patience": wishes.patience,
    }
    if wishes.strategy == "auto":
        options["patience"] = wishes.patience or PATIENCE
        options["full_lr"] = wishes.lr or base.full_lr
    if wishes.parts != "all":
        options["parts"] = wishes.parts
    if unfreeze is not None:
        options["unfreeze"] = unfreeze
    known = inspect.signature(function).parameters
    for name in options:
        if name not in known:
            takers = [
                s for s in STRATEGIES.names() if name in inspect.signature(STRATEGIES.load(s)).parameters
            ]
            raise BadOption(f"strategy {wishes.strategy!r} takes no {name!r}; {', '.join(takers)} do.")
    plan: Plan = function(stages, wishes.epochs, lr, **options)
    return replace(plan, settings=settings, phases=solved(plan.phases, wishes))


def _usual_batch(strategy: str, examples: int) -> int:
    """Small where there are few examples; of pairs 8 examples are 16 pairs, SetFit's batch."""
    return 8 if strategy == "contrastive" else 16 if examples < FEW else 32


def solved(phases: tuple[Phase, ...], wishes: Wishes) -> tuple[Phase, ...]:
    """The phases, those in which the head alone trains by the solver that was asked for."""
    if wishes.solver is None:
        return phases
    alone = [not any(phase.lrs[:-1]) for phase in phases]
    if not any(alone):
        raise BadOption(
            f"solver {wishes.solver!r} is for phases in which the head alone trains, and strategy "
            f"{wishes.strategy!r} has none; use linear_probe or lp_ft."
        )
    return tuple(
        replace(phase, solver=wishes.solver, epochs=1, patience=None) if head else phase
        for phase, head in zip(phases, alone, strict=True)
    )


def rates(wishes: Wishes, base: Defaults) -> tuple[float, float]:
    """The rate of the stages and that of the head."""
    if wishes.strategy == "linear_probe":
        head = wishes.head_lr or wishes.lr or base.head_lr
        return head, head
    usual = base.top_lr if wishes.strategy in ("top", "surgical", "auto") else base.full_lr
    if wishes.strategy == "contrastive":
        usual = base.full_lr / 5  # of texts 1e-5, SetFit's (arXiv:2209.11055)
    return wishes.lr or usual, wishes.head_lr or base.head_lr


def indices(unfreeze: Any, strategy: str, network: Network) -> Any:
    """What `unfreeze` means: how many of the last stages for `top`, which ones for `surgical`.

    Names of stages become their indices. For `auto` how many of the last stages train in each rung.
    """
    if strategy == "auto":
        if unfreeze is not None and unfreeze != AUTO:
            return _counts(unfreeze)
        from tunesmith.choosing.ladder import depths

        return depths(network)
    if unfreeze is None:
        return None
    if strategy == "surgical" and unfreeze == AUTO:
        return list(range(len(network.stages)))  # until evidence has chosen among them (verbs.deciding)
    if strategy == "top":
        number = str(unfreeze)
        if not number.isdigit():
            raise BadOption(
                f"with strategy 'top', unfreeze is how many of the last stages train; found {unfreeze!r}."
            )
        return int(number)
    names = unfreeze.split(",") if isinstance(unfreeze, str) else unfreeze
    if isinstance(names, int):
        names = [names]
    return [network.index(str(name).strip()) for name in names]


def _counts(unfreeze: Any) -> list[int]:
    given = unfreeze.split(",") if isinstance(unfreeze, str) else unfreeze
    numbers = [str(n).strip() for n in ([given] if isinstance(given, int) else given)]
    if not all(n.isdigit() for n in numbers):
        raise BadOption(
            f"with strategy 'auto', unfreeze says how many of the last stages train in each rung: 1,4,12; "
            f"found {unfreeze!r}."
        )
    return [int(n) for n in numbers]


def _solvable(network: Network) -> bool:
    """Whether a head can be solved: linear, and no stage has to train with it from the start."""
    from tunesmith.training.solving import linear_head

    try:
        linear_head(network)
    except BadPlan:
        return False
    return not any(network.owner(name) < len(network.stages) for name in network.missing)


def read_plan(path: str | Path) -> Plan:
    """A plan from a file, edited by hand perhaps."""
    file = Path(path).expanduser()
    if not file.is_file():
        siblings = [p.name for p in file.parent.glob("*.json")] if file.parent.is_dir() else []
        guess = did_you_mean(file.name, siblings) or "; `tunesmith plan --json` writes one."
        raise BadOption(f"no plan at {file}: the file does not exist{guess}")
    if file.stat().st_size > LARGEST:
        raise BadOption(f"{file} is larger than {LARGEST:,} bytes, and so no plan.")
    try:
        return Plan.from_json(file.read_text(encoding="utf-8"), where=str(file))
    except UnicodeDecodeError as error:
        raise BadOption(f"{file} is not UTF-8 text, and so no plan.") from error


def ignored(asked: Mapping[str, Any], plan: Plan) -> list[str]:
    """A sentence on what was asked beside a plan that says otherwise; a plan is obeyed as it stands."""
    usual = asdict(Settings()) | asdict(Wishes())
    said = {**asdict(plan.settings), "strategy": plan.strategy, "epochs": plan.epochs}
    names = [n for n, v in usual.items() if asked[n] not in (v, said.get(n))]
    if not names:
        return []
    return [f"the plan that was given decides; not obeyed: {', '.join(names)}. Change them in the plan."]


def moved_where_missing(plan: Plan, network: Network) -> Plan:
    """Unfreeze the stages whose weights started random: frozen noise would spoil what follows."""
    stages = sorted(
        {network.owner(name) for name in network.missing if network.owner(name) < len(network.stages)}
    )
    if not stages:
        return plan
    phases = tuple(
        with_lrs(phase, {i: max(phase.lrs[i], phase.lrs[-1]) for i in stages}) for phase in plan.phases
    )
    names = ", ".join(network.stages[i].name for i in stages)
    return replace(
        plan,
        phases=phases,
        notes=(*plan.notes, f"{names}: weights missing, random, trained from the start"),
    )


def warnings(plan: Plan, network: Network) -> list[str]:
    """What a person may want to change before training begins."""
    fastest = max((lr for phase in plan.phases for lr in phase.lrs[:-1]), default=0.0)
    found = []
    high = too_high(fastest, network.family, plan.settings.optimizer) if not network.missing else None
    if high and "@none" not in network.origin:
        found.append(high)
    return found
