"""Stores for tests, and the records of the processes that use them."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunesmith.store import Shelf, Store

CHILD = Path(__file__).with_name("child.py")
_CHILD = runpy.run_path(str(CHILD))


@pytest.fixture(scope="session")
def child() -> Path:
    """The script of processes that use a store."""
    return CHILD


@pytest.fixture(scope="session")
def key() -> Callable[[int], bytes]:
    """The key of the n-th record."""
    function: Callable[[int], bytes] = _CHILD["key"]
    return function


@pytest.fixture(scope="session")
def record() -> Callable[[int], bytes]:
    """The bytes of the n-th record."""
    function: Callable[[int], bytes] = _CHILD["record"]
    return function


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store without bounds."""
    return Store(tmp_path / "store", spare=0)


@pytest.fixture
def shelf(store: Store) -> Iterator[Shelf]:
    """A shelf that nothing was put on."""
    with store.shelf("5ca1ab1e", {"what": "records"}) as opened:
        yield opened
