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


def test_the_first_examples_of_a_group_are_of_different_splits(kit: Any, seen: Callable[..., Seen]) -> None:
    train = [(f"{TEXT} number {i}", "a") for i in range(4)]
    found = examine(seen("text", train=train, test=[(TEXT, "a"), ("nothing like it", "b")]))
    (group,) = kit.one(found.health, "near_duplicates_across").groups
    assert [item.id for item in group] == ["train/0", "test/0", "train/1", "train/2", "train/3"]


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
    found = twins.close(hashed, splits)
    assert found is not None
    assert {(i, j) for i, j in found.tolist()} == by_hand
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
    assert found is not None
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


def test_shots_of_one_scene_are_too_many_pairs_and_that_is_said(
    kit: Any, seen: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = [(kit.encoded(kit.noise(0), "JPEG", quality=60 + i), "ab"[i % 2]) for i in range(12)]
    made = seen("image", train=shots[:8], test=[*shots[8:], shots[0]])
    assert kit.one(examine(made).health, "near_duplicates_across").values["leaked"] == 5
    monkeypatch.setattr(twins, "PAIRS", 31)  # each of the four shots in test is close to each of eight
    found = examine(made)
    assert found.health.skipped["near_duplicates_across"] == "too_many"
    assert found.leaked.tolist() == [False] * 4 + [True]  # equal bytes are known all the same


def test_twenty_thousand_frames_of_one_camera_end_in_little_memory() -> None:
    import tracemalloc

    splits = np.repeat([0, 1, 2], [14_000, 3_000, 3_000])
    tracemalloc.start()
    assert twins.close(np.zeros(20_000, np.uint64), splits) is None
    assert tracemalloc.get_traced_memory()[1] < 64e6
    tracemalloc.stop()


def test_a_thumbnail_is_asked_for_once_however_many_pairs_it_is_in(kit: Any) -> None:
    from collections import Counter

    thumbnails = np.stack(
        [look({"path": None, "bytes": kit.encoded(kit.noise(i % 3))}).thumbnail for i in range(9)]
    )
    asked: Counter[int] = Counter()

    def thumbnail(place: int) -> np.ndarray:
        asked[place] += 1
        return np.asarray(thumbnails[place])

    pairs = np.asarray([(i, j) for i in range(9) for j in range(i)])
    found = twins.agreeing(pairs, thumbnail)
    assert {(i, j) for i, j in found.tolist()} == {(i, j) for i, j in pairs.tolist() if i % 3 == j % 3}
    assert set(asked.values()) == {1}


def test_flat_thumbnails_agree_with_nothing() -> None:
    flat, steep = np.full((1, 4, 4), 7, np.uint8), np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    assert twins.correlations(flat, flat).tolist() == [0.0]
    assert twins.correlations(steep, steep[:, ::-1, ::-1]).tolist() == pytest.approx([-1.0])


def test_of_a_text_of_16_million_characters_the_first_ones_are_looked_at() -> None:
    import tracemalloc

    random = np.random.default_rng(0)
    start = "".join(random.choice(np.array(list("abcdefgh ")), shingles.READ))
    whole = start + "x y" * 5_000_000
    tracemalloc.start()
    pieces = shingles.shingles(whole)
    assert np.array_equal(pieces, shingles.shingles(start))
    assert tracemalloc.get_traced_memory()[1] < 32e6
    tracemalloc.stop()
    assert not np.array_equal(pieces, shingles.shingles(start[: shingles.READ // 2]))


def test_before_a_fit_long_texts_are_not_compared_and_that_is_said(
    kit: Any, seen: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.health import examine as module

    made = seen("text", train=[(TEXT, "a"), ("see you at the station", "b")], test=[(TEXT + "!", "a")])
    assert "near_duplicates_across" in kit.kinds(examine(made, brief=True).health)
    monkeypatch.setattr(module, "CHARACTERS", 2 * len(TEXT))
    assert examine(made, brief=True).health.skipped["near_duplicates_across"] == "too_many"
    assert "near_duplicates_across" in kit.kinds(examine(made).health)
    monkeypatch.setattr(shingles, "READ", 20)  # of each text: so few characters are looked at
    assert "near_duplicates_across" not in examine(made, brief=True).health.skipped


def test_texts_from_one_template_are_too_many_pairs_and_that_is_said(
    kit: Any, seen: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [(TEXT.replace("87121", f"{87121 + i}"), "ab"[i % 2]) for i in range(12)]
    made = seen("text", train=texts[:8], test=texts[8:])
    assert kit.one(examine(made).health, "near_duplicates_across").values["leaked"] == 4
    monkeypatch.setattr(shingles, "PAIRS", 31)
    assert examine(made).health.skipped["near_duplicates_across"] == "too_many"


def test_twenty_thousand_texts_from_one_template_end_in_little_memory() -> None:
    import tracemalloc

    signed = np.zeros((20_000, shingles.BANDS), np.uint64)
    tracemalloc.start()
    assert shingles.alike(lambda _: "", signed, np.repeat([0, 1, 2], [14_000, 3_000, 3_000])) is None
    assert tracemalloc.get_traced_memory()[1] < 32e6
    tracemalloc.stop()


def test_pieces_that_are_let_go_are_made_again_and_the_pairs_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [TEXT.replace("87121", f"{87121 + i % 7}") + TEXT[: i % 3] for i in range(30)]
    signed, splits = shingles.signatures(texts), np.arange(30) % 3
    first = shingles.alike(texts.__getitem__, signed, splits)
    monkeypatch.setattr(shingles, "HELD", 1)
    again = shingles.alike(texts.__getitem__, signed, splits)
    assert first is not None
    assert again is not None
    assert first.tolist() == again.tolist()
    assert len(first) > 30
