"""Tags of words: the schemes they are written in, and the spans they mark."""

from __future__ import annotations

import random

import pytest

from tunesmith.data.tags import Answer, Scheme, Span, follows, parted, scheme_of, spans_of

SPANS = [Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC")]
WRITTEN = {
    "BIO": ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "O"],
    "IOB1": ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "O"],
    "BIOES": ["B-PER", "E-PER", "S-PER", "O", "S-LOC", "O"],
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_scheme_is_recognised_and_marks_the_same_spans(name: str) -> None:
    scheme = scheme_of(follows([WRITTEN[name]]))
    assert scheme.name == name
    bio, strays = scheme.to_bio(WRITTEN[name])
    assert (bio, strays) == (WRITTEN["BIO"], [])
    assert spans_of(bio) == SPANS


def test_bilou_and_bmes_are_bioes_by_other_letters() -> None:
    for tags in (["B-X", "I-X", "L-X", "U-Y"], ["B-X", "M-X", "E-X", "S-Y"]):
        scheme = scheme_of(follows([tags]))
        assert scheme.to_bio(tags)[0] == ["B-X", "I-X", "I-X", "B-Y"]


def test_types_without_letters_are_io() -> None:
    tags = ["PER", "PER", "O", "LOC"]
    scheme = scheme_of(follows([tags]))
    assert (scheme.name, scheme.bare) == ("IO", True)
    assert scheme.to_bio(tags)[0] == ["B-PER", "I-PER", "O", "B-LOC"]


def test_a_few_strays_make_bio_not_iob1() -> None:
    sentences = [WRITTEN["BIO"]] * 9 + [["O", "I-PER", "O"]]
    scheme = scheme_of(follows(sentences))
    assert scheme.name == "BIO"
    assert scheme.to_bio(["O", "I-PER", "I-LOC"]) == (["O", "B-PER", "B-LOC"], [1, 2])


@pytest.mark.parametrize("tag", ["", "B-", "-PER", "BPER", "X-PER", "o", "PER"])
def test_what_is_no_tag_is_a_fault(tag: str) -> None:
    assert Scheme("BIO").fault(tag) is not None
    assert parted(tag) is None


def test_an_end_is_a_fault_only_where_the_others_have_none() -> None:
    assert Scheme("BIO").fault("E-PER") is not None
    assert Scheme("BIOES").fault("E-PER") is None


def test_spans_are_those_that_seqeval_finds(seed: int) -> None:
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    rng = random.Random(seed)
    every = ["O", *(f"{letter}-{kind}" for letter in "BI" for kind in ("A", "B-C"))]
    for _ in range(300):
        tags = rng.choices(every, k=rng.randrange(1, 12))
        theirs = [(kind, start, end + 1) for kind, start, end in seqeval.get_entities(tags)]
        assert [(span.type, span.start, span.end) for span in spans_of(tags)] == theirs


def test_an_answer_comes_back_from_its_label() -> None:
    answer = Answer(((0, 2), (3, 5), (6, 9)), ("B-人名", "I-人名", "O"))
    assert Answer.of(answer.written()) == answer
    assert answer.spans() == [Span(0, 5, "人名")]
