"""Pairs of texts: which columns they are, from every kind of source, and what is read of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.data import Data
from tunesmith.data.pair_columns import PAIR_NAMES
from tunesmith.data.pairs import apart, together
from tunesmith.data.read import read, read_items
from tunesmith.errors import BadData

Write = Callable[[str, str], Path]
FIRST = [f"a man {n} walks" for n in range(40)]
SECOND = [f"somebody {n} moves" for n in range(40)]
LABELS = [("yes", "no")[n % 2] for n in range(40)]
ROWS = list(zip(FIRST, SECOND, LABELS, strict=True))


def columns(first: str = "premise", second: str = "hypothesis", label: str = "label") -> dict[str, list[str]]:
    return {first: FIRST, second: SECOND, label: LABELS}


def csv(header: str, sign: str = ",") -> str:
    return header + "\n" + "".join(f"{sign.join(row)}\n" for row in ROWS)


def pairs_of(data: Data) -> set[tuple[str, str]]:
    return {apart(item) for split in data.splits.values() for item in split["item"]}


@pytest.mark.parametrize("names", PAIR_NAMES)
def test_columns_that_are_called_as_pairs_are_with_a_label_beside_them(names: tuple[str, str]) -> None:
    data = read(columns(names[0].title(), names[1]))
    assert data.pairs
    assert pairs_of(data) == set(zip(FIRST, SECOND, strict=True))
    assert data.understood[0] == (
        f"data: 40 pairs in 2 classes, read from the dict (columns {names[0].title()}, {names[1]}, label)"
    )


@pytest.mark.parametrize("label", ["gold_label", "is_duplicate", "score", "similarity_score"])
def test_labels_of_pairs_have_names_of_their_own(label: str) -> None:
    data = read({"pair_id": [str(n) for n in range(40)], **columns("sentence1", "sentence2", label)})
    assert data.pairs
    assert set(data.train["label"]) == {"yes", "no"}


def test_without_a_label_beside_them_columns_are_no_pair() -> None:
    """A question and its class, called answer, are what they were: a text and its label."""
    data = read({"question": FIRST, "answer": LABELS})
    assert not data.pairs
    assert data.train[0]["item"] in FIRST


def test_a_task_of_single_texts_reads_one_column_of_them() -> None:
    data = read(columns(), takes="text", pairs=False, item="premise")
    assert not data.pairs
    assert set(data.train["item"]) <= set(FIRST)


def test_columns_are_named_with_a_comma_between() -> None:
    data = read(columns("left", "right"), item="left, right")
    assert data.pairs
    assert pairs_of(data) == set(zip(FIRST, SECOND, strict=True))
    assert pairs_of(read(columns("left", "right"), item="right,left")) == set(zip(SECOND, FIRST, strict=True))


def test_the_two_columns_that_are_left_are_the_pair_where_pairs_are_asked_for() -> None:
    assert pairs_of(read(columns("left", "right"), pairs=True)) == set(zip(FIRST, SECOND, strict=True))
    with pytest.raises(BadData, match=r"no column of the dict is known to be the text or the image"):
        read(columns("left", "right"))
    with pytest.raises(BadData, match=r"no two columns of the dict are known to be a pair of texts: its col"):
        read({"more": FIRST, **columns("left", "right")}, pairs=True)


def test_the_column_of_a_text_can_be_the_group() -> None:
    data = read({**columns(), "premise": [f"premise {n % 10}" for n in range(40)]}, group="premise")
    assert data.pairs
    sides = [{apart(item)[0] for item in split["item"]} for split in data.splits.values()]
    assert len(set().union(*sides)) == sum(map(len, sides)) == 10


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", csv("premise,hypothesis,label")),
        ("a.csv", csv("premise;hypothesis;label", ";")),
        ("a.tsv", csv("sentence1\tsentence2\tlabel", "\t")),
        (
            "a.jsonl",
            "\n".join(json.dumps(dict(zip(("s1", "s2", "label"), row, strict=True))) for row in ROWS),
        ),
    ],
)
def test_pairs_are_read_from_tables(name: str, text: str, write: Write) -> None:
    data = read(write(name, text))
    assert data.pairs
    assert pairs_of(data) == set(zip(FIRST, SECOND, strict=True))


def test_pairs_are_read_from_parquet_frames_and_data_sets(tmp_path: Path) -> None:
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns()), tmp_path / "a.parquet")
    form = datasets.ClassLabel(names=["no", "yes"])
    dataset = datasets.Dataset.from_dict(columns()).cast_column("label", form)
    sources: list[Any] = [tmp_path / "a.parquet", dataset, datasets.DatasetDict(train=dataset)]
    for package in ("pandas", "polars"):
        sources.append(pytest.importorskip(package).DataFrame(columns()))
    for source in sources:
        data = read(source)
        assert data.pairs
        assert set(data.train["label"]) == {"yes", "no"}
        assert pairs_of(data) == set(zip(FIRST, SECOND, strict=True))


def test_tables_by_split_are_pairs_in_every_split(write: Write) -> None:
    for split in ("train", "valid", "test"):
        path = write(f"nli/{split}.csv", csv("premise,hypothesis,label").replace("walks", split))
    data = read(path.parent)
    assert data.pairs
    assert [len(split) for split in data.splits.values()] == [40, 40, 40]
    assert apart(data.test[0]["item"]) == ("a man 0 test", "somebody 0 moves")


@pytest.mark.parametrize("rows", [ROWS, [((first, second), label) for first, second, label in ROWS]])
def test_pairs_are_read_from_lists_of_tuples(rows: list[Any]) -> None:
    data = read(rows)
    assert data.pairs
    assert pairs_of(data) == set(zip(FIRST, SECOND, strict=True))
    assert set(data.train["label"]) == {"yes", "no"}


def test_a_text_and_its_label_are_no_pair() -> None:
    assert not read(list(zip(FIRST, LABELS, strict=True))).pairs


def test_numbers_are_read_of_pairs_too() -> None:
    data = read({"s1": FIRST, "s2": SECOND, "score": [n / 10 for n in range(40)]})
    assert (data.pairs, data.answers, data.targets) == (True, "numbers", ("score",))
    assert data.understood[0].startswith("data: 40 pairs with 1 number each (score), read from the dict")
    assert "--task text-pair-classification would take whole ones as classes" in data.understood[3]


def test_what_was_understood_takes_five_lines_at_most() -> None:
    labels = ["yes"] * 30 + ["no"] * 10
    assert len(read({"premise": FIRST, "hypothesis": SECOND, "label": labels}).understood) <= 5


def test_the_sign_that_parts_them_is_a_space_inside_a_text() -> None:
    assert apart(together("a\x1fb", "c\x1f")) == ("a b", "c ")
    rows = [(f"{first}\x1f", second, label) for first, second, label in ROWS]
    assert pairs_of(read(rows)) == {(f"{first} ", second) for first, second, _ in ROWS}


def test_a_pair_and_the_same_the_other_way_round_stay_in_one_split() -> None:
    rows = [(first, second, label) for first, second, label in ROWS]
    data = read(rows + [(second, first, label) for first, second, label in ROWS])
    seen = [{frozenset(apart(item)) for item in split["item"]} for split in data.splits.values()]
    assert [len(own) for own in seen] == [28, 6, 6]
    assert len(set().union(*seen)) == 40


def test_pairs_to_predict_are_tuples_tables_or_two_texts_with_a_tab(write: Write) -> None:
    path = write("new.csv", "id,premise,hypothesis\n7,a man walks,he moves\n")
    sources: list[Any] = [[("a man walks", "he moves")], str(path), [str(path)], ["a man walks\the moves"]]
    for source in sources:
        (row,) = read_items(source, takes="text", pairs=True, others=True)
        assert apart(row["item"]) == ("a man walks", "he moves")
    assert read_items(str(path), takes="text", pairs=True, others=True)[0]["other id"] == "7"
    labelled = read_items([(("a", "b"), "yes"), (("c", "d"), None)], takes="text", pairs=True)
    assert labelled["label"][:] == ["yes", None]


def test_the_item_of_a_pair_decides_the_fingerprint() -> None:
    assert read(ROWS).fingerprint == read(list(ROWS)).fingerprint
    turned = [(second, first, label) for first, second, label in ROWS]
    assert read(ROWS).fingerprint != read(turned).fingerprint
