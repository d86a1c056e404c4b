"""Questions that are broken: one message with the file and the place, and --skip-bad goes on without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.read import read

Refusal = Callable[..., str]
Change = Callable[[dict[str, Any]], None]


def content(*, impossible: bool = False) -> dict[str, Any]:
    """Twelve articles with one paragraph, two questions each."""
    articles: list[dict[str, Any]] = []
    for i in range(12):
        context = f"Ann {i} has a dog. Bob {i} has a cat."
        start = context.index("Bob")
        known = {"is_impossible": False} if impossible else {}
        qas = [
            {
                "id": f"{i}a",
                "question": f"Who has a cat, {i}?",
                "answers": [{"text": f"Bob {i}", "answer_start": start}],
            },
            {
                "id": f"{i}b",
                "question": f"What has Ann {i}?",
                "answers": [{"text": "a dog", "answer_start": context.index("a dog")}],
            },
        ]
        paragraphs = [{"context": context, "qas": [own | known for own in qas]}]
        articles.append({"title": f"t{i}", "paragraphs": paragraphs})
    if impossible:
        articles[-1]["paragraphs"][0]["qas"][1] |= {"answers": [], "is_impossible": True}
    return {"version": "v2.0" if impossible else "1.1", "data": articles}


def changed(what: Callable[[dict[str, Any]], Any], **values: Any) -> Change:
    """Sets values in the third article's paragraph or in its question."""

    def change(whole: dict[str, Any]) -> None:
        own = what(whole["data"][2]["paragraphs"][0])
        for key, value in values.items():
            if value is ...:
                own.pop(key, None)
            else:
                own[key] = value

    return change


def question(paragraph: dict[str, Any]) -> Any:
    return paragraph["qas"][1]


def answer(paragraph: dict[str, Any]) -> Any:
    return question(paragraph)["answers"][0]


def paragraph(own: dict[str, Any]) -> Any:
    return own


def another(own: dict[str, Any]) -> Any:
    """An answer of the next article's paragraph."""
    question(own)["answers"] = [{"text": "Bob 3", "answer_start": 15}]
    return own


PLACE = "a.json: data[2].paragraphs[0].qas[1]"
ROWS: dict[str, tuple[Change, str]] = {
    "one off": (
        changed(answer, answer_start=11),
        f"{PLACE}: the answer 'a dog' is not at character 11, where ' dog.' stands; it is found at 10, 1 "
        "character earlier",
    ),
    "two off": (changed(answer, answer_start=8), "it is found at 10, 2 characters later"),
    "behind the end": (
        changed(answer, answer_start=5000),
        "is not at character 5000, and the context has 33 characters; it is found at 10, 4,990 characters "
        "earlier",
    ),
    "before the beginning": (changed(answer, answer_start=-3), "is not at character -3, and the context has"),
    "in another paragraph": (
        changed(another),
        f"{PLACE}: the answer 'Bob 3' is nowhere in its context (character 15 was named, where '. Bob' "
        "stands), but in that of a.json: data[3].paragraphs[0].qas[0]",
    ),
    "in other letters": (
        changed(answer, text="A  Dog", answer_start=10),
        "the answer 'A  Dog' is nowhere in its context as it is written (by case or white space it differs)",
    ),
    "no place that is a number": (changed(answer, answer_start="ten"), "begins at 'ten', which is no number"),
    "half a place": (changed(answer, answer_start=10.5), "begins at 10.5, which is no number of characters"),
    "an empty answer": (changed(answer, text=" "), f"{PLACE} has ' ' as answer 1; an answer is a text"),
    "an answer that is no text": (changed(answer, text=7), "has 7 as answer 1"),
    "answers that are a number": (
        changed(question, answers=7),
        "has the answers 7, a int where a text or a list",
    ),
    "an empty question": (changed(question, question="  "), f"{PLACE} has an empty question"),
    "a question that is missing": (changed(question, question=...), f"{PLACE} has an empty question"),
    "a question that is a number": (changed(question, question=7), f"{PLACE} has 7 as question"),
    "an id again": (
        changed(question, id="0a"),
        f"{PLACE} has the id '0a', which a.json: data[0].paragraphs[0].qas[0] has too",
    ),
    "an empty context": (changed(paragraph, context=""), "data[2].paragraphs[0].qas[0] has an empty context"),
    "no answer, and no word of it": (
        changed(question, answers=[], is_impossible=...),
        f"{PLACE} has no answers and no is_impossible, so nobody knows whether its context answers it",
    ),
    "impossible, with an answer": (
        changed(question, is_impossible=True),
        f"{PLACE} is marked is_impossible, and has the answer 'a dog'; one of the two is wrong",
    ),
    "possible, without an answer": (
        changed(question, is_impossible=False, answers=[]),
        f"{PLACE} has no answers, and is_impossible is false",
    ),
    "is_impossible of another kind": (
        changed(question, is_impossible="perhaps"),
        f"{PLACE} has 'perhaps' as is_impossible, which is true or false",
    ),
}


def broken(change: Change, folder: Path, *, impossible: bool) -> Path:
    whole = deepcopy(content(impossible=impossible))
    change(whole)
    (folder / "a.json").write_text(json.dumps(whole))
    return folder / "a.json"


VERSIONS = pytest.mark.parametrize("impossible", [False, True], ids=["1.1", "2.0"])


@VERSIONS
@pytest.mark.parametrize("case", ROWS)
def test_a_question_that_cannot_be_used_is_named(
    case: str, impossible: bool, tmp_path: Path, refusal: Refusal
) -> None:
    change, expected = ROWS[case]
    said = refusal(read, broken(change, tmp_path, impossible=impossible))
    assert expected in said
    assert "pass --skip-bad" in said


@VERSIONS
@pytest.mark.parametrize("case", ROWS)
def test_skip_bad_leaves_it_out_and_nothing_else(case: str, impossible: bool, tmp_path: Path) -> None:
    change, expected = ROWS[case]
    data = read(broken(change, tmp_path, impossible=impossible), skip_bad=True)
    lost = 2 if case == "an empty context" else 1
    assert sum(len(split) for split in data.splits.values()) == 24 - lost
    assert [finding.kind for finding in data.left_out] == ["misplaced"] * lost
    assert any(expected in finding.message for finding in data.left_out)
    assert "2b" not in {name for split in data.splits.values() for name in split["id"]}


FILES: dict[str, tuple[str, str]] = {
    "cut": (json.dumps(content(), indent=1)[:4000], "the JSON ends in the middle, in data["),
    "cut in a list": ('[{"question": "a", "context"', "a.json:1: the JSON ends in the middle, in [0]"),
    "two in one": (json.dumps(content()) * 2, "a.json:1: '{' follows where the JSON should be over"),
    "empty": ("", "a.json is no JSON of a form that is understood: it is empty"),
    "a text": ('"who?"', "is no JSON of a form that is understood: it begins with"),
    "no data": ('{"version": "1.1"}', 'it has no list called "data"'),
    "data that are no list": ('{"data": {"a": 1}}', '"data" is no list'),
    "articles that are texts": ('{"data": ["a"]}', "data[0] is 'a', and should be an object"),
    "paragraphs that are an object": ('{"data": [{"paragraphs": {}}]}', '"paragraphs" of data[0] is no list'),
    "paragraphs without questions": (
        '{"data": [{"paragraphs": [{"context": "a"}]}]}',
        'data[0].paragraphs[0] is no paragraph: it needs a "context" and a list called "qas"',
    ),
    "questions that are texts": (
        '{"data": [{"paragraphs": [{"context": "a", "qas": ["b"]}]}]}',
        "qas[0] is 'b'",
    ),
    "no questions at all": ('{"data": [{"paragraphs": []}]}', "a.json holds no records"),
    "half a character": (
        '{"data": [{"paragraphs": [{"context": "a\\ud800", "qas": [{"question": "a"}]}]}]}',
        "a.json",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_holds_no_questions_is_refused(case: str, tmp_path: Path, refusal: Refusal) -> None:
    text, expected = FILES[case]
    (tmp_path / "a.json").write_text(text)
    assert expected in refusal(read, tmp_path / "a.json")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "a.json").write_bytes(json.dumps(content()).encode("utf-16"))
    assert "a.json is not UTF-8 text" in refusal(read, tmp_path / "a.json")


TABLES: dict[str, tuple[str, str]] = {
    "no context": ('{"question": "a?", "answers": []}', "a.jsonl has no column called context or passage"),
    "an answer of its own place": (
        '{"question": "a?", "context": "Bob did", "answer": "did", "answer_start": 3}',
        "a.jsonl:1: the answer 'did' is not at character 3, where ' di' stands; it is found at 4",
    ),
    "places of others": (
        '{"question": "a?", "context": "Bob did", "answers": ["Bob"], "answer_start": [0, 4]}',
        "a.jsonl:1 has 1 answer and 2 places of answers",
    ),
    "nothing": ('{"question": "a?", "context": "Bob did", "answers": null}', "a.jsonl:1 has no label"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_of_questions_is_refused_with_its_row(case: str, tmp_path: Path, refusal: Refusal) -> None:
    text, expected = TABLES[case]
    (tmp_path / "a.jsonl").write_text(text + "\n")
    assert refusal(read, tmp_path / "a.jsonl", task="question-answering", answers="parts").startswith(
        expected
    )


def own(**values: Any) -> str:
    """A line of a question, and what is wrong in it."""
    plain = {"id": "own", "question": "Who?", "context": "Bob did", "answers": ["Bob"]}
    return json.dumps({key: value for key, value in (plain | values).items() if value is not ...})


LINES: dict[str, tuple[str, str]] = {
    "an offset off by one": (
        own(answers=[{"text": "did", "answer_start": 5}]),
        "a.jsonl:12: the answer 'did' is not at character 5, where 'id' stands; it is found at 4, 1",
    ),
    "an answer of another row": (
        own(answers=[{"text": "Bob 3", "answer_start": 0}]),
        "a.jsonl:12: the answer 'Bob 3' is nowhere in its context (character 0 was named, where 'Bob d' "
        "stands), but in that of a.jsonl:4",
    ),
    "an empty question": (own(question=" "), "a.jsonl:12 has an empty question"),
    "a context that is missing": (own(context=...), "a.jsonl:12 has an empty context"),
    "a context that is a list": (own(context=["Bob did"]), "a.jsonl:12 has ['Bob did'] as context"),
    "an id again": (own(id="3"), "a.jsonl:12 has the id '3', which a.jsonl:4 has too"),
    "answers that are no JSON": (own(answers="[{"), "a.jsonl:12 has the answers '[{', which are no JSON"),
    "places of others": (own(answer_start=[0, 4]), "a.jsonl:12 has 1 answer and 2 places of answers"),
    "an answer that is a number": (own(answers=[7]), "a.jsonl:12 has 7 as answer 1; an answer is a text"),
    "a place that is text": (
        own(answers=[{"text": "Bob", "answer_start": "x"}]),
        "a.jsonl:12 has an answer that begins at 'x', which is no number of characters",
    ),
    "impossible, with an answer": (
        own(is_impossible=True),
        "a.jsonl:12 is marked is_impossible, and has the answer 'Bob'; one of the two is wrong",
    ),
    "JSON that is cut": ('{"question": "Who?", "context": "Bob did", "ans', "a.jsonl:12 is not JSON"),
    "no object": ('["Who?"]', "a.jsonl:12 holds a list; every line holds one JSON object"),
    "answers that are null": (own(answers=None), "a.jsonl:12 has no label; give every row a label"),
}


def lined(folder: Path, line: str) -> Path:
    """Eleven good questions, one a line, and a line more."""
    good = [
        {"id": str(i), "question": f"Who did {i}?", "context": f"Bob {i} did", "answers": [f"Bob {i}"]}
        for i in range(11)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in good) + line)
    return folder / "a.jsonl"


@pytest.mark.parametrize("case", LINES)
def test_a_line_that_is_no_question_is_named(case: str, tmp_path: Path, refusal: Refusal) -> None:
    line, expected = LINES[case]
    assert refusal(read, lined(tmp_path, line)).startswith(expected)


@pytest.mark.parametrize("case", LINES)
def test_a_line_that_is_no_question_can_be_left_out(case: str, tmp_path: Path) -> None:
    line, expected = LINES[case]
    data = read(lined(tmp_path, line), skip_bad=True)
    assert sum(map(len, data.splits.values())) == 11
    (found,) = data.left_out
    assert found.where == "a.jsonl:12"
    assert found.message.startswith(expected.partition("; give")[0])


def test_an_id_of_another_split_is_refused_or_left_out(tmp_path: Path, refusal: Refusal) -> None:
    whole = content()
    for name, part in (
        ("train", whole["data"][:8]),
        ("dev", whole["data"][8:10]),
        ("test", whole["data"][10:]),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps({**whole, "data": part}))
    assert len(read(tmp_path).test) == 4
    whole["data"][10]["paragraphs"][0]["qas"][1]["id"] = "0a"
    (tmp_path / "test.json").write_text(json.dumps({**whole, "data": whole["data"][10:]}))
    place = "test.json: data[0].paragraphs[0].qas[1]"
    said = refusal(read, tmp_path)
    assert said.startswith(f"{place} has the id '0a', which train.json: data[0].paragraphs[0].qas[0] has too")
    left = read(tmp_path, skip_bad=True)
    assert (len(left.test), [own.where for own in left.left_out]) == (3, [place])


def test_columns_cannot_be_named(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content()))
    said = refusal(read, tmp_path / "a.json", task="question-answering", item="context")
    assert "questions are read from the columns question, context and answers" in said


def test_memory_stays_flat_however_long_the_file(tmp_path: Path, probe: Callable[..., list[str]]) -> None:
    whole = content()
    articles = whole["data"]
    with (tmp_path / "a.json").open("w") as file:
        file.write('{"data": [')
        for i in range(2_000):
            own = deepcopy(articles[i % 12])
            own["paragraphs"][0]["context"] += " filler" * 2_000
            for q in own["paragraphs"][0]["qas"]:
                q["id"] = f"{i}-{q['id']}"
            file.write(("," if i else "") + json.dumps(own))
        file.write("]}")
    code = """
    import sys
    from tunesmith.data.json_tables import records
    import tunesmith.data.read
    print(grown(lambda: sum(1 for _ in records(Path(sys.argv[1]), "a.json"))))
    """
    (grown,) = probe(code, tmp_path / "a.json")
    assert (tmp_path / "a.json").stat().st_size > 25_000_000
    assert float(grown) < 12
