"""Questions as a task: windows, targets, loss, best spans, scores with and without an answer."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tunesmith.data.pairs import apart, together
from tunesmith.data.questions import label_of
from tunesmith.networks.network import Network, Stage
from tunesmith.networks.preprocess import TextPreprocess
from tunesmith.plan import Settings
from tunesmith.tasks.question_answering import QuestionAnswering
from tunesmith.tasks.spans import Spans, no_span, one_span, shown_in
from tunesmith.tasks.task import Labels, less_is_better
from tunesmith.training.examples import Examples

TASK: Any = QuestionAnswering()
ALWAYS = Labels(("start", "end"))
PERHAPS = replace(ALWAYS, thresholds=(0.0,))
SHORT = "Ann has a dog. Bob has a cat."
LONG = "Ann has a dog. " * 6 + "Bob lives in town. " * 6 + "Bob has a cat."
ROWS = [
    ("Who has a cat?", SHORT, [("Bob", 15)]),
    ("What has Bob?", LONG, [("a cat", LONG.index("a cat")), ("cat", LONG.index("cat"))]),
    ("What has Ann?", LONG, [("a dog", 8)]),
    ("Who has town?", SHORT, []),
]


@pytest.fixture(scope="module")
def preprocess(tiny_reader: Path) -> TextPreprocess:
    from transformers import AutoTokenizer

    return TextPreprocess(AutoTokenizer.from_pretrained(tiny_reader), 32, pairs=True)


@pytest.fixture(scope="module")
def data() -> datasets.Dataset:
    columns: dict[str, list[Any]] = {"id": list("abcd"), "item": [together(q, c) for q, c, _ in ROWS]}
    return datasets.Dataset.from_dict({**columns, "label": [label_of(own) for _, _, own in ROWS]})


@pytest.fixture(scope="module")
def examples(data: datasets.Dataset, preprocess: TextPreprocess) -> Examples:
    return Examples(data, preprocess, task=TASK)


class Said(nn.Module):
    """Logits that are given, row by row."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.as_tensor(logits, dtype=torch.float32), requires_grad=False)

    def forward(self, **_: Any) -> torch.Tensor:
        return self.logits


def network(logits: np.ndarray, preprocess: TextPreprocess) -> Network:
    return Network(Said(logits), (), Stage("all", ("",), ("logits",)), (), preprocess, "given")


def right(batch: Any) -> np.ndarray:
    """Logits that point at the targets."""
    B, T, _ = batch.pieces.shape
    logits = np.zeros((B, T, 2), np.float32)
    for row, (start, end) in enumerate(batch.targets.tolist()):
        logits[row, start, 0] = logits[row, end, 1] = 8.0
    return logits


def everything(examples: Examples) -> Any:
    return examples.batch(np.arange(len(examples)), TASK, ALWAYS)


def test_long_contexts_become_windows_that_fit_and_cover(
    examples: Examples, preprocess: TextPreprocess
) -> None:
    assert examples.of is not None
    counts = np.bincount(examples.of)
    assert counts[0] == counts[3] == 1
    assert counts[1] > 2
    assert examples.lengths is not None
    assert examples.lengths.max() <= preprocess.max_length
    assert examples.whole_lengths is not None
    assert examples.whole_lengths.max() <= preprocess.max_length  # nothing is cut when it is tokenized
    seen = set()
    for row in np.flatnonzero(examples.of == 1):
        own = examples.dataset[int(row)]
        window = apart(own["item"])[1]
        assert LONG[own["start"] : own["start"] + len(window)] == window
        seen |= set(range(own["start"], own["start"] + len(window)))
    assert {i for i in range(len(LONG)) if not LONG[i].isspace()} <= seen


def test_a_window_without_the_whole_answer_points_at_the_first_token(examples: Examples) -> None:
    batch = everything(examples)
    text = examples.dataset["item"]
    held = {False: 0, True: 0}
    for row, (start, end) in enumerate(batch.targets.tolist()):
        _, context, answers = ROWS[int(examples.of[row])]  # type: ignore[index]
        pieces = batch.pieces[row].numpy()
        if (start, end) == (0, 0):
            begins = answers[0][1] - examples.dataset[row]["start"] if answers else 0
            whole = answers and begins >= 0 and begins + len(answers[0][0]) <= len(apart(text[row])[1])
            assert not whole
            held[False] += 1
        else:
            assert context[pieces[start, 1] : pieces[end, 2]] == answers[0][0]
            held[True] += 1
    assert min(held.values()) > 1


def test_the_loss_is_that_of_start_and_end_and_padding_takes_no_part(
    examples: Examples, preprocess: TextPreprocess
) -> None:
    batch = everything(examples)
    logits = np.random.default_rng(0).normal(size=(*batch.pieces.shape[:2], 2)).astype(np.float32)
    found = float(TASK.loss(network(logits, preprocess), batch))
    by_hand = []
    for row in range(batch.size):
        own = torch.from_numpy(logits[row, : int(examples.lengths[row])])  # type: ignore[index]
        by_hand.append((cross_entropy(own.T, batch.targets[row])).item())
    assert found == pytest.approx(np.mean(by_hand), rel=1e-6)
    noisy = logits.copy()
    noisy[batch.pieces[..., 0] == -2] += 5.0
    assert not np.array_equal(noisy, logits)
    assert float(TASK.loss(network(noisy, preprocess), batch)) == pytest.approx(found, rel=1e-6)


def test_right_logits_cost_less_and_weights_multiply(examples: Examples, preprocess: TextPreprocess) -> None:
    batch = everything(examples)
    good = right(batch)
    wrong = np.roll(good, 1, axis=1)
    costs = [float(TASK.loss(network(own, preprocess), batch)) for own in (good, wrong)]
    assert costs[0] < costs[1]
    heavy = torch.zeros(batch.size)
    heavy[0] = float(batch.size)
    mixed = good.copy()
    mixed[0] = wrong[0]
    alone = float(TASK.loss(network(wrong[:1], preprocess), batch.part(slice(0, 1))))
    assert float(TASK.loss(network(mixed, preprocess), replace(batch, weights=heavy))) == pytest.approx(alone)


def test_predictions_lie_in_the_whole_context(
    examples: Examples, preprocess: TextPreprocess, data: datasets.Dataset
) -> None:
    batch = everything(examples)
    windows = TASK.predict(network(right(batch), preprocess), batch)
    answers = examples.put_together(windows, TASK)
    assert [own.text(context) for own, (_, context, _) in zip(answers, ROWS, strict=True)][:3] == [
        "Bob",
        "a cat",
        "a dog",
    ]
    assert answers[3].margin > 0
    scores = TASK.score(TASK.outcomes(answers, TASK.targets(data, PERHAPS)), PERHAPS)
    assert scores["exact_match"] == scores["f1"] == scores["f1/answered"] == scores["f1/no answer"] == 1.0


def test_several_answers_are_all_right(data: datasets.Dataset) -> None:
    at = LONG.index("cat")
    found = TASK.outcomes(
        [one_span(15, 18), one_span(at, at + 3), one_span(8, 13), no_span()], TASK.targets(data, ALWAYS)
    )
    assert found["exact"].tolist() == [1, 1, 1, 1]
    assert found["answerable"].tolist() == [1, 1, 1, 0]


def test_a_score_is_a_function_of_rows_and_the_threshold() -> None:
    outcomes = {
        "exact": np.array([1.0, 0.0]),
        "f1": np.array([1.0, 0.5]),
        "none": np.array([0.0, 1.0]),
        "margin": np.array([-2.0, -1.0]),
        "answerable": np.array([1.0, 0.0]),
        "given": np.array([0.5, 0.25]),
    }
    assert TASK.score(outcomes, ALWAYS) == pytest.approx(
        {"exact_match": 0.5, "f1": 0.75, "answer_loss": -np.log([0.5, 0.25]).mean()}
    )
    assert TASK.score(outcomes, PERHAPS)["f1"] == 0.75
    told = TASK.score(outcomes, replace(PERHAPS, thresholds=(-1.5,)))
    assert (told["f1"], told["f1/answered"], told["f1/no answer"]) == (1.0, 1.0, 1.0)


def test_the_threshold_is_learned_on_validation_and_saved() -> None:
    rows = datasets.Dataset.from_dict(
        {
            "item": [together("q", SHORT)] * 4,
            "label": [label_of(own) for own in ([("Bob", 15)], [("Bob", 15)], [], [])],
        }
    )
    spans = [Spans(np.array([[15, 18]]), np.array([4.0]), 4.0 + m) for m in (-3.0, -2.0, -1.0, 2.0)]
    known = TASK.calibrated(PERHAPS, spans, TASK.targets(rows, PERHAPS))
    assert known.thresholds == (-1.5,)
    assert Labels.from_json(json.loads(json.dumps(asdict(known)))) == known
    assert TASK.calibrated(ALWAYS, spans, TASK.targets(rows, ALWAYS)) == ALWAYS


def test_labels_say_whether_there_may_be_no_answer(data: datasets.Dataset) -> None:
    from tunesmith.data.data import SPLITS, Data

    whole = Data("d", "text", dict.fromkeys(SPLITS, data), (), "", (), "parts")
    some = Data("d", "text", dict.fromkeys(SPLITS, data.select(range(3))), (), "", (), "parts")
    assert TASK.labels(whole) == PERHAPS
    assert TASK.labels(some) == ALWAYS


def test_a_table_shows_the_answer_in_its_context() -> None:
    items = [together(q, c) for q, c, _ in ROWS[:2]]
    shown = shown_in(SHORT, 15, 18)
    shares = np.log([0.6, 0.3])
    spans = [
        Spans(np.array([[15, 18], [0, 3]]), shares, float(np.log(0.1)), ("Bob", "Ann"), shown),
        no_span(),
    ]
    first, second = TASK.table(spans, PERHAPS)
    assert first == {
        "answer": "Bob",
        "start": 15,
        "end": 18,
        "score": pytest.approx(0.6),
        "no answer": pytest.approx(0.1),
        "in context": "Ann has a dog. [Bob] has a cat.",
    }
    assert (second["answer"], second["start"], second["no answer"]) == ("", None, 1.0)
    rows = TASK.table(spans, ALWAYS, full=True)
    again = TASK.from_table({"spans": [row["spans"] for row in rows]}, ALWAYS)
    assert again == spans
    assert [own.texts("") for own in again] == [["Bob", "Ann"], []]
    whole = datasets.Dataset.from_dict({"item": items, "label": [label_of([("Bob", 15)]), label_of([])]})
    before = TASK.outcomes(spans, TASK.targets(whole, PERHAPS))
    after = TASK.outcomes(again, TASK.targets({"label": whole["label"]}, PERHAPS))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_plain_answers_can_be_scored(data: datasets.Dataset) -> None:
    answers = TASK.simple(data, data, ALWAYS)
    assert set(answers) == {"first sentence", "sliding window"}
    targets = TASK.targets(data, ALWAYS)
    scores = {name: TASK.score(TASK.outcomes(own, targets), ALWAYS)["f1"] for name, own in answers.items()}
    assert 0 < scores["sliding window"] <= 1
    for labels, name in ((ALWAYS, "whole context"), (PERHAPS, "no answer")):
        said, own = TASK.trivial(labels, 4)
        assert said == name
        assert TASK.score(TASK.outcomes(own, targets), labels)["f1"] > 0


def test_the_metrics_say_in_which_direction_they_are_better() -> None:
    assert not less_is_better(TASK.deciding(ALWAYS))
    assert less_is_better(TASK.valid_loss)
    with pytest.raises(ValueError, match="label_smoothing is for classes"):
        TASK.configured(Settings(label_smoothing=0.1))
    assert TASK.configured(Settings()) == TASK


def test_without_answers_a_batch_has_no_loss(examples: Examples, preprocess: TextPreprocess) -> None:
    batch = replace(everything(examples), targets=None)
    with pytest.raises(ValueError, match="has no loss"):
        TASK.loss(network(right(everything(examples)), preprocess), batch)


def test_questions_longer_than_the_network_leave_the_context_a_quarter_and_are_counted(
    preprocess: TextPreprocess,
) -> None:
    rows = datasets.Dataset.from_dict({"id": ["a"], "item": [together("What has Bob in town? " * 20, SHORT)]})
    found = Examples(rows, preprocess, task=TASK)
    assert len(found) > 1
    assert found.whole_lengths is not None
    assert found.whole_lengths.max() > preprocess.max_length  # so it is said that texts are cut
    assert found.lengths is not None
    assert found.lengths.max() == preprocess.max_length


def test_a_question_that_is_asked_has_no_truth(
    examples: Examples, data: datasets.Dataset, preprocess: TextPreprocess
) -> None:
    asked = Examples(data.remove_columns("label"), preprocess, task=TASK)
    batch = asked.batch(np.arange(2), TASK, ALWAYS)
    assert (batch.targets, batch.size) == (None, 2)
    assert batch.pieces is not None
