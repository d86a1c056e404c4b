"""Real data sets, where they lie beside the repository: folder, counts and splits as published."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tunesmith.data.images import unreadable
from tunesmith.data.read import read, read_items
from tunesmith.errors import BadData

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the real data are not beside the repository"),
]


@pytest.mark.parametrize(
    ("name", "classes", "sizes"),
    [
        ("trashnet", 6, [1769, 379, 379]),
        ("clothing-small", 10, [3068, 341, 372]),
        ("bccd-cells", 3, [2804, 1137, 945]),
        ("sentence-polarity", 2, [7464, 1600, 1598]),
        ("banking77", 77, [8041, 1962, 3080]),
        ("movie-reviews/movie_reviews.zip", 2, [1400, 300, 300]),
        ("movie-reviews", 2, [1400, 300, 300]),
        ("pneumoniamnist-28/pneumoniamnist.npz", 2, [3882, 524, 624]),
        ("omniglot-small/images_background_small1.zip", 136, [1904, 408, 408]),
        ("thucnews-title-zh/dev.txt", 10, [6999, 1501, 1500]),  # a title is there twice
    ],
)
def test_counts_are_those_of_the_data_set(name: str, classes: int, sizes: list[int]) -> None:
    data = read(FOLDER / name)
    assert len({label for part in data.splits.values() for label in part["label"]}) == classes
    assert [len(part) for part in data.splits.values()] == sizes
    assert 3 <= len(data.understood) <= 5


def test_messages_without_header_need_names() -> None:
    with pytest.raises(BadData, match=r"no header.*--columns label,text"):
        read(FOLDER / "sms-spam" / "sms.tsv")


def test_repeated_messages_stay_in_one_split() -> None:
    data = read(FOLDER / "sms-spam" / "sms.tsv", columns="label,text")
    assert Counter(x for part in data.splits.values() for x in part["label"]) == {
        "ham": 4827,
        "spam": 747,
    }
    texts = [set(part["item"]) for part in data.splits.values()]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
    assert all(abs(len(part) / 5574 - 0.15) < 0.01 for part in (data.valid, data.test))


def test_titles_without_a_training_split_say_what_to_do() -> None:
    with pytest.raises(BadData, match="a valid and test split but none to train on"):
        read(FOLDER / "thucnews-title-zh")


def test_titles_get_the_class_names_beside_them() -> None:
    rows = read_items(FOLDER / "thucnews-title-zh" / "test.txt", takes="text")
    assert Counter(rows["label"])["finance"] == 1000


def test_photos_without_labels_can_be_predicted() -> None:
    rows = read_items(FOLDER / "demo-photos", takes="image")
    assert (len(rows), set(rows["label"])) == (8, {None})
    assert unreadable(rows) == []
