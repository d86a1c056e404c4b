"""What a ranking, a look at all stages and a verdict cost beside the forward passes that they need.

    python bench/cost.py [ranking | stages | verdict]     # what was measured is not measured again

Needs the data sets and weights that tests/real use, in TUNESMITH_REAL_DATA. Seconds are the processor's, of
one thread, so that what else the machine does changes little. Each is done twice with the same store: the
second time no forward pass over the data is left, so the difference is what the passes take, and the rest
what is added. A verdict is the difference between a fit with its baselines and one without.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from page import write_numbers
from running import DATA, RESULTS, ROOT, machine
from truth import NETWORKS, network

FILE = RESULTS / "cost.json"
PHOTOS = str(DATA / "trashnet")
KERAS = str(DATA / "weights" / "mobilenetv2_100_keras.safetensors")


def seconds(do: Callable[[], object]) -> float:
    """Of the processor."""
    began = time.process_time()
    do()
    return time.process_time() - began


def twice(do: Callable[[], object]) -> dict[str, float]:
    """With an empty store, and again with what the first time left there."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TUNESMITH_CACHE"] = cache
        first, again = seconds(do), seconds(do)
    return told(first - again, again)


def told(passes: float, rest: float) -> dict[str, float]:
    """Seconds of forward passes, of the rest, and the rest's share of the passes."""
    return {"passes": round(passes, 2), "rest": round(rest, 2), "share": round(rest / passes, 4)}


def ranking() -> dict[str, float]:
    """Of six networks, each at its own size of pictures."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    models = [network(name) for name in NETWORKS[2:]]
    return twice(lambda: ts.rank(PHOTOS, models=models, reporter=Silent()))


def stages() -> dict[str, float]:
    """The evidence of `tunesmith plan DATA`."""
    from tunesmith.verbs.looking import plan
    from tunesmith.verbs.reporting import Silent

    return twice(lambda: plan(PHOTOS, model=KERAS, reporter=Silent()))


def verdict() -> dict[str, float]:
    """Of a linear probe of ten epochs, the cheapest fit that there is."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    def fit(**options: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            ts.fit(
                PHOTOS,
                model=KERAS,
                strategy="linear_probe",
                epochs=10,
                out=Path(folder) / "run",
                reporter=Silent(),
                **options,
            )

    alone = twice(lambda: fit(baselines="none", keep="trained"))
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TUNESMITH_CACHE"] = cache
        whole = seconds(fit)
    return told(alone["passes"], whole - alone["passes"] - alone["rest"])


STEPS = {"ranking": ranking, "stages": stages, "verdict": verdict}


def main() -> None:
    """Measure what has no result yet."""
    asked = sys.argv[1:] or list(STEPS)
    if unknown := set(asked) - STEPS.keys():
        sys.exit(f"no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}.")
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    found = json.loads(FILE.read_text(encoding="utf-8"))["steps"] if FILE.exists() else {}
    warm = True
    for name in asked:
        if name not in found:
            if warm:  # imports, and what engines and libraries do once in a process
                verdict()
                warm = False
            found[name] = STEPS[name]()
            print(name, found[name], flush=True)
            content = {"command": "python bench/cost.py", "machine": machine(), "steps": found}
            FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_numbers(RESULTS, ROOT / "docs" / "numbers.md")


if __name__ == "__main__":
    main()
