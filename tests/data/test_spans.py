"""Texts with spans and lists of words: what is read, and from files of every kind to three splits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.read import read, read_items
from tunesmith.data.tags import Answer, Span
from tunesmith.errors import BadData

Write = Callable[[str, str], Path]
ROW = {"text": "Ann Lee's 2 cats", "spans": [{"start": 0, "end": 7, "label": "PER"}]}
COLUMNS = "ann\tB-PER\nleft\tO\n\noslo\tB-LOC\nis\tO\nbig\tO\n\n"


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def answers(data: Any) -> list[Answer]:
    return [Answer.of(label) for split in data.splits.values() for label in split["label"]]


def many(row: Any, count: int = 12) -> list[Any]:
    return [{**row, "text": f"{row['text']} {i}"} for i in range(count)]


@pytest.mark.parametrize(
    "spans",
    [
        [{"start": 0, "end": 7, "label": "PER"}],
        [{"start_offset": 0, "end_offset": 7, "type": "PER"}],
        [[0, 7, "PER"]],
        [[0, 7, "PER"], [0, 7, "PER"]],
        [{"start": 0, "end": 7, "label": "PER", "text": "Ann Lee"}],
    ],
)
def test_spans_are_read_however_they_are_written(write: Write, spans: Any) -> None:
    data = read(write("a.jsonl", jsonl(*many({"text": ROW["text"], "spans": spans}))))
    assert data.task == "token-classification"
    for answer in answers(data):
        assert answer.tags[:3] == ("B-PER", "I-PER", "O")
        assert answer.spans() == [Span(0, 7, "PER")]


def test_a_span_that_ends_inside_a_word_cuts_it_and_is_said(write: Write) -> None:
    data = read(write("a.jsonl", jsonl(*many({"text": "Annbob left", "spans": [[0, 3, "PER"]]}))))
    assert {answer.words[:2] for answer in answers(data)} == {((0, 3), (3, 6))}
    assert "inside a word" in data.understood[-1]


def test_lists_of_words_and_tags_are_read(write: Write) -> None:
    rows = [{"tokens": ["Ann", "left", str(i)], "ner_tags": ["S-PER", "O", "O"]} for i in range(12)]
    data = read(write("a.jsonl", jsonl(*rows)))
    assert {answer.tags for answer in answers(data)} == {("B-PER", "O", "O")}
    assert data.train["item"][0].startswith("Ann left ")


def test_memory_holds_the_same(write: Write) -> None:
    assert answers(read(many(ROW))) == answers(read(write("a.jsonl", jsonl(*many(ROW)))))


def test_a_folder_has_its_splits_and_a_scheme_for_all(tmp_path: Path) -> None:
    for name in ("train.txt", "dev.txt", "test.txt"):
        (tmp_path / name).write_text(COLUMNS * 3)
    (tmp_path / "README.txt").write_text("about these data\n")
    data = read(tmp_path)
    assert [len(data.splits[s]) for s in ("train", "valid", "test")] == [6, 6, 6]
    assert data.understood[0].endswith("18 texts, read from train.txt, dev.txt, test.txt")
    assert data.understood[2].startswith("spans: 18 of 2 types, 40.0% of 45 words: PER 9, LOC 9")
    assert len(data.understood) <= 5


def test_documents_stay_together(write: Write) -> None:
    text = "".join(f"-DOCSTART-\tO\n\n{COLUMNS}" for _ in range(12))
    data = read(write("a.conll", text), group="document")
    places = [set(own["group"]) for own in data.splits.values()]
    assert not places[0] & places[1] | places[1] & places[2] | places[0] & places[2]
    with pytest.raises(BadData, match="follows no -DOCSTART-"):
        read(write("b.conll", COLUMNS * 9), group="document")


def test_a_table_of_texts_and_classes_is_still_one(write: Write) -> None:
    rows = "".join(f"some words {i}\t{'ab'[i % 2]}\n" for i in range(20))
    data = read(write("a.txt", rows))
    assert (data.answers, data.task) == ("classes", "")
    with pytest.raises(BadData, match="holds no tags"):
        read(write("b.conll", rows.replace(" ", "_")), answers="parts")


def test_raw_texts_and_files_of_words_can_be_predicted(write: Write, tmp_path: Path) -> None:
    found = read_items(["Ann left.", "x"], takes="text", answers="parts")
    assert found["item"][:] == ["Ann left.", "x"]
    found = read_items(write("a.conll", COLUMNS), takes="text", answers="parts")
    assert found["item"][:] == ["ann left", "oslo is big"]
    bad = write("b.jsonl", jsonl({"text": "Ann", "spans": [[0, 9, "X"]]}, ROW))
    assert read_items(bad, takes="text", answers="parts")["label"][0] is None


def test_a_check_names_strays_unseen_types_and_endless_sentences(tmp_path: Path) -> None:
    import tunesmith as ts
    from tunesmith.health.words import say
    from tunesmith.verbs.reporting import Silent

    for i, name in enumerate(("train.txt", "dev.txt", "test.txt")):
        (tmp_path / name).write_text(COLUMNS + f"number{i}\tO\n\n")
    with (tmp_path / "train.txt").open("a") as train:
        train.write("then\tO\nann\tI-PER\nlee\tI-PER\n\n" + "word\tO\n" * 1001)
    with (tmp_path / "test.txt").open("a") as test:
        test.write("ibm\tB-ORG\n")
    health = ts.check(tmp_path, reporter=Silent())
    found = {finding.kind: finding for finding in health.findings}
    assert found["stray_inside"].values["count"] == 1
    assert found["stray_inside"].groups[0][0].note == "word 2"
    assert found["stray_inside"].groups[0][0].label == ""
    assert found["unseen_types"].values["named"] == "ORG"
    assert found["long_sentences"].groups[0][0].note == "1,001 words"
    for lang in ("en", "zh"):
        assert all(all(say(finding, lang)) for finding in health.findings)
