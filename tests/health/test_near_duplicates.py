"""Near-duplicates across splits: what is changed a little is found, what is different is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunesmith.health import shingles, twins
from tunesmith.health.examine import examine, linked
from tunesmith.health.looks import hashes, look
from tunesmith.health.seen import Seen

TEXT = "Free entry in a weekly competition to win cup final tickets, text WIN to 87121 to receive a question"


@pytest.mark.parametrize("change", ["JPEG of quality 40", "half the size", "brighter", "grey"])
def test_a_changed_copy_of_a_training_image_in_test_is_found(
    kit: Any, seen: Callable[..., Seen], change: str
) -> None:
    found = examine(
        seen("image", train=kit.photos(6), test=[*kit.photos(3, 100), (kit.changes()[change], "a")])
    )
    assert kit.ids(kit.one(found.health, "near_duplicates_across")) == [["test/3", "train/0"]]
    assert found.leaked.tolist() == [False, False, False, True]


def test_different_images_are_no_near_duplicates(kit: Any, seen: Callable[..., Seen]) -> None:
    found = examine(seen("image", train=kit.photos(20), valid=kit.photos(5, 50), test=kit.photos(10, 100)))
    assert "near_duplicates_across" not in kit.kinds(found.health)
    assert not found.leaked.any()


def test_the_same_image_in_another_file_format_is_no_byte_equal_one(
    kit: Any, seen: Callable[..., Seen]
) -> None:
    found = examine(seen("image", train=kit.photos(4), test=[(kit.encoded(kit.noise(0), "BMP"), "a")]))
    assert {"near_duplicates_across"} == {k for k in kit.kinds(found.health) if "across" in k}


def test_hashes_of_an_image_and_its_jpeg_are_close_and_of_another_are_not(kit: Any) -> None:
    same, jpeg, other = (
        look({"path": None, "bytes": b}).thumbnail
        for b in (
            kit.encoded(kit.noise(0)),
            kit.encoded(kit.noise(0), "JPEG", quality=40),
            kit.encoded(kit.noise(1)),
        )
    )
    first, second, third = hashes(np.stack([same, jpeg, other]))
    assert np.bitwise_count(first ^ second) <= twins.CLOSE < np.bitwise_count(first ^ third)


def test_every_pair_within_the_distance_is_found_and_no_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    hashed = random.integers(0, 2**63, 40, dtype=np.uint64)
    hashed[30:] = hashed[:10] ^ np.uint64(0b1011)  # 3 bits
    splits = np.repeat([0, 1, 2], [20, 5, 15])
    by_hand = {
        (i, j)
        for i in range(40)
        for j in range(40)
        if splits[j] < splits[i] and bin(int(hashed[i]) ^ int(hashed[j])).count("1") <= twins.CLOSE
    }
    assert {(i, j) for i, j in twins.close(hashed, splits).tolist()} == by_hand
    assert len(by_hand) >= 10


@pytest.mark.parametrize(
    "changed",
    [
        TEXT.upper(),
        TEXT.replace(" ", "  "),
        TEXT.replace("87121", "87123"),
        TEXT + "!",
    ],
)
def test_a_text_changed_a_little_in_test_is_found(kit: Any, seen: Callable[..., Seen], changed: str) -> None:
    train = [(TEXT, "spam"), ("see you at the station at seven tonight", "ham"), ("ok then, call me", "ham")]
    found = examine(
        seen("text", train=train, test=[("nothing like it at all, my friend", "ham"), (changed, "spam")])
    )
    assert kit.ids(kit.one(found.health, "near_duplicates_across")) == [["test/1", "train/0"]]
    assert found.leaked.tolist() == [False, True]


def test_texts_that_share_half_their_words_are_no_near_duplicates(
    kit: Any, seen: Callable[..., Seen]
) -> None:
    half = TEXT[: len(TEXT) // 2] + "but this ends in an altogether different way, you see, my dear"
    found = examine(seen("text", train=[(TEXT, "a"), ("x y z w", "b")], test=[(half, "a")]))
    assert "near_duplicates_across" not in kit.kinds(found.health)


def test_chinese_titles_are_compared_too(kit: Any, seen: Callable[..., Seen]) -> None:
    title = "教育部公布二零二四年高考改革方案并公开征求社会各界意见"
    train = [(title, "教育"), ("央行宣布下调存款准备金率零点五个百分点", "财经")]
    found = examine(seen("text", train=train, test=[(title + "!", "教育")]))
    assert kit.ids(kit.one(found.health, "near_duplicates_across")) == [["test/0", "train/0"]]


def test_minhash_finds_what_comparing_all_with_all_finds(seed: int) -> None:
    random = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz "))
    texts = ["".join(random.choice(letters, 120)) for _ in range(60)]
    for i in range(20):  # changed in 0 to 19 places
        places = random.choice(120, i, replace=False)
        texts.append("".join("#" if k in places else c for k, c in enumerate(texts[i])))
    splits = np.repeat([0, 2], [60, 20])
    pieces = [shingles.shingles(text) for text in texts]
    by_hand = {
        (i, j)
        for i in range(60)
        for j in range(60, 80)
        if shingles.jaccard(pieces[i], pieces[j]) >= shingles.ALIKE
    }
    found = shingles.alike(texts.__getitem__, shingles.signatures(texts), splits)
    assert {(i, j) for i, j in found.tolist()} == by_hand
    assert 3 <= len(by_hand) < 20


def test_links_join_groups_through_a_third() -> None:
    assert [g.tolist() for g in linked(np.array([[5, 1], [1, 3], [0, 4]]), 6)] == [[1, 3, 5], [0, 4]]


def test_before_a_fit_large_data_are_not_compared_and_that_is_said(
    kit: Any, seen: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.health import examine as module

    monkeypatch.setattr(module, "COMPARISONS", 3)
    made = seen("image", train=kit.photos(4), test=[(kit.changes()["brighter"], "a")])
    assert examine(made, brief=True).health.skipped["near_duplicates_across"] == "too_many"
    assert "near_duplicates_across" in kit.kinds(examine(made).health)
