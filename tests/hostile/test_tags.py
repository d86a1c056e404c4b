"""Tagged words that are broken: refused in one sentence with file and row, or left out and listed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.read import read
from tunesmith.data.tags import Answer
from tunesmith.tasks.token_classification import TokenClassification

Refusal = Callable[..., str]
GOOD = [f"ann\tB-PER\nlee{i}\tI-PER\nleft\tO\n\n" for i in range(10)]  # four lines a sentence

COLUMNS: dict[str, tuple[str, str]] = {
    "a column missing in line 37": ("ann\nlee\tO\n", "a.conll:37 has 1 column where the file has 2"),
    "a column too many": ("ann\tNN\tO\n", "a.conll:37 has 3 columns where the file has 2"),
    "a tag of no scheme": ("ann\tX-PER\n", "a.conll:37: the tag is 'X-PER', which is no tag"),
    "a tag without a type": ("ann\tB-\n", "a.conll:37: the tag is 'B-', which is no tag"),
    "a tag without a dash": ("ann\tBPER\n", "a.conll:37: the tag is 'BPER', which is no tag"),
    "a tag of another scheme": (
        "ann\tO\nlee\tE-PER\n",
        "a.conll:38: the tag is 'E-PER', but the others are BIO",
    ),
    "a zero for an O": ("ann\t0\n", "a.conll:37: the tag is '0', which is no tag: BIO has O, B-TYPE and"),
    "a letter that is small": ("ann\tb-PER\n", "a.conll:37: the tag is 'b-PER', which is no tag"),
    "a space for a tab": (
        "ann O\n",
        "a.conll:37 has 1 column where the file has 2: a row is a word, its tag",
    ),
    "a tab at the end": ("ann\tO\t\n", "a.conll:37 has 3 columns where the file has 2"),
    "an empty tag": ("ann\t\n", "a.conll:37: the tag is empty"),
    "a tag and no word": ("\tB-PER\n", "a.conll:37 has the tag 'B-PER' and no word"),
}
ROWS: dict[str, tuple[Any, str]] = {
    "a span that leaves the text": (
        [0, 9, "PER"],
        "a.jsonl:11: the span 0 to 9 leaves the text, which has 8",
    ),
    "an offset off by one": (
        [0, 4, "PER"],
        "a.jsonl:11: the span 0 to 4 is 'Ann ', with white space at an end",
    ),
    "a start after the end": ([3, 0, "PER"], "a.jsonl:11: the span 3 to 0 holds nothing"),
    "a start below zero": ([-1, 3, "PER"], "a.jsonl:11: the span -1 to 3 holds nothing"),
    "an offset that is text": (["0", 3, "PER"], "a.jsonl:11: the start of a span is '0', which is no whole"),
    "an offset that is a fraction": (
        [0, 3.0, "PER"],
        "a.jsonl:11: the end of a span is 3.0, which is no whole",
    ),
    "an offset that is true": ([False, True, "PER"], "a.jsonl:11: the start of a span is False"),
    "a label that is a number": (
        [0, 3, 7],
        "a.jsonl:11: the label of the span 0 to 3 is 7, which is no name",
    ),
    "an empty label": ([0, 3, " "], "a.jsonl:11: the label of the span 0 to 3 is ' '"),
    "another text than it says": (
        {"start": 0, "end": 3, "label": "PER", "text": "Bob"},
        "a.jsonl:11: the span 0 to 3 is 'Ann', and not 'Bob' as it says",
    ),
    "half a span": ({"start": 0}, "a.jsonl:11: the end of a span is None"),
    "no span": ("PER", "a.jsonl:11: a span is 'PER'; write"),
}


LINES: dict[str, tuple[str, str]] = {
    "JSON that is cut": ('{"text": "Ann left", "spans": [[0, 3', "a.jsonl:11 is not JSON"),
    "no object": ('["Ann left", []]', "a.jsonl:11 holds a list; every line holds one JSON object"),
    "no text": (
        '{"spans": [[0, 3, "PER"]]}',
        "a.jsonl:11: the span 0 to 3 leaves the text, which has 0 characters",
    ),
    "a text that is a number": (
        '{"text": 7, "spans": [[0, 1, "PER"]]}',
        "a.jsonl:11 holds a int where a text is expected",
    ),
    "spans that are a text": (
        '{"text": "Ann left", "spans": "PER"}',
        "a.jsonl:11 holds a str where a list of spans is expected",
    ),
    "no spans": ('{"text": "Ann left"}', "a.jsonl:11 has no label; give every row a label"),
    "spans that overlap": (
        '{"text": "Ann Lee", "spans": [[0, 7, "A"], [4, 7, "B"]]}',
        "a.jsonl:11: the spans 0 to 7 (A) and 4 to 7 (B) overlap",
    ),
}
LISTS: dict[str, tuple[Any, str]] = {
    "words that are a text": (
        {"tokens": "a b", "tags": ["O"]},
        "a.jsonl:11 has no list of words, or no list",
    ),
    "no tags": ({"tokens": ["a", "b"]}, "a.jsonl:11 has no list of words, or no list of tags"),
    "a tag too few": ({"tokens": ["a", "b"], "tags": ["O"]}, "a.jsonl:11 has 2 words and 1 tags"),
    "an empty word": (
        {"tokens": ["a", " "], "tags": ["O", "O"]},
        "a.jsonl:11: word 2 is ' ', which is no word",
    ),
    "a word that is null": (
        {"tokens": ["a", None], "tags": ["O", "O"]},
        "a.jsonl:11: word 2 is None, which is no word",
    ),
    "a tag that is a number": (
        {"tokens": ["a", "b"], "tags": ["O", 3]},
        "a.jsonl:11: the tag of word 2 is 3, a int",
    ),
    "a tag of no scheme": (
        {"tokens": ["a", "b"], "tags": ["O", "Q-X"]},
        "a.jsonl:11: the tag of word 2 is 'Q-X', which is no tag",
    ),
}


def columns(folder: Path, more: str) -> Path:
    path = folder / "a.conll"
    path.write_text("".join(GOOD[:9]) + more)
    return path


def rows(folder: Path, line: str) -> Path:
    """Ten good rows, and a line more."""
    good = [{"text": f"Ann left {i}", "spans": [[0, 3, "PER"]]} for i in range(10)]
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in good) + line)
    return path


def lists(folder: Path, row: Any) -> Path:
    good = [{"tokens": ["a", str(i)], "tags": ["O", "B-X"]} for i in range(10)]
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(own) + "\n" for own in [*good, row]))
    return path


def spanned(span: Any) -> str:
    return json.dumps({"text": "Ann left", "spans": [span]})


def left_out(path: Path, rows: int) -> tuple[str, str]:
    """Where the one row is that is left out, and why; all others are kept."""
    data = read(path, skip_bad=True)
    assert sum(map(len, data.splits.values())) == rows
    (found,) = data.left_out
    return found.where, found.message


@pytest.mark.parametrize("case", COLUMNS)
def test_a_sentence_that_is_broken_is_named(case: str, tmp_path: Path, refusal: Refusal) -> None:
    more, expected = COLUMNS[case]
    assert refusal(read, columns(tmp_path, more)).startswith(expected)


@pytest.mark.parametrize("case", ROWS)
def test_a_span_that_is_broken_is_named(case: str, tmp_path: Path, refusal: Refusal) -> None:
    span, expected = ROWS[case]
    assert refusal(read, rows(tmp_path, spanned(span))).startswith(expected)


@pytest.mark.parametrize("case", LINES)
def test_a_line_that_is_broken_is_named(case: str, tmp_path: Path, refusal: Refusal) -> None:
    line, expected = LINES[case]
    assert refusal(read, rows(tmp_path, line)).startswith(expected)


@pytest.mark.parametrize("case", LISTS)
def test_lists_that_are_broken_are_named(case: str, tmp_path: Path, refusal: Refusal) -> None:
    row, expected = LISTS[case]
    assert refusal(read, lists(tmp_path, row)).startswith(expected)


@pytest.mark.parametrize("case", COLUMNS)
def test_a_broken_sentence_can_be_left_out_and_nothing_else(case: str, tmp_path: Path) -> None:
    more, expected = COLUMNS[case]
    where, why = left_out(columns(tmp_path, f"{more}\n{GOOD[9]}"), 10)
    assert where == "a.conll:37"
    assert why.startswith(expected)


@pytest.mark.parametrize("case", [*ROWS, *LINES, *LISTS])
def test_a_broken_row_can_be_left_out_and_nothing_else(case: str, tmp_path: Path) -> None:
    if case in LISTS:
        row, expected = LISTS[case]
        path = lists(tmp_path, row)
    else:
        line, expected = LINES.get(case) or (spanned(ROWS[case][0]), ROWS[case][1])
        path = rows(tmp_path, line)
    where, why = left_out(path, 10)
    assert where == "a.jsonl:11"
    assert why.startswith(expected.partition(";")[0])


def test_a_sentence_without_a_word_is_named(tmp_path: Path) -> None:
    data = read(rows(tmp_path, '{"text": " ", "spans": []}'))
    assert [found.where for found in TokenClassification().check(data)] == ["a.jsonl:11"]


def test_what_is_broken_is_left_out_listed_and_counted(tmp_path: Path) -> None:
    data = read(columns(tmp_path, "ann\n\n" + GOOD[9] + "bob\tX-PER\n"), skip_bad=True)
    assert sum(map(len, data.splits.values())) == 10
    assert [(finding.kind, finding.where) for finding in data.left_out] == [
        ("bad_tags", "a.conll:37"),
        ("bad_tags", "a.conll:43"),
    ]


def test_a_sentence_of_ten_thousand_words_is_read_at_once(tmp_path: Path) -> None:
    path = columns(tmp_path, "word\tO\n" * 10_000)
    began = time.process_time()
    data = read(path)
    assert time.process_time() - began < 10
    assert (
        max(len(Answer.of(label).words) for own in data.splits.values() for label in own["label"]) == 10_000
    )


def test_bytes_that_are_no_text_are_named(tmp_path: Path, refusal: Refusal) -> None:
    path = columns(tmp_path, "")
    path.write_bytes(path.read_bytes() + "né\tO\n".encode("latin-1"))
    assert refusal(read, path).startswith("a.conll:37 is not UTF-8 text")
