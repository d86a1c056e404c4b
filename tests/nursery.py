"""A process that has imported everything and forks a child per fit, so that many can be killed quickly.

Reads one JSON request a line: {"verb": "fit" | "resume", "options": {...}, "die": [what, count] | null};
answers with the child's exit status. A child that is to die kills itself with SIGKILL at the count-th
time that something happens: no handler runs and nothing is flushed, as when the power goes.

Further keys, all optional. "argv": the command line is run instead of a verb. "err": a file for what the
child says. "cache": its cache folder. "signals": [[number, what, count] ...], to be sent to itself, in
this order.
"disk": the arguments of faults.arm, and "done", the file for what was asked of the disk.
"largest": bytes that a file may have, as the system itself sees to it (EFBIG), whoever writes.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import faults  # type: ignore[import-not-found]


def signalled(signals: list[Any]) -> None:
    """Arrange for signals, one after the other, each counted from when the one before it came."""
    if signals:
        (number, what, count), *rest = signals
        die_at(what, count, number, lambda: signalled(rest))


def die_at(
    what: str, count: int, number: int = signal.SIGKILL, then: Callable[[], None] = lambda: None
) -> None:
    """Arrange for SIGKILL, or another signal, at the count-th step, fsync, rename, prediction or event."""
    from tunesmith.tasks.classification import Classification
    from tunesmith.tasks.regression import Regression
    from tunesmith.training import frozen
    from tunesmith.training.stepping import Stepper

    left = [count]

    def deadly(function: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not after:
                os.kill(os.getpid(), number)
                then()
            result = function(*args, **options)
            if left[0] == 0 and after:
                os.kill(os.getpid(), number)
            return result

        return wrapped

    if what == "step":  # between backward and the optimizer's step
        Stepper._together = deadly(Stepper._together)  # type: ignore[method-assign]
    elif what == "fsync":  # while a checkpoint, a history or the model is written
        os.fsync = deadly(os.fsync)
    elif what == "rename":
        Path.rename = deadly(Path.rename, after=bool(count % 2))  # type: ignore[method-assign]
    elif what == "predict":  # during evaluation
        Classification.predict = deadly(Classification.predict)  # type: ignore[method-assign]
        Regression.predict = deadly(Regression.predict)  # type: ignore[method-assign]
    elif what == "phase":  # at a phase change
        frozen.verify = deadly(frozen.verify)
    else:
        raise ValueError(what)


def child(request: dict[str, Any]) -> int:
    """Carry out one request in this process; the exit code."""
    import tunesmith as ts
    from tunesmith.cli import main as command_line
    from tunesmith.verbs.reporting import Silent

    if request.get("cache"):
        os.environ["TUNESMITH_CACHE"] = request["cache"]
    if request.get("die"):
        die_at(*request["die"])
    signalled(request.get("signals", []))
    if request.get("largest"):  # Python ignores SIGXFSZ, which would end the process
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest"], request["largest"]))
    disk = faults.arm(**request["disk"]) if request.get("disk") else None
    code = 0
    try:
        if "argv" in request:
            sys.argv = ["tunesmith", *request["argv"]]
            command_line()
        else:
            getattr(ts, request["verb"])(**request["options"], reporter=Silent())
    except SystemExit as stop:
        code = int(stop.code or 0)
    if disk is not None and request.get("done"):
        faults.note(disk, request["done"])
    return code


def main() -> None:
    """Import, then answer requests until standard input ends."""
    import accelerate
    import sklearn.metrics
    import timm
    import torchvision.transforms.v2
    import transformers.models.bert.modeling_bert

    import tunesmith.cli.app
    import tunesmith.verbs.carrying_out

    _ = accelerate, sklearn, timm, torchvision, transformers, tunesmith
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                if request.get("err"):
                    said = os.open(request["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                    os.dup2(said, 2)
                    os.dup2(said, 1)
                code = child(request)
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"killed": os.WIFSIGNALED(status), "code": os.WEXITSTATUS(status)}), flush=True)


if __name__ == "__main__":
    main()
