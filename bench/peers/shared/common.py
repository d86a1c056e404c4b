"""What every peer does alike: its options, the examples, the clock and the line of JSON at the end.

Only the standard library is imported, so that every environment can read it.
"""

import argparse
import csv
import importlib.metadata
import json
import os
import time
from pathlib import Path

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}


def options():
    """The options that all peers understand; a peer leaves alone what it has no use for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=("photos", "texts"), required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="safetensors with header, or a folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", choices=("frozen", "last_block", "full"), default="frozen")
    parser.add_argument("--pooling", choices=("mean", "cls"), default="mean")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--lr", type=float, default=1e-4, help="of the backbone's part that trains")
    parser.add_argument("--head-lr", type=float, default=3e-3)
    parser.add_argument("--reference", type=Path, help="npz with photos and what torch makes of them")
    asked = parser.parse_args()
    asked.data = asked.data.resolve()
    asked.out.mkdir(parents=True, exist_ok=True)
    return asked


def examples(asked):
    """(item, class number) of each split, and the names of the classes; items are paths or texts."""
    rows = list(_photos(asked.data) if asked.task == "photos" else _texts(asked.data))
    names = sorted({label for _, _, label in rows})
    number = {name: i for i, name in enumerate(names)}
    found = {"train": [], "valid": [], "test": []}
    for split, item, label in rows:
        found[split].append((item, number[label]))
    empty = [split for split, its in found.items() if not its]
    if empty:
        raise SystemExit(f"{asked.data} has no examples of split {', '.join(empty)}")
    return found, names


def _photos(folder):
    with (folder / "splits.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield SPLITS[row["split"]], str(folder / row["path"]), row["label"]


def _texts(folder):
    for path in sorted(folder.glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                yield SPLITS[path.stem], row["text"], row["label"]


class Clock:
    """Seconds since the process was started, by the clock of whoever started it (BENCH_BEGAN)."""

    def __init__(self):
        self.last = float(os.environ.get("BENCH_BEGAN", time.monotonic()))
        self.said = {"epochs": [], "valid": []}

    def ready(self):
        """Everything is loaded: the first epoch begins."""
        self.said["start_up"] = self._lap()

    def epoch(self, accuracy):
        """An epoch of training and its validation are over."""
        self.said["epochs"].append(self._lap())
        self.said["valid"].append(float(accuracy))

    def saved(self, path):
        """The model lies on the disk."""
        self.said["model"] = str(path)
        self.said["save"] = self._lap()

    def tested(self, accuracy):
        """The test split is answered."""
        self.said["accuracy"] = float(accuracy)
        self.said["test"] = self._lap()

    def note(self, name, value=None):
        """A number to report; without one, the seconds since the last mark."""
        self.said[name] = self._lap() if value is None else value

    def report(self, *packages):
        """Print the line of JSON, with the versions of these packages."""
        self.said["versions"] = {name: importlib.metadata.version(name) for name in packages}
        print(json.dumps(self.said), flush=True)

    def _lap(self):
        now = time.monotonic()
        lap, self.last = now - self.last, now
        return round(lap, 3)
