"""Labels that nothing can be learned from are refused; unusual ones are learned."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tunesmith.data.read import read

Refusal = Callable[..., str]


def table(folder: Path, rows: Sequence[tuple[str, ...]], header: str = "text,label") -> Path:
    path = folder / "a.csv"
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]), encoding="utf-8")
    return path


def test_all_equal_labels_are_nothing_to_learn(tmp_path: Path, refusal: Refusal) -> None:
    said = refusal(read, table(tmp_path, [(f"w{i}", "a") for i in range(20)]))
    assert said == "every example has the label 'a'; classification needs two classes or more."


def test_labels_that_are_numbers_with_a_point_are_classes(tmp_path: Path) -> None:
    data = read(table(tmp_path, [(f"w{i}", f"{i % 2}.0") for i in range(20)]))
    assert set(data.train["label"]) == {"0", "1"}


def test_one_example_a_class_is_refused_with_the_first_names(tmp_path: Path, refusal: Refusal) -> None:
    said = refusal(read, table(tmp_path, [(f"w{i}", f"k{i}") for i in range(50)]))
    assert said.startswith("50 classes have a single example (k0, k1, k2, k3, k4 and 45 more)")
    assert "if these are numbers" not in said


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("{}.50 EUR", "'100.50 EUR', with a unit inside; write 100.50, and 'EUR' into its name"),
        ("{}", "if these are numbers, name the task: --task text-regression"),
    ],
)
def test_numbers_that_were_taken_for_classes_are_told_how_to_be_numbers(
    form: str, says: str, tmp_path: Path, refusal: Refusal
) -> None:
    rows = "".join(f"word {n},{form.format(100 + n)}\n" for n in range(50))
    (tmp_path / "prices.csv").write_text("text,label\n" + rows)
    said = refusal(read, tmp_path / "prices.csv")
    assert "50 classes have a single example" in said
    assert says in said


@pytest.mark.parametrize("split", ["test", "valid"])
def test_a_class_that_is_only_tested_is_named(split: str, tmp_path: Path, refusal: Refusal) -> None:
    rows = [(f"w{i}", "ab"[i % 2], ("train", "valid", "test")[i % 3]) for i in range(30)]
    rows += [("new", "c", split), ("newer", "c", split)]
    said = refusal(read, table(tmp_path, rows, "text,label,split"))
    assert said == f"c is in {split} but not in train; what is not learned cannot be recognised."


def test_every_label_missing_is_counted(tmp_path: Path, refusal: Refusal) -> None:
    said = refusal(read, table(tmp_path, [(f"w{i}", "") for i in range(20)]))
    assert said.startswith("a.csv:2 has no label, and 19 other rows likewise")


def test_ten_thousand_classes_are_split_in_seconds(tmp_path: Path) -> None:
    rows = [(f"w{i}", f"class {i % 10_000}") for i in range(40_000)]
    began = time.process_time()
    data = read(table(tmp_path, rows))
    assert time.process_time() - began < 10
    assert len(set(data.train["label"])) == 10_000
    assert "10,000 classes" in data.understood[0]
    assert max(map(len, data.understood)) < 400


def test_a_label_with_a_line_break_cannot_pass_for_a_message(tmp_path: Path) -> None:
    for i in range(10):
        folder = tmp_path / "t" / ("a", "b\nerror: all is lost\x1b[31m")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.txt").write_text(f"word {i}")
    data = read(tmp_path / "t")
    assert "b\nerror: all is lost\x1b[31m" in data.train["label"]
    assert not [line for line in data.understood if "\n" in line or "\x1b" in line]
    assert "b\\nerror: all is lost\\x1b[31m" in data.understood[1]
