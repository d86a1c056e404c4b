"""Words, colours and figures of pages."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from tunesmith.plan import Phase, Plan
from tunesmith.reports.colours import contrast, palette
from tunesmith.reports.drawings.bars import Bar, bars
from tunesmith.reports.drawings.canvas import drawn
from tunesmith.reports.drawings.intervals import Row, intervals
from tunesmith.reports.drawings.strip import strip
from tunesmith.reports.findings import noted
from tunesmith.reports.rendering import around, mark
from tunesmith.reports.words import TABLES, Words

ENGLISH, CHINESE = TABLES["en"], TABLES["zh"]


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_every_sentence_is_there_in_both_languages() -> None:
    assert ENGLISH.keys() == CHINESE.keys()


@pytest.mark.parametrize("key", ENGLISH)
def test_a_sentence_is_filled_with_the_same_values_in_both_languages(key: str) -> None:
    assert fields(ENGLISH[key]) == fields(CHINESE[key])


def test_chinese_sentences_are_in_chinese() -> None:
    bare = [key for key, said in CHINESE.items() if not any("\u4e00" <= sign <= "\u9fff" for sign in said)]
    assert set(bare) <= {"comma", "metric.f1", "short.untimed"}


@pytest.mark.parametrize("light", [0, 1], ids=["light", "dark"])
def test_letters_are_read_on_what_lies_behind_them(light: int) -> None:
    colour = {name: pair[light] for name, pair in palette().items()}
    pairs = [(text, ground) for text in ("ink", "muted", "accent", "warm") for ground in ("paper", "card")]
    pairs += [(f"on-{i}", f"step-{i}") for i in range(7)] + [("ink", "frozen")]
    pairs += [("ink", f"{side}-{i}") for side in ("for", "against") for i in range(1, 5)]
    weak = {pair for pair in pairs if contrast(colour[pair[0]], colour[pair[1]]) < 4.5}
    assert weak == set()
    assert contrast(colour["line"], colour["paper"]) < 4.5  # or the measure is blind


def test_a_figure_has_no_colour_of_its_own() -> None:
    from tunesmith.evaluation import Score

    figure = intervals("some", "what", [Row("this run", Score(0.8, 0.7, 0.9), "0.8", own=True)])
    assert "var(--accent)" in figure
    assert "#00ff" not in figure
    assert not any(
        f"{side}: #{digit}" in figure for side in ("fill", "stroke") for digit in "0123456789abcdef"
    )


def test_two_figures_share_no_name() -> None:
    from tunesmith.reports.drawings.canvas import Canvas

    def paint(width: float) -> Canvas:
        canvas = Canvas(width, 50)
        canvas.axes(0, 0, width, 50).plot([0, 1], [0, 1], "o")
        return canvas

    both = drawn("a", "first", paint) + drawn("b", "second", paint)
    ids = re.findall(r'id="([^"]+)"', both)
    assert ids
    assert len(ids) == len(set(ids))
    same = drawn("a", "first", paint) * 2
    assert len(set(re.findall(r'id="([^"]+)"', same))) < len(re.findall(r'id="([^"]+)"', same))


def test_of_a_long_text_the_weightiest_piece_is_shown() -> None:
    pieces = [(f"{i} ", 0.1) for i in range(1000)]
    pieces[700] = ("here ", -1.0)
    shown = around(pieces, 100)
    assert ("here ", -1.0) in shown
    assert len(shown) == 102
    assert mark(-1.0) == "against-4"


def test_a_piece_without_end_is_cut() -> None:
    shown = around([("a ", 1.0), ("x" * 5_000_000, 0.5)])
    assert [len(piece) for piece, _ in shown] == [2, 201]


def test_what_a_check_notes_is_said_in_chinese_as_far_as_it_is_known() -> None:
    chinese, english = Words("zh"), Words("en")
    notes = {
        "looks like glass (old) (0.93)": "看起来像 glass (old)（0.93）",
        "8 × 1,512 pixels": "8 × 1,512 像素",
        "1,024 tokens": "1,024 个词元",
        "1,001 words": "1,001 个词",
        "word 2, 5": "第 2, 5 个词",
        "price 9000, usually 74": "price 9000，通常为 74",
        "is empty (0 bytes).": "是空文件（0 字节）。",
        "cannot be decoded as an image (it is cut).": "无法解码为图片（it is cut）。",
    }
    for note, said in notes.items():
        assert noted(note, chinese) == (said, "zh-Hans")
        assert noted(note, english) == (note, "en")
    assert noted("has 9,000 scans, which take longer", chinese) == (
        "has 9,000 scans, which take longer",
        "en",
    )


LIKE_COLOURS = ["#00ffff", "#00ff7f", "#00ff00", "font-family: x", "xlink:href"]


def test_a_class_called_like_a_colour_was_taken_for_one() -> None:
    figure = bars("some", "what", [Bar(name, (1.0,), ("accent",), "1") for name in LIKE_COLOURS])
    for name in LIKE_COLOURS:
        assert figure.count(f">{name}<") == 2  # in both widths
    assert "var(--accent)" in figure
    assert "font-family" not in "".join(re.findall("<[^>]*>", figure))


def test_a_plan_of_fifty_phases_is_drawn_without_names_that_have_no_room() -> None:
    phases = tuple(Phase(f"stage {i}", 1, (0.0,) * (50 - i) + (1e-4,) * (i + 1)) for i in range(50))
    parts = [f"block {i}" for i in range(51)]
    figure = strip("plan", "fifty", Plan("gradual", phases), parts, "frozen", ["1 epoch"] * 50)
    assert ">…<" not in figure
    assert ">block 0<" in figure
    assert ">block 1<" not in figure
