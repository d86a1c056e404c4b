"""Examples that a task cuts into windows: rows are windows, and answers are of examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tunesmith.data.pairs import together
from tunesmith.networks.preprocess import TextPreprocess
from tunesmith.store import Store
from tunesmith.tasks.task import Batch, Labels
from tunesmith.tasks.text_classification import TextClassification
from tunesmith.training.examples import Examples, truncation
from tunesmith.training.supply import rows_count


class Halves:
    """Cuts every text of four words or more into halves, and tells what it was given of each."""

    answers = "parts"

    def cut(self, dataset: Any, preprocess: Any) -> Any:
        rows: dict[str, list[Any]] = {"id": [], "item": [], "of": []}
        for i, row in enumerate(dataset):
            words = row["item"].split()
            parts = [words] if len(words) < 4 else [words[: len(words) // 2], words[len(words) // 2 :]]
            for part in parts:
                rows["id"].append(row["id"])
                rows["item"].append(" ".join(part))
                rows["of"].append(i)
        return datasets.Dataset.from_dict(rows)

    def joined(self, predictions: Sequence[Any]) -> Any:
        return sum(predictions)

    def collate(self, examples: Any, preprocess: Any, labels: Labels) -> Any:
        return examples


@pytest.fixture
def preprocess() -> TextPreprocess:
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "bb", "##b", "b"])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return TextPreprocess(PreTrainedTokenizerFast(tokenizer_object=inner, **names), 16)


DATA = datasets.Dataset.from_dict(
    {"id": ["x", "y", "z"], "item": ["a", "a a bb a", "a bbb"], "label": ["1"] * 3}
)
NONE = Labels()


def test_rows_are_windows_and_answers_are_of_examples(preprocess: TextPreprocess) -> None:
    examples = Examples(DATA, preprocess, task=Halves())  # type: ignore[arg-type]
    assert len(examples) == 4
    assert examples.of is not None
    assert examples.of.tolist() == [0, 1, 1, 2]
    assert examples.put_together([1, 10, 100, 1000], Halves()) == [1, 110, 1000]  # type: ignore[arg-type]
    assert examples.contents == Examples(DATA, preprocess).keys
    assert examples.keys != examples.contents


def test_uncut_examples_are_their_own_rows(preprocess: TextPreprocess) -> None:
    task: Any = TextClassification()
    examples = Examples(DATA, preprocess, task=task)
    assert examples.of is None
    assert examples.put_together([1, 2, 3], task) == [1, 2, 3]
    given = examples.batch(np.arange(2), Halves(), NONE)  # type: ignore[arg-type]
    assert "pieces" not in given[0]  # type: ignore[index]


@pytest.mark.parametrize("stored", [False, True])
def test_collate_is_told_where_each_token_lies(
    stored: bool, preprocess: TextPreprocess, tmp_path: Path
) -> None:
    task: Any = Halves()
    for _ in range(2):  # the second time from the store
        store = Store(tmp_path / "store") if stored else None
        examples = Examples(DATA, preprocess, store, task=task)
        given: Any = examples.batch(np.array([3, 0]), task, NONE)
        nowhere = [-1, 0, 0]
        assert given[0]["pieces"].tolist() == [nowhere, [0, 0, 1], [0, 2, 4], [0, 4, 5], nowhere]
        assert given[1]["pieces"].tolist() == [nowhere, [0, 0, 1], nowhere]
        assert examples.raw(np.array([3]))["input_ids"].tolist() == [[2, 4, 5, 6, 3]]
        examples.close()


def test_of_a_pair_each_part_counts_its_own_characters(preprocess: TextPreprocess) -> None:
    pairs = TextPreprocess(preprocess.tokenizer, 16, pairs=True)
    item = together("a a", "bb a")
    (places,) = pairs.places([item])
    inside = [row for row in places.tolist() if row[0] >= 0]
    assert inside == [[0, 0, 1], [0, 2, 3], [1, 0, 2], [1, 3, 4]]
    found = pairs.raw([item])
    assert found["input_ids"].tolist() == [[2, 4, 4, 3, 5, 4, 3]]
    assert pairs.lengths([item]) == [7]
    assert preprocess.raw([item])["input_ids"].tolist() != found["input_ids"].tolist()


def test_a_pair_too_long_loses_the_end_of_its_longer_text(preprocess: TextPreprocess) -> None:
    pairs = TextPreprocess(preprocess.tokenizer, 7, pairs=True)
    found = pairs.raw([together("bb", "a " * 9)])["input_ids"].tolist()
    assert found == [[2, 5, 3, 4, 4, 4, 3]]


def test_texts_that_are_cut_are_counted_and_those_in_windows_by_window(preprocess: TextPreprocess) -> None:
    four = TextPreprocess(preprocess.tokenizer, 4)
    splits = {"train": Examples(DATA, four), "test": Examples(DATA.select([0]), four)}
    assert truncation(splits) == "2 of 3 train texts are longer than 4 tokens, and are cut there"
    windows = Examples(DATA, four, task=Halves())  # type: ignore[arg-type]
    assert truncation({"": windows}) == "1 of 4 texts are longer than 4 tokens, and are cut there"
    assert truncation({"": Examples(DATA, preprocess)}) == ""


def test_pieces_travel_with_a_part_of_a_batch() -> None:
    import torch

    pieces = torch.arange(18).view(3, 2, 3)
    batch = Batch({"ids": torch.zeros(3, 2)}, None, None, 3, pieces)
    assert [len(part.pieces) for part in batch.parts(3)] == [1, 1, 1]  # type: ignore[arg-type]
    assert torch.equal(batch.to(torch.device("cpu")).pieces, pieces)  # type: ignore[arg-type]


TASK: Any = TextClassification()
TAILS = datasets.Dataset.from_dict(
    {
        "id": list("wxyz"),
        "item": ["a", "a a bb a bb bb a a", "a bb", "bb bb bb bb a"],
        "label": ["no", "yes", "no", "yes"],
        "weight": [1.0, 2.0, 3.0, 4.0],
    }
)


@pytest.fixture
def read(preprocess: TextPreprocess) -> Examples:
    """Four texts of which two are read in windows of four tokens beside the special ones."""
    return Examples(TAILS, TextPreprocess(preprocess.tokenizer, 6, long_texts="windows"), task=TASK)


def test_examples_know_their_windows(read: Examples) -> None:
    assert read.of is not None
    assert read.of.tolist() == [0, 1, 1, 1, 2, 3, 3]
    assert read.rows_of(np.array([3, 0, 1])).tolist() == [5, 6, 0, 1, 2, 3]
    assert read.counts(np.array([3, 0, 1])).tolist() == [2, 1, 3]
    assert read.rows_of(np.array([], np.int64)).tolist() == []
    answers = [np.array([0.5, 0.5])] * 7
    assert len(read.put_together(answers, TASK)) == 4
    some = read.put_together(answers[:3], TASK, np.array([3, 0]))
    assert len(some) == 2
    given: Any = read.batch(np.arange(7), TASK, Labels(("no", "yes"), (2, 2)))
    assert given.targets.tolist() == [0, 1, 1, 1, 0, 1, 1]
    assert given.pieces is None


def test_features_of_an_example_are_the_mean_of_its_windows(read: Examples) -> None:
    of_rows = np.arange(14, dtype=np.float32).reshape(7, 2)
    every = np.arange(4)
    assert read.means(of_rows, every).tolist() == [[0, 1], [4, 5], [8, 9], [11, 12]]
    some = np.array([3, 1])
    assert read.means(of_rows[read.rows_of(some)], some).tolist() == [[11, 12], [4, 5]]
    assert read.means(of_rows[:0], every[:0]).shape == (0, 2)


def test_texts_that_are_read_in_windows_are_counted(read: Examples) -> None:
    said = "2 of 4 texts are longer than 6 tokens, and are read in 5 windows"
    assert truncation({"": read}) == said
    read.whole_lengths = np.array([3, 6, 6, 7, 4, 6, 6])  # a word alone that is longer than a window
    assert truncation({"": read}) == f"{said}; 1 of 7 windows are still longer, and are cut"


def test_an_example_counts_once_whatever_its_windows(read: Examples) -> None:
    weights, shares = rows_count(read, None, None, alike=False)
    assert shares is None
    assert weights is not None
    assert weights.mean() == pytest.approx(1)
    assert _per_example(read, weights) == pytest.approx([0.25] * 4)
    own = np.array([1.0, 2.0, 3.0, 4.0]) / 2.5
    weights, _ = rows_count(read, own, None, alike=False)
    assert weights is not None
    assert weights.mean() == pytest.approx(1)
    assert _per_example(read, weights) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    alike, _ = rows_count(read, own, None, alike=True)  # as where each window has answers of its own
    assert alike is not None
    assert _per_example(read, alike) != pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert rows_count(read, None, None, alike=True) == (None, None)


def test_an_example_is_drawn_as_often_as_its_share_says(read: Examples) -> None:
    wanted = np.array([0.1, 0.2, 0.3, 0.4])
    weights, shares = rows_count(read, None, wanted, alike=False)
    assert weights is None  # what is drawn so counts once already
    assert shares is not None
    assert shares.sum() == pytest.approx(1)
    assert _per_example(read, shares) == pytest.approx(wanted.tolist())


def _per_example(examples: Examples, of_rows: np.ndarray) -> list[float]:
    sums = np.bincount(examples.of, weights=of_rows)  # type: ignore[arg-type]
    return list(sums / sums.sum())
