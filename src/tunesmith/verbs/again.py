"""How a run, or one like it, is made again: its data, its command, and which options it would take."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tunesmith.data.data import Data
from tunesmith.errors import TunesmithError
from tunesmith.networks.network import Network
from tunesmith.runs import Run
from tunesmith.tasks.task import Labels, Task
from tunesmith.verbs.options import IN_MEMORY

READING: Final = (
    "item", "target", "split", "group", "weight", "columns", "valid_size", "test_size", "seed", "skip_bad",
)  # fmt: skip


def rerun(run: Run) -> str:
    """What runs it again; what was given in memory needs the program that gave it."""
    asked = run.asked
    if in_memory(asked):
        return shlex.join(run.manifest.get("command") or [])
    return f"tunesmith fit --config {shlex.quote(shown(run.folder / 'asked.yaml'))}"


def read_from(asked: Mapping[str, Any]) -> str | None:
    """Data and how they are read, as a person would type it; None where they were given in memory."""
    from tunesmith.verbs.fit import DEFAULTS

    if in_memory(asked) or not isinstance(asked.get("data"), str):
        return None
    words = [shown(Path(asked["data"]))] if Path(asked["data"]).is_absolute() else [asked["data"]]
    for name in ("task", *READING):
        value = asked.get(name, DEFAULTS[name])
        if value != DEFAULTS[name]:
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
    return shlex.join(words)


def fit_takes(
    asked: Mapping[str, Any], data: Data | None, network: Network | None, labels: Labels, task: Task
) -> Callable[[Mapping[str, Any]], bool]:
    """Tells whether fit would take options beside the run's own; not where that cannot be found out."""
    from tunesmith.training.solving import linear_head
    from tunesmith.verbs.carrying_out import plan_for
    from tunesmith.verbs.fit import DEFAULTS

    def works(options: Mapping[str, Any]) -> bool:
        if data is None or network is None:
            return False
        try:
            plan = plan_for({**DEFAULTS, **asked, **options, "plan": None}, network, data, labels, task)
            task.configured(plan.settings)
            if any(phase.solver for phase in plan.phases):
                linear_head(network)
        except TunesmithError:
            return False
        return True

    return works


def drew_test(data: Data) -> bool:
    """Whether the test split was made here, so that its size can be asked for."""
    said = [line for line in data.understood if line.startswith("splits: train ")]
    return any("test made here" in line or ", made here (" in line for line in said)


def in_memory(asked: Mapping[str, Any]) -> bool:
    """Whether what a run learned from, or its network, was given by a program."""
    return any(str(asked.get(name)).startswith(IN_MEMORY) for name in ("data", "model"))


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
