"""What a ranking, a look at all stages and a verdict cost beside the forward passes that they need.

    python bench/cost.py [ranking | stages | verdict]     # what was measured is not measured again

Needs the data sets and weights that tests/real use, in TUNESMITH_REAL_DATA. Seconds are the processor's, of
one thread, so that what else the machine does changes them less than the clock's. A ranking and a look are
done twice with the same store: the second time no pass over the data is left, so the difference is what the
passes take. A verdict is the difference between a fit with its baselines and one without, both from a full
store: that of two runs which compute everything is less than what chance adds to either.

Two of them need passes that nothing else would: a pilot's forward and backward passes of 64 examples, without
which there is no gradient, and those of the random twin, which cannot be judged without. They are timed by
themselves. Two shares are told: all that is added, over the passes over the data; and what is no pass, over
all passes. --shared says that others used the machine.
"""

from __future__ import annotations

import json
import os
import pkgutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from page import write_numbers
from running import DATA, RESULTS, ROOT, machine
from truth import NETWORKS, network

FILE = RESULTS / "cost.json"
PHOTOS = str(DATA / "trashnet")
KERAS = str(DATA / "weights" / "mobilenetv2_100_keras.safetensors")
WARM = 40  # pictures of noise in each of two classes, on which a first fit warms the process up


def seconds(do: Callable[[], object]) -> float:
    """Of the processor."""
    began = time.process_time()
    do()
    return time.process_time() - began


@contextmanager
def store() -> Iterator[None]:
    """An empty one."""
    with tempfile.TemporaryDirectory() as cache, mock.patch.dict(os.environ, TUNESMITH_CACHE=cache):
        yield


@contextmanager
def timed(target: str) -> Iterator[list[float]]:
    """The seconds of every call of a function, which is named as the module that calls it knows it."""
    whole = pkgutil.resolve_name(target)
    found: list[float] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        try:
            return whole(*arguments, **options)
        finally:
            found.append(time.process_time() - began)

    with mock.patch(target, watched):
        yield found


def told(passes: float, own: float, rest: float) -> dict[str, float]:
    """Seconds: passes over the data, passes that only this needs, and all else; and the two shares."""
    shares = {"added": (own + rest) / passes, "share": rest / (passes + own)}
    found = {"passes": passes, "own": own, "rest": rest} | shares
    return {name: round(value, 4) for name, value in found.items()}


def ranking() -> dict[str, float]:
    """Of six networks, each at its own size of pictures."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    models = [network(name) for name in NETWORKS[2:]]
    with store():
        first, again = (seconds(lambda: ts.rank(PHOTOS, models=models, reporter=Silent())) for _ in "12")
    return told(first - again, 0.0, again)


def stages() -> dict[str, float]:
    """The evidence of `tunesmith plan DATA`."""
    from tunesmith.verbs.looking import plan
    from tunesmith.verbs.reporting import Silent

    with store():
        first = seconds(lambda: plan(PHOTOS, model=KERAS, reporter=Silent()))
        with timed("tunesmith.choosing.which_stages.pilot") as piloted:
            again = seconds(lambda: plan(PHOTOS, model=KERAS, reporter=Silent()))
    return told(first - again, sum(piloted), again - sum(piloted))


def fit(photos: str | Path = PHOTOS, **options: Any) -> None:
    """A linear probe of ten epochs, the cheapest fit that there is."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    usual: dict[str, Any] = {"model": KERAS, "strategy": "linear_probe", "epochs": 10}
    with tempfile.TemporaryDirectory() as folder:
        ts.fit(photos, **usual, **options, out=Path(folder) / "run", reporter=Silent())


def verdict() -> dict[str, float]:
    """Baselines, alarms and the choice of what is kept."""
    filling, looking = "tunesmith.training.recorded.Recorded.fill", "tunesmith.verbs.baselines.looks_of"
    with store():
        with timed(filling) as filled, timed(looking) as looked:
            fit()
        again, without = seconds(fit), seconds(lambda: fit(baselines="none", keep="trained"))
    # Splits that the run needs are filled first; what is filled last is the twin's, train and test. Colours
    # are no passes, and the second time they are read from the store.
    return told(sum(filled[:-2]), sum(filled[-2:]), again - without + sum(looked))


def warm() -> None:
    """Imports, and what engines and libraries do once in a process."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, store():
        for name in ("one", "other"):
            (Path(folder) / name).mkdir()
            for i in range(WARM):
                pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(Path(folder) / name / f"{i}.png")
        fit(folder)


STEPS = {"ranking": ranking, "stages": stages, "verdict": verdict}


def main() -> None:
    """Measure what has no result yet."""
    shared = "--shared" in sys.argv
    asked = [word for word in sys.argv[1:] if word != "--shared"] or list(STEPS)
    if unknown := set(asked) - STEPS.keys():
        sys.exit(f"no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}.")
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["steps"] if FILE.exists() else {}
    missing = [name for name in asked if name not in found]
    if set(missing) - {"verdict"}:  # whose first run warms the process up itself
        warm()
    for name in missing:
        found[name] = STEPS[name]() | {"shared": shared}
        print(name, found[name], flush=True)
        content = {"command": "python bench/cost.py", "machine": machine(), "steps": found}
        FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_numbers(RESULTS, ROOT / "docs" / "numbers.md")


if __name__ == "__main__":
    main()
