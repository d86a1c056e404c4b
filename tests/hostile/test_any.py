"""Whatever Hypothesis makes up: texts come back as they were written, bytes are an image or a refusal."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.data.images import decode
from tunesmith.data.labels import label_of
from tunesmith.data.tables import open_table
from tunesmith.errors import BadData

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ROWS = st.lists(st.tuples(TEXT, TEXT.filter(bool)), min_size=1, max_size=5)
OFTEN = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@OFTEN
@given(ROWS)
def test_a_csv_gives_back_what_was_written(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    assert [values for _, values in open_table(tmp_path / "a.csv").rows()] == rows


@OFTEN
@given(ROWS)
def test_a_jsonl_gives_back_what_was_written(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8", newline="")
    assert [values for _, values in open_table(tmp_path / "a.jsonl").rows()] == rows


@OFTEN
@given(
    st.sampled_from(
        [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0", b"GIF89a", b"BM", b"P6 ", b"RIFF"]
    )
)
def test_no_head_of_a_format_alone_is_an_image(head: bytes) -> None:
    with pytest.raises(BadData):
        decode({"path": None, "bytes": head})


@OFTEN
@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"II*\0", b"BM", b"P5 "]), st.binary()
)
def test_any_bytes_are_an_image_or_a_refusal(head: bytes, rest: bytes) -> None:
    try:
        assert decode({"path": None, "bytes": head + rest}).shape[2] == 3
    except BadData as error:
        assert str(error).startswith("an image in memory ")  # noqa: PT017


@OFTEN
@given(
    st.one_of(
        st.text(), st.floats(), st.integers(), st.binary(), st.none(), st.booleans(), st.lists(st.text())
    )
)
def test_any_cell_is_a_label_or_a_refusal(cell: object) -> None:
    try:
        label = label_of(cell, "a.csv:2")
    except BadData as error:
        assert str(error).startswith("a.csv:2: the label is")  # noqa: PT017
    else:
        assert label is None or label == label.strip()
