"""Questions on contexts, however they are written: the same examples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.pairs import apart
from tunesmith.data.questions import answers_of
from tunesmith.data.read import read, read_items
from tunesmith.errors import BadData

CONTEXT = "Ann has a dog. Bob {} has a cat."


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path_factory.mktemp("cache")))


def squad(articles: int = 12, *, impossible: bool = False, titles: bool = True) -> dict[str, Any]:
    """Two questions on the paragraph of each article; the second has no answer where that may be."""
    data = []
    for i in range(articles):
        context = CONTEXT.format(i)
        first: dict[str, Any] = {
            "id": f"q{i}a",
            "question": f"Who is {i}?",
            "answers": [{"text": f"Bob {i}", "answer_start": 15}],
        }
        second: dict[str, Any] = {
            "id": f"q{i}b",
            "question": f"What has Ann {i}?",
            "answers": [{"text": "a dog", "answer_start": 8}],
        }
        if impossible:
            first["is_impossible"] = False
            second |= {"answers": [], "is_impossible": True}
        article = {"paragraphs": [{"context": context, "qas": [first, second]}]}
        data.append(article | ({"title": f"Article {i}"} if titles else {}))
    return {"data": data, "version": "v2.0" if impossible else "1.1"}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(content: Any, name: str = "a.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".jsonl"):
            path.write_text(
                "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8"
            )
        else:
            path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        return path

    return written


def every(data: Any) -> dict[str, tuple[str, str, list[tuple[str, int]]]]:
    """By id the question, the context and the answers."""
    return {
        row["id"]: (*apart(row["item"]), answers_of(row["label"]))
        for split in data.splits.values()
        for row in split
    }


def test_squad_is_recognised_without_being_asked_for(write: Callable[..., Path]) -> None:
    data = read(write(squad()))
    assert (data.task, data.takes, data.answers) == ("question-answering", "text", "parts")
    assert every(data)["q3a"] == ("Who is 3?", CONTEXT.format(3), [("Bob 3", 15)])
    assert data.understood == (
        "a: 24 questions on 12 contexts, read from a.json",
        "answers: 5 characters in the middle, 6 at most",
        "splits: train 16, valid 4, test 4, made here (no article in two, seed 0)",
    )


def test_articles_stay_in_one_split_and_contexts_where_there_are_no_titles(
    write: Callable[..., Path],
) -> None:
    for titles, said in ((True, "no article in two"), (False, "no context in two")):
        data = read(write(squad(titles=titles)))
        split_of: dict[str, str] = {}
        for name, split in data.splits.items():
            for item in split["item"]:
                assert split_of.setdefault(apart(item)[1], name) == name
        assert said in data.understood[2]


def test_a_question_without_an_answer_is_an_example_too(write: Callable[..., Path]) -> None:
    found = every(read(write(squad(impossible=True))))
    assert found["q0b"][2] == []
    assert found["q0a"][2] == [("Bob 0", 15)]


FORMS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "a text and its place": lambda text, start: {"answer": text, "answer_start": start},
    "called start": lambda text, start: {"answer": text, "start": start},
    "a text alone": lambda text, start: {"answer": text},
    "a list as in SQuAD": lambda text, start: {"answers": [{"text": text, "answer_start": start}]},
    "the same with start": lambda text, start: {"answers": [{"text": text, "start": start}]},
    "as Hugging Face has it": lambda text, start: {"answers": {"text": [text], "answer_start": [start]}},
    "texts and places": lambda text, start: {"answers": [text], "answer_start": [start]},
    "JSON in a cell": lambda text, start: {"answers": json.dumps([{"text": text, "answer_start": start}])},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_tables_of_questions_say_the_same(
    form: str, name: str, write: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [
        {"id": key, "question": question, "context": context, **FORMS[form](*answers[0])}
        for key, (question, context, answers) in every(read(write(squad(), "squad.json"))).items()
    ]
    if name == "a.csv":
        import pandas as pd

        if not all(isinstance(value, str | int) for value in rows[0].values()):
            pytest.skip("a cell holds one value")
        pd.DataFrame(rows).to_csv(tmp_path / name, index=False)
    else:
        write(rows, name)
    assert every(read(tmp_path / name)) == every(read(tmp_path / "squad.json"))


def test_a_list_in_memory_is_read_too(write: Callable[..., Path]) -> None:
    rows = [{"question": f"q{i}?", "context": CONTEXT.format(i), "answers": ["a dog"]} for i in range(9)]
    assert [own[2] for own in every(read(rows)).values()] == [[("a dog", 8)]] * 9


def test_weights_of_questions_were_lost(write: Callable[..., Path]) -> None:
    rows = [
        {"question": f"q{i}?", "context": CONTEXT.format(i), "answers": ["a dog"], "w": i} for i in range(9)
    ]
    data = read(write(rows, "a.jsonl"), weight="w")
    for split in data.splits.values():
        for item, weight in zip(split["item"], split["weight"], strict=True):
            assert item.startswith(f"q{weight:.0f}?")


def test_files_named_after_splits_are_these_splits(write: Callable[..., Path], tmp_path: Path) -> None:
    whole = squad()["data"]
    for name, part in (("train", whole[:8]), ("dev", whole[8:10]), ("test", whole[10:])):
        write({"data": part, "version": "1.1"}, f"own/{name}.json")
    write({"source": "elsewhere"}, "own/SOURCE.json")
    data = read(tmp_path / "own")
    assert [len(split) for split in data.splits.values()] == [16, 4, 4]
    assert data.understood[0].startswith("own: 24 questions on 12 contexts, read from train.json")


def test_other_json_beside_data_is_no_data(tmp_path: Path, write: Callable[..., Path]) -> None:
    write({"source": "elsewhere"}, "own/SOURCE.json")
    (tmp_path / "own" / "a.csv").write_text(
        "text,label\n" + "".join(f"word {i},{'ab'[i % 2]}\n" for i in range(12))
    )
    assert read(tmp_path / "own").answers == "classes"


def test_records_in_a_json_list_are_a_table(write: Callable[..., Path]) -> None:
    data = read(write([{"text": f"word {i}", "label": "ab"[i % 2]} for i in range(12)]))
    assert (data.answers, data.train[0]["id"]) == ("classes", "a.json: [0]")


@pytest.mark.parametrize("answers", [(True, False), ("yes", "no")])
def test_yes_and_no_of_a_passage_are_no_words_of_it(
    answers: tuple[Any, Any], write: Callable[..., Path]
) -> None:
    rows = [{"question": f"q{i}?", "passage": f"text {i}", "answer": answers[i % 2]} for i in range(12)]
    with pytest.raises(BadData, match="name it with --target"):
        read(write(rows, "a.jsonl"))


def test_another_task_may_learn_from_the_same_table(write: Callable[..., Path]) -> None:
    rows = [{"question": f"q{i}?", "context": "c", "answer": "ab"[i % 2]} for i in range(12)]
    data = read(write(rows, "a.jsonl"), item="question", target="answer")
    assert (data.answers, data.task) == ("classes", "")


def test_answers_that_the_data_call_nowhere_count_in_scoring_only(write: Callable[..., Path]) -> None:
    content = squad()
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"].insert(
        0, {"text": "someone", "answer_start": -1}
    )
    data = read(write(content))
    assert every(data)["q0a"][2] == [("Bob 0", 15), ("someone", -1)]
    assert data.understood[3].startswith("1 answers are nowhere in their context, as the data say")


def test_to_predict_no_answer_is_needed(write: Callable[..., Path]) -> None:
    rows = [{"question": "who?", "context": "Bob did.", "source": "here"}]
    items = read_items(
        write(rows, "a.jsonl"), takes="text", answers="parts", task="question-answering", others=True
    )
    assert items[0] == {"id": "a.jsonl:1", "item": "who?\x1fBob did.", "label": None, "other source": "here"}
