"""Files of words and tags: which columns, what text, and what is wrong with a row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.data.rows import Asked
from tunesmith.data.scripts import words_of
from tunesmith.data.tags import follows, scheme_of
from tunesmith.data.word_columns import are_columns, columns_of
from tunesmith.errors import BadData

Write = Callable[[str, str], Path]
PLAIN = "Ann\tB-PER\nLee\tI-PER\nleft\tO\n\nParis\tB-LOC\n.\tO\n"


def texts_of(path: Path, asked: Asked | None = None) -> list[tuple[str, tuple[str, ...]]]:
    columns = columns_of(path, asked or Asked())
    scheme = scheme_of(follows(columns.tags()))
    found = [columns.sentence(block, scheme) for block in columns.blocks()]
    assert not any(isinstance(own, str) for own in found), found
    return [(own[0], own[1].tags) for own in found if not isinstance(own, str)]


SENTENCES = [("Ann Lee left", ("B-PER", "I-PER", "O")), ("Paris .", ("B-LOC", "O"))]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\t", " "),
        PLAIN.replace("\n", "\r\n"),
        "\n\n" + PLAIN + "\n\n\n",
        PLAIN.replace("\n\n", "\n \t \n"),
        "-DOCSTART-\tO\n\n" + PLAIN,
        "# a remark about it\n" + PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.removesuffix("\n"),
        PLAIN.replace("\t", "\tNN\tx\t"),
    ],
)
def test_a_file_is_read_however_it_is_written(write: Write, text: str) -> None:
    path = write("a.conll", text)
    assert texts_of(path) == SENTENCES
    assert are_columns(path)


def test_a_hash_is_a_word_where_it_has_a_tag(write: Write) -> None:
    assert texts_of(write("a.conll", "# O\nfarm O\n\nAnn B-PER\n")) == [
        ("# farm", ("O", "O")),
        ("Ann", ("B-PER",)),
    ]


def test_columns_are_named_or_counted(write: Write) -> None:
    path = write("a.conll", "1 Ann B-PER NN\n2 left O VB\n")
    expected = [("Ann left", ("B-PER", "O"))]
    assert texts_of(path, Asked(item="2", target="3")) == expected
    assert texts_of(path, Asked(item="word", target="ner", columns=("id", "word", "ner", "pos"))) == expected
    told = write("b.conll", "# global.columns = ID FORM NER POS\n1 Ann B-PER NN\n2 left O VB\n")
    assert texts_of(told, Asked(target="NER")) == expected
    with pytest.raises(BadData, match="has no column 'nerr': they are counted from 1 to 4"):
        columns_of(path, Asked(target="nerr"))


def test_chinese_characters_are_joined_without_spaces(write: Write) -> None:
    text = "".join(f"{sign}\t{'B-LOC' if sign == '北' else 'O'}\n" for sign in "我在北京用iPad。")
    assert texts_of(write("a.bio", text))[0][0] == "我在北京用iPad。"


def test_chinese_words_keep_spaces_between_latin_ones(write: Write) -> None:
    text = "我们\tO\n在\tO\n北京\tB-LOC\n用\tO\nApple\tB-ORG\nPay\tI-ORG\n付款\tO\n"
    assert texts_of(write("a.bio", text))[0][0] == "我们在北京用Apple Pay付款"


def test_the_place_of_a_character_in_its_word_is_no_part_of_it(write: Write) -> None:
    text = "口0\tO\n腔1\tO\n在0\tO\n20\tO\n11\tO\n京10\tB-LOC\n"
    assert texts_of(write("a.conll", text))[0][0] == "口腔在21京"


def test_rows_without_a_word_are_left_out_and_counted(write: Write) -> None:
    columns = columns_of(write("a.conll", "Ann\tB-PER\n\tO\nleft\tO\n"), Asked())
    (block,) = columns.blocks()
    found = columns.sentence(block, scheme_of(follows(columns.tags())))
    assert found[0] == "Ann left"
    assert columns.skipped == {"without a word": 1}


@pytest.mark.parametrize(
    "text",
    [
        "great film\tgood\nbad film\tbad\n" * 20,
        "text\tlabel\na\tO\n" * 30,
        "plain words\nof a text\n\nmore\n",
        "",
    ],
)
def test_other_files_are_no_columns(write: Write, text: str) -> None:
    assert not are_columns(write("a.txt", text))


def test_raw_texts_fall_into_words_at_spaces_signs_and_characters() -> None:
    text = "U.S. firms' O'Neil's well-known 2,5\u00a0m（北京）@ann"
    expected = "U.S|.|firms|'|O'Neil|'s|well-known|2|,|5|m|（|北|京|）|@|ann"
    assert "|".join(text[a:b] for a, b in words_of(text)) == expected
    assert words_of(" \n") == []
