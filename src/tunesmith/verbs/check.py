"""The health of labelled data: what is wrong with it, doubtful, or worth knowing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.verbs.environment import prepare

if TYPE_CHECKING:
    from tunesmith.health.examine import Features
    from tunesmith.health.finding import Health
    from tunesmith.health.seen import Seen
    from tunesmith.health.sides import Alone
    from tunesmith.networks.network import Network
    from tunesmith.store import Store
    from tunesmith.tasks.task import Task
    from tunesmith.verbs.reporting import Reporter

ASKED_ALONE: Final = 5_000  # pairs of which one text alone is learned from


def check(
    data: Any,
    *,
    model: str | Network | None = None,
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
    engine: str = "auto",
    store_limit: str | int = "20GB",
    device: str = "auto",
    seed: int = 0,
    offline: bool = False,
    page: str | Path | None = None,
    lang: str = "en",
    reporter: Reporter | None = None,
) -> Health:
    """Look at labelled data: duplicates, leaks, damage, doubtful labels.

    Finds what cannot be read, repeats and near-duplicates inside and across splits and under two labels,
    labels that differ by case or spaces only, odd sizes and lengths, imbalance, class shares that differ
    between splits and, with the features of a model, suspected label errors. Nothing is changed.

    data: folder, table, zip, npz, hf://NAME; in Python also frames, lists, data sets.
    model: whose features are used: SOURCE/NAME[?ARGS][@WEIGHTS], a .safetensors file, a run's folder.
    task: what is to be learned; found from the data when not named.
    item: the column with texts or with paths of images; of pairs of texts both, with a comma between.
    target: the column with labels, or columns of numbers with commas between.
    split: the column that says train, valid or test.
    group: the column whose values stay together in one split (patient, author).
    weight: the column that says how much an example counts.
    columns: names for the columns of a table without header: "label,text".
    valid_size: share of the data for validation, where it has to be made.
    test_size: share of the data for the test, where it has to be made.
    skip_bad: count items that cannot be read as left out, as fit would with the same option.
    image_size: pixels a side, for the model; by default as it was pretrained.
    max_length: tokens a text is cut at; by default the model's window, at most 512.
    engine: what computes features: auto, openvino, onnxruntime, compile or eager.
    store_limit: how large the store of features and looks may grow: 500MB, 20GB; 0 stores nothing.
    device: auto, cpu, cuda, cuda:N or mps.
    seed: of the splits, where they have to be made, and of the folds of the label check.
    offline: never reach for a hub, in this process.
    page: write what was found, with pictures or texts, as one HTML file.
    lang: of the page: en or zh.
    reporter: where to tell what happens; None: lines on standard error.

    Raises BadData for data that cannot be understood; what is wrong with single items is a finding.
    """
    asked = {k: v for k, v in locals().items() if k != "reporter"}
    prepare(offline=offline)
    from tunesmith.health.examine import examine
    from tunesmith.health.suspects import ROUNDS
    from tunesmith.verbs.carrying_out import speaker
    from tunesmith.verbs.loading import check_name
    from tunesmith.verbs.options import whole
    from tunesmith.verbs.replaying import open_store
    from tunesmith.verbs.understanding import see_data

    say = speaker(reporter)
    path = _page(page, lang)
    check_name(model)
    whole("image_size", image_size)
    whole("max_length", max_length)
    store = open_store(store_limit)
    known: dict[str, bytes] = {}
    asked_anyway = {**asked, "skip_bad": True}  # what is missing is a finding
    seen, found = see_data(asked_anyway, store, known, say, left_out=False)
    try:
        features = None if model is None else _features(asked, seen, found, store, known, say)
        alone = _alone(seen, found, say, seed) if seen.data.pairs else ()
        with say.work("comparing examples", ROUNDS if features is not None else 0) as done:
            examined = examine(
                seen, features=features, alone=alone, skip_bad=skip_bad, seed=seed, progress=done
            )
        health = examined.health
        if path is not None:
            _write_page(path, health, seen, lang)
    finally:
        seen.close()
    return health


def _features(
    asked: dict[str, Any], seen: Seen, task: Task, store: Store, known: dict[str, bytes], say: Reporter
) -> Features:
    import numpy as np

    from tunesmith.errors import BadData
    from tunesmith.health.examine import Features
    from tunesmith.training.devices import accelerator_for
    from tunesmith.training.examples import Examples
    from tunesmith.verbs.features import features_of
    from tunesmith.verbs.loading import wanted_network

    roll = seen.roll
    few = len(np.unique(roll.codes[roll.usable[roll.splits[roll.usable] == 0]])) < 2
    if task.answers == "classes" and few:
        raise BadData("what can be read of the training split has not two classes; mend the data first.")
    good = _good(seen)
    _, _, network = wanted_network(asked, task, replace(seen.data, splits=good), say)
    network.module.to(accelerator_for(asked["device"], "fp32").device)
    filled = {split: rows for split, rows in good.items() if len(rows)}
    examples = {s: Examples(rows, network.preprocess, store, known=known) for s, rows in filled.items()}
    try:
        pooled = features_of(network, store, examples, say, engine=asked["engine"])
        lengths = [own.whole_lengths for own in examples.values()]
    finally:
        for own in examples.values():
            own.close()
    return Features(
        network.origin.partition("@")[0],
        np.concatenate(list(pooled.values())),
        np.concatenate(lengths) if all(own is not None for own in lengths) else None,  # type: ignore[arg-type]
        getattr(network.preprocess, "max_length", None),
        _learned_from(asked["model"], seen.data.fingerprint),
    )


def _good(seen: Seen) -> dict[str, Any]:
    """The splits without the examples that cannot be used."""
    from tunesmith.data.data import SPLITS

    roll = seen.roll
    return {
        split: seen.data.splits[split].select(roll.rows[roll.usable[roll.splits[roll.usable] == i]])
        for i, split in enumerate(SPLITS)
    }


def _alone(seen: Seen, task: Task, say: Reporter, seed: int) -> tuple[Alone, ...]:
    """How far one text of each pair tells the answer, from a few thousand of them."""
    from tunesmith.verbs.sides import told_alone

    with say.work("asking one text of each pair alone", 0):
        return told_alone(replace(seen.data, splits=_good(seen)), task, ASKED_ALONE, seed=seed)


def _learned_from(model: str | Network, fingerprint: str) -> bool:
    """Whether a model is a run that learned from these data, so that it would say what it was told."""
    from tunesmith.networks.network import Network
    from tunesmith.runs import Run

    if isinstance(model, Network) or not (Path(model).expanduser() / "manifest.json").is_file():
        return False
    return str(Run.open(model).manifest["data"]).partition(" without ")[0] == fingerprint


def _page(page: str | Path | None, lang: str) -> Path | None:
    """Where the page is to be written; raises, before anything is read, for one that cannot be."""
    from tunesmith.errors import BadOption
    from tunesmith.health.words import LANGUAGES
    from tunesmith.registry import require
    from tunesmith.verbs.report import page_path

    if lang not in LANGUAGES:
        raise BadOption(f"lang is {' or '.join(LANGUAGES)}; found {lang!r}.")
    if page is None:
        return None
    path = page_path(page)
    if not path.absolute().parent.is_dir():
        raise BadOption(f"page {str(page)!r} lies in a folder that is not there; make it first.")
    for package in ("jinja2", "matplotlib"):
        require(package, "report", "a page")
    return path


def _write_page(path: Path, health: Health, seen: Seen, lang: str) -> None:
    from tunesmith.data.data import SPLITS
    from tunesmith.files import write_whole
    from tunesmith.health.finding import Item
    from tunesmith.health.looks import picture_of
    from tunesmith.reports.health_page import health_page

    def content(item: Item) -> Any:
        if item.row is None or item.split not in SPLITS:
            return None
        return seen.data.splits[item.split][item.row]["item"]

    def picture(item: Item) -> bytes | None:
        found = content(item)
        return picture_of(found) if isinstance(found, dict) else None

    def text(item: Item) -> str | None:
        found = content(item)
        return found if isinstance(found, str) else None

    write_whole(path, health_page(health, picture, text, lang=lang))
