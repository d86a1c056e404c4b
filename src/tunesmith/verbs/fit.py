"""Fine-tune a pretrained network on labelled data, score it, and keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.verbs.environment import prepare
from tunesmith.verbs.options import configured, rate, seconds
from tunesmith.verbs.stopping import stoppable

if TYPE_CHECKING:
    from tunesmith.networks.network import Network
    from tunesmith.plan import Plan
    from tunesmith.runs import Run
    from tunesmith.verbs.reporting import Reporter


@configured
def fit(
    data: Any = None,
    *,
    model: str | Network | None = None,
    task: str | None = None,
    strategy: str | None = None,
    epochs: float = 5,
    lr: float | Literal["auto"] | None = None,
    head_lr: float | None = None,
    decay: float | None = None,
    unfreeze: str | int | Sequence[str | int] | None = None,
    parts: str = "all",
    patience: int | None = None,
    plan: str | Path | Plan | None = None,
    head: str = "linear",
    dropout: float = 0.0,
    optimizer: str = "adamw",
    momentum: float = 0.9,
    weight_decay: float | None = None,
    schedule: str | None = None,
    warmup: float | None = None,
    batch: int | None = None,
    solver: str | None = None,
    clip: float | None = 1.0,
    loss: str | None = None,
    label_smoothing: float = 0.0,
    balance: str = "none",
    augment: str = "none",
    batch_norm: str = "auto",
    metric: str | None = None,
    keep: str = "auto",
    baselines: str = "auto",
    beside: str | Sequence[str] | None = None,
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
    replay: bool = True,
    views: int = 0,
    store_limit: str | int = "20GB",
    device: str = "auto",
    seed: int = 0,
    time_limit: str | float | None = None,
    checkpoint_every: str | float = "5m",
    offline: bool = False,
    dry_run: bool = False,
    out: str | Path | None = None,
    config: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Run | None:
    """Fine-tune a network on labelled data, score it and keep it.

    Returns the Run, or None with dry_run.

    data: folder, table, zip, npz, hf://NAME; in Python also frames, lists, data sets.
    model: SOURCE/NAME[?ARGS][@WEIGHTS], a headed .safetensors file, a run's folder, a Network, or auto: the
        best of a ranking; by default the best of those on this machine.
    task: what to learn; found from the data when not named.
    strategy: which stages train when: linear_probe, top, gradual, lp_ft, full, surgical, contrastive,
        or auto: as far up from the head as validation gains; by default auto where it can be, else lp_ft.
    epochs: passes over the training split, over all phases; with `auto` at most so many in each rung.
    lr: peak learning rate of the stages next to the head, or auto: measured by a range test; by default the
        network family's.
    head_lr: peak learning rate of the head.
    decay: share of the rate that each stage towards the input keeps, 1.0 for none.
    unfreeze: with `top` how many of the last stages; with `surgical` their names, comma separated, or auto,
        the block on which the data pull hardest; with `auto` how many of the last in each rung: 1,4,12.
    parts: which weights of unfrozen stages move: all, norm or bias.
    patience: end a phase after so many validations without gain.
    plan: a plan.json, edited by hand perhaps, instead of a strategy.
    head: linear, mlp, conv, or pretrained (kept; a new layer on top if its width differs).
    dropout: share of the head's inputs dropped in training.
    optimizer: adamw, adam or sgd.
    momentum: of SGD.
    weight_decay: spares biases and norms.
    schedule: constant, step, linear, cosine or one-cycle.
    warmup: share of a phase's steps in which the rate rises.
    batch: examples per step; 32, or 16 below 500 training examples, or 8 with contrastive.
    solver: ridge or lbfgs: solve a linear head to convergence instead of training it in steps.
    clip: largest gradient norm; 0 for none.
    loss: what steps lower: of numbers mse (by default), mae or huber; classes know cross_entropy alone.
    label_smoothing: share of the target spread over all classes.
    balance: none, weights (rare classes count more) or sampler (drawn more often).
    augment: none, flip or standard (crop, flip, colour) for images; features: stored activations.
    batch_norm: of unfrozen stages: auto, train, or frozen.
    metric: what validation decides by; accuracy, or macro_f1 where classes differ threefold; of numbers rmse.
    keep: auto (what validation finds best: trained, its linear probe, or between them), trained or probe.
    baselines: auto (words or colours, random weights), all (on all examples, and from scratch) or none.
    beside: other networks, comma separated, whose linear probes are scored too: was a better one at hand?
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
    replay: go on from stored activations of frozen stages instead of computing them in every epoch.
    views: augmented views of each image to store; 0: augmented images go through the whole network.
    store_limit: how large the store of activations may grow: 500MB, 20GB; 0 stores nothing.
    device: auto, cpu, cuda, cuda:N or mps.
    seed: of everything random.
    time_limit: end training after 90s, 10m, 1h30m; the best so far is kept.
    checkpoint_every: how often to save inside an epoch; each epoch's end is saved anyway.
    offline: never reach for a hub, in this process.
    dry_run: read the data, load the network, print the plan, and stop.
    out: the run's folder; by default runs/DATA-TIME.
    config: a YAML file of these options, a run's asked.yaml for instance; what is given beside it wins.
    reporter: where to tell what happens; None: lines on standard error.
    """
    asked = {k: v for k, v in locals().items() if k not in ("config", "reporter")} | {"lr": rate(lr)}
    limit = seconds(time_limit)
    seconds(checkpoint_every)
    prepare(offline=offline)
    from tunesmith.data.cache import cache_folder
    from tunesmith.files import disk_failures
    from tunesmith.verbs.carrying_out import begin, carry_out
    from tunesmith.verbs.locking import alone

    with stoppable():
        with disk_failures(cache_folder(), verb="used"):
            started = begin(asked, reporter=reporter)
        if started is None:
            return None
        with alone(started.folder), disk_failures(started.folder, verb="used"):
            return carry_out(started, time_limit=limit, reporter=reporter)


def _defaults() -> Mapping[str, Any]:
    import inspect

    return {
        n: p.default for n, p in inspect.signature(fit).parameters.items() if n not in ("config", "reporter")
    }


DEFAULTS = _defaults()
