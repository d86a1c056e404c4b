"""Pairs of texts that cannot be learned from: one sentence with file and row, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.data import Data
from tunesmith.data.pairs import apart
from tunesmith.data.read import read_items
from tunesmith.store import Store
from tunesmith.verbs.reporting import Lines, Silent
from tunesmith.verbs.understanding import read_data

Refusal = Callable[..., str]
Rows = list[list[Any]]
Read = Callable[..., Data]
WRONG = 37  # the line
CURE = "Mend or remove them, or pass --skip-bad (skip_bad=True) to leave them out."
NAMED = ("task", "item", "target", "split", "group", "weight", "columns")

# name: the premise and the hypothesis of line 37, what the message says of it
SIDES: dict[str, tuple[str, str, str]] = {
    "no first text": ("", "he moves", "has an empty first text"),
    "no second text": ("a man walks", "", "has an empty second text"),
    "neither": ("", "", "has an empty first and an empty second text"),
    "blanks": ("a man walks", "  \u3000 ", "has an empty second text"),
    "the sign that parts pairs": ("\x1f", "he moves", "has an empty first text"),
    "that sign within": ("a man walks", "\x1f\x1f", "has an empty second text"),
}


def rows(count: int = 60) -> Rows:
    return [[f"a man {i} walks", f"somebody {i} moves", ("yes", "no")[i % 2]] for i in range(count)]


def lines(own: Rows, *, header: str = "premise,hypothesis,label") -> str:
    return "\n".join([header, *(",".join(f'"{cell}"' for cell in row) for row in own)]) + "\n"


def objects(own: Rows) -> list[dict[str, Any]]:
    return [dict(zip(("premise", "hypothesis", "label"), row, strict=True)) for row in own]


@pytest.fixture
def read_all(tmp_path: Path) -> Read:
    """As a fit reads it, up to what it would train on."""

    def read(path: Any, reporter: Any = None, **options: Any) -> Data:
        asked = {**dict.fromkeys(NAMED), "valid_size": 0.15, "test_size": 0.15, "seed": 0, "skip_bad": False}
        asked |= {"data": path, **options}
        data, _, seen = read_data(asked, Store(tmp_path / "store"), {}, reporter or Silent())
        seen.close()
        return data

    return read


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(content: str, name: str = "a.csv") -> Path:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize("case", SIDES)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_pair_that_lacks_a_text_is_named_with_file_and_row(
    case: str, ending: str, table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    own = rows()
    *own[WRONG - 2][:2], expected = SIDES[case]
    own[WRONG - 2][:2] = SIDES[case][:2]
    line = WRONG if ending == "csv" else WRONG - 1
    text = lines(own) if ending == "csv" else "\n".join(map(json.dumps, objects(own)))
    said = refusal(read_all, table(text, f"a.{ending}"))
    assert said == f"1 of 60 pairs cannot be used: a.{ending}:{line} {expected}. {CURE}"


@pytest.mark.parametrize("case", SIDES)
def test_such_a_pair_can_be_left_out_listed_and_counted(
    case: str, table: Callable[..., Path], read_all: Read, capsys: pytest.CaptureFixture[str]
) -> None:
    own = rows()
    own[WRONG - 2][:2] = SIDES[case][:2]
    data = read_all(table(lines(own)), Lines(), skip_bad=True)
    assert sum(map(len, data.splits.values())) == 59
    kept = {apart(item) for split in data.splits.values() for item in split["item"]}
    assert kept == {(first, second) for first, second, _ in rows()} - {
        ("a man 35 walks", "somebody 35 moves")
    }
    said = capsys.readouterr().err
    assert f"left out: a.csv:{WRONG} {SIDES[case][2]}" in said
    assert "1 pairs left out, 59 kept" in said


def test_several_are_counted(table: Callable[..., Path], read_all: Read, refusal: Refusal) -> None:
    own = rows()
    for row in own[10:20]:
        row[1] = ""
    said = refusal(read_all, table(lines(own)))
    assert said.startswith("10 of 60 pairs cannot be used: a.csv:")
    assert " and 5 more. Mend" in said


LINES = [  # the last two: nobody knows where the next row begins
    ('"a man 35 walks","somebody 35 moves"', '"a man walks"', "has 2 fields where 3 are expected"),
    ('"somebody 35 moves"', '"somebody moves","he moves"', "has 4 fields where 3 are expected"),
    ('"somebody 35 moves","no"', '"somebody 35 moves",""', "has no label"),
    ('"somebody 35 moves","no"', '"somebody 35 moves",0.5', "the label is 0.5, and classes are names"),
    ('"somebody 35 moves"', '"somebody 35 moves', "the quotes of the record that starts here do not"),
    ("somebody 35 moves", "somebody \0 moves", "holds a NUL byte, so it is no text"),
]
OBJECTS = [
    ('{"premise": "a man walks", "label": "yes"}', "has an empty second text"),
    ('{"premise": null, "hypothesis": "he moves", "label": "yes"}', "has an empty first text"),
    ('{"premise": NaN, "hypothesis": "he moves", "label": "yes"}', "has an empty first text"),
    ('{"premise": "a", "hypothesis": ["b"], "label": "yes"}', "holds a list where a text is expected"),
    ('{"premise": {"a": 1}, "hypothesis": "b", "label": "yes"}', "holds a dict where a text is expected"),
    ('{"premise": "a", "hypothesis": "b"}', "has no label"),
    ('{"premise": "a", "hypothesis": "b", "label": ["yes"]}', "the label is ['yes'], a list"),
    ('{"premise": "a", "hypothesis": "b", "lab', "is not JSON"),
    ('["a", "b", "yes"]', "holds a list; every line holds one JSON object"),
    ('{"premise": "\\ud800", "hypothesis": "b", "label": "yes"}', "holds signs that are no Unicode"),
]


@pytest.mark.parametrize(("old", "new", "expected"), LINES)
def test_a_broken_line_of_a_table_is_named(
    old: str, new: str, expected: str, table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    text = lines(rows())
    assert text.splitlines()[WRONG - 1].count(old)
    said = refusal(read_all, table(text.replace(old, new)))
    assert said.startswith(f"a.csv:{WRONG}")
    assert expected in said


def test_a_line_that_is_no_utf_8_is_named(
    table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    path = table(lines(rows()))
    path.write_bytes(path.read_bytes().replace(b"body 35", b"body \xff"))
    assert refusal(read_all, path).startswith(f"a.csv:{WRONG} is not UTF-8 text")


@pytest.mark.parametrize(("old", "new", "expected"), LINES[:4])
def test_a_broken_line_of_a_table_can_be_left_out(
    old: str, new: str, expected: str, table: Callable[..., Path], read_all: Read
) -> None:
    data = read_all(table(lines(rows()).replace(old, new)), skip_bad=True)
    assert sum(map(len, data.splits.values())) == 59
    (found,) = data.left_out
    assert found.where == f"a.csv:{WRONG}"
    assert expected in found.message


@pytest.mark.parametrize(("line", "expected"), OBJECTS)
def test_a_broken_line_of_json_is_named(
    line: str, expected: str, table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    own = list(map(json.dumps, objects(rows())))
    own[WRONG - 1] = line
    said = refusal(read_all, table("\n".join(own), "a.jsonl"))
    assert f"a.jsonl:{WRONG}" in said
    assert expected in said


@pytest.mark.parametrize(("line", "expected"), OBJECTS[:-1])
def test_a_broken_line_of_json_can_be_left_out(
    line: str,
    expected: str,
    table: Callable[..., Path],
    read_all: Read,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = list(map(json.dumps, objects(rows())))
    own[WRONG - 1] = line
    data = read_all(table("\n".join(own), "a.jsonl"), Lines(), skip_bad=True)
    assert sum(map(len, data.splits.values())) == 59
    said = capsys.readouterr().err
    assert f"left out: a.jsonl:{WRONG} " in said or f"left out: a.jsonl:{WRONG}: " in said
    assert expected.partition(";")[0] in said


def test_two_columns_of_one_text_are_refused(
    table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    own = [[first, f" {first}", label] for first, _, label in rows()]
    assert refusal(read_all, table(lines(own))) == (
        "both texts are the same in every pair of a.csv (columns premise, hypothesis, label); name two "
        "different columns with --item FIRST,SECOND."
    )
    own[5][1] = "something else"  # one is enough to compare
    assert read_all(table(lines(own))).pairs


def test_pairs_of_nothing_at_all_are_refused(
    table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    own = [["", "", label] for _, _, label in rows()]
    assert refusal(read_all, table(lines(own))).startswith("no text is in any pair of a.csv")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("premise,hypotesis", "a.csv has no column 'hypotesis'; did you mean 'hypothesis'?"),
        ("premise", "--item premise names 1 column, and a pair is of two: --item FIRST,SECOND."),
        ("premise,premise", "--item premise,premise names 1 column, and a pair is of two"),
        ("premise,hypothesis,label", "names 3 columns, and a pair is of two: --item FIRST,SECOND."),
        (",", "--item , names 1 column, and a pair is of two"),
    ],
)
def test_columns_that_make_no_pair_are_refused(
    item: str, expected: str, table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    said = refusal(read_all, table(lines(rows())), task="text-pair-classification", item=item)
    assert expected in said


def test_two_columns_are_too_many_for_a_task_of_single_texts(
    table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    path = table(lines(rows()))
    said = refusal(read_all, path, task="text-classification", item="premise,hypothesis")
    assert said.startswith("--item premise,hypothesis names 2 columns, and this task reads one text a row;")
    assert "--task text-pair-classification" in said


def test_single_texts_are_no_pairs(
    table: Callable[..., Path], read_all: Read, refusal: Refusal, tmp_path: Path
) -> None:
    for i in range(40):
        (tmp_path / "texts" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / "ab"[i % 2] / f"{i}.txt").write_text(f"word {i}")
    said = refusal(read_all, tmp_path / "texts", task="text-pair-classification")
    assert said == (
        "pairs of texts were asked for, but texts holds single texts; bring a table with two columns of "
        "texts, or in Python tuples of two."
    )
    path = table("text,label\n" + "".join(f"word {i},{'ab'[i % 2]}\n" for i in range(40)))
    said = refusal(read_all, path, task="text-pair-regression")
    assert said.startswith(
        "no two columns of a.csv are known to be a pair of texts: its columns are text, lab"
    )


def test_images_make_no_pair(table: Callable[..., Path], read_all: Read, refusal: Refusal) -> None:
    own = [[first, f"{i}.jpg", label] for i, (first, _, label) in enumerate(rows())]
    said = refusal(read_all, table(lines(own)))
    assert said == "a pair is of two texts, and the column 'hypothesis' of a.csv holds images."


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("a", "b"), "row 36 of the list is no tuple (first, second, label): has 2 parts"),
        (("a", "b", "yes", "no"), "row 36 of the list is no tuple (first, second, label): has 4 parts"),
        ("a text", "row 36 of the list is no tuple (first, second, label): str"),
        (("a", None, "yes"), "1 of 60 pairs cannot be used: row 36 has an empty second text"),
        (("a", b"b", "yes"), "row 36 holds a bytes where a text is expected"),
        ((("a", "b", "c"), "yes"), "row 36 of the list is no tuple (first, second, label): has 4 parts"),
    ],
)
def test_a_row_of_a_list_that_is_no_pair_is_named(
    row: Any, expected: str, read_all: Read, refusal: Refusal
) -> None:
    own: list[Any] = [tuple(row) for row in rows()]
    own[WRONG - 1] = row
    assert refusal(read_all, own).startswith(expected)


@pytest.mark.parametrize(
    "items", [["a text"], "a text", ("a", "b"), [("a",)], [("a", "b", "c", "d")], [1, 2]]
)
def test_what_is_no_pair_cannot_be_predicted(items: Any, refusal: Refusal) -> None:
    said = refusal(read_items, items, takes="text", pairs=True)
    assert "row 0" in said or "nothing is at a text" in said


def test_a_number_of_a_pair_that_is_none_is_named(
    table: Callable[..., Path], read_all: Read, refusal: Refusal
) -> None:
    own = [[first, second, f"{i / 4}"] for i, (first, second, _) in enumerate(rows())]
    own[WRONG - 2][2] = "4 stars"
    said = refusal(read_all, table(lines(own, header="s1,s2,score")))
    assert said.startswith(f"a.csv:{WRONG} (column 'score') has '4 stars', with a unit inside; write 4")
