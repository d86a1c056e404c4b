from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.data.columns import choose
from tunesmith.data.rows import Asked
from tunesmith.data.tables import Unread, open_table
from tunesmith.errors import BadData

Write = Callable[[str, str], Path]


def test_lines_are_counted_through_quoted_newlines(write: Write) -> None:
    path = write("a.csv", 'text,label\n"one\ntwo",x\nthree,y\n')
    assert list(open_table(path).rows()) == [
        ("a.csv:2", ("one\ntwo", "x")),
        ("a.csv:4", ("three", "y")),
    ]


def test_a_byte_order_mark_is_not_part_of_the_first_name(write: Write) -> None:
    assert open_table(write("a.csv", "\ufefftext,label\na,b\n")).columns == ("text", "label")


def test_a_ragged_row_is_named_with_both_counts(write: Write) -> None:
    first, (where, row) = open_table(write("a.csv", "text,label\na,x\nb,y,z\n")).rows()
    assert (first, where, row) == (("a.csv:2", ("a", "x")), "a.csv:3", (None, None))
    assert isinstance(row, Unread)
    assert row.fault.startswith("a.csv:3 has 3 fields where 2 are expected")


def test_where_every_row_is_broken_the_first_is_named(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.csv:2 has 1 field where 2 are expected"):
        open_table(write("a.csv", "text,label\na\nb\n")).head()


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\nok,x\n" + "né,y\n".encode("latin-1"))
    with pytest.raises(BadData, match=r"a\.csv:3 is not UTF-8 text .*save the table as UTF-8"):
        list(open_table(path).rows())


def test_a_nul_byte_is_an_error_with_its_line(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.csv:2 holds a NUL byte"):
        list(open_table(write("a.csv", "text,label\na\0b,x\n")).rows())


def test_two_columns_of_one_name_are_an_error(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.csv:1: two columns are called 'text'"):
        open_table(write("a.csv", "text,text\na,b\n"))


def test_a_column_without_name_is_an_error(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.csv:1: column 2 has no name"):
        open_table(write("a.csv", "text,,label\na,0,b\n"))
    with pytest.raises(BadData, match=r"a\.csv:1: column 2 has no name"):
        open_table(write("a.csv", ",,text,label\n0,0,a,b\n"))


@pytest.mark.parametrize("header", [",post,label", '"","post","label"'], ids=["pandas", "R"])
def test_an_index_that_was_written_without_a_name_is_refused_no_more(write: Write, header: str) -> None:
    table = open_table(write("a.csv", f"{header}\n0,so be it,x\n1,so it was,y\n"))
    assert table.columns == ("column 1", "post", "label")
    assert choose(table, Asked()).item == "post"


def test_a_first_column_without_name_is_guessed_from_if_it_numbers_nothing(write: Write) -> None:
    table = open_table(write("a.csv", ",label\nso be it,x\nso it was,y\n"))
    assert choose(table, Asked()).item == "column 1"


def test_a_quote_that_is_never_closed_names_its_first_line(write: Write) -> None:
    path = write("a.csv", 'text,label\na,x\n"b,y\nc,z\n')
    with pytest.raises(BadData, match=r"a\.csv:3: the quotes of the record that starts here"):
        list(open_table(path).rows())


def test_an_empty_file_is_an_error(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.csv is empty"):
        open_table(write("a.csv", ""))


def test_semicolons_separate_when_the_header_has_no_comma(write: Write) -> None:
    table = open_table(write("a.csv", "text;label\none, two;x\n"))
    assert list(table.rows()) == [("a.csv:2", ("one, two", "x"))]


def test_a_quote_in_a_tsv_without_quoting_is_just_a_sign(write: Write) -> None:
    table = open_table(write("a.tsv", 'label\ttext\nx\t"so he said\ny\t"all ""of"" it"\n'))
    assert [values[1] for _, values in table.rows()] == ['"so he said', 'all "of" it']


def test_a_tsv_may_hold_quoted_newlines(write: Write) -> None:
    table = open_table(write("a.tsv", 'text\tlabel\n"one\ntwo"\tx\n'))
    assert list(table.rows()) == [("a.tsv:2", ("one\ntwo", "x"))]


def test_named_columns_take_the_first_row_as_data(write: Write) -> None:
    path = write("a.tsv", "ham\thello\nspam\tbuy\n")
    table = open_table(path, columns=("label", "text"))
    assert next(table.rows()) == ("a.tsv:1", ("ham", "hello"))


def test_named_columns_that_equal_the_header_leave_it_a_header(write: Write) -> None:
    path = write("a.csv", "label,text\nham,hello\n")
    assert len(list(open_table(path, columns=("label", "text")).rows())) == 1


def test_a_txt_of_two_fields_is_text_and_label(write: Write) -> None:
    table = open_table(write("a.txt", "good\t1\nbad\t0\n"))
    assert table.columns == ("text", "label")
    assert next(table.rows()) == ("a.txt:1", ("good", "1"))


def test_a_txt_without_tabs_is_an_error(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.txt:1 has 1 fields; .* a text, a tab and a label"):
        open_table(write("a.txt", "good\nbad\n"))


def test_jsonl_columns_are_those_of_every_row(write: Write) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "extra": None}]
    table = open_table(write("a.jsonl", "\n".join(map(json.dumps, rows))))
    assert table.columns == ("text", "label", "extra")
    assert list(table.rows())[1] == ("a.jsonl:2", ("b", None, None))


def test_a_broken_json_line_is_named(write: Write) -> None:
    _, (_, row) = open_table(write("a.jsonl", '{"text": "a"}\n{"text": \n')).rows()
    assert isinstance(row, Unread)
    assert row.fault.startswith("a.jsonl:2 is not JSON")


def test_a_json_line_that_is_no_object_is_named(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.jsonl:1 holds a list"):
        open_table(write("a.jsonl", "[1, 2]\n"))


def test_a_parquet_file_that_is_none_is_an_error(write: Write) -> None:
    with pytest.raises(BadData, match=r"a\.parquet is not a Parquet file"):
        open_table(write("a.parquet", "text,label\n"))


@pytest.mark.parametrize("text", ["text", "Review", "utterance", "item"])
@pytest.mark.parametrize("label", ["label", "Category", "sentiment", "y"])
def test_usual_names_are_guessed(write: Write, text: str, label: str) -> None:
    columns = choose(open_table(write("a.csv", f"n,{text},{label}\n1,a b,x\n")), Asked())
    assert (columns.item, columns.target, columns.takes) == (text, label, "text")


def test_a_path_column_of_images_wins_over_a_text_column(write: Write) -> None:
    columns = choose(open_table(write("a.csv", "title,image,label\na,1.jpg,x\n")), Asked())
    assert (columns.item, columns.takes) == ("image", "image")


def test_the_other_of_two_columns_is_the_label_if_it_repeats(write: Write) -> None:
    columns = choose(open_table(write("a.csv", "text,mood\na,x\nb,x\nc,y\n")), Asked())
    assert columns.target == "mood"


def test_the_other_of_two_columns_is_the_item(write: Write) -> None:
    assert choose(open_table(write("a.csv", "post,label\na,x\n")), Asked()).item == "post"


def test_columns_that_nobody_knows_are_listed_with_the_cure(write: Write) -> None:
    table = open_table(write("a.csv", "text,p,q\na,1,2\n"))
    with pytest.raises(BadData, match=r"its columns are text, p, q; .* --target COLUMN"):
        choose(table, Asked())


def test_an_unknown_item_is_cured_by_item(write: Write) -> None:
    table = open_table(write("a.csv", "p,q,label\na,1,2\n"))
    with pytest.raises(BadData, match="--item COLUMN"):
        choose(table, Asked())


def test_a_missing_header_is_recognised(write: Write) -> None:
    table = open_table(write("sms.tsv", "ham\tsee you later\nspam\tbuy now\nham\tok\n"))
    with pytest.raises(BadData, match=r"sms\.tsv seems to have no header.*--columns label,text"):
        choose(table, Asked())


def test_a_wrong_column_name_gets_a_guess(write: Write) -> None:
    table = open_table(write("a.csv", "text,label\na,x\n"))
    with pytest.raises(BadData, match=r"no column 'lable'; did you mean 'label'\?"):
        choose(table, Asked(target="lable"))


def test_a_header_without_rows_is_an_error(write: Write) -> None:
    with pytest.raises(BadData, match="holds no rows"):
        choose(open_table(write("a.csv", "text,label\n")), Asked())


def test_a_column_called_split_is_used_if_every_value_is_a_split(write: Write) -> None:
    used = open_table(write("a.csv", "text,label,split\na,x,train\nb,y,dev\n"))
    other = open_table(write("b.csv", "text,label,split\na,x,train\nb,y,banana\n"))
    assert choose(used, Asked()).split == "split"
    assert choose(other, Asked()).split is None
