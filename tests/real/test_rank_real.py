"""Ranking real networks on real photos: what was pretrained on other things, or on nothing, comes last."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import tunesmith as ts
from tunesmith.choosing.ranking import Ranking
from tunesmith.verbs.reporting import Silent

pytestmark = pytest.mark.real

KERAS, BIRDS = "mobilenetv2_100_keras", "mobilenetv2_100_inat_bird"
RANDOM = "timm/mobilenetv2_100?pad_type=same@none"
SHOWN = 18  # photos of a class


@pytest.fixture(scope="module")
def clothes(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 photos of ten classes of clothing-small."""
    folder = tmp_path_factory.mktemp("real") / "clothes"
    for own in sorted((real / "clothing-small" / "train").iterdir()):
        (folder / own.name).mkdir(parents=True)
        for path in sorted(own.iterdir())[:SHOWN]:
            shutil.copy(path, folder / own.name)
    return folder


def ranked(real: Path, folder: Path) -> Ranking:
    names = [str(real / "weights" / f"{name}.safetensors") for name in (BIRDS, KERAS)]
    return ts.rank(folder, models=[RANDOM, *names], image_size=96, device="cpu", reporter=Silent())


@pytest.fixture(scope="module")
def ranking(real: Path, clothes: Path) -> Ranking:
    return ranked(real, clothes)


def test_the_network_of_photos_is_first_and_that_of_birds_is_clearly_behind(ranking: Ranking) -> None:
    assert [Path(row.model).stem for row in ranking.rows[:2]] == [KERAS, BIRDS]
    assert ranking.best.p_best > 0.95
    assert not ranking.rows[1].within_noise


def test_random_weights_are_last_by_each_score_that_decides(ranking: Ranking) -> None:
    assert ranking.rows[-1].model == RANDOM
    first, last = ranking.rows[0].scores, ranking.rows[-1].scores
    assert all((first[n] or 0) > (last[n] or 0) for n in ("ridge_loo", "knn", "logme"))
    assert (first["ridge_mse"] or 0) < (last["ridge_mse"] or 0)


def test_the_head_of_imagenet_tells_more_of_clothes_than_that_of_birds(ranking: Ranking) -> None:
    first, second, third = (row.scores["leep"] for row in ranking.rows)
    assert first is not None
    assert second is not None
    assert first > second
    assert third is None


def test_noise_is_farther_from_the_pretraining_than_photos(
    real: Path, ranking: Ranking, tmp_path: Path
) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(60):
        place = tmp_path / "noise" / ("a", "b")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(place / f"{i}.png")
    near, far = (found.best.nearness for found in (ranking, ranked(real, tmp_path / "noise")))
    assert near is not None
    assert far is not None
    assert near.statistic == far.statistic == "shift"
    assert far.value > 1.5 * near.value
