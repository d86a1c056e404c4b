"""Measure what docs/numbers.md says of checked data; resumable: what is in bench/results is not run again.

    python bench/health.py [NAME ...]     # all data sets, or those named

Of each data set: what a check finds, and where planted label errors (5 % of all labels, drawn) stand among
the most doubted labels. Needs the data sets and weights that tests/real use, in TUNESMITH_REAL_DATA.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "bench" / "results" / "health.json"
PHOTOS = {"model": str(DATA / "weights" / "mobilenetv2_100_keras.safetensors"), "image_size": 128}
TEXTS = {"model": "hf/sentence-transformers/all-MiniLM-L6-v2"}
SETS: dict[str, dict[str, Any]] = {
    "trashnet": PHOTOS,
    "clothing-small": PHOTOS,
    "sms-spam": {**TEXTS, "columns": "label,text"},
    "sentence-polarity": TEXTS,
    "banking77": TEXTS,
}
FLIPPED, LOOKED_AT = 0.05, 0.10
SEED = 0


def checked(name: str) -> dict[str, Any]:
    """What a check finds in a data set, and which share of planted label errors stands in its first tenth."""
    import tunesmith as ts
    from tunesmith.data.cache import cache_folder
    from tunesmith.health.repeats import same_bytes
    from tunesmith.health.suspects import doubts
    from tunesmith.store import Store
    from tunesmith.tasks import TASKS
    from tunesmith.training.examples import Examples
    from tunesmith.verbs.features import features_of
    from tunesmith.verbs.loading import load_network
    from tunesmith.verbs.reporting import Lines

    options = {k: v for k, v in SETS[name].items() if k not in ("model", "image_size")}
    health = ts.check(str(DATA / name), **options)
    data = ts.read(str(DATA / name), **options)
    task = TASKS.load(f"{data.takes}-classification")()
    want = task.want(task.labels(data), image_size=SETS[name].get("image_size"))
    network = load_network(SETS[name]["model"], want)
    store = Store(cache_folder() / "store")
    examples = {s: Examples(rows, network.preprocess, store) for s, rows in data.splits.items()}
    pooled = np.concatenate(list(features_of(network, store, examples, Lines()).values()))
    keys = [key for own in examples.values() for key in own.keys]
    labels = np.unique([y for rows in data.splits.values() for y in rows["label"][:]], return_inverse=True)[1]
    count, classes = len(labels), int(labels.max()) + 1
    random = np.random.default_rng(SEED)
    flipped = random.permutation(count)[: round(FLIPPED * count)]
    wrong = labels.copy()
    wrong[flipped] = (wrong[flipped] + random.integers(1, classes, len(flipped))) % classes
    found = doubts(pooled, wrong, same_bytes(keys), seed=SEED)
    return {
        "examples": count,
        "classes": classes,
        "found": {finding.kind: finding.count or 1 for finding in health.findings},
        "flipped": len(flipped),
        "in the first tenth": float(np.isin(flipped, found.order[: round(LOOKED_AT * count)]).mean()),
        "suspected": int(found.suspected.sum()),
        "flipped among suspected": int(found.suspected[flipped].sum()),
        "strength": found.strength,
    }


def main(names: list[str]) -> None:
    """Measure what is not there yet, and write the page."""
    from page import write_numbers

    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in names or SETS:
        if name not in kept:
            kept[name] = checked(name)
            print(name, kept[name], flush=True)
            RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write_numbers(RESULTS.parent, ROOT / "docs" / "numbers.md")


if __name__ == "__main__":
    main(sys.argv[1:])
