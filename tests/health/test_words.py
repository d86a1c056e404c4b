"""Every kind of finding has words in every language, and they say what was found."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Any

import pytest

import tunesmith.health
from tunesmith.errors import UnknownName
from tunesmith.health.examine import examine
from tunesmith.health.finding import Finding, Health, Item
from tunesmith.health.saving import from_json, to_json
from tunesmith.health.seen import Seen
from tunesmith.health.words import LANGUAGES, WORDS, say, title


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("kind", WORDS)
def test_a_kind_has_the_same_values_in_every_language(kind: str) -> None:
    assert set(WORDS[kind]) == set(LANGUAGES)
    filled = [
        fields(words.sentence + words.advice) - {"items", "counted", "grouped"}
        for words in WORDS[kind].values()
    ]
    assert filled.count(filled[0]) == len(filled)


@pytest.mark.parametrize("kind", WORDS)
def test_chinese_is_chinese(kind: str) -> None:
    words = WORDS[kind]["zh"]
    assert re.search(r"[\u4e00-\u9fff]", words.title)
    assert all(re.search(r"[\u4e00-\u9fff]", part) for part in words[1:] if part)


def test_chinese_is_written_with_its_own_punctuation() -> None:
    for words in (of["zh"] for of in WORDS.values()):
        for part in words:
            said = re.sub(r"\{[^}]*\}", "", part)
            assert not re.search(r"[,:;()!?]", said), part


def test_every_kind_that_the_code_names_has_words() -> None:
    from pathlib import Path

    folder = Path(str(tunesmith.health.__file__)).parent
    source = "".join(path.read_text() for path in folder.glob("*.py") if path.name != "words.py")
    named = set(re.findall(r'"((?:[a-z]+_)+[a-z]+|unreadable|empty|imbalance)"', source))
    # "kind.numbers" is what is said instead of "kind" where answers are numbers.
    assert {kind for kind in WORDS if f'"{kind.partition(".")[0]}"' not in source} == set()
    assert {"byte_equal_across", "needs_model", "imbalance"} <= named


def everything_wrong(kit: Any, seen: Callable[..., Seen]) -> Health:
    photos = kit.photos(8)
    train = [
        *photos,
        photos[0],
        (photos[1][0], "A"),
        (b"", "a"),
        (kit.encoded(kit.noise(77, (500, 40))), "a"),
    ]
    return examine(seen("image", train=train, test=[photos[2], (kit.changes()["brighter"], "b")])).health


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_found_is_said_without_a_gap(kit: Any, seen: Callable[..., Seen], lang: str) -> None:
    health = everything_wrong(kit, seen)
    assert len(health.findings) >= 6
    for finding in health.findings:
        sentence, advice = say(finding, lang)
        assert sentence
        assert advice
        assert not re.search(r"[{}]", sentence + advice)
    assert title("needs_model", lang)


def test_numbers_stand_in_the_sentence() -> None:
    finding = Finding("unreadable", "error", {"count": 3, "total": 2527})
    assert say(finding)[0] == "Of 2,527 images, 3 cannot be read."


@pytest.mark.parametrize(("kind", "lang"), [("unreadible", "en"), ("unreadable", "fr")])
def test_a_kind_or_a_language_without_words_is_refused(kind: str, lang: str) -> None:
    with pytest.raises(UnknownName, match=r"unreadable|en and zh"):
        say(Finding(kind, "note", {"count": 1, "total": 1}), lang)


def test_health_is_read_back_as_it_was_written(kit: Any, seen: Callable[..., Seen]) -> None:
    health = everything_wrong(kit, seen)
    assert from_json(to_json(health)) == health
    changed = to_json(health).replace('"warning"', '"note"')
    assert from_json(changed) != health


def test_a_lone_item_needs_no_split() -> None:
    health = Health("n", "text", (), {}, (Finding("empty", "error", {"count": 1}, ((Item("a.csv:3"),),), 1),))
    assert from_json(to_json(health)) == health


@pytest.mark.parametrize("text", ["", "[]", "{", '{"findings": 3}', '{"findings": [{}], "understood": []}'])
def test_a_damaged_text_is_no_health(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_json(text)
