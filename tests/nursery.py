"""A process that has imported everything and forks a child per fit, so that many can be killed quickly.

Reads one JSON request a line: {"verb": "fit" | "resume", "options": {...}, "die": [what, count] | null};
answers with the child's exit status. A child that is to die kills itself with SIGKILL at the count-th
time that something happens: no handler runs and nothing is flushed, as when the power goes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def die_at(what: str, count: int) -> None:
    """Arrange for SIGKILL at the count-th step, fsync, rename, prediction or event."""
    from tunesmith.tasks.classification import Classification
    from tunesmith.training import frozen
    from tunesmith.training.loop import Training

    left = [count]

    def deadly(function: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **options)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    if what == "step":  # between backward and the optimizer's step
        Training._together = deadly(Training._together)  # type: ignore[method-assign]
    elif what == "fsync":  # while a checkpoint, a history or the model is written
        os.fsync = deadly(os.fsync)
    elif what == "rename":
        Path.rename = deadly(Path.rename, after=bool(count % 2))  # type: ignore[method-assign]
    elif what == "predict":  # during evaluation
        Classification.predict = deadly(Classification.predict)  # type: ignore[method-assign]
    elif what == "phase":  # at a phase change
        frozen.verify = deadly(frozen.verify)
    else:
        raise ValueError(what)


def child(request: dict[str, Any]) -> None:
    """Carry out one request in this process."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    if request["die"]:
        die_at(*request["die"])
    getattr(ts, request["verb"])(**request["options"], reporter=Silent())


def main() -> None:
    """Import, then answer requests until standard input ends."""
    import accelerate
    import sklearn.metrics
    import timm
    import torchvision.transforms.v2

    import tunesmith.verbs.carrying_out

    _ = accelerate, sklearn, timm, torchvision, tunesmith
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                child(request)
                os._exit(0)
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"killed": os.WIFSIGNALED(status), "code": os.WEXITSTATUS(status)}), flush=True)


if __name__ == "__main__":
    main()
