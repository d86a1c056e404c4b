"""Questions on texts: the words of a context that answer each, or that none do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tunesmith.data.data import SPLITS, Data, Finding
from tunesmith.data.pairs import apart
from tunesmith.data.questions import TASK, answers_of
from tunesmith.data.read import read
from tunesmith.data.texts import empty_texts
from tunesmith.errors import BadOption
from tunesmith.networks.network import Network, Want
from tunesmith.networks.preprocess import Preprocess, TextPreprocess
from tunesmith.tasks.overlap import first_sentence, sliding_window
from tunesmith.tasks.question_windows import question_windows
from tunesmith.tasks.rows import Rows
from tunesmith.tasks.span_metrics import exact_match, f1
from tunesmith.tasks.spans import (
    Spans,
    best_spans,
    best_threshold,
    joined,
    no_span,
    one_span,
    written,
)
from tunesmith.tasks.spans import read as read_spans
from tunesmith.tasks.task import Batch, Labels

if TYPE_CHECKING:
    from tunesmith.plan import Settings
    from tunesmith.tasks.task import Outcomes

SMALLEST: Final = 1e-6  # what a right answer is given at least, so that a loss stays finite
OVERLAP: Final = 128  # tokens that two windows of a context share (Devlin et al. 2019)
WHOLE: Final = 2**40  # characters that no context has
PADDING: Final = -2  # the part of what only fills a batch


@dataclass(frozen=True)
class Truth:
    """What is known of a question: its context, and the texts that answer it; empty if the context does not.

    context: "" where it is not at hand, as in a table of predictions, which hold their texts then.
    """

    context: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Asked(Batch):
    """A batch that knows the words of its windows, for its answers are some of them.

    windows: of each row, the text of the context that it holds and the character at which that begins.
    """

    windows: tuple[tuple[str, int], ...] = ()

    def part(self, cut: slice) -> Batch:
        """Some of the examples."""
        own = super().part(cut)
        assert isinstance(own, Asked)  # the batch's own class, whole but for what this one adds
        return replace(own, windows=self.windows[cut])


@dataclass(frozen=True)
class QuestionAnswering:
    """Extractive question answering: the network gives each token a logit as start and one as end."""

    name: str = TASK
    takes: str = "text"
    kind: str = TASK
    model: str = "hf/sentence-transformers/all-MiniLM-L6-v2"
    answers: str = "parts"
    metric: str = "f1"
    best: str = "max"
    unit: str = "question"
    solver: str | None = None
    valid_loss: str = "answer_loss"
    parts: str = "tokens"

    def read(self, source: Any, **options: Any) -> Data:
        """Questions in three splits; options as `tunesmith.data.read.read` takes them."""
        return read(source, takes=self.takes, answers=self.answers, task=self.name, **options)

    def check(self, data: Data) -> list[Finding]:
        """Questions of nothing but white space; what is wrong with answers is found in reading."""
        return [finding for split in SPLITS for finding in empty_texts(data.splits[split])]

    def labels(self, data: Data) -> Labels:
        """Whether some questions have no answer: then the network may say so."""
        some = any(not answers_of(label) for label in data.train["label"])
        return Labels(("start", "end"), thresholds=(0.0,) if some else ())

    def deciding(self, labels: Labels) -> str:  # noqa: ARG002
        """F1: exact match is too coarse for the few questions of a validation split."""
        return self.metric

    def configured(self, settings: Settings) -> QuestionAnswering:
        """As it is. Raises BadOption for label smoothing, which would spread an answer over its context."""
        if settings.label_smoothing:
            raise BadOption(
                "label_smoothing is for classes, and this task finds answers in texts; leave it out."
            )
        return self

    def calibrated(self, labels: Labels, predictions: Sequence[Any], targets: Sequence[Any]) -> Labels:
        """The labels with the margin above which no answer is given, where that may be said."""
        if not labels.thresholds:
            return labels
        found = self.outcomes(predictions, targets)
        return replace(labels, thresholds=(best_threshold(found["margin"], found["f1"], found["none"]),))

    def want(self, labels: Labels, **options: Any) -> Want:
        """Two outputs per token: start and end."""
        return Want(kind=self.kind, outputs=2, labels=labels.names, pairs=True, **options)

    def cut(self, dataset: Any, preprocess: Preprocess) -> Any | None:
        """Windows of contexts that fit beside their question, 128 tokens of which two have in common."""
        if not isinstance(preprocess, TextPreprocess):
            return None
        return question_windows(dataset, preprocess, OVERLAP)

    def joined(self, predictions: Sequence[Any]) -> Spans:
        """The best spans of all windows."""
        return joined(predictions)

    def rows(self, states: Tensor, batch: Batch) -> Rows | None:
        """The tokens of each window's context, and which of them begins the answer and which ends it.

        Of windows that hold the whole answer; in others there is none to find.
        """
        assert batch.pieces is not None
        if states.ndim != 3 or states.shape[1] < batch.pieces.shape[1]:
            return None
        answers = batch.truth
        of, token = ((batch.pieces[..., 0] == 1) & (answers[:, :1] > 0)).nonzero(as_tuple=True)
        right = (token[:, None] == answers[of]).double()
        return Rows(states[of, token], of, right, batch.pieces[of, token, 1])

    def collate(self, examples: Sequence[Mapping[str, Any]], preprocess: Preprocess, labels: Labels) -> Batch:  # noqa: ARG002
        """Token tensors, the tokens int64 [B, 2] at which answers start and end, weights [B] if there are.

        Where the window does not hold the whole (first) answer, both are 0: the first token says so.
        """
        inputs = preprocess.raw([example["item"] for example in examples])
        known = bool(examples) and examples[0].get("label") is not None
        weighted = bool(examples) and examples[0].get("weight") is not None
        placed = bool(examples) and examples[0].get("pieces") is not None
        pieces = [_in_context(example) for example in examples] if placed else []
        tokens = (
            [_tokens(own, e["label"]) for own, e in zip(pieces, examples, strict=True)]
            if placed and known
            else []
        )
        return Asked(
            inputs,
            torch.from_numpy(np.asarray(tokens, np.int64).reshape(-1, 2)) if tokens else None,
            torch.tensor([float(e["weight"]) for e in examples]) if weighted else None,
            len(examples),
            torch.from_numpy(_padded(pieces)) if placed else None,
            windows=tuple(_window(example) for example in examples) if placed else (),
        )

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The mean of the cross-entropies of start and end over a window's tokens; padding takes no part."""
        if batch.targets is None or batch.pieces is None:
            raise ValueError("a batch without answers has no loss")
        padding = batch.pieces[..., 0] == PADDING
        logits = _logits(network, batch).masked_fill(padding[..., None], -torch.inf)
        each = cross_entropy(logits, batch.targets, reduction="none").mean(1)
        return batch.mean(each)

    def predict(self, network: Network, batch: Batch) -> list[Any]:
        """The best spans of each window, in characters of the whole context."""
        if batch.pieces is None:
            raise ValueError("without the places of its tokens a batch has no spans")
        logits = _logits(network, batch).double().cpu().numpy()
        pieces = batch.pieces.cpu().numpy()
        windows = batch.windows if isinstance(batch, Asked) else ()
        found = []
        for row, (own, places) in enumerate(zip(logits, pieces, strict=True)):
            found.append(best_spans(own, places, *windows[row : row + 1]))
        return found

    def targets(self, dataset: Any, labels: Labels) -> list[Any]:  # noqa: ARG002
        """Contexts and true answers; equal contexts are held once."""
        if isinstance(dataset, Mapping):
            return [_truth("", label) for label in dataset["label"]]
        found: list[Any] = []
        held: dict[str, str] = {}
        for block in dataset.select_columns(["item", "label"]).iter(batch_size=1000):
            for item, label in zip(block["item"], block["label"], strict=True):
                context = apart(item)[1]
                found.append(_truth(held.setdefault(context, context), label))
        return found

    def outcomes(self, predictions: Sequence[Any], targets: Sequence[Any]) -> Outcomes:
        """Per question: how right the best span is, and no answer; its margin; what the truth was given."""
        rows = [_outcome(own, truth) for own, truth in zip(predictions, targets, strict=True)]
        names = ("exact", "f1", "none", "margin", "answerable", "given")
        return dict(zip(names, np.asarray(rows, np.float64).reshape(-1, len(names)).T, strict=True))

    def score(self, outcomes: Outcomes, labels: Labels, *, only: str | None = None) -> dict[str, float]:  # noqa: ARG002
        """exact_match and f1 (0 to 1), and answer_loss: -log of what the best spans give to a right answer.

        Where questions may have no answer: f1 of those that have one, and how many of the others are told.
        """
        silent = (
            outcomes["margin"] > labels.thresholds[0]
            if labels.thresholds
            else np.zeros(len(outcomes["f1"]), bool)
        )
        exact = np.where(silent, outcomes["none"], outcomes["exact"])
        each = np.where(silent, outcomes["none"], outcomes["f1"])
        scores = {
            "exact_match": float(exact.mean()),
            "f1": float(each.mean()),
            "answer_loss": float(-np.log(np.clip(outcomes["given"], SMALLEST, 1.0)).mean()),
        }
        if labels.thresholds:
            there = outcomes["answerable"] > 0
            scores["f1/answered"] = float(each[there].mean()) if there.any() else 0.0
            scores["f1/no answer"] = float(each[~there].mean()) if not there.all() else 0.0
        return scores

    def trivial(self, labels: Labels, count: int) -> tuple[str, list[Any]]:
        """No answer where that may be right, else the whole context."""
        if labels.thresholds:
            return "no answer", [no_span()] * count
        return "whole context", [one_span(0, WHOLE)] * count

    def simple(self, train: Any, test: Any, labels: Labels) -> Mapping[str, list[Any]]:  # noqa: ARG002
        """The first sentence, and the sentence that shares most with the question."""
        pairs = [apart(item) for item in test["item"]]
        return {
            "first sentence": [one_span(*first_sentence(context), context) for _, context in pairs],
            "sliding window": [
                one_span(*sliding_window(asked, context), context) for asked, context in pairs
            ],
        }

    def table(
        self, predictions: Sequence[Any], labels: Labels, *, full: bool = False
    ) -> list[dict[str, Any]]:
        """The answer, its characters in the context, its score; "" and none where there is no answer."""
        rows = []
        for own in predictions:
            silent = not len(own.places) or (bool(labels.thresholds) and own.margin > labels.thresholds[0])
            shares, none = own.chances()
            start, end = (None, None) if silent else own.places[0].tolist()
            row: dict[str, Any] = {
                "answer": "" if silent else own.text(),
                "start": start,
                "end": end,
                "score": none if silent else float(shares[0]),
            }
            if labels.thresholds:
                row["no answer"] = none
            row["in context"] = "" if silent else own.around
            if full:
                row["spans"] = written(own)
            rows.append(row)
        return rows

    def from_table(self, columns: Mapping[str, Sequence[Any]], labels: Labels) -> list[Any]:  # noqa: ARG002
        """The spans of each question, with their texts."""
        return [read_spans(text) for text in columns["spans"]]


def _truth(context: str, label: str) -> Truth:
    return Truth(context, tuple(text for text, _ in answers_of(label)))


def _logits(network: Network, batch: Batch) -> Tensor:
    """Float32 [B, T, 2], T as many tokens as the batch's places have."""
    assert batch.pieces is not None
    return network(batch.inputs).float()[:, : batch.pieces.shape[1]]


def _window(example: Mapping[str, Any]) -> tuple[str, int]:
    return apart(example["item"])[1], int(example.get("start") or 0)


def _in_context(example: Mapping[str, Any]) -> Any:
    """Where tokens lie, those of the context counted from its beginning and not the window's."""
    pieces = np.array(example["pieces"], np.int64)
    pieces[pieces[:, 0] == 1, 1:] += int(example.get("start") or 0)
    return pieces


def _tokens(pieces: Any, label: str) -> tuple[int, int]:
    """The first and the last token of the first answer; 0 and 0 where the window does not hold all of it."""
    answers = answers_of(label)
    if not answers:
        return 0, 0
    text, start = answers[0]
    end = start + len(text)
    own = np.flatnonzero(pieces[:, 0] == 1)
    if not len(own) or pieces[own[0], 1] > start or pieces[own[-1], 2] < end:
        return 0, 0
    first = own[np.flatnonzero(pieces[own, 1] <= start)[-1]]
    last = own[np.flatnonzero(pieces[own, 2] >= end)[0]]
    return int(first), max(int(last), int(first))


def _padded(pieces: Sequence[Any]) -> Any:
    T = max(len(own) for own in pieces)
    out = np.zeros((len(pieces), T, 3), np.int64)
    out[..., 0] = PADDING
    for row, own in zip(out, pieces, strict=True):
        row[: len(own)] = own
    return out


def _outcome(own: Spans, truth: Truth) -> tuple[float, ...]:
    answer = own.text(truth.context)
    shares, none = own.chances()
    given = none
    if truth.answers:
        right = [exact_match(text, truth.answers) for text in own.texts(truth.context)]
        given = float(shares @ np.asarray(right)) if right else 0.0
    return (
        exact_match(answer, truth.answers),
        f1(answer, truth.answers),
        float(not truth.answers),
        own.margin,
        float(bool(truth.answers)),
        given,
    )
