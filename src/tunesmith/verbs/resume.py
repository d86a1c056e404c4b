"""Go on with a run that was interrupted; the end is the same, bit for bit."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import BadRun, TunesmithError
from tunesmith.verbs.environment import changes, prepare
from tunesmith.verbs.options import IN_MEMORY, seconds
from tunesmith.verbs.stopping import stoppable

if TYPE_CHECKING:
    from tunesmith.networks.network import Network
    from tunesmith.runs import Run
    from tunesmith.verbs.reporting import Reporter


def resume(
    run: str | Path | Run,
    *,
    data: Any = None,
    model: Network | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Go on with an interrupted run; it ends the same, bit for bit.

    run: the folder of the run; runs/latest is the newest one.
    data: the data, where they were given in memory.
    model: the network, where it was given in memory.
    reporter: where to tell what happens; None: lines on standard error.

    Warns where another version or processor goes on: the same bits are then not promised.

    Raises BadRun if the run is finished or is being trained by another process, if one of its files is not
    as it was written, or if data or weights changed since it was begun.
    """
    prepare()
    from tunesmith.data.cache import cache_folder
    from tunesmith.files import disk_failures
    from tunesmith.runs import Run as Opened
    from tunesmith.training.devices import accelerator_for
    from tunesmith.verbs.carrying_out import begin, carry_out, speaker
    from tunesmith.verbs.fit import DEFAULTS
    from tunesmith.verbs.folders import tidy
    from tunesmith.verbs.locking import alone

    opened = Opened.open(run.folder if isinstance(run, Opened) else run)
    if opened.finished:
        with suppress(TunesmithError), alone(opened.folder):
            tidy(opened.folder)  # it may have been killed after its last word
        raise BadRun(
            f"{opened.folder} is finished, and nothing is left to resume; to train its network further: "
            f"tunesmith fit DATA --model {opened.folder}"
        )
    asked = {**DEFAULTS, **opened.asked, "plan": opened.plan, "out": str(opened.folder)}
    for name, value in (("data", data), ("model", model)):
        if value is not None:
            asked[name] = value
        elif isinstance(asked[name], str) and asked[name].startswith(IN_MEMORY):
            raise BadRun(
                f"the {name} of {opened.folder} came from memory; pass it again: resume(run, {name}=...)."
            )
    prepare(offline=asked["offline"])
    accelerator_for(asked["device"], asked["precision"])  # before processes meet: it says by which means
    with stoppable(), alone(opened.folder), disk_failures(opened.folder, verb="used"):
        for line in changes(opened.manifest):
            speaker(reporter).warn(line)
        with disk_failures(cache_folder(), verb="used"):
            started = begin(asked, reporter=reporter, folder=opened.folder)
        assert started is not None
        return carry_out(started, time_limit=seconds(asked["time_limit"]), reporter=reporter)
