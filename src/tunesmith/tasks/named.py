"""A task by its name. Not in the package's own file: there `task` is the module of the protocol."""

from __future__ import annotations

from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Task


def task(name: str) -> Task:
    """The task of a name, to read data by hand and for `ts.train`; `tunesmith tasks` lists them.

    Raises UnknownName with a guess.
    """
    made: Task = TASKS.load(name)()
    return made
