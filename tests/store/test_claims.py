"""Two that need the same record compute it once, and the dead hold no claim."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.store import Shelf, Store
from tunesmith.store.keys import record_key

KEYS = [record_key(str(n)) for n in range(10)]
SHELF = "5ca1ab1e"


def got(shelf: Shelf, key: bytes) -> bytes | None:
    """A copy of a record; None when it is missing."""
    view = shelf.get(key)
    return None if view is None else bytes(view)


def elsewhere(function: Callable[[], Any]) -> int:
    """The exit code of a forked process in which something is called that should return true."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if function() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def granted(store: Store, keys: list[bytes] = KEYS) -> list[bool]:
    """What a shelf that is opened for the purpose may compute."""
    with store.shelf(SHELF, {}) as shelf, shelf.claim(keys) as claim:
        mine: list[bool] = claim.mine.tolist()
        return mine


def test_what_is_missing_and_free_is_granted(shelf: Shelf) -> None:
    shelf.put(KEYS[:3], [b"x"] * 3)
    with shelf.claim(KEYS) as claim:
        assert claim.mine.tolist() == [False] * 3 + [True] * 7


def test_a_key_that_stands_twice_is_granted_once(shelf: Shelf) -> None:
    with shelf.claim([KEYS[0], KEYS[1], KEYS[0]]) as claim:
        assert claim.mine.tolist() == [True, True, False]


def test_nobody_else_gets_what_is_claimed(store: Store, shelf: Shelf) -> None:
    with shelf.claim(KEYS[:4]):
        assert granted(store) == [False] * 4 + [True] * 6  # a second shelf of this process
        assert elsewhere(lambda: granted(store) == [False] * 4 + [True] * 6) == 0  # another process
    assert elsewhere(lambda: granted(store) == [True] * 10) == 0  # the control


def test_closing_another_shelf_of_the_same_folder_keeps_the_claims(store: Store, shelf: Shelf) -> None:
    with shelf.claim(KEYS):
        store.shelf(SHELF, {}).close()
        store.verify()
        store.shelves()
        store.clear()
        Store(store.folder, limit=1, spare=0).shelf("aa", {}).put([KEYS[0]], [b"x"])
        assert elsewhere(lambda: not any(granted(store))) == 0


def test_a_claim_ends_with_its_block_even_after_an_error(store: Store, shelf: Shelf) -> None:
    with pytest.raises(ZeroDivisionError), shelf.claim(KEYS):
        _ = 1 / 0
    assert all(granted(store))


def test_a_claim_that_is_interrupted_while_it_is_taken_leaves_nothing(
    store: Store, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(keys: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(shelf, "missing", stop)
    with pytest.raises(KeyboardInterrupt), shelf.claim(KEYS):
        pass
    assert elsewhere(lambda: all(granted(store))) == 0


def test_a_killed_process_holds_no_claim(store: Store, shelf: Shelf, child: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tunesmith.store import Store\n"
        f"shelf = Store(Path(sys.argv[1]), spare=0).shelf({SHELF!r}, {{}})\n"
        f"claim = shelf.claim({KEYS!r}).__enter__(); print(claim.mine.all(), flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(store.folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"True\n"
    with shelf.claim(KEYS) as claim:
        assert not claim.mine.any()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with shelf.claim(KEYS) as claim:
        assert claim.mine.all()


def test_what_was_stored_before_the_claim_is_not_computed_again(store: Store, shelf: Shelf) -> None:
    assert shelf.missing(KEYS).all()

    def compute() -> int:
        with store.shelf(SHELF, {}) as other, other.claim(KEYS):
            return other.put(KEYS, [b"x"] * 10) == 10

    assert elsewhere(compute) == 0
    with shelf.claim(KEYS) as claim:
        assert not claim.mine.any()
    assert not shelf.missing(KEYS).any()


def test_threads_compute_each_record_once(shelf: Shelf) -> None:
    computed: list[bytes] = []

    def work() -> None:
        for start in range(0, 10, 2):
            some = KEYS[start : start + 2]
            while shelf.missing(some).any():
                with shelf.claim(some) as claim:
                    mine = [key for key, is_mine in zip(some, claim.mine, strict=True) if is_mine]
                    computed.extend(mine)
                    shelf.put(mine, mine)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(computed) == sorted(KEYS)
    assert all(got(shelf, key) == key for key in KEYS)


def test_a_forked_process_begins_a_shard_of_its_own(store: Store, shelf: Shelf) -> None:
    shelf.put(KEYS[:1], [b"parent"])
    assert elsewhere(lambda: shelf.put(KEYS[1:2], [b"child"]) == 1 and got(shelf, KEYS[0]) == b"parent") == 0
    shelf.put(KEYS[2:3], [b"parent again"])
    assert not shelf.missing(KEYS[:3]).any()
    assert [got(shelf, key) for key in KEYS[:3]] == [b"parent", b"child", b"parent again"]
    assert len(list((store.folder / SHELF).glob("*.bin"))) == 2
    assert all(report.sound for report in store.verify())


def test_what_another_process_has_open_is_neither_cleared_nor_evicted(store: Store) -> None:
    with store.shelf(SHELF, {}) as shelf:
        shelf.put(KEYS, [bytes(1000)] * 10)

        def attack() -> bool:
            there = Store(store.folder, spare=0)
            # This process was forked with the shelf open; it forgets that, as one that was not would.
            from tunesmith.store import places

            places._PLACES.clear()
            return there.clear().left == (SHELF,)

        assert elsewhere(attack) == 0
        assert got(shelf, KEYS[0]) == bytes(1000)
    assert store.clear().removed == (SHELF,)


def test_a_shelf_that_is_cleared_while_it_is_opened_is_begun_anew(store: Store) -> None:
    stop = threading.Event()

    def clear() -> None:
        while not stop.is_set():
            store.clear()

    clearing = threading.Thread(target=clear)
    clearing.start()
    try:
        for n in range(60):
            with store.shelf(SHELF, {"what": "x"}) as shelf:
                assert shelf.full == ""
                assert shelf.put([KEYS[0]], [str(n).encode()]) == 1
                assert not shelf.missing([KEYS[0]]).any()
    finally:
        stop.set()
        clearing.join()


def computed(child: Path, folder: Path, how: str, processes: int) -> Counter[int]:
    """How often each of 200 records was computed by processes that begin at once and need all of them."""
    log = folder / "log"
    running = [
        subprocess.Popen(
            [sys.executable, str(child), how, str(folder), str(log), "200"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for _ in range(processes)
    ]
    while len(list(folder.glob("ready *"))) < processes:
        assert [process.poll() for process in running] == [None] * processes
        time.sleep(0.01)
    (folder / "go").touch()
    assert [process.wait(timeout=120) for process in running] == [0] * processes  # 0: it read all right
    return Counter(int(line) for line in log.read_text().splitlines())


def test_eight_processes_compute_each_of_200_records_once(child: Path, tmp_path: Path) -> None:
    assert computed(child, tmp_path, "share", 8) == dict.fromkeys(range(200), 1)
    assert len(list((tmp_path / SHELF).glob("*.idx"))) > 1  # or one process did everything


def test_without_claims_they_would_compute_some_twice(child: Path, tmp_path: Path) -> None:
    assert max(computed(child, tmp_path, "grab", 4).values()) > 1


def test_facts_that_processes_note_at_once_are_all_kept(store: Store) -> None:
    def note(i: int) -> None:
        with store.shelf(SHELF, {"what": "x"}) as shelf:
            for n in range(5):
                shelf.note(**{f"fact {i} {n}": n})

    children = []
    for i in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                note(i)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    with store.shelf(SHELF, {}) as shelf:
        assert len(shelf.about) == 21
    assert np.all([shelf.about[f"fact {i} {n}"] == n for i in range(4) for n in range(5)])
