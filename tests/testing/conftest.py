from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
Caught = dict[str, set[str]]


class Recorder:
    """What failed in each class, and how often it was tried."""

    def __init__(self) -> None:
        self.failed: Caught = {}
        self.why: dict[tuple[str, str], str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        *_, owner, test = report.nodeid.split("::")
        failed = self.failed.setdefault(owner, set())
        if report.failed:
            failed.add(test.partition("[")[0] if report.when == "call" else f"{report.when} of {test}")


@pytest.fixture(scope="session")
def failures() -> Callable[[str], Caught]:
    """The checks that fail in each class of a file beside this one, run as pytest runs it."""

    def run(name: str) -> Caught:
        recorder = Recorder()
        options = ["-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", "--tb=no", "-q"]
        pytest.main([str(HERE / name), *options, "-s", "--noconftest"], plugins=[recorder])
        return recorder.failed

    return run
