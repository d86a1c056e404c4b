from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunesmith.data.read import read_items
from tunesmith.errors import BadData, BadOption, NoData

Photo = Callable[..., Path]
Write = Callable[[str, str], Path]


def test_loose_images_have_no_label(tmp_path: Path, photo: Photo) -> None:
    path = photo(tmp_path / "d" / "1.jpg")
    rows = read_items(path.parent, takes="image")
    assert rows[0] == {"id": "1.jpg", "item": {"path": str(path), "bytes": None}, "label": None}


def test_class_folders_give_labels(photos: Path, photo: Photo) -> None:
    photo(photos / "loose.jpg")
    labels = read_items(photos, takes="image")["label"]
    assert (labels.count("cat"), labels.count("dog"), labels.count(None)) == (10, 6, 1)


def test_one_image_file_is_one_row(photos: Path) -> None:
    assert len(read_items(photos / "cat" / "0.jpg", takes="image")) == 1


def test_a_list_of_images_holds_files_folders_and_arrays(photos: Path, pixels: np.ndarray) -> None:
    rows = read_items([str(photos / "cat" / "0.jpg"), photos / "dog", pixels], takes="image")
    assert len(rows) == 8
    assert rows[0]["id"] == str(photos / "cat" / "0.jpg")
    assert rows[7]["id"] == "row 2"


def test_a_missing_image_of_a_list_is_named(photos: Path) -> None:
    with pytest.raises(NoData, match=r"nothing is at .*10\.jpg; did you mean"):
        read_items([photos / "cat" / "10.jpg"], takes="image")


def test_a_list_of_strings_is_texts() -> None:
    rows = read_items(["good", "bad"], takes="text")
    assert rows["item"] == ["good", "bad"]
    assert rows["label"] == [None, None]


def test_a_string_that_names_a_text_file_is_its_text(write: Write) -> None:
    path = write("a.txt", "line one\nline two\n")
    assert read_items([str(path)], takes="text")["item"] == ["line one\nline two\n"]


def test_a_string_that_names_a_table_is_its_rows(write: Write) -> None:
    path = write("a.csv", "text,label\none,x\ntwo,y\n")
    rows = read_items([str(path), "three"], takes="text")
    assert rows["item"] == ["one", "two", "three"]
    assert rows["label"] == ["x", "y", None]


def test_a_table_needs_no_labels(write: Write) -> None:
    rows = read_items(write("a.csv", "text,n\none,1\ntwo,2\n"), takes="text")
    assert rows["label"] == [None, None]


def test_a_table_may_have_some_labels(write: Write) -> None:
    rows = read_items(write("a.csv", "text,label\none,x\ntwo,\n"), takes="text")
    assert rows["label"] == ["x", None]


def test_a_split_is_picked_by_any_of_its_names(write: Write) -> None:
    path = write("a.csv", "text,label,split\none,x,train\ntwo,y,valid\nthree,x,test\n")
    assert read_items(path, takes="text", split="dev")["item"] == ["two"]


def test_a_split_that_is_not_there_says_which_are(write: Write) -> None:
    path = write("a.csv", "text,label,split\none,x,train\ntwo,y,test\n")
    with pytest.raises(BadData, match="a has no valid split; it has train and test"):
        read_items(path, takes="text", split="val")
    with pytest.raises(BadData, match="b has no test split; it has no splits at all"):
        read_items(write("b.csv", "text,label\none,x\n"), takes="text", split="test")


def test_a_word_that_is_no_split_is_an_option_error(write: Write) -> None:
    with pytest.raises(BadOption, match="no split is called 'tset'"):
        read_items(write("a.csv", "text,label\none,x\n"), takes="text", split="tset")


def test_a_bare_text_is_cured_by_a_list() -> None:
    with pytest.raises(NoData, match="a text itself goes into a list"):
        read_items("what a film", takes="text")


def test_an_empty_list_is_an_error() -> None:
    with pytest.raises(BadData, match="data holds no examples"):
        read_items([], takes="text")


def test_a_long_text_is_not_taken_for_a_file(write: Write) -> None:
    long = "see notes " * 500 + ".txt"
    assert read_items(write("a.csv", f"text,n\n{long},1\n"), takes="text")["item"] == [long]
    assert read_items([long], takes="text")["item"] == [long]


def test_an_image_whose_name_has_no_ending_is_one_when_asked_for(photos: Path) -> None:
    (photos / "cat" / "0.jpg").rename(photos / "cat" / "zero")
    (photos / "list.csv").write_text("path,label\ncat/zero,a\n")
    assert len(read_items(photos / "list.csv", takes="image")) == 1


def test_a_text_that_begins_with_a_tilde_is_a_text() -> None:
    assert read_items(["~nobody here~"], takes="text")["item"] == ["~nobody here~"]


def test_items_leave_no_file_behind(cache: Path) -> None:
    items = read_items(["one text", "another"], takes="text")
    assert items["item"] == ["one text", "another"]
    assert [p for p in cache.rglob("*") if p.is_file()] == []


def test_what_a_killed_writer_left_is_cleared_after_a_day(cache: Path) -> None:
    (cache / "data").mkdir(parents=True)
    old, new = cache / "data" / "writing-old.arrow", cache / "data" / "writing-new.arrow"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    read_items(["a text"], takes="text")
    assert (old.exists(), new.exists()) == (False, True)


def test_a_mistyped_table_is_not_taken_for_a_text(write: Write) -> None:
    path = write("bank.csv", "text\nhello\n")
    with pytest.raises(NoData, match=r"nothing is at .*bnk.csv; did you mean 'bank.csv'"):
        read_items([str(path.with_name("bnk.csv"))], takes="text")


def test_a_text_that_speaks_of_a_file_is_a_text() -> None:
    assert read_items(["I lost my bank.csv"], takes="text")["item"] == ["I lost my bank.csv"]
