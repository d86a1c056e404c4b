from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.data.read import read
from tunesmith.data.texts import empty_texts
from tunesmith.errors import BadData, BadOption

Write = Callable[[str, str], Path]


@pytest.fixture
def reviews(write: Write) -> Path:
    """Ten reviewers of four reviews each."""
    rows = [f"review {n},{'ab'[n // 2 % 2]},r{n // 4},{n % 3}.5" for n in range(40)]
    return write("reviews.csv", "text,label,who,weight\n" + "\n".join(rows) + "\n")


def test_a_table_becomes_three_splits(reviews: Path) -> None:
    data = read(reviews, target="label")
    assert (data.name, data.takes) == ("reviews", "text")
    assert data.train.column_names == ["id", "item", "label"]
    assert sorted(i for part in data.splits.values() for i in part["id"]) == sorted(
        f"reviews.csv:{n}" for n in range(2, 42)
    )


def test_named_groups_and_weights_are_kept(reviews: Path) -> None:
    data = read(reviews, group="who", weight="weight")
    groups = [set(part["group"]) for part in data.splits.values()]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert data.train[0]["weight"] == 0.5 + (int(data.train[0]["id"][12:]) - 2) % 3


def test_a_split_column_is_obeyed(write: Write) -> None:
    rows = [f"t{n},{'ab'[n % 2]},{('train', 'train', 'dev', 'test')[n // 2 % 4]}" for n in range(16)]
    data = read(write("a.csv", "text,label,part\n" + "\n".join(rows)), split="part")
    assert [len(part) for part in data.splits.values()] == [8, 4, 4]


def test_a_word_that_is_no_split_is_named(write: Write) -> None:
    path = write("a.csv", "text,label,part\nx,a,train\ny,b,holdout\n")
    with pytest.raises(BadData, match=r"a\.csv:3: the column 'part' holds 'holdout'"):
        read(path, split="part")


def test_rows_without_label_are_counted(write: Write) -> None:
    path = write("a.csv", "text,label\nx,a\ny,\nz,\nw, \n")
    with pytest.raises(BadData, match=r"a\.csv:3 has no label, and 2 other rows likewise"):
        read(path)


def test_images_that_are_not_there_are_counted(photos: Path) -> None:
    rows = "cat/0.jpg,a\ncat/99.jpg,b\ncat/98.jpg,b\n"
    (photos / "labels.csv").write_text("path,label\n" + rows)
    with pytest.raises(
        BadData, match=r"labels\.csv:3 names the image cat/99\.jpg, which is not there, and 1 other"
    ):
        read(photos)


def test_a_fraction_among_names_is_named(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.csv:3: the label is 0\.73, and classes are names"):
        read(write("a.csv", "text,label\nx,a\ny,0.73\n"))


def test_fractions_are_refused_where_classes_are_asked_for(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.csv:3: the label is 0\.73, and classes are names"):
        read(write("a.csv", "text,label\nx,1\ny,0.73\n"), answers="classes")


def test_one_class_is_an_error(write: Write) -> None:
    with pytest.raises(BadData, match="every example has the label 'a'"):
        read(write("a.csv", "text,label\n" + "x,a\n" * 10))


def test_class_folders_of_images_hold_no_texts(photos: Path) -> None:
    with pytest.raises(BadData, match="nothing in photos was recognised"):
        read(photos, takes="text")


def test_image_paths_where_texts_were_asked_for_are_an_error(photos: Path) -> None:
    (photos.parent / "list.csv").write_text("path,label\nphotos/cat/0.jpg,a\n")
    with pytest.raises(BadData, match=r"texts were asked for, but list\.csv holds images"):
        read(photos.parent / "list.csv", takes="text")


def test_sentences_where_images_were_asked_for_are_an_error(reviews: Path) -> None:
    with pytest.raises(BadData, match=r"images were asked for, but reviews\.csv holds texts"):
        read(reviews, takes="image")


def test_the_same_call_gives_the_same_data(reviews: Path) -> None:
    first, again, other = read(reviews), read(reviews), read(reviews, seed=1)
    assert first.train["id"] == again.train["id"]
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_the_fingerprint_ignores_the_place_and_the_time(photos: Path, tmp_path: Path) -> None:
    first = read(photos).fingerprint
    shutil.copytree(photos, tmp_path / "elsewhere" / "photos")
    os.utime(tmp_path / "elsewhere" / "photos" / "cat" / "0.jpg", (1, 1))
    assert read(tmp_path / "elsewhere" / "photos").fingerprint == first


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("review 3,", "review 33,"),
        lambda text: text.replace("review 3,b", "review 3,a"),
        lambda text: text.replace("r9", "r10"),
        lambda text: text.replace("0.5\n", "0.6\n"),
    ],
)
def test_the_fingerprint_notices_texts_labels_groups_and_weights(
    reviews: Path, change: Callable[[str], str]
) -> None:
    before = read(reviews, group="who", weight="weight").fingerprint
    text = reviews.read_text()
    assert change(text) != text
    reviews.write_text(change(text))
    assert read(reviews, group="who", weight="weight").fingerprint != before


def test_the_fingerprint_notices_the_size_of_an_image(photos: Path) -> None:
    before = read(photos).fingerprint
    with (photos / "cat" / "0.jpg").open("ab") as file:
        file.write(b"\0")
    assert read(photos).fingerprint != before


def test_the_rows_lie_in_the_cache_and_nothing_else(reviews: Path, cache: Path) -> None:
    read(reviews)
    read(reviews)
    assert [path.suffix for path in (cache / "data").iterdir()] == [".arrow"]
    assert read(reviews).train.cache_files[0]["filename"].startswith(str(cache.resolve()))


def test_an_error_leaves_nothing_in_the_cache(write: Write, cache: Path) -> None:
    with pytest.raises(BadData):
        read(write("a.csv", "text,label\n" + "x,a\n" * 2000 + "y\n"))
    assert not list((cache / "data").iterdir())


def test_a_cache_that_cannot_be_made_says_so(reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(reviews))
    with pytest.raises(BadOption, match="set TUNESMITH_CACHE to a folder that can be written"):
        read(reviews)


def test_a_name_that_is_too_long_for_a_path_is_not_there() -> None:
    with pytest.raises(BadData, match="nothing is at"):
        read("x" * 5000)


@pytest.mark.parametrize("takes", ["images", "audio"])
def test_takes_is_image_or_text(reviews: Path, takes: str) -> None:
    with pytest.raises(BadOption, match="takes is 'image' or 'text'"):
        read(reviews, takes=takes)


def test_empty_texts_are_found(write: Write) -> None:
    rows = "".join(f"word {n},{'ab'[n % 2]}\n" for n in range(20))
    data = read(write("a.csv", "text,label\n   ,a\n" + rows), seed=0)
    found = [f for part in data.splits.values() for f in empty_texts(part)]
    assert [(f.kind, f.where) for f in found] == [("empty", "a.csv:2")]


def test_signs_that_are_no_unicode_are_named(write: Write) -> None:
    rows = '{"text": "fine", "label": "a"}\n{"text": "\\ud800", "label": "b"}\n'
    more = "".join(f'{{"text": "word {n}", "label": "{"ab"[n % 2]}"}}\n' for n in range(40))
    path = write("a.jsonl", rows + more)
    with pytest.raises(
        BadData, match=r"a\.jsonl:2 holds signs that are no Unicode; rename or rewrite it, or"
    ):
        read(path)
    data = read(path, skip_bad=True, seed=0)
    assert [(found.kind, found.where) for found in data.left_out] == [("broken_rows", "a.jsonl:2")]
    assert sum(len(part) for part in data.splits.values()) == 41
