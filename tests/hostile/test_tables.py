"""Texts and tables: read exactly, or refused with the file and the row, early and in flat memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.data.read import read, read_items

Write = Callable[..., Path]
Refusal = Callable[..., str]

ROWS = [(f"word {i}", "ab"[i % 2]) for i in range(10)]


def texts(path: Path) -> list[str]:
    return sorted(text for split in read(path).splits.values() for text in split["item"])


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(table: Write, tmp_path: Path) -> None:
    plain = texts(table())
    path = table(name="b.csv", start=b"\xef\xbb\xbf")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert texts(path) == plain


REFUSED: dict[str, tuple[bytes, str]] = {
    "too few fields": (b"lonely\n", "a.csv:12 has 1 field where 2 are expected"),
    "too many fields": (b"a,b,c\n", "a.csv:12 has 3 fields where 2 are expected"),
    "an open quote": (b'"never closed,a\nb,a\n', "a.csv:12: the quotes of the record that starts here"),
    "a quote amid": (b'"a"b,a\n', "a.csv:12: the quotes"),
    "NUL": (b"a\0b,a\n", "a.csv:12 holds a NUL byte"),
    "latin-1": ("né,a\n".encode("latin-1"), "a.csv:12 is not UTF-8 text"),
    "gb18030": ("中文,a\n".encode("gb18030"), "a.csv:12 is not UTF-8 text"),
    "a surrogate in UTF-8": (b"\xed\xa0\x80,a\n", "a.csv:12 is not UTF-8 text"),
    "no label": (b"word,\n", "a.csv:12 has no label; give every row a label"),
    "a fraction": (b"word,0.5\n", "a.csv:12: the label is 0.5, and classes are"),
    "infinity": (b"word,1e400\n", "a.csv:12: the label is 1e400, and"),
    "a label that is an essay": (
        b"word," + b"x" * 2000 + b"\n",
        "a.csv:12: the label is 2,000 characters long",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_is_no_example_is_named(case: str, table: Write, refusal: Refusal) -> None:
    more, expected = REFUSED[case]
    assert refusal(read, table(more)).startswith(expected)


@pytest.mark.parametrize("case", ["too few fields", "too many fields", *list(REFUSED)[8:]])
def test_a_row_that_is_no_example_can_be_left_out(case: str, table: Write) -> None:
    more, expected = REFUSED[case]
    data = read(table(more), skip_bad=True)
    assert sum(map(len, data.splits.values())) == 10
    (found,) = data.left_out
    assert found.where == "a.csv:12"
    assert found.message.startswith(expected.partition(";")[0])
    assert found.kind == ("broken_rows" if "fields" in case else "no_label")


def test_utf16_is_named_as_no_utf8(table: Write, refusal: Refusal) -> None:
    path = table()
    path.write_bytes(path.read_text().encode("utf-16"))
    assert "is not UTF-8 text" in refusal(read, path)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text,text", "a.csv:1: two columns are called 'text'"),
        ("text,", "a.csv:1: column 2 has no name"),
        (",".join(["x"] * 100_000), "a.csv:1: two columns are called 'x'"),
    ],
)
def test_a_header_that_names_nothing_is_refused(
    header: str, expected: str, tmp_path: Path, refusal: Refusal
) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\nw,a\n")
    assert refusal(read, tmp_path / "a.csv").startswith(expected)


def test_a_hundred_thousand_columns_take_no_time_to_refuse(tmp_path: Path, refusal: Refusal) -> None:
    names = ",".join(f"c{i}" for i in range(100_000))
    (tmp_path / "a.csv").write_text(names + "\n" + ",".join("x" * 100_000) + "\n")
    began = time.process_time()
    assert "no column of a.csv is known" in refusal(read, tmp_path / "a.csv")
    assert time.process_time() - began < 2


STRANGE = {
    "bidi": "left \u202eright\u202c \u2067x\u2069",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f4a5",
    "joined": "e\u0301 \ufb01",
    "nul": "a\0b",
    "quotes": 'she said "no", twice\nand left',
    "formula": '=cmd|"/c calc"!A1',
    "html": "<script>alert(1)</script>",
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_strange_text_comes_back_as_it_was(case: str, tmp_path: Path) -> None:
    lines = [json.dumps({"text": t, "label": k}) for t, k in [*ROWS, (STRANGE[case], "a")]]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert STRANGE[case] in texts(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "\\ud800", "label": "a"}', "a.jsonl:11 holds signs that are no Unicode"),
        ('{"text": 1e400, "label": NaN}', "a.jsonl:11 has no label"),
        ('{"text": ' + "[" * 100_000, "a.jsonl:11 is not JSON"),
        ('{"text": "x", "label": ' + "9" * 5000 + "}", "a.jsonl:11 is not JSON"),
        ('{"text": "x", "label": 1e400}', "a.jsonl:11: the label is inf, and"),
        ('{"text": "x", "label": ["a", "b"]}', "a.jsonl:11: the label is ['a', 'b'], a list"),
        ('{"text": {"a": 1}, "label": "a"}', "a.jsonl:11 holds a dict where a text is expected"),
        ("null", "a.jsonl:11 holds a NoneType"),
    ],
)
def test_a_line_of_json_that_is_no_example_is_named(
    line: str, expected: str, tmp_path: Path, refusal: Refusal
) -> None:
    lines = [json.dumps({"text": t, "label": k}) for t, k in ROWS]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, line]))
    assert refusal(read, tmp_path / "a.jsonl").startswith(expected)


def test_a_token_of_ten_megabytes_is_a_text(table: Write) -> None:
    assert max(map(len, texts(table(b"x" * 10_000_000 + b",a\n")))) == 10_000_000


def test_a_text_file_in_another_encoding_is_named_or_left_out(tmp_path: Path, refusal: Refusal) -> None:
    for i in range(10):
        (tmp_path / "t" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / "ab"[i % 2] / f"{i}.txt").write_text(f"word {i}")
    (tmp_path / "t" / "a" / "x.txt").write_bytes("fine\nné".encode("latin-1"))
    (tmp_path / "t" / "b" / "y.txt").write_bytes(b"\xff")
    said = refusal(read, tmp_path / "t")
    assert said.startswith(
        "a/x.txt: line 2 is not UTF-8 text; save the file as UTF-8, and 1 other row likewise"
    )
    data = read(tmp_path / "t", skip_bad=True)
    assert [finding.where for finding in data.left_out] == ["a/x.txt", "b/y.txt"]
    assert sum(map(len, data.splits.values())) == 10


# -- memory and time --------------------------------------------------------------------------------

ENORMOUS = """
import time
from tunesmith.data.read import read
from tunesmith.errors import BadData

def look(path):
    try:
        return "read", sum(map(len, read(path).splits.values()))
    except BadData as error:
        return "refused", str(error)

look(sys.argv[1])
for path in sys.argv[2:]:
    answers, began = [], time.process_time()
    mib = grown(lambda: answers.extend(look(path)))
    print(round(mib), round(time.process_time() - began), *answers)
"""


def test_what_never_ends_is_refused_early_and_in_flat_memory(
    tmp_path: Path, table: Write, probe: Callable[..., list[str]]
) -> None:
    """2 GB without a line end, as sparse files that take no room; and cells of 200 MB, quoted and not."""
    sparse = {
        "a.csv": (b"text,label\nw,a\n", "a.csv:3 holds a NUL byte"),
        "a.tsv": (b"text\tlabel\nw\ta\n", "a.tsv:3 holds a NUL byte"),
        "a.jsonl": (b'{"text": "a"}\n', "a.jsonl:2 holds a NUL byte"),
        "t/b/a.txt": (b"word", "b/a.txt has 2,000,000,004 bytes, more than the 64,000,000 of a text"),
    }
    (tmp_path / "t" / "b").mkdir(parents=True)
    for name, (start, _) in sparse.items():
        (tmp_path / name).write_bytes(start)
        os.truncate(tmp_path / name, 2_000_000_000 + len(start))
    (tmp_path / "t" / "b" / "c.txt").write_text("w")
    for name, quote, piece in (("b.csv", b"", b"x" * 100), ("c.csv", b'"', b"x" * 99 + b"\n")):
        with (tmp_path / name).open("wb") as file:
            file.write(b"text,label\nw,a\n" + quote)
            for _ in range(200):
                file.write(piece * 10_000)
    expected = [words for _, words in sparse.values()]
    expected += [
        f"{name}:3: the row that starts here has more than 16,000,000" for name in ("b.csv", "c.csv")
    ]
    paths = ["a.csv", "a.tsv", "a.jsonl", "t", "b.csv", "c.csv"]
    control, *lines = probe(
        ENORMOUS, table(name="s.csv"), table(name="z.csv"), *(tmp_path / p for p in paths)
    )
    assert control.split()[2:] == ["read", "10"]
    for line, words in zip(lines, expected, strict=True):
        mib, seconds, answer, said = line.split(" ", 3)
        assert (answer, said[: len(words)]) == ("refused", words)
        assert int(mib) < 256, words
        assert int(seconds) <= 3, words


# -- what changes, what is no file -----------------------------------------------------------------


def test_a_table_that_changes_while_it_is_read_is_refused(table: Write, refusal: Refusal) -> None:
    from tunesmith.data.tables import open_table

    path = table()
    rows = open_table(path).rows()
    next(rows)
    with path.open("a") as file:
        file.write("word,a\n")
    assert refusal(lambda: list(rows)).startswith("a.csv changed while it was read")


def test_a_table_that_vanishes_while_it_is_read_is_refused(table: Write, refusal: Refusal) -> None:
    from tunesmith.data.tables import open_table

    path = table()
    opened = open_table(path)
    path.unlink()
    assert "a.csv cannot be read" in refusal(lambda: list(opened.rows()))


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.zip", "a.npz", "a.parquet"])
def test_a_pipe_is_refused_and_nobody_waits_for_it(name: str, tmp_path: Path, refusal: Refusal) -> None:
    os.mkfifo(tmp_path / name)
    assert "is a pipe or a device" in refusal(read, tmp_path / name)


def test_a_table_inside_a_parquet_that_lies_about_its_classes_is_refused(
    tmp_path: Path, refusal: Refusal
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}}}
    plain = pa.table({"text": ["x", "y", "z"], "label": [0, 1, 7]})
    pq.write_table(plain.replace_schema_metadata({"huggingface": json.dumps(names)}), tmp_path / "a.parquet")
    assert "labels that are no numbers from 0 to 1" in refusal(read, tmp_path / "a.parquet")


def test_predictions_keep_the_other_columns_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,who,when\nw,a,me,\nv,b,you,2020\n")
    rows = read_items(tmp_path / "a.csv", takes="text", others=True)
    assert rows["other who"][:] == ["me", "you"]
    assert rows["other label"][:] == ["a", "b"]
    assert "other who" not in read_items(tmp_path / "a.csv", takes="text").column_names
