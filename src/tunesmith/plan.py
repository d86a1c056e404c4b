"""A plan is data: which stage trains when, and at what learning rate.

Frozen is a learning rate of 0.0. Freeze depth, gradual unfreezing, discriminative learning rates
and LP-FT are all tables of such numbers, so a plan can be printed, compared, stored, edited by hand
and tested without a network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from tunesmith import markup
from tunesmith.errors import BadPlan
from tunesmith.registry import did_you_mean

PARTS: Final = ("all", "norm", "bias")
SOLVERS: Final = ("ridge", "lbfgs")
LOSSES: Final = ("task", "contrastive")
HIGHEST_LR: Final = 10.0  # LARS at batch 32,768 reaches about 30; no fine-tuning recipe comes near 10

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "optimizer": ("adamw", "adam", "sgd"),
    "schedule": ("constant", "step", "linear", "cosine", "one-cycle"),
    "balance": ("none", "weights", "sampler"),
    "augment": ("none", "flip", "standard", "features"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "batch_norm": ("auto", "train", "frozen"),
    "engine": ("auto", "openvino", "onnxruntime", "compile", "eager"),
}


@dataclass(frozen=True)
class Phase:
    """One stretch of training during which every stage keeps its peak learning rate.

    lrs: one per stage, input first, the head last; 0.0 is frozen: weights, BatchNorm statistics
        and dropout.
    epochs: may be a fraction; rounded to whole steps, at least one.
    parts: which weights of an unfrozen stage move: "all", "norm" (normalisation layers) or "bias"
        (BitFit, Zaken et al. 2021, arXiv:2106.10199). The head always moves whole.
    patience: stop the phase after so many validations without gain; None: never.
    solver: None: the optimizer, in steps; "ridge" or "lbfgs": a linear head solved to convergence on stored
        features, epochs not counting. Only for a phase in which the head alone trains.
    must_gain: a rung of a ladder: it begins where validation was best before it, and what it made is kept
        only if validation gains more than the gain's standard error; otherwise the plan ends with what
        stood before it. Not for the first phase.
    loss: "task": the task's own; "contrastive": examples of one class come to lie near each other (Tunstall
        et al. 2022, arXiv:2209.11055), and the solver gives the head anew at the end of each epoch.
    """

    name: str
    epochs: float
    lrs: tuple[float, ...]
    parts: str = "all"
    patience: int | None = None
    solver: str | None = None
    must_gain: bool = False
    loss: str = "task"

    @property
    def solved(self) -> bool:
        """Whether the phase takes no steps: its head is solved."""
        return self.solver is not None and self.loss == "task"

    @property
    def frozen_prefix(self) -> int:
        """How many stages, from the input on, are frozen: what can be computed once and kept."""
        for i, lr in enumerate(self.lrs):
            if lr > 0:
                return i
        return len(self.lrs)


@dataclass(frozen=True)
class Settings:
    """What holds in every phase.

    momentum: of SGD. Adam and AdamW keep their betas (0.9, 0.999) and correct the bias.
    weight_decay: spares biases and normalisation layers.
    schedule: the shape of the learning rate inside a phase, after the warm-up.
    warmup: the share of a phase's steps that rise linearly to the peak.
    batch: examples per step, over all processes.
    clip: largest gradient norm; 0 or None: not clipped.
    loss: what steps lower, of those that the task knows; None: its own. A head that is solved has its own.
    batch_norm: of unfrozen stages: "train", "frozen" (statistics stand, scale and shift train), or
        "auto": frozen below 1,000 training examples or 16 a batch, where the batch's statistics are noise.
    engine: what runs frozen stages: "eager", "compile", "onnxruntime", "openvino", or "auto", the first of
        the reverse order that is installed and agrees with the live network.
    views: augmented views of each image that are stored, one of them used in each epoch; 0: where images
        are augmented, frozen stages run live.
    metric: what validation decides by; None: the task's own choice.
    """

    optimizer: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup: float = 0.1
    batch: int = 32
    clip: float | None = 1.0
    loss: str | None = None
    label_smoothing: float = 0.0
    balance: str = "none"
    augment: str = "none"
    precision: str = "fp32"
    batch_norm: str = "auto"
    engine: str = "auto"
    views: int = 0
    metric: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """Phases in the order in which they run, and the settings that hold in all of them.

    >>> plan = Plan("top", (Phase("top 2", 3, (0.0, 1e-4, 1e-3)),))
    >>> print(plan)
    top 2       3         .     1e-04     1e-03
    >>> plan.phases[0].frozen_prefix
    1
    """

    strategy: str
    phases: tuple[Phase, ...]
    settings: Settings = Settings()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self)

    @property
    def stages(self) -> int:
        """How many stages the plan was made for, the head not counted."""
        return len(self.phases[0].lrs) - 1

    @property
    def epochs(self) -> float:
        """Epochs over all phases."""
        return sum(phase.epochs for phase in self.phases)

    def __str__(self) -> str:
        return table(self)

    def _repr_html_(self) -> str:
        """The plan in a notebook."""
        names = [*(f"stage {i}" for i in range(self.stages)), "head"]
        phases = [(f"{phase.name}, {phase.epochs:g} epochs", phase.lrs) for phase in self.phases]
        return markup.box(f"plan {self.strategy}", markup.rates(phases, names))

    def to_json(self) -> str:
        """The plan as JSON that a person can edit and give back (`--plan plan.json`)."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @staticmethod
    def from_json(text: str, *, where: str = "the plan") -> Plan:
        """The plan that `to_json` wrote.

        where: what the text is called in messages, a file name for instance.
        Raises BadPlan with the field that is wrong.
        """
        try:
            raw = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise BadPlan(f"{where} is not JSON: {error}") from error
        if not isinstance(raw, dict):
            raise BadPlan(f"{where} must hold one JSON object, with 'strategy' and 'phases'.")
        _refuse_unknown(raw, Plan, where)
        if not isinstance(raw.get("phases"), list) or "strategy" not in raw:
            raise BadPlan(f"{where} needs 'strategy' (a word) and 'phases' (a list).")
        phases = []
        for i, row in enumerate(raw["phases"]):
            place = f"{where}, phase {i + 1}"
            if not isinstance(row, dict) or not {"name", "epochs", "lrs"} <= row.keys():
                raise BadPlan(f"{place} needs 'name', 'epochs' and 'lrs'.")
            _refuse_unknown(row, Phase, place)
            if not isinstance(row["lrs"], list):
                raise BadPlan(f"{place}: 'lrs' must be a list of numbers, one per stage.")
            phases.append(Phase(**{**row, "lrs": tuple(row["lrs"])}))
        settings = raw.get("settings", {})
        if not isinstance(settings, dict):
            raise BadPlan(f"{where}: 'settings' must be an object.")
        _refuse_unknown(settings, Settings, f"{where}, settings")
        notes = raw.get("notes", [])
        if not isinstance(notes, list):
            raise BadPlan(f"{where}: 'notes' must be a list of sentences.")
        return Plan(str(raw["strategy"]), tuple(phases), Settings(**settings), tuple(str(n) for n in notes))


def table(plan: Plan, names: Sequence[str] | None = None) -> str:
    """The plan as a table: a row per phase, a column per stage, `.` for frozen.

    Up to eight stages every learning rate is written, if it fits into 100 columns; else a strip with
    a mark per stage, input first, taller for a higher rate, and the lowest and highest rate of the
    stages and the head's.

    names: of the stages and the head, for a heading.
    """
    width = max(6, *(len(phase.name) for phase in plan.phases))
    cells = [list(names or ()), *([_rate(lr) for lr in phase.lrs] for phase in plan.phases)]
    column = 2 + max(len(cell) for row in cells for cell in row)
    if plan.stages <= 8 and width + 7 + column * (plan.stages + 1) <= 100:
        written = ["".join(f"{cell:>{column}}" for cell in row) for row in cells]
        heading = written[0]
    else:
        written = ["", *(f"  {strip(phase.lrs)}  {_span(phase)}" for phase in plan.phases)]
        heading = f"  {names[0]} … {names[-2]}, head" if names else ""
    rows = [f"{'phase':<{width}} epochs{heading}"] if names else []
    for phase, line in zip(plan.phases, written[1:], strict=True):
        rows.append(f"{phase.name:<{width}} {phase.epochs:>6.3g}{line}{_parts(phase)}")
    return "\n".join(rows)


def strip(lrs: Sequence[float]) -> str:
    """One mark per stage: `·` frozen, taller for a higher rate on a logarithmic scale.

    >>> strip((0.0, 1e-5, 1e-4, 1e-3))
    '·▁▄█'
    """
    marks = "▁▂▃▄▅▆▇█"
    unfrozen = [math.log(lr) for lr in lrs if lr > 0]
    low, high = (min(unfrozen), max(unfrozen)) if unfrozen else (0.0, 0.0)

    def mark(lr: float) -> str:
        if lr == 0:
            return "·"
        if high == low:
            return marks[-1]
        return marks[int((math.log(lr) - low) / (high - low) * (len(marks) - 1))]

    return "".join(mark(lr) for lr in lrs)


def check(plan: Plan) -> None:
    """Raise BadPlan unless the plan can be carried out by some network."""
    if not plan.phases:
        raise BadPlan(f"plan {plan.strategy!r} has no phase.")
    for phase in plan.phases:
        _check_phase(phase, len(plan.phases[0].lrs))
    if plan.phases[0].must_gain:
        raise BadPlan(
            f"phase {plan.phases[0].name!r} comes first, so there is nothing that it could gain on."
        )
    _check_settings(plan.settings)


def fits(plan: Plan, stages: int, origin: str) -> None:
    """Raise BadPlan unless the plan was made for a network of so many stages."""
    if plan.stages != stages:
        raise BadPlan(
            f"plan {plan.strategy!r} was made for {plan.stages} stages, but {origin} has {stages}; "
            f"make it again with stages={stages}, or pass strategy={plan.strategy!r} and let fit() count."
        )


def with_lrs(phase: Phase, rates: Mapping[int, float]) -> Phase:
    """The phase with other rates for some stages, by index."""
    return replace(phase, lrs=tuple(rates.get(i, lr) for i, lr in enumerate(phase.lrs)))


def _check_phase(phase: Phase, width: int) -> None:
    where = f"phase {phase.name!r}"
    if not isinstance(phase.name, str):
        raise BadPlan(f"{where}: a phase's name is a word.")
    if not _number(phase.epochs) or not 0 < phase.epochs <= 100_000:
        raise BadPlan(f"{where}: epochs must be above 0, found {phase.epochs!r}.")
    if len(phase.lrs) != width or width < 2:
        raise BadPlan(
            f"{where} has {len(phase.lrs)} learning rates; every phase needs the same number, "
            f"one per stage and one for the head (the first phase has {width})."
        )
    for lr in phase.lrs:
        if not _number(lr) or not 0 <= lr <= HIGHEST_LR:
            raise BadPlan(
                f"{where}: a learning rate must lie between 0 (frozen) and {HIGHEST_LR:g}, "
                f"found {lr!r}; usual rates are 1e-5 to 1e-1."
            )
    if not any(phase.lrs):
        raise BadPlan(f"{where} freezes every stage and the head: nothing would train.")
    if phase.parts not in PARTS:
        raise BadPlan(f"{where}: parts must be one of {', '.join(PARTS)}, found {phase.parts!r}.")
    if phase.patience is not None and not (_whole(phase.patience) and phase.patience >= 1):
        raise BadPlan(f"{where}: patience counts validations, from 1; found {phase.patience!r}.")
    if phase.solver is not None and phase.solver not in SOLVERS:
        raise BadPlan(f"{where}: solver must be one of {', '.join(SOLVERS)}, found {phase.solver!r}.")
    if phase.loss not in LOSSES:
        raise BadPlan(f"{where}: loss must be one of {', '.join(LOSSES)}, found {phase.loss!r}.")
    if phase.loss == "contrastive" and (phase.solver is None or not any(phase.lrs[:-1]) or not phase.lrs[-1]):
        raise BadPlan(
            f"{where}: with the loss 'contrastive' stages train and the head is solved; give stages and "
            f"head a learning rate, and solver 'lbfgs' or 'ridge'."
        )
    if phase.solved and any(phase.lrs[:-1]):
        raise BadPlan(f"{where}: a solver is for the head alone, and here stages train too.")
    if not isinstance(phase.must_gain, bool):
        raise BadPlan(f"{where}: must_gain is true or false; found {phase.must_gain!r}.")


def _check_settings(settings: Settings) -> None:
    for name, allowed in CHOICES.items():
        value = getattr(settings, name)
        if value not in allowed:
            guess = did_you_mean(str(value), allowed)
            raise BadPlan(f"{name} must be one of {', '.join(allowed)}; found {value!r}{guess}")
    ranges: dict[str, tuple[float, float, str]] = {
        "momentum": (0.0, 0.9999, "SGD's momentum"),
        "weight_decay": (0.0, 10.0, "weight decay"),
        "warmup": (0.0, 1.0, "warm-up, a share of the phase's steps"),
        "label_smoothing": (0.0, 0.99, "label smoothing"),
        "batch": (1, 1_000_000, "the batch size"),
    }
    for name, (low, high, words) in ranges.items():
        value = getattr(settings, name)
        if not _number(value) or not low <= value <= high:
            raise BadPlan(f"{words} must lie between {low:g} and {high:g}; found {value!r}.")
    if not _whole(settings.batch):
        raise BadPlan(f"the batch size is a whole number; found {settings.batch!r}.")
    if settings.clip is not None and (not _number(settings.clip) or settings.clip < 0):
        raise BadPlan(f"clip is the largest gradient norm, or 0 for none; found {settings.clip!r}.")
    if not _whole(settings.seed) or not 0 <= settings.seed < 2**32:
        raise BadPlan(f"seed is a whole number from 0 to 2**32 - 1; found {settings.seed!r}.")
    if not _whole(settings.views) or settings.views < 0:
        raise BadPlan(f"views counts stored views of each image, from 0; found {settings.views!r}.")
    if settings.views and settings.augment in ("none", "features"):
        raise BadPlan("views are stored of augmented images; name an augmentation (--augment standard) too.")
    if settings.loss is not None and not isinstance(settings.loss, str):
        raise BadPlan(f"loss is a name, or nothing; found {settings.loss!r}.")
    if settings.metric is not None and not isinstance(settings.metric, str):
        raise BadPlan(f"metric is a name, or nothing; found {settings.metric!r}.")


def _number(value: object) -> bool:
    # A whole number of 400 digits is no float: math.isfinite would overflow.
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse_unknown(raw: Mapping[str, Any], form: type, where: str) -> None:
    known = [field.name for field in fields(form)]
    for key in raw:
        if key not in known:
            raise BadPlan(f"{where}: unknown key {key!r}{did_you_mean(key, known)}")


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not a number that a plan can hold")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name[:80]!r} stands twice in one object")
        found[name] = value
    return found


def _rate(lr: float) -> str:
    """A learning rate in as few signs as it needs, `.` when frozen."""
    if lr == 0:
        return "."
    short, exact = f"{lr:.0e}", f"{lr:.2e}"
    return short if math.isclose(float(short), lr, rel_tol=1e-3) else _trim(exact)


def _span(phase: Phase) -> str:
    """The lowest and the highest rate of the stages, and the head's."""
    unfrozen = [lr for lr in phase.lrs[:-1] if lr > 0]
    edges = dict.fromkeys(_rate(lr) for lr in (min(unfrozen), max(unfrozen))) if unfrozen else ["frozen"]
    return f"stages {' … '.join(edges)}, head {_rate(phase.lrs[-1])}"


def _trim(number: str) -> str:
    mantissa, exponent = number.split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"


def _parts(phase: Phase) -> str:
    said = [] if phase.parts == "all" else [f"{phase.parts} only"]
    if phase.loss == "contrastive":
        said.append(f"pairs; head solved by {phase.solver}")
    if phase.must_gain:
        said.append("if it gains")
    return f"  ({', '.join(said)})" if said else ""
