"""The page of a run of numbers: what it draws and counts is what the run answered, in the person's unit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from tunesmith.reports.asked import number_of, odds_of
from tunesmith.reports.content import Content
from tunesmith.reports.kinds.numbers_figures import DRAWN, Column, coverage_table, truth_figure
from tunesmith.reports.page import run_page
from tunesmith.reports.words import Words

Make = Callable[..., Content]


def test_what_lies_inside_the_interval_is_counted() -> None:
    column = Column("price", {}, (10.0, 20.0, 30.0, 40.0), (11.0, 22.0, 33.0, 40.0), 2.0)
    assert column.covered == 3  # an answer at the very end of the interval is inside
    assert column.residuals == (1.0, 2.0, 3.0, 0.0)
    (row,) = coverage_table([column], Words("en")).rows
    assert row[:4] == ("price", "± 2", "3 of 4", "75\xa0%".replace("\xa0", " "))


def test_scores_are_written_in_the_persons_unit(make_numbers: Make) -> None:
    page = run_page(make_numbers())
    assert "<strong>7,100</strong>" in page
    assert "misses price by 5,200 on average" in page
    assert "held 57 of 60" in page or "held 58 of 60" in page


def test_no_word_of_a_page_of_numbers_is_of_classes(make_numbers: Make) -> None:
    for columns in (1, 2):
        content = replace(make_numbers(columns=columns), health=None, advice=())
        page = re.sub(r"<style>.*?</style>|<[^>]*>", " ", run_page(content), flags=re.DOTALL)
        assert "class" not in page.lower()
        assert "类" not in run_page(content, lang="zh")


def test_several_columns_have_a_table_of_their_own(make_numbers: Make) -> None:
    assert 'id="columns"' not in run_page(make_numbers())
    page = run_page(make_numbers(columns=2))
    section = page.partition('id="columns"')[2].partition("</section>")[0]
    assert "weight &lt;kg&gt;" in section
    assert page.count("weight <kg>") == 0


def test_without_an_interval_the_page_says_why(make_numbers: Make) -> None:
    page = run_page(make_numbers(half=None))
    assert "too few examples for an interval" in page
    assert "held" not in page.partition('id="scores"')[0]


@pytest.mark.parametrize("count", [DRAWN, 4 * DRAWN])
def test_of_many_examples_some_are_drawn_and_that_is_said(count: int) -> None:
    numbers = tuple(float(i) for i in range(count))
    found = truth_figure([Column("n", {}, numbers, numbers, 1.0)], Words("en"))
    assert len(found["figure"]) < 200_000
    assert found["below"] == (
        "" if count == DRAWN else "Drawn are 500 of 2,000 test examples, chosen at random."
    )


def test_a_number_is_explained_by_itself_and_a_class_by_its_odds() -> None:
    outputs = torch.tensor([[2.0, -1.0]])
    assert number_of(1)(outputs).tolist() == [-1.0]
    assert number_of(1, up=False)(outputs).tolist() == [1.0]
    assert odds_of(0)(outputs).tolist() == [3.0]
