"""Pages: one file that loads nothing, is read by anyone, and says nothing that it was not given."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tunesmith.errors import MissingPackage, UnknownName
from tunesmith.evaluation import Score
from tunesmith.health.finding import Health
from tunesmith.reports.compare_page import compare_page
from tunesmith.reports.content import Comparison, Content
from tunesmith.reports.health_page import GROUPS, health_page
from tunesmith.reports.kinds.classes_figures import classes_table
from tunesmith.reports.page import run_page
from tunesmith.reports.words import Words

KINDS = [
    f"{kind} {lang}"
    for kind in ("run", "texts", "numbers", "columns", "health", "compare")
    for lang in ("en", "zh")
]
EVIL = '<script>alert("x")</script>'
VOID = {"meta", "img", "input", "br", "link", "hr", "path", "use", "i"}


class Page(HTMLParser):
    """What a page is made of: elements in order, and the text that is ours, which a language changes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.ours: list[str] = []
        self._foreign: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.elements.append((tag, told))
        if tag not in VOID and (self._foreign or told.get("translate") == "no" or tag in ("style", "text")):
            self._foreign.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self._foreign and self._foreign[-1] == tag:
            self._foreign.pop()

    def handle_data(self, data: str) -> None:
        if not self._foreign and data.strip():
            self.ours.append(data)

    def all(self, name: str) -> list[str]:
        return [told[name] or "" for _, told in self.elements if name in told]


def test_a_kept_probe_has_no_ring_and_moved_nothing(make_content: Callable[..., Content]) -> None:
    content = make_content()
    still = tuple(replace(moved, distance=0.0) for moved in content.moved)
    kept = {"what": "linear probe", "phase": None, "epoch": None}
    page = run_page(replace(content, moved=still, scores={**content.scores, "kept": kept}))
    assert "every stage is as it was pretrained" in page
    assert "The ring marks" not in page
    assert "at the kept epoch" not in page
    assert "The ring marks" in run_page(content)


def test_a_single_epoch_has_no_halves_on_its_axis(make_content: Callable[..., Content]) -> None:
    content = make_content()
    once = replace(content, history=content.history[:1], scores={**content.scores, "kept": {}})
    drawn = run_page(once).partition('id="curves"')[2].partition('id="confusion"')[0]
    assert ">1.2<" not in drawn
    assert ">1<" in drawn


def addresses(page: str) -> list[str]:
    """What a browser would fetch, or let a person leave by."""
    parsed = Page(page)
    found = [value for name in ("src", "href", "srcset", "action", "data") for value in parsed.all(name)]
    found += re.findall(r"url\(([^)]*)\)", page) + re.findall(r"@import[^;]*", page)
    return [address for address in found if not address.startswith(("#", "data:image/jpeg;base64,"))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_loads_nothing(pages: dict[str, str], kind: str) -> None:
    page = pages[kind]
    assert addresses(page) == []
    assert not re.search(r"https?:|//[a-z]+\.", page)
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in Page(page).elements}
    assert "default-src 'none'" in page


def test_an_address_in_a_page_would_be_found() -> None:
    assert addresses('<img src="https://a.example/b.png"><p style="background: url(b.png)">') != []


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_and_figure_has_words(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    pictures = [told for tag, told in page.elements if tag == "img"]
    figures = [told for tag, told in page.elements if tag == "svg"]
    assert figures
    assert all(told.get("alt") for told in pictures)
    assert all(told.get("role") == "img" and told.get("aria-label") for told in figures)


@pytest.mark.parametrize("kind", KINDS)
def test_headings_links_and_names_are_in_order(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.all("href")} <= set(ids)
    assert {name for told in page.all("aria-labelledby") for name in told.split()} <= set(ids)
    language = next(told["lang"] for tag, told in page.elements if tag == "html")
    assert language == {"en": "en", "zh": "zh-Hans"}[kind[-2:]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_keyboard_reaches_everything(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    reached = [told for tag, told in page.elements if tag in ("a", "input", "summary") or "tabindex" in told]
    assert reached[0].get("class") == "skip"
    assert all(told.get("tabindex") in (None, "0") for told in reached)
    boxes = [told for _, told in page.elements if "box" in (told.get("class") or "").split()]
    assert all(told.get("tabindex") == "0" and told.get("aria-label") for told in boxes)


def english(page: str) -> list[str]:
    """Sentences of ours in the letters of English."""
    return [text for text in Page(page).ours if re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", text)]


@pytest.mark.parametrize("kind", ["run", "texts", "health", "compare"])
def test_a_chinese_page_holds_no_english_sentence_of_ours(pages: dict[str, str], kind: str) -> None:
    assert english(pages[f"{kind} zh"]) == []
    assert english(pages[f"{kind} en"]) != []


def test_a_label_that_is_a_script_stays_a_label(make_content: Callable[..., Content]) -> None:
    page = run_page(make_content((EVIL, "metal"), name=EVIL, command=EVIL))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not any(name.startswith("on") for _, told in Page(page).elements for name in told)


def test_labels_with_dollars_and_broken_signs_are_written(make_content: Callable[..., Content]) -> None:
    page = run_page(make_content(("$x_{$", "half \ud800 a pair", "right\u202eleft", "纸 板")))
    page.encode("utf-8")
    assert ">$x_{$<" in page
    assert "\u202e" not in re.sub(r"translate=\"no\"[^<]*<", "", page)


def test_the_largest_pictures_stay_under_three_megabytes(make_content: Callable[..., Content]) -> None:
    page = run_page(make_content(side=160))
    assert len(Page(page).all("alt")) == 24 + 2 * 12
    assert len(page.encode()) < 3_000_000


def test_five_hundred_classes_stay_under_three_megabytes(make_content: Callable[..., Content]) -> None:
    page = run_page(make_content(tuple(f"class {i}" for i in range(500))))
    assert len(page.encode()) < 3_000_000
    assert "The 100 weakest of 500 classes." in page


def test_classes_without_test_examples_counted_as_never_found(make_content: Callable[..., Content]) -> None:
    labels = ("glass", "metal", "paper")
    counts = {name: {"train": 20, "valid": 4, "test": 10} for name in labels}
    counts["metal"]["test"] = 0
    content = make_content(labels, own={"counts": counts})
    words = Words("en")
    assert [row[0] for row in classes_table(content, words).rows] == ["glass", "paper"]
    assert [row[0] for row in classes_table(make_content(labels), words).rows] == list(labels)
    assert "No test examples: metal." in run_page(content)
    assert "No test examples" not in run_page(make_content(labels))


def test_a_comparison_leaves_out_classes_without_test_examples(some_comparison: Comparison) -> None:
    assert "No test examples" not in compare_page(some_comparison)
    both = {**some_comparison.runs[0].scores, "f1/metal": Score(0.0, 0.0, 0.0)}
    first = replace(some_comparison.runs[0], scores=both)
    page = compare_page(
        replace(
            some_comparison,
            counts={"glass": 300, "metal": 0},
            runs=(first, *some_comparison.runs[1:]),
        )
    )
    assert "No test examples: metal." in page
    assert "0.000" not in page.partition('id="each"')[2].partition("</section>")[0]


def test_a_comparison_shows_what_trained_when(pages: dict[str, str]) -> None:
    section = pages["compare en"].partition('id="plans"')[2].partition("</section>")[0]
    assert section.count("all stages") == 3
    assert "3e-5 … 3e-3" in section


def test_reasons_in_english_are_marked_as_such_on_a_chinese_page(pages: dict[str, str]) -> None:
    page = pages["health zh"]
    assert '<span class="note" lang="en" translate="no">has 9,000 scans</span>' in page
    assert '<span class="note" lang="zh-Hans" translate="no">看起来像 metal（0.93）</span>' in page


def test_the_same_content_gives_the_same_bytes(
    make_content: Callable[..., Content], pages: dict[str, str]
) -> None:
    assert run_page(make_content()) == pages["run en"]
    assert run_page(make_content(seconds=76.0)) != pages["run en"]


def test_numbers_in_figures_are_whole(pages: dict[str, str]) -> None:
    figures = re.findall(r"<svg.*?</svg>", pages["run en"], re.DOTALL)
    assert all(">0.868<" in figure for figure in figures[:2])


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        ((0.05, 0.02, 0.08), "Fine-tuning helped"),
        ((-0.05, -0.08, -0.02), "Fine-tuning did harm"),
        ((0.01, -0.02, 0.04), "is not proven"),
    ],
)
def test_the_summary_claims_what_the_interval_allows(
    make_content: Callable[..., Content], gap: tuple[float, float, float], said: str
) -> None:
    from tunesmith.reports.summary import helped

    assert said in helped(make_content(gap=Score(*gap)), Words("en"))


def test_what_is_missing_is_said_with_its_reason(make_content: Callable[..., Content]) -> None:
    lost = make_content(
        own={"calibration": None}, examples=(), moved=(), history=(), missing={"calibration": "not_kept"}
    )
    page = run_page(lost)
    assert "Not shown: The run did not keep it." in page
    assert 'id="calibration"' in page
    assert 'id="moved"' not in page


def test_a_page_speaks_english_or_chinese_and_says_so(make_content: Callable[..., Content]) -> None:
    with pytest.raises(UnknownName, match="pages speak en and zh"):
        run_page(make_content(), lang="fr")


def test_without_the_extra_the_error_names_the_line_that_installs_it(
    make_content: Callable[..., Content], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackage, match=r'pip install "tunesmith\[report\]"'):
        run_page(make_content())


def test_a_check_shows_the_first_groups_and_says_how_many_there_are(pages: dict[str, str]) -> None:
    page = Page(pages["health en"])
    assert len([tag for tag, _ in page.elements if tag == "img"]) == 2 * GROUPS
    assert "12 of 20 are shown." in pages["health en"]


def test_a_check_puts_what_is_grave_first(pages: dict[str, str]) -> None:
    page = pages["health en"]
    assert page.index("Mend this") < page.index("Good to know")
    assert "Found: 1 thing to mend, 1 thing to know." in page


def test_pictures_beyond_the_room_of_a_page_are_left_out(some_health: Health) -> None:
    page = health_page(some_health, lambda _: b"x" * 300_000, lambda _: None)
    assert len(page) < 3_000_000
    assert "no picture" in page


def test_texts_of_a_check_are_shown_as_texts(some_health: Health) -> None:
    page = health_page(replace(some_health, takes="text"), lambda _: None, lambda item: f"text {item.id} <b>")
    assert "text 0.jpg &lt;b&gt;" in page


def test_a_comparison_claims_no_more_than_is_proven(pages: dict[str, str]) -> None:
    page = pages["compare en"]
    assert "better is better than first by +0.100 [+0.050, +0.150]." in page
    assert "Between alike and first no difference is proven" in page
