"""One pass over the data: what cannot be used is named with its reason, and nothing is decoded twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunesmith.health import seen as module
from tunesmith.health.examine import examine
from tunesmith.health.looks import Look, look, picture_of, unpacked
from tunesmith.health.seen import Seen


def test_every_bad_image_is_named_with_its_reason_and_the_rest_is_counted(
    kit: Any, seen: Callable[..., Seen]
) -> None:
    whole = kit.encoded(kit.noise(0), "JPEG")
    bad = [(b"", "a"), (whole[: len(whole) // 2], "a"), (b"<html><body>404</body></html>", "b")]
    health = examine(seen("image", train=[*kit.photos(4), *bad], test=kit.photos(2, 50))).health
    finding = kit.one(health, "unreadable")
    assert (finding.level, finding.values["count"], finding.values["total"]) == ("error", 3, 9)
    notes = {group[0].id: group[0].note for group in finding.groups}
    assert notes["train/4"] == "is empty (0 bytes)."
    assert "truncated" in notes["train/5"].lower()
    assert "no image of a known format" in notes["train/6"]
    assert health.counts == {
        "a": {"train": 2, "valid": 0, "test": 1},
        "b": {"train": 2, "valid": 0, "test": 1},
    }


def test_left_out_with_skip_bad_it_is_a_warning(kit: Any, seen: Callable[..., Seen]) -> None:
    health = examine(seen("image", train=[*kit.photos(4), (b"", "a")]), skip_bad=True).health
    assert kit.one(health, "unreadable").level == "warning"


def test_empty_texts_are_named(kit: Any, seen: Callable[..., Seen]) -> None:
    texts = [("first words", "a"), (" \n", "a"), ("other things", "b")]
    finding = kit.one(examine(seen("text", train=texts)).health, "empty")
    assert [(group[0].id, group[0].note) for group in finding.groups] == [("train/1", "is an empty text.")]


def test_an_image_is_decoded_once_ever(
    kit: Any, seen: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def counting(item: Any, name: str = "") -> Look:
        looked.append(name)
        return look(item, name)

    monkeypatch.setattr(module, "look", counting)
    first = seen("image", train=kit.photos(4))
    assert len(looked) == 4
    first.close()
    again = seen("image", train=kit.photos(5))
    assert looked[4:] == ["train/4"]
    assert again.looks is not None
    assert first.looks is not None
    assert np.array_equal(again.looks.hashes[:4], first.looks.hashes)
    assert np.array_equal(again.thumbnail(2), look({"bytes": kit.photos(4)[2][0]}).thumbnail)


def test_a_look_survives_its_record(kit: Any) -> None:
    before = look({"path": None, "bytes": kit.encoded(kit.noise(0))})
    after = unpacked(before.packed())
    assert after[:3] == before[:3] == (64, 48, "RGB")
    assert np.array_equal(after.thumbnail, before.thumbnail)


def test_a_picture_is_small_and_upright(kit: Any) -> None:
    import io

    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    turned = kit.encoded(np.zeros((300, 600, 3), np.uint8), "JPEG", exif=exif)
    small = picture_of({"path": None, "bytes": turned})
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (80, 160)
    assert picture_of({"path": None, "bytes": b"no image"}) is None
