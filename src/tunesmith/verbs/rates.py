"""Which learning rate: a range test on a person's own data, with the network and plan of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.verbs.environment import prepare

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.choosing.range_test import RangeTest
    from tunesmith.networks.network import Network
    from tunesmith.training.loop import Training
    from tunesmith.verbs.reporting import Reporter

PICTURES = (".svg", ".png", ".pdf")


def lr(
    data: Any,
    *,
    model: str | Network | None = None,
    task: str | None = None,
    strategy: str = "lp_ft",
    phase: int | None = None,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    epochs: float = 5,
    head_lr: float | None = None,
    decay: float | None = None,
    unfreeze: str | int | Sequence[str | int] | None = None,
    parts: str = "all",
    head: str = "linear",
    dropout: float = 0.0,
    optimizer: str = "adamw",
    momentum: float = 0.9,
    weight_decay: float | None = None,
    batch: int | None = None,
    clip: float | None = 1.0,
    loss: str | None = None,
    label_smoothing: float = 0.0,
    balance: str = "none",
    augment: str = "none",
    batch_norm: str = "auto",
    image_size: int | None = None,
    max_length: int | None = None,
    long_texts: str = "cut",
    item: str | None = None,
    target: str | None = None,
    split: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    columns: str | None = None,
    valid_size: float = 0.15,
    test_size: float = 0.15,
    skip_bad: bool = False,
    allow_missing: bool = False,
    untie: bool = False,
    precision: str = "fp32",
    engine: str = "auto",
    store_limit: str | int = "20GB",
    device: str = "auto",
    seed: int = 0,
    offline: bool = False,
    plot: str | Path | None = None,
    reporter: Reporter | None = None,
) -> RangeTest:
    """How the loss answers to the learning rate, and which rates that recommends.

    One phase of a plan is trained for some steps at rising rates (Smith 2015, arXiv:1506.01186); nothing
    of it is kept. Gives a RangeTest: `valley`, `minimum`, `steepest`, and the curve.

    data: folder, table, zip, npz, hf://NAME; in Python also frames, lists, data sets.
    model: SOURCE/NAME[?ARGS][@WEIGHTS], a headed .safetensors file, a run's folder, or a Network.
    task: what to learn; found from the data when not named.
    strategy: whose plan: linear_probe, top, gradual, lp_ft, full, surgical, contrastive.
    phase: which phase of the plan, from 1; by default the first that is trained in steps.
    low: the rate that it begins with.
    high: the rate that it ends with.
    steps: how many, at rates that rise by a constant factor.
    epochs: of the plan, over all phases.
    head_lr: of the plan; the head keeps its ratio to the stages.
    decay: share of the rate that each stage towards the input keeps, 1.0 for none.
    unfreeze: with `top` how many of the last stages; with `surgical` their names, comma separated.
    parts: which weights of unfrozen stages move: all, norm or bias.
    head: linear, mlp, conv, or pretrained (kept; a new layer on top if its width differs).
    dropout: share of the head's inputs dropped in training.
    optimizer: adamw, adam or sgd.
    momentum: of SGD.
    weight_decay: spares biases and norms.
    batch: examples per step; 32, or 16 below 500 training examples, or 8 with contrastive.
    clip: largest gradient norm; 0 for none.
    loss: what steps lower: of numbers mse (by default), mae or huber; classes know cross_entropy alone.
    label_smoothing: share of the target spread over all classes.
    balance: none, weights (rare classes count more) or sampler (drawn more often).
    augment: none, flip or standard (crop, flip, colour) for images; features: stored activations.
    batch_norm: of unfrozen stages: auto, train, or frozen.
    image_size: pixels a side; by default as the network was pretrained.
    max_length: tokens a text is cut at; by default the network's window, at most 512.
    long_texts: what becomes of longer ones: cut, or windows: all is read, and the answers are joined.
    item: the column with texts or with paths of images; of pairs of texts both, with a comma between.
    target: the column with labels, or columns of numbers with commas between.
    split: the column that says train, valid or test.
    group: the column whose values stay together in one split (patient, author).
    weight: the column that says how much an example counts.
    columns: names for the columns of a table without header: "label,text".
    valid_size: share of the data for validation, where it has to be made.
    test_size: share of the data for the test, where it has to be made.
    skip_bad: leave out items that cannot be read, listed and counted, instead of stopping.
    allow_missing: start weights that a checkpoint lacks from random numbers, and train them.
    untie: give a head that shares a tensor with a stage its own copy.
    precision: fp32, bf16, fp16, or auto: bf16 where the answers stay the same.
    engine: what computes frozen stages: auto, openvino, onnxruntime, compile or eager.
    store_limit: how large the store of activations may grow: 500MB, 20GB; 0 stores nothing.
    device: auto, cpu, cuda, cuda:N or mps.
    seed: of everything random.
    offline: never reach for a hub, in this process.
    plot: draw the curve into this file: .svg, .png or .pdf.
    reporter: where to tell what happens; None: lines on standard error.
    """
    given = {
        k: v for k, v in locals().items() if k not in ("phase", "low", "high", "steps", "plot", "reporter")
    }
    path = _picture(plot)
    prepare(offline=offline)
    from tunesmith.choosing.range_test import range_test, rising
    from tunesmith.errors import BadOption
    from tunesmith.files import write_whole
    from tunesmith.reports.drawings.range_plot import range_plot
    from tunesmith.verbs.carrying_out import speaker
    from tunesmith.verbs.options import whole

    rising(low, high, steps)
    whole("phase", phase)
    say = speaker(reporter)
    with ExitStack() as opened:
        training = training_for(given, opened, say)
        phases = training.plan.phases
        if phase is not None and phase > len(phases):
            names = ", ".join(f"{i} {p.name}" for i, p in enumerate(phases, start=1))
            raise BadOption(f"phase {phase} is asked for, and the plan has {len(phases)}: {names}.")
        index = None if phase is None else phase - 1
        _fill(training, index, steps, say)
        with say.work("training at rising rates", 0):
            found: RangeTest = range_test(training, phase=index, low=low, high=high, steps=steps)
    if path is not None:
        write_whole(path, range_plot(found, path.suffix[1:]))
    return found


def chosen_lr(training: Training, say: Reporter) -> tuple[float | None, str]:
    """The rate that a range test recommends, None if none, and how it was found, in words.

    It is tested on the first phase in which stages train, because theirs is the rate that `lr` names.
    """
    from tunesmith.choosing.range_test import STEPS, first_in_steps, range_test

    index = first_in_steps(training.plan, stages=True)
    _fill(training, index, STEPS, say)
    with say.work(f"range test of the learning rate in phase {training.plan.phases[index].name}", 0):
        found = range_test(training, phase=index)
    if found.valley is None:
        note = f"learning rate: the family's, for in a range test of phase {found.phase} no rate helped"
        say.warn(note)
        return None, note
    lr = float(f"{found.valley:.2g}")
    note = f"learning rate: {lr:.1e}, the valley of a range test of phase {found.phase}"
    say.say(note)
    return lr, note


def _fill(training: Training, index: int | None, steps: int, say: Reporter) -> None:
    """Compute what is to be stored of the examples that a range test takes."""
    from tunesmith.choosing.range_test import first_in_steps, head_comes_first, rows_seen

    index = first_in_steps(training.plan) if index is None else index
    recorded, replaying = training.supply.recorded, training.supply.replaying
    if recorded is None:
        return
    wanted: dict[str, np.ndarray | None] = {}
    if head_comes_first(training.plan, index):  # it is solved on all examples
        wanted = {"train": None, "valid": None}
    elif replaying is not None and replaying.at[index] is not None:
        wanted = {"train": rows_seen(training, index, steps)}
    for split, rows in wanted.items():
        own = training.supply.examples[split]
        missing = recorded.missing(own, rows)
        if missing:
            with say.work(f"frozen stages of {split}", missing) as done:
                recorded.fill(own, rows, progress=done)


def training_for(given: Mapping[str, Any], opened: ExitStack, say: Reporter) -> Training:
    """A training as a fit with these options would begin it; nothing is written but the store."""
    from tunesmith.data.data import SPLITS
    from tunesmith.plan import table
    from tunesmith.tasks.task import target_array
    from tunesmith.training.examples import Examples
    from tunesmith.training.loop import Training
    from tunesmith.verbs import carrying_out
    from tunesmith.verbs.fit import DEFAULTS
    from tunesmith.verbs.loading import wanted_network
    from tunesmith.verbs.replaying import open_store, prepare_replay
    from tunesmith.verbs.understanding import read_data

    asked = {**DEFAULTS, **given}
    carrying_out.check_early(asked)
    store = open_store(asked["store_limit"])
    known: dict[str, bytes] = {}
    data, task, seen = read_data(asked, store, known, say)
    seen.close()
    labels, _, network = wanted_network(asked, task, data, say)
    plan = carrying_out.plan_for(asked, network, data, labels, task)
    say.say(table(plan, [part.name for part in network.parts]))
    task = task.configured(plan.settings)
    examples = {
        s: Examples(data.splits[s], network.preprocess, store, known=known, task=task) for s in SPLITS
    }
    for own in examples.values():
        opened.callback(own.close)
    lent: dict[str, Any] = {"labels": labels, "device": asked["device"], "examples": examples}
    Training(network, task, data, plan, **lent)  # what cannot be trained is refused before anything runs
    targets = target_array(task, data.train, labels)
    recorded, replaying = prepare_replay(asked, network, plan, examples, store, None, targets, say)
    opened.callback(recorded.close)
    return Training(network, task, data, plan, **lent, recorded=recorded, replaying=replaying)


def _picture(plot: str | Path | None) -> Path | None:
    """Where the curve is to be drawn; raises, before anything is read, for a file that cannot be."""
    from tunesmith.errors import BadOption
    from tunesmith.registry import require

    if plot is None:
        return None
    path = Path(plot).expanduser()
    if path.suffix.lower() not in PICTURES:
        raise BadOption(f"plot is a file that ends in {', '.join(PICTURES)}; found {str(plot)!r}.")
    if not path.absolute().parent.is_dir():
        raise BadOption(f"plot {str(plot)!r} lies in a folder that is not there; make it first.")
    require("matplotlib.figure", "report", "a plot")
    return path
