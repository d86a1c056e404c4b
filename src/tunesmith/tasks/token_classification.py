"""Named entities and other spans: a tag for every word of a text."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tunesmith.data.data import SPLITS, Data, Finding
from tunesmith.data.read import read
from tunesmith.data.scripts import words_of
from tunesmith.data.tagged import TASK
from tunesmith.data.tags import OUTSIDE, Answer
from tunesmith.data.texts import empty_texts
from tunesmith.errors import BadData, BadOption
from tunesmith.networks.network import Network, Want
from tunesmith.networks.preprocess import Preprocess, TextPreprocess
from tunesmith.networks.windows import windows
from tunesmith.tasks.classification import LOSSES
from tunesmith.tasks.rows import Rows
from tunesmith.tasks.tagged_words import Tagged, counts_of, surprise, together, truth_of
from tunesmith.tasks.task import Batch, Labels, known_loss
from tunesmith.tasks.uncut import Uncut

if TYPE_CHECKING:
    from tunesmith.plan import Settings
    from tunesmith.tasks.task import Outcomes

UNSEEN: Final = (
    -100
)  # the target of a token that is no word's first piece, as PyTorch's cross-entropy knows it
SHARED: Final = 4  # windows share a part so large of their tokens with the one before
AT_A_TIME: Final = 1000  # texts that are tokenized at once


@dataclass(frozen=True)
class TokenClassification(Uncut):
    """Spans of words, each of one type, none in another.

    label_smoothing: share of the target that is spread over all tags. balanced: whether words of rare tags
        count more.
    """

    name: str = TASK
    takes: str = "text"
    kind: str = TASK
    model: str = "hf/sentence-transformers/all-MiniLM-L6-v2"
    answers: str = "parts"
    metric: str = "f1"
    best: str = "max"
    unit: str = "sentence"
    solver: str | None = None
    valid_loss: str = "log_loss"
    parts: str = "words"
    label_smoothing: float = 0.0
    balanced: bool = False

    def read(self, source: Any, **options: Any) -> Data:
        """Sentences with tagged words in three splits; options as `tunesmith.data.read.read` takes them."""
        data = read(source, takes=self.takes, answers=self.answers, **options)
        if data.task != self.name:
            raise BadData(
                f"{data.name} holds no tagged words, but data for {data.task or 'another task'}; what is "
                f"read are files of a word and its tag in each line (CoNLL), and JSONL of texts with spans."
            )
        return data

    def check(self, data: Data) -> list[Finding]:
        """Sentences that hold nothing but white space."""
        return [finding for split in SPLITS for finding in empty_texts(data.splits[split])]

    def labels(self, data: Data) -> Labels:
        """O, then B and I of each type of the training split, sorted, and how many words have each tag."""
        counts = Counter(tag for label in data.train["label"][:] for tag in Answer.of(label).tags)
        types = sorted({tag[2:] for tag in counts if tag != OUTSIDE})
        if not types:
            raise BadData("no word of the training split has a tag but O, so there is nothing to learn.")
        names = (OUTSIDE, *(f"{letter}-{kind}" for kind in types for letter in "BI"))
        return Labels(names, tuple(counts[name] for name in names))

    def configured(self, settings: Settings) -> TokenClassification:
        """With the label smoothing and the balance of the settings.

        Raises BadOption for a balance that draws examples, because a sentence holds frequent tags and rare
        ones, and for a loss that is not cross-entropy.
        """
        if settings.balance == "sampler":
            raise BadOption(
                "balance 'sampler' draws examples of rare classes more often, and here an example has words "
                "of many tags; use 'weights'."
            )
        known_loss(settings, LOSSES, self.name)
        return replace(self, label_smoothing=settings.label_smoothing, balanced=settings.balance == "weights")

    def want(self, labels: Labels, **options: Any) -> Want:
        """One output per tag, for every token."""
        return Want(kind=self.kind, outputs=len(labels.names), labels=labels.names, **options)

    def cut(self, dataset: Any, preprocess: Preprocess) -> Any:
        """Every text with its words, a long one as overlapping windows of whole words.

        Words are those of the label, or by a rule where there is none (`tunesmith.data.scripts.words_of`).
        """
        import datasets

        assert isinstance(preprocess, TextPreprocess)
        rows = list(_windows(dataset, preprocess))
        names = ("id", "item", "label", "of", "start", "words")
        return datasets.Dataset.from_dict(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))

    def joined(self, predictions: Sequence[Any]) -> Any:
        """Each word from the window that shows most around it."""
        return together(predictions)

    def collate(self, examples: Sequence[Mapping[str, Any]], preprocess: Preprocess, labels: Labels) -> Batch:
        """Raw inputs; targets int64 [B, T], the tag where a word begins and -100 elsewhere; pieces likewise.

        pieces: int64 [B, T, 3]: (0, start, end) of the words that a token begins, in the whole text; -1 first
        elsewhere. weights: [B] of examples, or [B, T] of tags where they are balanced.
        """
        inputs = preprocess.raw([example["item"] for example in examples])
        T = max(len(example["pieces"]) for example in examples)
        place = {name: i for i, name in enumerate(labels.names)}
        known = examples[0].get("label") is not None
        targets = np.full((len(examples), T), UNSEEN, np.int64)
        pieces = np.tile(np.array([-1, 0, 0]), (len(examples), T, 1))
        for row, example in enumerate(examples):
            words = np.asarray(json.loads(example["words"]), np.int64).reshape(-1, 2)
            at, first, last = _first_pieces(example["pieces"], words - example["start"])
            pieces[row, at] = np.stack([np.zeros_like(at), words[first, 0], words[last, 1]], 1)
            if known and example["label"] is not None:
                tags = json.loads(example["label"])["tags"]
                targets[row, at] = [place.get(tags[word], UNSEEN) for word in first]
        weights = None
        if self.balanced and known:
            own = np.asarray(tag_weights(labels))
            weights = torch.from_numpy(
                np.where(targets == UNSEEN, 0.0, own[np.maximum(targets, 0)]).astype(np.float32)
            )
        elif examples[0].get("weight") is not None:
            weights = torch.tensor([float(example["weight"]) for example in examples])
        return Batch(
            inputs,
            torch.from_numpy(targets) if known else None,
            weights,
            len(examples),
            torch.from_numpy(pieces),
            torch.from_numpy((targets != UNSEEN).sum(1)) if known else None,
        )

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Cross-entropy in nats, the mean over the words of the batch, each times its example's weight."""
        targets = batch.truth
        each = cross_entropy(
            network(batch.inputs).float().transpose(1, 2),
            targets,
            reduction="none",
            ignore_index=UNSEEN,
            label_smoothing=self.label_smoothing,
        )
        if batch.weights is not None:
            each = each * (batch.weights if batch.weights.ndim == 2 else batch.weights[:, None])
        return each.sum() / (targets != UNSEEN).sum().clamp(min=1)

    def rows(self, states: Tensor, batch: Batch) -> Rows | None:
        """Every word that has a tag, by what is said of its first piece."""
        assert batch.pieces is not None
        if states.ndim != 3 or states.shape[1] < batch.pieces.shape[1]:
            return None
        of, token = (batch.truth >= 0).nonzero(as_tuple=True)
        return Rows(states[of, token], of, batch.truth[of, token], batch.pieces[of, token, 1], background=0)

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        """The words of each text and their tags' probabilities."""
        assert batch.pieces is not None
        chances = torch.softmax(network(batch.inputs).float(), dim=-1).cpu().numpy()
        places = batch.pieces.cpu().numpy()
        found = []
        for own, pieces in zip(chances, places, strict=True):
            begin = pieces[:, 0] == 0
            found.append(Tagged(pieces[begin, 1:], own[: len(pieces)][begin]))
        return found

    def targets(self, dataset: Any, labels: Labels) -> list[Any]:
        """The words and tags of each text."""
        types = types_of(labels)
        return [truth_of(Answer.of(label), types) for label in dataset["label"][:]]

    def simple(self, train: Any, test: Any, labels: Labels) -> Mapping[str, list[Any]]:
        """Every word with the tags that it had in training, and other words with those of all."""
        names = {name: i for i, name in enumerate(labels.names)}
        shares = _shares(labels)
        had: dict[str, np.ndarray] = defaultdict(shares.copy)
        for text, label in zip(train["item"][:], train["label"][:], strict=True):
            answer = Answer.of(label)
            for (start, end), tag in zip(answer.words, answer.tags, strict=True):
                had[text[start:end]][names[tag]] += 1
        learned = {word: (own / own.sum()).astype(np.float32) for word, own in had.items()}
        found = []
        for text, label in zip(test["item"][:], test["label"][:], strict=True):
            words = Answer.of(label).words
            own = [learned.get(text[start:end], shares) for start, end in words]
            found.append(Tagged(np.asarray(words, np.int64), np.asarray(own, np.float32)))
        return {"most frequent tag per word": found}

    def outcomes(self, predictions: Sequence[Any], targets: Sequence[Any]) -> Outcomes:
        """Per sentence: spans right, marked and there, of each type [n, types + 1]; surprise, words [n].

        mistakes: [n], 1 - F1 of the sentence alone; 0 where nothing is marked and nothing is there.
        """
        types = (predictions[0].probabilities.shape[1] - 1) // 2
        counts = [counts_of(own, true, types) for own, true in zip(predictions, targets, strict=True)]
        right, marked, there = (np.stack(own) for own in zip(*counts, strict=True))
        surprises = [surprise(own, true) for own, true in zip(predictions, targets, strict=True)]
        lost, words = (np.asarray(own) for own in zip(*surprises, strict=True))
        both = marked.sum(1) + there.sum(1)
        wrong = np.where(both > 0, 1 - 2 * right.sum(1) / np.maximum(both, 1), 0.0)
        spans = {"right": right, "marked": marked, "there": there}
        return {**spans, "surprise": lost, "words": words, "mistakes": wrong}

    def score(
        self,
        outcomes: Outcomes,
        labels: Labels,
        *,
        only: str | None = None,  # noqa: ARG002
    ) -> dict[str, float]:
        """f1, precision and recall over all spans; macro_f1; those of each type; log_loss of words.

        As seqeval defines them (and conlleval before it): what would divide by zero is 0, and macro-F1 runs
        over the types that there are or that are marked.
        """
        right, marked, there = (outcomes[name].sum(0) for name in ("right", "marked", "there"))
        precision, recall, f1 = _rates(right, marked, there)
        whole = [float(own) for own in _rates(right.sum(), marked.sum(), there.sum())]
        seen = marked + there > 0
        scores = {
            "f1": whole[2],
            "precision": whole[0],
            "recall": whole[1],
            "macro_f1": float(f1[seen].mean()) if seen.any() else 0.0,
            "log_loss": float(outcomes["surprise"].sum() / max(outcomes["words"].sum(), 1)),
        }
        for i, name in enumerate(types_of(labels)):
            scores |= {f"precision/{name}": float(precision[i]), f"recall/{name}": float(recall[i])}
            scores[f"f1/{name}"] = float(f1[i])
        return scores

    def trivial(self, labels: Labels, count: int) -> tuple[str, list[Any]]:
        """The shares of the tags in training, whatever the word: always O."""
        shares = _shares(labels).astype(np.float32)
        none = Tagged(np.zeros((0, 2), np.int64), np.zeros((0, len(shares)), np.float32), shares)
        return "no spans", [none] * count

    def table(
        self, predictions: Sequence[Any], labels: Labels, *, full: bool = False
    ) -> list[dict[str, Any]]:
        """The spans, in characters, with type and probability; if `full` as JSON, and all of every word."""
        types = types_of(labels)
        rows = []
        for own in predictions:
            spans = [
                {
                    "start": s.start,
                    "end": s.end,
                    "label": types[s.type],
                    "probability": round(s.probability, 4),
                }
                for s in own.spans()
            ]
            row: dict[str, Any] = {"spans": json.dumps(spans, ensure_ascii=False) if full else spans}
            if full:
                row |= {"words": own.words.ravel().tolist()}
                row |= {"probabilities": own.probabilities.ravel().tolist()}
            rows.append(row)
        return rows

    def from_table(self, columns: Mapping[str, Sequence[Any]], labels: Labels) -> list[Any]:
        """Words and their tags' probabilities of the columns that hold them."""
        K = len(labels.names)
        return [
            Tagged(np.asarray(words, np.int64).reshape(-1, 2), np.asarray(chances, np.float32).reshape(-1, K))
            for words, chances in zip(columns["words"], columns["probabilities"], strict=True)
        ]


def types_of(labels: Labels) -> tuple[str, ...]:
    """The types of spans, in the order of the network's outputs.

    >>> types_of(Labels(("O", "B-LOC", "I-LOC", "B-PER", "I-PER")))
    ('LOC', 'PER')
    """
    return tuple(name[2:] for name in labels.names[1::2])


def tag_weights(labels: Labels) -> list[float]:
    """How much a word of each tag counts where tags are balanced; 1 on average over the words of training.

    With the square root of the rareness: by the whole of it a word of O, nine of ten, would count a hundredth
    of the others, and everything would be marked (square-root sampling, Mahajan et al. 2018,
    arXiv:1805.00932).

    >>> tag_weights(Labels(("O", "B-LOC", "I-LOC"), (900, 100, 0)))
    [0.833333333333, 2.5, 2.5]
    """
    counts = np.maximum(np.asarray(labels.counts, float), 1)
    counts = np.where(np.asarray(labels.counts) > 0, counts, counts[np.asarray(labels.counts) > 0].min())
    own = 1 / np.sqrt(counts)
    return [round(float(w), 12) for w in own * sum(labels.counts) / float(own @ labels.counts)]


def _shares(labels: Labels) -> np.ndarray:
    counts = np.asarray(labels.counts, float)
    found: np.ndarray = counts / counts.sum()
    return found


def _rates(right: Any, marked: Any, there: Any) -> tuple[Any, Any, Any]:
    """Precision, recall and F1, 0 where they would divide by zero."""
    precision, recall = right / np.maximum(marked, 1), right / np.maximum(there, 1)
    return precision, recall, 2 * right / np.maximum(marked + there, 1)


def _first_pieces(pieces: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tokens that words begin with, and the first and the last word that begins with each.

    pieces: int64 [t, 3]. words: int64 [W, 2], characters. Some tokenizers make one piece of several words, of
    Chinese characters for instance: they have one answer. Words of which no piece is left have none.
    """
    of_text = np.flatnonzero((pieces[:, 0] == 0) & (pieces[:, 2] > pieces[:, 1]))
    begin, end = pieces[of_text, 1], pieces[of_text, 2]
    at = np.searchsorted(end, words[:, 0], side="right")
    within = at < len(of_text)
    within[within] = begin[at[within]] < words[within, 1]
    there = np.flatnonzero(within)
    places, first, counts = np.unique(at[within], return_index=True, return_counts=True)
    return of_text[places], there[first], there[first + counts - 1]


def _windows(dataset: Any, preprocess: TextPreprocess) -> Iterator[tuple[Any, ...]]:
    """(id, text, label, row of the example, where it begins, words) of every window."""
    room = preprocess.max_length - preprocess.tokenizer.num_special_tokens_to_add()
    labelled = "label" in dataset.column_names
    for start in range(0, len(dataset), AT_A_TIME):
        block = dataset[start : start + AT_A_TIME]
        lengths = preprocess.lengths(block["item"])
        for i, (name, text) in enumerate(zip(block["id"], block["item"], strict=True)):
            label = block["label"][i] if labelled else None
            answer = Answer.of(label) if label is not None else Answer(tuple(words_of(text)), ())
            ranges = [(0, len(text))]
            if lengths[i] > preprocess.max_length:
                ranges = windows(text, preprocess.tokenizer, room, room // SHARED)
            for begin, end in ranges:
                own = [w for w, (first, _) in enumerate(answer.words) if begin <= first < end]
                words = [answer.words[w] for w in own]
                tags = tuple(answer.tags[w] for w in own) if label is not None else ()
                said = Answer(tuple(words), tags).written() if label is not None else None
                yield name, text[begin:end], said, start + i, begin, json.dumps(words)
