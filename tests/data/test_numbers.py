"""Tables of numbers: which columns they are, and what is read of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunesmith.data.numbers import hold_numbers, number_of, numbers_in, written
from tunesmith.data.read import read, read_items
from tunesmith.errors import BadData

Write = Callable[[str, str], Path]


def table(rows: int = 60, *, more: str = "") -> str:
    return "text,price,size\n" + "".join(f"word {i},{i / 4},{i % 7}\n" for i in range(rows)) + more


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.5", "2", "3"], True),
        ([0.25, 1, None, ""], True),
        (["3", "1", "4"] * 30, False),  # whole numbers that repeat
        ([f"{n}" for n in range(500)], False),  # every one once, without gaps: places of names
        ([n * 997 for n in range(50)], True),  # every one once, far apart
        (["1.0", "2.0"] * 20, False),  # whole, as pandas writes them
        (["1.5", "2 kg"], False),
        (["1.5"] * 19 + ["2 kg"], True),
        (["a", "b"], False),
        ([], False),
    ],
)
def test_a_column_of_fractions_or_of_many_far_numbers_holds_numbers(
    cells: list[object], numbers: bool
) -> None:
    assert hold_numbers([cells]) is numbers


def test_numbers_come_back_from_a_label_bit_for_bit() -> None:
    numbers = np.random.default_rng(0).normal(size=(20, 3)) * 10.0 ** np.arange(-150, 150, 100)
    assert np.array_equal(numbers_in([written(row) for row in numbers]), numbers)


@pytest.mark.parametrize(
    "value", [3, 3.0, "3", " 3.0 ", "+3", "3e0", "٣", np.float32(3), np.int64(3), b"3", np.array([3])]
)
def test_a_number_is_read_however_it_is_written(value: object) -> None:
    assert number_of(value) == 3.0


def test_a_column_of_fractions_is_learned_as_numbers_and_said(write: Write) -> None:
    data = read(write("a.csv", table()), target="price")
    assert (data.answers, data.targets) == ("numbers", ("price",))
    assert (
        data.understood[0] == "a: 60 texts with 1 number each (price), read from a.csv (columns text, price)"
    )
    assert data.understood[1] == "numbers: price 0 to 14.75, mean 7.375, half of them from 3.688 to 11.06"
    assert data.understood[3].startswith("understood as numbers; --task text-classification")
    assert sorted(numbers_in(data.train["label"])[:, 0] * 4 % 1) == [0.0] * len(data.train)


def test_several_columns_are_numbers_in_the_order_named(write: Write) -> None:
    data = read(write("a.csv", table()), target="size, price")
    assert data.targets == ("size", "price")
    row = dict(zip(data.train["id"], data.train["label"], strict=True))
    assert all(
        numbers_in([label]).tolist()
        == [[(int(where.split(":")[1]) - 2) % 7, (int(where.split(":")[1]) - 2) / 4]]
        for where, label in row.items()
    )


def test_the_only_other_column_is_the_target_if_it_holds_numbers(write: Write) -> None:
    rows = "".join(f"word {i},{i / 4}\n" for i in range(60))
    assert read(write("a.csv", "text,price\n" + rows)).targets == ("price",)


def test_whole_numbers_are_classes_unless_numbers_are_asked_for(write: Write) -> None:
    path = write("a.csv", table())
    assert read(path, target="size").answers == "classes"
    asked = read(path, target="size", answers="numbers")
    assert (asked.answers, asked.targets) == ("numbers", ("size",))


def test_several_columns_are_no_classes(write: Write) -> None:
    with pytest.raises(BadData, match="no column 'size,price'"):
        read(write("a.csv", table()), target="size,price", answers="classes")


def test_every_tenth_of_the_numbers_is_in_every_split(write: Write) -> None:
    data = read(write("a.csv", table(400)), target="price")
    for split in data.splits.values():
        tenths = (numbers_in(split["label"])[:, 0] * 4 // 40).astype(int)
        assert set(tenths) == set(range(10))


def test_class_folders_named_after_numbers_are_numbers_if_asked_for(
    photo: Callable[..., Path], tmp_path: Path
) -> None:
    for i in range(30):
        photo(tmp_path / "ages" / str(20 + i % 3) / f"{i}.png", (i, 0, 0))
    assert read(tmp_path / "ages").answers == "classes"
    asked = read(tmp_path / "ages", answers="numbers")
    assert set(numbers_in(asked.train["label"])[:, 0]) == {20.0, 21.0, 22.0}


def test_photos_with_a_table_of_numbers_beside_them(photo: Callable[..., Path], tmp_path: Path) -> None:
    for i in range(30):
        photo(tmp_path / "fruit" / "photos" / f"{i}.png", (i, 0, 0))
    rows = "".join(f"photos/{i}.png,{i + 0.5}\n" for i in range(30))
    (tmp_path / "fruit" / "weights.csv").write_text("file,weight\n" + rows)
    data = read(tmp_path / "fruit", target="weight")
    assert (data.takes, data.answers, len(data.train)) == ("image", "numbers", 22)


def test_npz_arrays_of_fractions_are_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([f"text {i}" for i in range(40)]), y=np.arange(40) / 3)
    data = read(tmp_path / "a.npz")
    assert (data.answers, data.targets) == ("numbers", ("y",))


def test_frames_and_pairs_of_numbers_are_numbers() -> None:
    pairs = [(f"text {i}", i / 3) for i in range(40)]
    assert read(pairs).answers == "numbers"
    assert read({"text": [t for t, _ in pairs], "y": [y for _, y in pairs]}).targets == ("y",)


def test_tables_by_split_are_read_alike(write: Write) -> None:
    """A test table whose numbers happen to be whole."""
    write("d/train.csv", "text,y\n" + "".join(f"word {i},{i / 3}\n" for i in range(40)))
    for split in ("valid", "test"):
        path = write(f"d/{split}.csv", "text,y\n" + "".join(f"{split} {i},{i}\n" for i in range(10)))
    data = read(path.parent)
    assert data.answers == "numbers"
    assert numbers_in(data.test["label"])[:, 0].tolist() == [float(i) for i in range(10)]


def test_bad_rows_are_left_out_listed_and_counted(write: Write) -> None:
    data = read(write("a.csv", table(more="x,12 kg,1\ny,,1\n")), target="price", skip_bad=True)
    assert sum(map(len, data.splits.values())) == 60
    assert [(f.kind, f.where) for f in data.left_out] == [
        ("no_number", "a.csv:62"),
        ("no_number", "a.csv:63"),
    ]
    assert data.left_out[0].message.startswith("a.csv:62 (column 'price') has '12 kg', with a unit inside")


def test_to_predict_a_cell_that_is_no_number_is_no_label(write: Write) -> None:
    path = write("a.csv", "text,price\nx,12 kg\ny,2.5\n")
    found = read_items(path, takes="text", answers="numbers", target="price")
    assert found["label"] == [None, "2.5"]
