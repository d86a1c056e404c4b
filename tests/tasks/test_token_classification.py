"""Tags of words: aligned to pieces, read as spans, joined over windows, and scored as seqeval scores them."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
import transformers

from tunesmith.data.data import SPLITS, Data
from tunesmith.data.tags import Answer
from tunesmith.errors import BadData, BadOption
from tunesmith.networks.network import Network
from tunesmith.networks.preprocess import TextPreprocess
from tunesmith.plan import Settings
from tunesmith.sources import resolve
from tunesmith.sources.transformers import Transformers
from tunesmith.tasks.tagged_words import Tagged, decoded, together, truth_of
from tunesmith.tasks.task import Labels
from tunesmith.tasks.token_classification import TokenClassification, tag_weights
from tunesmith.training.examples import Examples
from tunesmith.training.predicting import predict

TASK: Any = TokenClassification()
TYPES = ("LOC", "PER")
LABELS = Labels(("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), (60, 10, 5, 20, 5))


def sentence(words: str, tags: str) -> tuple[str, str]:
    """A text and its label."""
    places, start = [], 0
    for word in words.split():
        places.append((start, start + len(word)))
        start += len(word) + 1
    return words, Answer(tuple(places), tuple(tags.split())).written()


def dataset(*sentences: tuple[str, str | None]) -> Any:
    texts, labels = zip(*sentences, strict=True)
    return datasets.Dataset.from_dict(
        {"id": [f"r{i}" for i in range(len(texts))], "item": list(texts), "label": list(labels)}
    )


ANN = sentence("ann lee left rome", "B-PER I-PER O B-LOC")
OSLO = sentence("oslo is cold", "B-LOC O O")
MANY = sentence(
    " ".join(["word"] * 60 + ["ann", "lee"] + ["word"] * 60),
    " ".join(["O"] * 60 + ["B-PER", "I-PER"] + ["O"] * 60),
)


@pytest.fixture(scope="module")
def network(tiny_text: Callable[[str], Path]) -> Network:
    want = TASK.want(LABELS)
    torch.manual_seed(0)
    return Transformers().load(resolve(f"hf/{tiny_text('bert')}"), want)


def drawn(rng: random.Random, count: int) -> list[list[str]]:
    """Tags in which every I goes on."""
    found = []
    for _ in range(count):
        tags, before = [], "O"
        for _ in range(rng.randrange(1, 9)):
            allowed = ["O", "O", "B-LOC", "B-PER", *([f"I-{before[2:]}"] * 3 if before != "O" else [])]
            before = rng.choice(allowed)
            tags.append(before)
        found.append(tags)
    return found


def as_answers(tags: list[str]) -> Answer:
    return Answer(tuple((3 * i, 3 * i + 2) for i in range(len(tags))), tuple(tags))


def said(tags: list[str]) -> Tagged:
    """A prediction that is sure of these tags."""
    truth = truth_of(as_answers(tags), TYPES)
    return Tagged(truth.words, np.eye(5, dtype=np.float32)[truth.tags] * 0.9 + 0.02)


def mistaken(rng: random.Random) -> tuple[list[list[str]], list[list[str]]]:
    """True tags of twelve sentences, and others of which some are the same."""
    truth = drawn(rng, 12)
    guess = [
        own if rng.random() < 0.4 else drawn(rng, 1)[0][: len(own)] + ["O"] * max(0, len(own) - 8)
        for own in truth
    ]
    return truth, [g + ["O"] * (len(t) - len(g)) for g, t in zip(guess, truth, strict=True)]


def chunks(sentences: list[list[str]]) -> set[tuple[int, int, int, str]]:
    """What conlleval counts (Tjong Kim Sang & Buchholz 2000), by its two rules: beginnings, and ends."""

    def begins(before: str, tag: str) -> bool:
        return tag != "O" and (tag[0] == "B" or before == "O" or before[2:] != tag[2:])

    found = set()
    for row, tags in enumerate(sentences):
        padded = ["O", *tags, "O"]
        starts = [i for i, pair in enumerate(itertools.pairwise(padded[:-1])) if begins(*pair)]
        ends = [
            i
            for i, (tag, after) in enumerate(itertools.pairwise(padded[1:]))
            if tag != "O" and (after == "O" or begins(tag, after))
        ]
        found |= {(row, start, end, tags[start][2:]) for start, end in zip(starts, ends, strict=True)}
    return found


def rates(truth: set[Any], guess: set[Any]) -> tuple[float, float, float]:
    """Precision, recall and F1, 0 where they would divide by zero."""
    right = len(truth & guess)
    precision, recall = right / max(len(guess), 1), right / max(len(truth), 1)
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def test_scores_are_those_of_conlleval(seed: int) -> None:
    rng = random.Random(seed)
    seen = set()
    for _ in range(50):
        truth, guess = mistaken(rng)
        targets = [truth_of(as_answers(own), TYPES) for own in truth]
        scores = TASK.score(TASK.outcomes([said(own) for own in guess], targets), LABELS)
        true, found = chunks(truth), chunks(guess)
        of = {kind: [{one for one in own if one[3] == kind} for own in (true, found)] for kind in TYPES}
        expected = {"": rates(true, found)} | {f"/{kind}": rates(*of[kind]) for kind in TYPES}
        for where, own in expected.items():
            for metric, value in zip(("precision", "recall", "f1"), own, strict=True):
                assert scores[f"{metric}{where}"] == pytest.approx(value, abs=1e-9)
        each = [expected[f"/{kind}"][2] for kind in TYPES if any(of[kind])]
        assert scores["macro_f1"] == pytest.approx(np.mean(each), abs=1e-9)
        seen.add(round(scores["f1"], 6))
    assert len(seen) > 20  # or the test is blind


def test_scores_are_those_of_seqeval(seed: int) -> None:
    seqeval = pytest.importorskip("seqeval.metrics")
    rng = random.Random(seed)
    for _ in range(20):
        truth, guess = mistaken(rng)
        targets = [truth_of(as_answers(own), TYPES) for own in truth]
        scores = TASK.score(TASK.outcomes([said(own) for own in guess], targets), LABELS)
        theirs = seqeval.classification_report(truth, guess, output_dict=True, zero_division=0)
        for metric, key in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall")):
            assert scores[metric] == pytest.approx(theirs["micro avg"][key], abs=1e-9)
            for kind in TYPES:
                own = theirs.get(kind, {key: 0.0})[key]
                assert scores[f"{metric}/{kind}"] == pytest.approx(own, abs=1e-9)
        assert scores["macro_f1"] == pytest.approx(theirs["macro avg"]["f1-score"], abs=1e-9)
    assert scores["f1"] < 1  # or the test is blind


def test_rows_of_outcomes_score_as_the_sentences_alone() -> None:
    truth = drawn(random.Random(1), 10)
    guess = drawn(random.Random(2), 10)
    guess = [(g + ["O"] * 9)[: len(t)] for g, t in zip(guess, truth, strict=True)]
    targets = [truth_of(as_answers(own), TYPES) for own in truth]
    answers = [said(own) for own in guess]
    rows = [3, 3, 7]
    whole = TASK.outcomes(answers, targets)
    some = TASK.outcomes([answers[r] for r in rows], [targets[r] for r in rows])
    expected = TASK.score(some, LABELS)
    assert TASK.score({name: own[rows] for name, own in whole.items()}, LABELS) == expected


def test_a_type_that_was_not_learned_is_missed_and_counts() -> None:
    targets = [truth_of(as_answers(["B-PER", "O", "B-NEW", "I-NEW"]), TYPES)]
    scores = TASK.score(TASK.outcomes([said(["B-PER", "O", "O", "O"])], targets), LABELS)
    assert (scores["precision"], scores["recall"]) == (1.0, 0.5)
    assert scores["log_loss"] == pytest.approx(
        -np.log(0.92), abs=1e-6
    )  # over the two words whose tags are known


def test_decoding_is_the_likeliest_of_all_consistent_tags(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = LABELS.names

    def consistent(tags: tuple[int, ...]) -> bool:
        before = ("O", *(names[t] for t in tags))
        return all(not names[t].startswith("I") or before[i][2:] == names[t][2:] for i, t in enumerate(tags))

    changed = 0
    for _ in range(30):
        chances = rng.dirichlet(np.full(5, 0.5), 4)
        every = [tags for tags in itertools.product(range(5), repeat=4) if consistent(tags)]
        best = max(every, key=lambda tags: np.log(chances[np.arange(4), list(tags)]).sum())
        assert tuple(decoded(chances)) == best
        changed += tuple(chances.argmax(1)) != best
    assert changed > 5  # or the test is blind


def test_every_word_has_its_tag_at_its_first_piece(network: Network) -> None:
    examples = Examples(dataset(ANN, OSLO), network.preprocess, task=TASK)
    batch = examples.batch(np.arange(2), TASK, LABELS)
    assert batch.targets is not None
    assert batch.pieces is not None
    tokenizer = network.preprocess.tokenizer  # type: ignore[attr-defined]
    for row, (text, label) in enumerate((ANN, OSLO)):
        words, tags = text.split(), Answer.of(label).tags
        firsts = np.flatnonzero(batch.targets[row] != -100)
        ids = batch.inputs["input_ids"][row][firsts]  # type: ignore[index]
        assert [tokenizer.decode([i])[0] for i in ids.tolist()] == [word[0] for word in words]
        assert [LABELS.names[t] for t in batch.targets[row][firsts].tolist()] == list(tags)
        spans = batch.pieces[row][firsts][:, 1:].tolist()
        assert [text[a:b] for a, b in spans] == words


def test_the_loss_is_that_of_transformers(network: Network) -> None:
    examples = Examples(dataset(ANN, OSLO), network.preprocess, task=TASK)
    batch = examples.batch(np.arange(2), TASK, LABELS)
    theirs = network.module(**batch.inputs, labels=batch.targets)  # type: ignore[arg-type]
    torch.testing.assert_close(TASK.loss(network, batch), theirs.loss)
    assert isinstance(network.module, transformers.BertForTokenClassification)


def test_the_parts_of_a_batch_weigh_by_their_words(network: Network) -> None:
    examples = Examples(dataset(ANN, OSLO, OSLO), network.preprocess, task=TASK)
    batch = examples.batch(np.arange(3), TASK, LABELS)
    with torch.inference_mode():
        whole = TASK.loss(network, batch)
        parts = [(batch.share(part), part.size, TASK.loss(network, part)) for part in batch.parts(2)]
    assert [share for share, *_ in parts] == [7 / 10, 3 / 10]
    torch.testing.assert_close(sum(share * loss for share, _, loss in parts), whole)
    by_sentences = sum(size / batch.size * loss for _, size, loss in parts)
    assert not torch.allclose(by_sentences, whole, rtol=1e-6)


def test_weights_of_examples_multiply_the_loss_of_their_words(network: Network) -> None:
    from dataclasses import replace

    examples = Examples(dataset(ANN, OSLO), network.preprocess, task=TASK)
    batch = examples.batch(np.arange(2), TASK, LABELS)
    first = replace(batch, weights=torch.tensor([2.0, 0.0]))
    assert batch.targets is not None
    only = batch.targets.clone()
    only[1] = -100
    alone = TASK.loss(network, replace(batch, targets=only))
    torch.testing.assert_close(TASK.loss(network, first), alone * 2 * 4 / 7)


def test_balanced_words_of_rare_tags_count_more(network: Network) -> None:
    balanced: Any = TASK.configured(Settings(balance="weights"))
    batch = Examples(dataset(ANN, OSLO), network.preprocess, task=balanced).batch(
        np.arange(2), balanced, LABELS
    )
    assert batch.weights is not None
    assert batch.targets is not None
    own = batch.weights[batch.targets != -100]
    assert own.max() / own.min() == pytest.approx((60 / 5) ** 0.5, rel=1e-6)
    assert batch.weights[batch.targets == -100].sum() == 0
    weights = tag_weights(LABELS)
    assert sum(w * n for w, n in zip(weights, LABELS.counts, strict=True)) == pytest.approx(
        sum(LABELS.counts)
    )
    with pytest.raises(BadOption, match="use 'weights'"):
        TASK.configured(Settings(balance="sampler"))


def test_a_long_text_is_seen_whole_and_each_word_once(network: Network) -> None:
    examples = Examples(dataset(ANN, MANY), network.preprocess, task=TASK)
    assert len(examples) > 3
    assert examples.whole_lengths is not None
    assert examples.whole_lengths.max() <= network.preprocess.max_length  # type: ignore[attr-defined]
    found = predict(network, TASK, dataset(ANN, MANY), LABELS, batch=4)
    assert found[1].words.tolist() == [list(place) for place in Answer.of(MANY[1]).words]
    assert found[1].probabilities.shape == (122, 5)


def test_a_word_is_taken_from_the_window_that_shows_most_around_it() -> None:
    def window(first: int, last: int, mark: int) -> Tagged:
        words = np.array([[10 * i, 10 * i + 5] for i in range(first, last)])
        return Tagged(words, np.full((last - first, 5), mark, np.float32))

    joined = together([window(0, 10, 1), window(6, 16, 2), window(12, 20, 3)])
    assert joined.words[:, 0].tolist() == [10 * i for i in range(20)]
    assert joined.probabilities[:, 0].tolist() == [1] * 8 + [2] * 6 + [3] * 6


def test_words_that_one_piece_holds_have_one_answer(network: Network) -> None:
    tokenizer = network.preprocess.tokenizer  # type: ignore[attr-defined]
    form = TextPreprocess(tokenizer, 64)
    label = Answer(((0, 1), (1, 2), (3, 5)), ("B-PER", "I-PER", "O")).written()  # "a" and "b" of "ab"
    examples = Examples(dataset(("ab cd", label)), form, task=TASK)
    batch = examples.batch(np.arange(1), TASK, LABELS)
    assert batch.pieces is not None
    one = [piece for piece in batch.pieces[0].tolist() if piece[0] == 0]
    assert one[0][1] == 0
    assert one[-1] == [0, 3, 5]


def test_raw_texts_are_split_by_a_rule_and_answered(network: Network) -> None:
    (found,) = predict(network, TASK, dataset(("Ann's in Rome.", None)), LABELS, batch=1)
    assert found.words.tolist() == [[0, 3], [3, 5], [6, 8], [9, 13], [13, 14]]


def test_the_most_frequent_tag_of_each_word_is_a_baseline() -> None:
    train = dataset(ANN, OSLO, sentence("ann sings", "B-PER O"))
    test = dataset(sentence("ann is new", "O O O"))
    ((_, (found,)),) = TASK.simple(train, test, LABELS).items()
    assert [span[:3] for span in found.spans()] == [(0, 3, 1)]
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)


def test_predictions_that_were_written_score_as_they_did(network: Network) -> None:
    data = dataset(ANN, OSLO, MANY)
    found = predict(network, TASK, data, LABELS, batch=2)
    rows = TASK.table(found, LABELS, full=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    back = TASK.from_table(columns, LABELS)
    targets = TASK.targets(data, LABELS)
    assert TASK.score(TASK.outcomes(back, targets), LABELS) == TASK.score(
        TASK.outcomes(found, targets), LABELS
    )
    spans = json.loads(rows[0]["spans"])
    assert spans == TASK.table(found, LABELS)[0]["spans"]


def test_labels_are_those_of_the_training_split_alone() -> None:
    test = dataset(sentence("new", "B-NEW"))
    data = Data("d", "text", {"train": dataset(ANN, OSLO), "valid": test, "test": test}, (), "", (), "parts")
    assert TASK.labels(data) == Labels(LABELS.names, (3, 2, 0, 1, 1))
    none = dataset(sentence("nobody here", "O O"))
    with pytest.raises(BadData, match="nothing to learn"):
        TASK.labels(Data("d", "text", dict.fromkeys(SPLITS, none), (), "", (), "parts"))
