"""The demo's support tickets: enough of them, no templates, and hard enough for word counts.

The accuracy bounds say what the data set is for. Below 0.6 the words carry too little and the
labels may be noise; above 0.85 counting words is enough and a pretrained encoder has nothing to
add. Mean-pooled all-MiniLM-L6-v2 features under the same regression score 0.94 (not run here).
"""

import csv
from collections import Counter
from importlib.resources import files
from io import StringIO
from random import Random
from typing import NamedTuple

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

LABELS = {"account", "billing", "feedback", "returns", "shipping", "technical"}
RUN = 5  # words in a row that no two tickets may share


class Ticket(NamedTuple):
    text: str
    label: str


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    table = (files("tunesmith.demo") / "tickets.csv").read_text(encoding="utf-8")
    return list(csv.reader(StringIO(table)))


@pytest.fixture(scope="module")
def tickets(rows: list[list[str]]) -> list[Ticket]:
    return [Ticket(*row) for row in rows[1:]]


def words(text: str) -> list[str]:
    """The words of a text, lower-case and without punctuation.

    >>> words("It's stuck, AGAIN!")
    ['its', 'stuck', 'again']
    """
    bare = "".join(c if c.isalnum() or c.isspace() else "" if c in "'’" else " " for c in text)
    return bare.lower().split()


def shared_runs(texts: list[str]) -> set[tuple[str, ...]]:
    """Every run of five words that stands in more than one of the texts."""
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        row = words(text)
        counts.update({tuple(row[i : i + RUN]) for i in range(len(row) - RUN + 1)})
    return {run for run, count in counts.items() if count > 1}


def tfidf_accuracy(texts: list[str], labels: list[str]) -> float:
    """Mean accuracy (0 to 1) of TF-IDF and logistic regression over five shuffled folds."""
    baseline = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(baseline, texts, labels, cv=folds).mean())


def test_the_header_names_text_and_label(rows: list[list[str]]) -> None:
    assert rows[0] == ["text", "label"]


def test_every_row_has_two_fields(rows: list[list[str]]) -> None:
    assert [row for row in rows if len(row) != 2] == []


def test_there_are_540_tickets_and_90_of_each_class(tickets: list[Ticket]) -> None:
    assert Counter(ticket.label for ticket in tickets) == dict.fromkeys(LABELS, 90)


def test_no_ticket_stands_twice(tickets: list[Ticket]) -> None:
    counts = Counter(" ".join(words(ticket.text)) for ticket in tickets)
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_field_begins_or_ends_with_a_space(rows: list[list[str]]) -> None:
    assert [field for row in rows for field in row if field != field.strip()] == []


def test_every_ticket_has_4_to_60_words(tickets: list[Ticket]) -> None:
    assert [ticket.text for ticket in tickets if not 4 <= len(words(ticket.text)) <= 60] == []


def test_the_classes_are_mixed_and_not_in_blocks(tickets: list[Ticket]) -> None:
    assert {ticket.label for ticket in tickets[:60]} == LABELS


def test_no_two_tickets_share_five_words_in_a_row(tickets: list[Ticket]) -> None:
    assert shared_runs([ticket.text for ticket in tickets]) == set()


def test_five_shared_words_are_found_when_they_are_there() -> None:
    planted = ["Where is my blue lamp?", "Tell me: where is MY blue lamp...", "Where is my lamp?"]
    assert shared_runs(planted) == {("where", "is", "my", "blue", "lamp")}


def test_word_counts_get_some_tickets_right_but_far_from_all(tickets: list[Ticket]) -> None:
    texts, labels = (list(column) for column in zip(*tickets, strict=True))
    assert 0.6 < tfidf_accuracy(texts, labels) < 0.85


def test_word_counts_get_nowhere_when_the_labels_are_shuffled(tickets: list[Ticket]) -> None:
    texts, labels = (list(column) for column in zip(*tickets, strict=True))
    Random(0).shuffle(labels)
    assert tfidf_accuracy(texts, labels) < 0.3  # chance is 1/6; else the test above is blind
