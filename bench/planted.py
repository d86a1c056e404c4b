"""Plant on real data what alarms are there for, and see that they are raised; resumable.

    python bench/planted.py [NAME ...]     # all cases, or those named; what was run is not run again

Needs the data sets and weights that tests/real use, in TUNESMITH_REAL_DATA. tests/verdicts/test_fits.py
plants every alarm on small generated pictures; these are those that real networks and photos can show.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "bench" / "results" / "planted.json"
KERAS, BIRDS = (
    str(DATA / "weights" / f"mobilenetv2_100_{name}.safetensors") for name in ("keras", "inat_bird")
)
PROBE: dict[str, Any] = {"strategy": "linear_probe", "epochs": 1, "image_size": 128}
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {  # what is asked, and the alarms that must be raised
    "healthy": ({"data": "clothing-small", "model": KERAS, "beside": BIRDS, **PROBE}, []),
    "random weights": ({"data": "trashnet", "model": "timm/mobilenetv2_100@none", **PROBE}, ["no_gain"]),
    "random weights, all trained": (  # whose passes allow a twin that is tested on the whole test split
        {**PROBE, "data": "trashnet", "model": "timm/mobilenetv2_100@none", "strategy": "full", "epochs": 2},
        ["no_gain"],
    ),
    "a better start": (
        {"data": "clothing-small", "model": BIRDS, "beside": KERAS, **PROBE},
        ["better_start"],
    ),
    "a destructive rate": (
        {**PROBE, "data": "trashnet", "model": KERAS, "strategy": "top", "unfreeze": 6, "lr": 0.1},
        ["below_probe"],
    ),
    "a careful rate": (
        {**PROBE, "data": "trashnet", "model": KERAS, "strategy": "lp_ft", "solver": "ridge"},
        [],
    ),
}


def ran(name: str) -> dict[str, Any]:
    """What the verdict says of a case."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Lines

    asked, wanted = CASES[name]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        options = {**asked, "data": None, "out": Path(folder) / "run", "device": "cpu"}
        run = ts.fit(
            str(DATA / asked["data"]), reporter=Lines(), **{k: v for k, v in options.items() if k != "data"}
        )
        assert run is not None
        scores = run.scores
    metric = scores["metric"]
    return {
        "asked": {k: str(v).removeprefix(f"{DATA}/") for k, v in asked.items()},
        "wanted": wanted,
        "alarms": {
            alarm["kind"]: {"p": alarm["p"], "sentence": alarm["sentence"]} for alarm in scores["alarms"]
        },
        "kept": scores["kept"],
        "verdict": scores["verdict"],
        "metric": metric,
        "test": scores["test"]["metrics"][metric],
        "baselines": {n: b["metrics"][metric] for n, b in scores["baselines"].items()},
        "twin": scores.get("twin"),
        "passes": scores["passes"],
        "learning": scores.get("learning"),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    """Run what is missing, and say of each case whether its alarms came."""
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in sys.argv[1:] or CASES:
        if name not in found:
            found[name] = ran(name)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, told in found.items():
        named = list(told["alarms"])
        right = set(told["wanted"]) <= set(named) and bool(told["wanted"]) == bool(named)
        missed = "" if right else "  NOT AS PLANTED"
        print(f"{name}: {', '.join(named) or 'no alarm'}{missed}; {told['kept']['sentence']}")


if __name__ == "__main__":
    main()
