from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.labels import group_of, label_of, weight_of
from tunesmith.errors import BadData


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0, "0"),
        (np.int64(7), "7"),
        (2.0, "2"),
        ("2.0", "2"),
        (" cat ", "cat"),
        (True, "True"),
        (np.array([3]), "3"),
        ("v1.2.3", "v1.2.3"),
    ],
)
def test_a_label_becomes_a_string(value: object, label: str) -> None:
    assert label_of(value, "a.csv:2") == label


@pytest.mark.parametrize("value", [None, float("nan"), "", "   "])
def test_an_empty_cell_is_no_label(value: object) -> None:
    assert label_of(value, "a.csv:2") is None


@pytest.mark.parametrize("value", [0.73, "0.73", "1e-3", np.float32(0.5)])
def test_a_fraction_is_no_label(value: object) -> None:
    with pytest.raises(BadData, match=r"a\.csv:2: the label is .*, and classes are names or whole numbers"):
        label_of(value, "a.csv:2")


def test_several_labels_are_refused() -> None:
    with pytest.raises(BadData, match=r"a\.csv:2: the label is \['x', 'y'\], a list"):
        label_of(["x", "y"], "a.csv:2")


@pytest.mark.parametrize("value", [-1, "heavy", None, float("inf"), float("nan")])
def test_a_weight_is_a_number_from_0_up(value: object) -> None:
    with pytest.raises(BadData, match=r"a\.csv:2: a weight is a number from 0 up"):
        weight_of(value, "a.csv:2")


def test_an_empty_group_is_an_error() -> None:
    with pytest.raises(BadData, match=r"a\.csv:2 has no group"):
        group_of("", "a.csv:2")
