"""A shelf gives back what was put on it, or nothing."""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunesmith.errors import BadData, BadOption, NoData
from tunesmith.store import Shelf, Store
from tunesmith.store.frames import ALIGNED, FRAME, unpack
from tunesmith.store.index import Index
from tunesmith.store.keys import file_key, record_key, shelf_key

Numbered = Callable[[int], bytes]
SHELF = "5ca1ab1e"


def got(shelf: Shelf, key: bytes) -> bytes | None:
    """A copy of a record; None when it is missing."""
    view = shelf.get(key)
    return None if view is None else bytes(view)


def filled(store: Store, key: Numbered, record: Numbered, count: int = 20) -> tuple[Path, Path]:
    """Put some records and close; the files of the only shard."""
    with store.shelf(SHELF, {"what": "records"}) as shelf:
        assert shelf.put([key(n) for n in range(count)], [record(n) for n in range(count)]) == count
    (data,) = (store.folder / SHELF).glob("*.bin")
    return data, data.with_suffix(".idx")


def found(store: Store, key: Numbered, count: int = 20) -> tuple[list[bytes | None], int]:
    """What a reader that opens the shelf anew gets, and how many it found damaged."""
    with store.shelf(SHELF, {}) as shelf:
        keys = [key(n) for n in range(count)]
        there = ~shelf.missing(keys)
        views = [shelf.get(k) for k in keys]
        again = ~shelf.missing(keys)
        for view, before, after in zip(views, there, again, strict=True):
            assert (view is not None) == after  # what cannot be had is missing from then on
            assert before or not after
        return [None if view is None else bytes(view) for view in views], shelf.damaged


def test_what_was_put_is_what_is_got(shelf: Shelf, key: Numbered, record: Numbered) -> None:
    keys = [key(n) for n in range(50)]
    assert shelf.missing(keys).all()
    assert shelf.put(keys[:30], [record(n) for n in range(30)]) == 30
    assert shelf.missing(keys).tolist() == [False] * 30 + [True] * 20
    assert [bytes(shelf.get(k) or b"") for k in keys[:30]] == [record(n) for n in range(30)]
    assert shelf.get(keys[30]) is None


def test_another_shelf_of_the_same_folder_sees_what_was_put(
    store: Store, shelf: Shelf, key: Numbered
) -> None:
    with store.shelf(SHELF, {}) as other:
        assert other.missing([key(1)]).all()
        shelf.put([key(1)], [b"one"])
        assert other.get(key(1)) is None  # until it looks
        assert not other.missing([key(1)]).any()
        assert got(other, key(1)) == b"one"


def test_what_was_put_is_there_after_closing(store: Store, key: Numbered, record: Numbered) -> None:
    filled(store, key, record)
    assert found(store, key) == ([record(n) for n in range(20)], 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128", "int64", "uint8", "bool", ">i4"])
def test_an_array_comes_back_as_the_same_array(shelf: Shelf, key: Numbered, dtype: str) -> None:
    array = np.arange(-3, 21).reshape(2, 3, 4).astype(dtype)
    shelf.put([key(0), key(1), key(2)], [b"?", array, array.transpose(2, 0, 1)])
    view = shelf.get(key(1))
    assert view is not None
    assert np.array_equal(np.frombuffer(view, dtype).reshape(2, 3, 4), array)
    turned = shelf.get(key(2))
    assert turned is not None
    assert np.array_equal(np.frombuffer(turned, dtype).reshape(4, 2, 3), array.transpose(2, 0, 1))


def test_records_start_where_any_type_can_be_viewed(shelf: Shelf, key: Numbered) -> None:
    for n in range(5):
        shelf.put([key(n)], [b"x" * (n + 1)])
        view = shelf.get(key(n))
        assert view is not None
        assert np.frombuffer(view, np.uint8).ctypes.data % ALIGNED == 0


@pytest.mark.parametrize("empty", [b"", np.empty((0, 3), np.float32), memoryview(b"")])
def test_a_record_may_be_empty(shelf: Shelf, key: Numbered, empty: bytes) -> None:
    assert shelf.put([key(0)], [empty]) == 1
    assert got(shelf, key(0)) == b""


def test_a_view_cannot_be_written_to(shelf: Shelf, key: Numbered) -> None:
    shelf.put([key(0)], [b"abc"])
    view = shelf.get(key(0))
    assert view is not None
    with pytest.raises(TypeError):
        view[0] = 1


def test_a_view_outlives_its_shelf(store: Store, key: Numbered) -> None:
    with store.shelf(SHELF, {}) as shelf:
        shelf.put([key(0)], [b"abc"])
        view = shelf.get(key(0))
    store.clear()
    assert view is not None
    assert bytes(view) == b"abc"


def test_a_closed_shelf_holds_nothing_and_takes_nothing(store: Store, key: Numbered) -> None:
    shelf = store.shelf(SHELF, {})
    shelf.close()
    shelf.close()
    assert shelf.put([key(0)], [b"abc"]) == 0
    assert shelf.missing([key(0)]).all()
    assert shelf.get(key(0)) is None
    assert shelf.full


def test_a_new_shard_begins_when_one_is_large(
    shelf: Shelf, store: Store, key: Numbered, record: Numbered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.store.shelf.SHARD_BYTES", 20_000)
    for n in range(40):
        shelf.put([key(n)], [record(n)])
    shards = list((store.folder / SHELF).glob("*.bin"))
    assert len(shards) > 3
    assert all(path.stat().st_size <= 20_000 for path in shards)
    assert shelf.commit()
    assert found(store, key, 40) == ([record(n) for n in range(40)], 0)


def test_many_shards_do_not_use_up_the_descriptors(
    shelf: Shelf, store: Store, key: Numbered, record: Numbered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.store.shelf.SHARD_BYTES", 1)
    for n in range(150):
        shelf.put([key(n)], [record(n) + b"."])
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("descriptors cannot be counted here")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for n in range(150):
        assert got(shelf, key(n)) == record(n) + b"."
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 64


def test_64k_records_take_a_few_megabytes_of_memory(store: Store) -> None:
    keys = [record_key(str(n)) for n in range(65536)]
    with store.shelf(SHELF, {}) as shelf:
        for start in range(0, len(keys), 4096):
            shelf.put(keys[start : start + 4096], [k[:4] for k in keys[start : start + 4096]])
    tracemalloc.start()
    with store.shelf(SHELF, {}) as shelf:
        assert not shelf.missing(keys[:10]).any()
        assert tracemalloc.get_traced_memory()[0] < 6e6
        tracemalloc.stop()
        assert not shelf.missing(keys).any()
        assert all(got(shelf, k) == k[:4] for k in keys[::1000])


def test_keys_that_begin_alike_are_told_apart(shelf: Shelf, store: Store) -> None:
    keys = [b"same 8 b" + n.to_bytes(8, "little") for n in range(3000)]
    shelf.put(keys[::2], [k[8:] for k in keys[::2]])
    with store.shelf(SHELF, {}) as other:
        for reader in (shelf, other):
            assert reader.missing(keys[:40]).tolist() == [False, True] * 20
            assert got(reader, keys[1000]) == keys[1000][8:]
            assert reader.get(keys[1001]) is None


def test_an_entry_that_is_dropped_uncovers_the_one_before() -> None:
    index, key = Index(), record_key("k")
    many = b"".join(record_key(str(n)) + bytes(40) for n in range(2000))
    for offset in (1, 2):
        rows = np.frombuffer(key + bytes(40), index._rows.dtype).copy()
        rows["offset"] = offset
        index.add(rows)
        if offset == 1:
            index.add(np.frombuffer(many, index._rows.dtype))  # sends the first into the array
    for offset in (2, 1):
        entry = index.newest(key)
        assert entry is not None
        assert entry.offset == offset
        assert index.drop(key, entry)
        assert not index.drop(key, entry)
    assert index.newest(key) is None
    assert not index.has([key]).any()
    assert len(index) == 2000


@pytest.mark.parametrize("wrong", [b"", b"short", b"x" * 17])
def test_a_key_of_another_length_is_refused(shelf: Shelf, wrong: bytes) -> None:
    for call in (shelf.missing, shelf.claim, lambda k: shelf.put(k, [b""])):
        with pytest.raises(BadOption, match="16 bytes"):
            call([wrong])


def test_a_record_without_key_is_refused(shelf: Shelf, key: Numbered) -> None:
    with pytest.raises(BadOption, match="found 1 and 2"):
        shelf.put([key(0)], [b"a", b"b"])


# Facts about a shelf


def test_about_is_that_of_the_first_writer_and_what_was_noted(store: Store) -> None:
    with store.shelf(SHELF, {"what": "features", "cut": 3}) as shelf, store.shelf(SHELF, {}) as other:
        shelf.note(engine="eager")
        other.note(seconds=0.5)
        assert other.about == {"what": "features", "cut": 3, "engine": "eager", "seconds": 0.5}
    with store.shelf(SHELF, {"what": "something else"}) as shelf:
        assert shelf.about == {"what": "features", "cut": 3, "engine": "eager", "seconds": 0.5}


def test_about_must_be_json(store: Store) -> None:
    with pytest.raises(BadOption, match="JSON"):
        store.shelf(SHELF, {"model": object()})


# Damage


def test_a_torn_tail_is_never_visible(store: Store, key: Numbered, record: Numbered) -> None:
    _, index = filled(store, key, record)
    whole = index.read_bytes()
    for lost in range(1, FRAME.size + 1):
        index.write_bytes(whole[:-lost])
        assert found(store, key) == ([*(record(n) for n in range(19)), None], 0)
        (report,) = store.verify()
        assert (report.records, report.damaged, report.torn) == (19, 0, int(lost < FRAME.size))


def test_an_entry_whose_record_is_cut_off_is_ignored(store: Store, key: Numbered, record: Numbered) -> None:
    data, _ = filled(store, key, record)
    os.truncate(data, data.stat().st_size // 2)
    got, _ = found(store, key)
    assert None in got
    assert all(g in (None, record(n)) for n, g in enumerate(got))
    (report,) = store.verify()
    assert report.damaged == got.count(None)


@pytest.mark.parametrize("ending", [".bin", ".idx"])
def test_a_flipped_bit_is_never_read(
    ending: str, seed: int, store: Store, key: Numbered, record: Numbered
) -> None:
    data, index = filled(store, key, record)
    path = data if ending == ".bin" else index
    whole, draw, lost, wrong = path.read_bytes(), random.Random(seed), 0, 0
    for _ in range(150):
        bit = draw.randrange(8 * len(whole))
        harmed = bytearray(whole)
        harmed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(harmed)
        got, damaged = found(store, key)
        assert all(g in (None, record(n)) for n, g in enumerate(got))
        assert got.count(None) <= 1
        (report,) = store.verify()
        if ending == ".bin":
            assert report.damaged == damaged == got.count(None)
        else:
            assert (report.torn, got.count(None)) == (1, 1)
        assert report.sound == (None not in got)
        lost += got.count(None)
        wrong += unverified(data, index, key) != {key(n): record(n) for n in range(20)}
    assert lost > 100  # most bits of the files matter
    # The control: a reader that compares nothing is wrong every time, but for flips in digest and CRC.
    assert wrong == lost if ending == ".bin" else wrong > 50


def unverified(data: Path, index: Path, key: Numbered) -> dict[bytes, bytes]:
    """What a reader without CRC and digest would give back."""
    rows, _ = unpack(index.read_bytes())
    raw = data.read_bytes()
    return {k: raw[at : at + length] for k, _, at, length, *_ in FRAME.iter_unpack(rows.tobytes())}


def test_a_damaged_record_is_computed_again_and_then_right(
    store: Store, key: Numbered, record: Numbered
) -> None:
    data, _ = filled(store, key, record)
    raw = bytearray(data.read_bytes())
    raw[0] ^= 1
    data.write_bytes(raw)
    first = next(n for n in range(20) if record(n))
    with store.shelf(SHELF, {}) as shelf:
        assert not shelf.missing([key(first)]).any()
        assert shelf.get(key(first)) is None
        assert shelf.damaged == 1
        assert shelf.missing([key(first)]).all()
        shelf.put([key(first)], [record(first)])
        assert got(shelf, key(first)) == record(first)
    assert found(store, key)[0] == [record(n) for n in range(20)]
    assert all(report.sound for report in store.verify())  # it has the record a second time


def test_a_record_is_compared_at_its_first_use_only(
    store: Store, key: Numbered, record: Numbered, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, key, record)
    compared = []

    def counted(of: bytes, _: object) -> bytes:
        compared.append(of)
        return b"wrong"

    with store.shelf(SHELF, {}) as shelf:
        shelf.missing([key(0)])
        shelf.get(key(0))
        monkeypatch.setattr("tunesmith.store.shelf.digest", counted)
        assert got(shelf, key(0)) == record(0)
        assert compared == []
        assert shelf.get(key(1)) is None
        assert compared == [key(1)]


# Keys


def test_the_parts_of_a_key_do_not_run_together() -> None:
    assert record_key("ab", "c") != record_key("a", "bc") != record_key("abc")
    assert record_key("ab", "c") == record_key(b"ab", b"c")
    assert len(record_key()) == 16


def test_the_key_of_a_shelf_is_that_of_its_description() -> None:
    one = shelf_key({"model": "m", "shape": (1, 2)})
    assert one == shelf_key({"shape": [1, 2], "model": "m"}) != shelf_key({"model": "m", "shape": [2, 1]})
    assert len(one) == 32
    with pytest.raises(BadOption, match="JSON"):
        shelf_key({"lr": float("nan")})


def test_the_key_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
    assert file_key(tmp_path / "a") == file_key(tmp_path / "b") != file_key(tmp_path / "c")
    with pytest.raises(NoData, match="is not there"):
        file_key(tmp_path / "d")
    with pytest.raises(BadData, match="cannot be read"):
        file_key(tmp_path)
