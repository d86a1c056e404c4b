"""Tables of numbers that cannot be learned from: one sentence with file and row, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.data.data import Data
from tunesmith.data.read import read
from tunesmith.tasks.text_regression import TextRegression

Refusal = Callable[..., str]
WRONG = 37  # the line

# name: the cell of line 37, what the message says of it
CELLS: dict[str, tuple[str, str]] = {
    "text": ("cheap", "has 'cheap' in the place of a number"),
    "NaN": ("NaN", "has NaN in the place of a number"),
    "N/A": ("N/A", "has N/A in the place of a number"),
    "infinity": ("inf", "has inf, and an infinite number cannot be learned"),
    "minus infinity": ("-Infinity", "has -Infinity, and an infinite number cannot be learned"),
    "too large for a float": ("1e999", "has 1e999, and an infinite number cannot be learned"),
    "empty": ("", "has an empty cell in the place of a number"),
    "blank": ("   ", "has an empty cell in the place of a number"),
    "a decimal comma": (
        '"12,5"',
        "has '12,5', with a decimal comma (or one between thousands); write 12.5, or 125",
    ),
    "thousands": ('"1,234,567.5"', "has '1,234,567.5', with signs between thousands; write 1234567.5"),
    "thousands of the Swiss": ("1'234.50", "with signs between thousands; write 1234.50"),
    "thousands by spaces": ("1 234 567", "has '1 234 567', with signs between thousands; write 1234567"),
    "thousands by points": ("1.234.567", "has '1.234.567', with signs between thousands; write 1234567"),
    "both, as in German": ('"1.234,50"', "has '1.234,50', with a decimal comma; write 1234.50"),
    "a unit": ("12 kg", "has '12 kg', with a unit inside; write 12, and 'kg' into its name"),
    "a percentage": ("12%", "has '12%', with a unit inside; write 12, and '%' into its name"),
    "a currency": ("€12.50", "has '€12.50', with a unit inside; write 12.50, and '€' into its name"),
    "a date": ("2024-05-01", "has '2024-05-01' in the place of a number"),
    "a range": ("3-5", "has '3-5' in the place of a number"),
    "hexadecimal": ("0x10", "in the place of a number"),
    "an underscore": ("1_000", "in the place of a number"),
    "a formula": ("=A1+B1", "has '=A1+B1' in the place of a number"),
}


def table(folder: Path, cell: str, *, rows: int = 60) -> Path:
    lines = ["text,price", *(f"word {i},{i / 4}" for i in range(rows))]
    lines[WRONG - 1] = f"word,{cell}"
    path = folder / "a.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_all(path: Path, **options: object) -> Data:
    """As a fit reads it, up to what is learned of the training split."""
    task = TextRegression()
    data = task.read(path, **options)
    task.labels(data)
    return data


@pytest.mark.parametrize("case", CELLS)
def test_a_cell_that_is_no_number_is_named_with_file_and_row(
    case: str, tmp_path: Path, refusal: Refusal
) -> None:
    cell, expected = CELLS[case]
    said = refusal(read_all, table(tmp_path, cell))
    assert said.startswith(f"a.csv:{WRONG} (column 'price') has ")
    assert expected in said
    assert said.endswith("; mend that, or pass --skip-bad (skip_bad=True) to leave out such rows.")


@pytest.mark.parametrize("case", CELLS)
def test_such_a_row_can_be_left_out(case: str, tmp_path: Path) -> None:
    data = read_all(table(tmp_path, CELLS[case][0]), skip_bad=True)
    assert sum(map(len, data.splits.values())) == 59
    assert [found.where for found in data.left_out] == [f"a.csv:{WRONG}"]


@pytest.mark.parametrize("case", ["text", "NaN", "empty", "a unit"])
def test_of_several_columns_the_one_that_holds_none_is_named(
    case: str, tmp_path: Path, refusal: Refusal
) -> None:
    cell, expected = CELLS[case]
    lines = (
        table(tmp_path, cell).read_text(encoding="utf-8").replace(",", ",7,").replace("7,price", "size,price")
    )
    (tmp_path / "a.csv").write_text(lines, encoding="utf-8")
    said = refusal(read_all, tmp_path / "a.csv", target="size,price")
    assert said.startswith(f"a.csv:{WRONG} (column 'price') {expected}")


def test_a_column_that_is_missing_in_a_line_is_named(tmp_path: Path, refusal: Refusal) -> None:
    path = table(tmp_path, "1")
    path.write_text(path.read_text().replace("word,1\n", "word\n"))
    assert refusal(read_all, path).startswith(f"a.csv:{WRONG} has 1 field where 2 are expected")
    left = read_all(path, skip_bad=True)
    assert sum(map(len, left.splits.values())) == 59
    assert [(found.kind, found.where) for found in left.left_out] == [("broken_rows", f"a.csv:{WRONG}")]
    objects = [{"text": f"w{i}", "price": i / 4} for i in range(60)]
    del objects[WRONG - 1]["price"]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, objects)))
    said = refusal(read_all, tmp_path / "a.jsonl")
    assert said.startswith(f"a.jsonl:{WRONG} (column 'price') has an empty cell in the place of a number")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "true", '"x"', "[1, 2]", "{}", "null", "1e999"])
def test_a_value_of_json_that_is_no_number_is_named(value: str, tmp_path: Path, refusal: Refusal) -> None:
    lines = [json.dumps({"text": f"w{i}", "price": i / 4}) for i in range(60)]
    lines[WRONG - 1] = f'{{"text": "w", "price": {value}}}'
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert refusal(read_all, tmp_path / "a.jsonl").startswith(f"a.jsonl:{WRONG} (column 'price') has ")


def test_several_bad_rows_are_counted(tmp_path: Path, refusal: Refusal) -> None:
    path = table(tmp_path, "cheap")
    path.write_text(path.read_text() + "more,dear\nmore,dearer\n")
    assert ", and 2 other rows likewise; mend that" in refusal(read_all, path)


def test_equal_numbers_are_nothing_to_learn(tmp_path: Path, refusal: Refusal) -> None:
    rows = "".join(f"word {i},3.5\n" for i in range(60))
    (tmp_path / "a.csv").write_text("text,price\n" + rows)
    said = refusal(read_all, tmp_path / "a.csv")
    assert said == (
        "every training example has the same price, 3.5: there is nothing to learn; name another column with "
        "--target."
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (0, "a.csv holds no rows; bring some examples."),
        (1, "there is 1 example to draw from, too few for validation 1 and test 1"),
        (2, "there are 2 examples to draw from, too few for validation 1 and test 1"),
        (6, "valid holds 1 example, and numbers need two or more in every split"),
    ],
)
def test_too_few_rows_are_said(rows: int, expected: str, tmp_path: Path, refusal: Refusal) -> None:
    lines = "".join(f"word {i},{i + 0.5}\n" for i in range(rows))
    (tmp_path / "a.csv").write_text("text,price\n" + lines)
    assert refusal(read_all, tmp_path / "a.csv").startswith(expected)


def test_a_column_that_is_not_there_is_named_with_a_guess(tmp_path: Path, refusal: Refusal) -> None:
    said = refusal(read_all, table(tmp_path, "1"), target="price,wieght")
    assert said.startswith("a.csv has no column 'wieght'")
    assert "did you mean 'price'" in refusal(read, table(tmp_path, "1"), target="prise")
