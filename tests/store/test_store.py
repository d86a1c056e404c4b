"""A store keeps within its bounds, and lists, checks and clears its shelves."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tunesmith.errors import BadOption
from tunesmith.store import Shelf, Store
from tunesmith.store.keys import record_key
from tunesmith.store.space import occupied

Numbered = Callable[[int], bytes]
KB = 1024


def got(shelf: Shelf, key: bytes) -> bytes | None:
    """A copy of a record; None when it is missing."""
    view = shelf.get(key)
    return None if view is None else bytes(view)


def put(store: Store, key: str, count: int, size: int = 10 * KB, *, used: int = 0, **about: object) -> str:
    """A closed shelf of so many records; used: seconds since 1970. Returns why it is full."""
    with store.shelf(key, {"what": key, **about}) as shelf:
        for n in range(count):
            shelf.put([record_key(key, str(n))], [np.full(size, n, np.uint8)])
        full = shelf.full
    os.utime(store.folder / key / "in-use", (used, used))
    return full


def keys(store: Store) -> set[str]:
    """The shelves that there are."""
    return {info.key for info in store.shelves()}


def test_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "store")
    with store.shelf("ab", {}):
        assert (tmp_path / "a" / "store").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "a" / "store" / "ab").stat().st_mode & 0o777 == 0o700


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(BadOption, match="is a file"):
            Store(path)


def test_bounds_below_nothing_are_refused(tmp_path: Path) -> None:
    for bounds in ({"limit": -1}, {"spare": -1}):
        with pytest.raises(BadOption, match="from 0"):
            Store(tmp_path, **bounds)


@pytest.mark.parametrize("key", ["", "..", "a/b", "A0", "xyz", "ab\n"])
def test_a_shelf_is_named_by_hexadecimal_digits(store: Store, key: str) -> None:
    with pytest.raises(BadOption, match="hexadecimal"):
        store.shelf(key, {})


def test_the_list_says_what_lies_there(store: Store) -> None:
    put(store, "aa", 3, used=5, model="m", seconds=2.0)
    (info,) = store.shelves()
    files = sum(path.stat().st_size for path in (store.folder / "aa").iterdir())
    assert (info.key, info.records, info.last_used, info.size) == ("aa", 3, 5.0, files)
    assert info.about == {"what": "aa", "model": "m", "seconds": 2.0}
    assert info.seconds_per_byte == pytest.approx(6.0 / files)


@pytest.mark.parametrize("seconds", [None, "fast", float("inf"), -1, True, [1]])
def test_seconds_that_are_no_number_count_as_none(store: Store, seconds: object) -> None:
    put(store, "aa", 1)
    text = json.dumps({"layout": 1, "about": {"seconds": seconds}})
    (store.folder / "aa" / "meta.json").write_text(text)
    (info,) = store.shelves()
    assert info.seconds_per_byte == 0


# The limit


def test_a_full_store_stops_storing_and_goes_on_serving(tmp_path: Path) -> None:
    store = Store(tmp_path, limit=50 * KB, spare=0)
    with store.shelf("aa", {}) as shelf:
        names = [record_key(str(n)) for n in range(10)]
        records = [np.full(10 * KB, n, np.uint8) for n in range(10)]
        assert shelf.put(names, records) == 4
        assert "50" in shelf.full or "51,200" in shelf.full
        assert shelf.put(names[5:6], [b"small"]) == 0
        assert shelf.commit()
        assert shelf.missing(names).tolist() == [False] * 4 + [True] * 6
        assert all(
            got(shelf, name) == record.tobytes() for name, record in zip(names[:4], records, strict=False)
        )
        assert occupied(tmp_path) <= 50 * KB


def test_shelves_go_in_the_order_of_what_they_cost(tmp_path: Path) -> None:
    store = Store(tmp_path, spare=0)
    put(store, "d0", 2, used=1, seconds=9.0)  # dear, though not used for long
    put(store, "c0", 2, used=1, seconds=0.1)
    put(store, "b0", 2, used=9)  # nobody knows what they cost
    put(store, "a0", 2, used=3)
    gone = []
    for _ in range(4):
        before = keys(store)
        bounded = Store(tmp_path, limit=occupied(tmp_path), spare=0)
        assert put(bounded, "ee", 1, used=99, seconds=99.0) == ""
        gone.append(before - keys(store))
        assert occupied(tmp_path) <= (bounded.limit or 0)
        bounded.clear(["ee"])
        assert keys(store) == before - gone[-1]
    assert gone == [{"a0"}, {"b0"}, {"c0"}, {"d0"}]


def test_only_as_many_shards_go_as_have_to(tmp_path: Path) -> None:
    store = Store(tmp_path, spare=0)
    for start in range(3):  # three processes' shards, so to speak
        with store.shelf("aa", {}) as shelf:
            shelf.put([record_key(str(start))], [bytes(10 * KB)])
        for path in (tmp_path / "aa").glob("*.bin"):
            os.utime(path, (start, start)) if path.stat().st_mtime > 100 else None
    assert put(Store(tmp_path, limit=occupied(tmp_path), spare=0), "bb", 1, 5 * KB) == ""
    with store.shelf("aa", {}) as shelf:
        assert shelf.missing([record_key(str(n)) for n in range(3)]).tolist() == [True, False, False]


def test_what_a_process_has_open_stays(tmp_path: Path) -> None:
    store = Store(tmp_path, spare=0)
    put(store, "aa", 3)
    with store.shelf("aa", {}):
        assert "full" in put(Store(tmp_path, limit=occupied(tmp_path), spare=0), "bb", 2)
        assert store.clear(["aa"]).left == ("aa",)
    assert put(Store(tmp_path, limit=occupied(tmp_path), spare=0), "bb", 2) == ""
    assert keys(store) == {"bb"}


def test_a_part_of_the_disk_stays_free(tmp_path: Path) -> None:
    store = Store(tmp_path, spare=1 << 60)
    with store.shelf("aa", {}) as shelf:
        assert shelf.put([bytes(16)], [b"x"]) == 0
        assert "kept free" in shelf.full


def test_a_store_grows_within_its_limit_from_several_shelves(tmp_path: Path) -> None:
    store = Store(tmp_path, limit=200 * KB, spare=0)
    with store.shelf("aa", {}) as first, store.shelf("bb", {}) as second:
        for n in range(30):
            for shelf in (first, second):
                shelf.put([record_key(str(n))], [bytes(7 * KB)])
        assert 180 * KB < occupied(tmp_path) <= 200 * KB
        assert first.full or second.full


# Damage and later versions


@pytest.mark.parametrize("text", ["", "{", "[]", '{"layout": 1}', '{"layout": "1", "about": {}}', "\x00" * 9])
def test_a_shelf_whose_description_is_damaged_is_begun_anew(store: Store, text: str) -> None:
    put(store, "aa", 2)
    (store.folder / "aa" / "meta.json").write_text(text)
    assert [info.problem for info in store.shelves()] == ["its meta.json is damaged"]
    assert [report.sound for report in store.verify()] == [False]
    with store.shelf("aa", {"what": "new"}) as shelf:
        assert shelf.about == {"what": "new"}
        assert shelf.missing([record_key("aa", "0")]).all()
        assert shelf.put([record_key("aa", "0")], [b"x"]) == 1


def test_a_shelf_of_a_later_version_is_left_alone(store: Store) -> None:
    put(store, "aa", 2)
    meta = store.folder / "aa" / "meta.json"
    meta.write_text('{"layout": 2, "shelves": "of glass"}')
    before = {path: path.read_bytes() for path in (store.folder / "aa").iterdir()}
    with store.shelf("aa", {}) as shelf:
        assert shelf.missing([record_key("aa", "0")]).all()
        assert shelf.put([record_key("aa", "0")], [b"x"]) == 0
        assert "later version" in shelf.full
        with shelf.claim([record_key("aa", "0")]) as claim:
            assert claim.mine.all()
        assert shelf.commit()
        shelf.note(engine="eager")
    assert {path: path.read_bytes() for path in (store.folder / "aa").iterdir()} == before
    assert ["later version" in info.problem for info in store.shelves()] == [True]
    assert put(Store(store.folder, limit=occupied(store.folder), spare=0), "bb", 1) != ""
    assert keys(store) == {"aa", "bb"}
    assert store.clear().removed == ("aa", "bb")  # being asked to is another thing


def test_a_folder_that_cannot_be_used_is_said_and_not_raised(store: Store) -> None:
    (store.folder / "aa").write_text("a file in the place of a shelf")
    with store.shelf("aa", {"what": "x"}) as shelf:
        assert shelf.missing([bytes(16)]).all()
        assert shelf.put([bytes(16)], [b"x"]) == 0
        assert "cannot be used" in shelf.full


def test_strange_files_in_the_folder_do_no_harm(store: Store) -> None:
    put(store, "aa", 1)
    (store.folder / "README").write_text("hello")
    (store.folder / "not a shelf").mkdir()
    (store.folder / "aa" / "note.txt").write_text("hello")
    (store.folder / "aa" / f"{'0' * 32}.idx").write_bytes(b"\xff" * 500)
    (store.folder / "aa" / f"{'1' * 32}.bin").write_bytes(b"\xff" * 500)
    assert keys(store) == {"aa"}
    with store.shelf("aa", {}) as shelf:
        assert not shelf.missing([record_key("aa", "0")]).any()
        assert got(shelf, record_key("aa", "0")) == bytes(10 * KB)
    assert store.clear().removed == ("aa",)
    assert sorted(path.name for path in store.folder.iterdir()) == ["README", "not a shelf"]


# A disk that is full or fails


@pytest.fixture
def small_disk(tmp_path: Path) -> object:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        answer = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if answer.returncode:
        pytest.skip(f"no file system can be mounted here: {answer.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("size", [300, 5_000, 100_000, 3_000_000])
def test_a_disk_that_fills_up_ends_the_storing_only(
    size: int, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.store.shelf.AT_A_TIME", 256 * KB)
    store = Store(small_disk / "store", spare=0)
    monkeypatch.setattr(store, "room", lambda wanted: (wanted, ""))  # or it would not come to that
    count = 6_000_000 // size
    names = [record_key(str(n)) for n in range(count)]
    records = [bytes([n % 256]) * size for n in range(count)]
    with store.shelf("aa", {}) as shelf:
        stored = shelf.put(names, records)
        assert 0 < stored < count
        assert stored * size > 2_500_000
        assert "No space left" in shelf.full
        assert shelf.put(names[-1:], [b"x"]) == 0
        assert shelf.commit()
        assert [bytes(shelf.get(n) or b"") for n in names[:stored]] == records[:stored]
        shelf.note(engine="eager")
        # Another shelf on the same full disk: nothing is raised either.
        with store.shelf("bb", {}) as other:
            assert other.put([bytes([n] * 16) for n in range(30)], [bytes(100_000)] * 30) < 30
    with store.shelf("aa", {}) as shelf:
        assert shelf.missing(names).tolist() == [False] * stored + [True] * (count - stored)
        assert [bytes(shelf.get(n) or b"") for n in names[:stored]] == records[:stored]
        assert shelf.damaged == 0


def test_room_is_asked_of_the_disk_before_it_is_full(small_disk: Path) -> None:
    store = Store(small_disk / "store", spare=1 << 20)
    with store.shelf("aa", {}) as shelf:
        stored = shelf.put([record_key(str(n)) for n in range(60)], [bytes(100_000)] * 60)
        assert 25 < stored < 32
        assert "kept free" in shelf.full


@pytest.mark.parametrize("budget", [0, 1, 63, 64, 1000, 20_000, 20_100, 20_447, 20_448, 20_449, 40_000])
def test_a_write_that_fails_anywhere_loses_only_itself(
    budget: int, store: Store, key: Numbered, record: Numbered, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = os.write, [budget]

    def limited(descriptor: int, data: memoryview) -> int:
        if left[0] == 0 and len(data):
            raise OSError(28, os.strerror(28))
        done = write(descriptor, data[: left[0]])
        left[0] -= done
        return done

    with store.shelf("aa", {}) as shelf:
        monkeypatch.setattr(os, "write", limited)
        stored = 0
        for n in range(0, 100, 5):
            stored += shelf.put([key(i) for i in range(n, n + 5)], [record(i) for i in range(n, n + 5)])
        monkeypatch.undo()
        assert 0 <= stored < 100
        assert "No space left" in shelf.full
        assert shelf.commit()
        numbers = [n for n in range(100) if not shelf.missing([key(n)])[0]]
        assert len(numbers) == stored
        assert all(got(shelf, key(n)) == record(n) for n in numbers)
    with store.shelf("aa", {}) as shelf:
        assert numbers == [n for n in range(100) if not shelf.missing([key(n)])[0]]
        assert all(got(shelf, key(n)) == record(n) for n in numbers)
    assert all(report.sound for report in store.verify())


@pytest.mark.parametrize("good", [0, 1, 2, 3, 4, 5])
def test_after_a_failed_fsync_the_descriptor_is_not_used_again(
    good: int, store: Store, key: Numbered, record: Numbered, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, calls, failed = os.fsync, [0], set[int]()

    def failing(descriptor: int) -> None:
        assert descriptor not in failed
        calls[0] += 1
        if calls[0] > good:
            failed.add(descriptor)
            raise OSError(5, os.strerror(5))
        fsync(descriptor)

    committed: list[int] = []
    with store.shelf("aa", {}) as shelf:
        monkeypatch.setattr(os, "fsync", failing)
        monkeypatch.setattr("tunesmith.store.shards.sync_folder", lambda folder: None)
        for n in range(4):
            shelf.put([key(n)], [record(n)])
            if shelf.commit():
                committed.append(n)
        monkeypatch.undo()
        assert committed == list(range(good // 2))
        assert "Input/output" in shelf.full
        assert not shelf.commit()
        for n in range(4):
            assert shelf.get(key(n)) in (None, record(n))
        compared: list[bytes] = []

        def counted(of: bytes, _: object) -> bytes:
            compared.append(of)
            return b"wrong"

        monkeypatch.setattr("tunesmith.store.shelf.digest", counted)
        shelf.get(key(0))
        assert compared == [key(0)]  # the page cache is not to be trusted any more
        monkeypatch.undo()
    with store.shelf("aa", {}) as shelf:
        shelf.missing([key(0)])
        assert all(got(shelf, key(n)) == record(n) for n in committed)


# Against a model


class Model(RuleBasedStateMachine):
    """A store does what a dictionary does, but that it may forget when it is asked for room."""

    numbers = st.lists(st.integers(0, 30), min_size=1, max_size=6, unique=True)

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name), spare=0)
        self.shelf = self.store.shelf("aa", {})
        self.other = self.store.shelf("aa", {})
        self.known: dict[bytes, bytes] = {}

    @rule(numbers=numbers, other=st.booleans(), size=st.integers(0, 300))
    def put(self, numbers: list[int], other: bool, size: int) -> None:
        names = [record_key(str(n)) for n in numbers]
        new = [name for name in names if name not in self.known]
        records = [name * size for name in new]
        assert (self.other if other else self.shelf).put(new, records) == len(new)
        self.known |= dict(zip(new, records, strict=True))

    @rule(numbers=numbers, other=st.booleans())
    def look(self, numbers: list[int], other: bool) -> None:
        names = [record_key(str(n)) for n in numbers]
        shelf = self.other if other else self.shelf
        assert shelf.missing(names).tolist() == [name not in self.known for name in names]
        for name in names:
            view = shelf.get(name)
            assert (None if view is None else bytes(view)) == self.known.get(name)

    @rule(numbers=numbers)
    def claim(self, numbers: list[int]) -> None:
        names = [record_key(str(n)) for n in numbers]
        with self.shelf.claim(names) as claim, self.other.claim(names) as late:
            assert claim.mine.tolist() == [name not in self.known for name in names]
            assert not late.mine.any()

    @rule()
    def commit(self) -> None:
        assert self.shelf.commit()

    @rule()
    def reopen(self) -> None:
        self.shelf.close()
        self.shelf = self.store.shelf("aa", {})

    @rule()
    def evict(self) -> None:
        assert self.store.clear().left == ("aa",)
        self.shelf.close()
        self.other.close()
        assert self.store.clear().removed == ("aa",)
        self.shelf, self.other = self.store.shelf("aa", {}), self.store.shelf("aa", {})
        self.known = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.shelf.close()
            self.other.close()
            self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
