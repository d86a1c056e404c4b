"""One contract per family of plug-ins, for ours and for other people's: a test file only names its member.

>>> class TestMine(TaskContract):                           # doctest: +SKIP
...     @pytest.fixture
...     def task(self):
...         return Mine()
...
...     @pytest.fixture
...     def examples(self):
...         return [("a text", "its label"), ("another", "other")] * 4

docs/write-a-task.md and docs/write-a-source.md show them at work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tunesmith.registry import require

if TYPE_CHECKING:
    from tunesmith.testing.sources import SourceContract as SourceContract
    from tunesmith.testing.stand_ins import picture as picture
    from tunesmith.testing.strategies import StrategyContract as StrategyContract
    from tunesmith.testing.tasks import TaskContract as TaskContract

_HOMES = {
    "SourceContract": "tunesmith.testing.sources",
    "StrategyContract": "tunesmith.testing.strategies",
    "TaskContract": "tunesmith.testing.tasks",
    "picture": "tunesmith.testing.stand_ins",
}

__all__ = sorted(_HOMES)

# Before the contracts are imported, so that a check that fails says what it compared.
require("pytest", "testing", "tunesmith.testing").register_assert_rewrite(
    *(f"tunesmith.testing.{name}" for name in ("answering", "learning", "sources", "strategies", "tasks"))
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tunesmith.testing' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
