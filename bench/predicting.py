"""Predicting photos: a run's `predict` beside a transformers pipeline and a plain torch loop.

    python bench/predicting.py [photos]        # 2,000 by default; what was measured is not measured again

Needs the data sets and weights that tests/real use, in TUNESMITH_REAL_DATA. All three have the same
network, MobileNetV2 at 224 pixels, fine-tuned for a moment; the pipeline opens the run's own timm export.
They take the same photos in turns, 200 at a time, so that what else the machine does hits all of them, on
one thread. Decoding and resizing are part of it: photos come as files. Beside seconds stand those of the
processor, which other programs change less. 200 photos are enough for `predict` to choose an engine; it is
built and compared with the network in the first turn, and that counts.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from page import write_numbers
from running import DATA, RESULTS, ROOT, load, machine

FILE = RESULTS / "predicting.json"
KERAS = DATA / "weights" / "mobilenetv2_100_keras.safetensors"
TURN = 200  # photos
BATCH = 32


def photos(count: int) -> list[tuple[str, str]]:
    """Path and label of photos, as often as needed to have so many."""
    with (DATA / "trashnet" / "splits.csv").open(encoding="utf-8") as file:
        rows = [(str(DATA / "trashnet" / row["path"]), row["label"]) for row in csv.DictReader(file)]
    return [rows[i % len(rows)] for i in range(count)]


def run_of(folder: Path, count: int) -> Any:
    """A run on a few photos of each class: its answers are not looked at."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    rows = photos(2527)
    some = [row for label in sorted({r[1] for r in rows}) for row in [r for r in rows if r[1] == label][:10]]
    return ts.fit(
        some, model=str(KERAS), strategy="linear_probe", epochs=1, baselines="none", keep="trained",
        device="cpu", out=folder / f"run-{count}", reporter=Silent(),
    )  # fmt: skip


def by_tunesmith(run: Any) -> Callable[[list[str]], list[str]]:
    """`run.predict`."""
    return lambda paths: [row["label"] for row in run.predict(paths, batch=BATCH, device="cpu")]


def by_pipeline(folder: Path) -> Callable[[list[str]], list[str]]:
    """A transformers pipeline on the run's timm export, which transformers opens through timm."""
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(folder), device="cpu")
    return lambda paths: [rows[0]["label"] for rows in classify(paths, batch_size=BATCH)]


def by_hand(run: Any) -> Callable[[list[str]], list[str]]:
    """A loop as many people write it: PIL, torchvision's transforms, batches."""
    import torch
    from PIL import Image
    from torchvision import transforms

    import tunesmith as ts

    module, form, names = ts.load(run), run.model[0].preprocess, run.model[2].names
    prepare = transforms.Compose(
        [
            transforms.Resize(form.resize, transforms.InterpolationMode(form.interpolation)),
            transforms.CenterCrop(form.size),
            transforms.ToTensor(),
            transforms.Normalize(form.mean, form.std),
        ]
    )

    def answer(paths: list[str]) -> list[str]:
        found = []
        with torch.inference_mode():
            for start in range(0, len(paths), BATCH):
                batch = [prepare(Image.open(path).convert("RGB")) for path in paths[start : start + BATCH]]
                found += [names[i] for i in module(torch.stack(batch)).argmax(1).tolist()]
        return found

    return answer


def main() -> None:
    """Measure the turns that have no result yet."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    found: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))["turns"] if FILE.exists() else []
    asked = photos(count)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = run_of(folder, count)
        export = run.export(to="timm")
        ways = {
            "tunesmith predict": by_tunesmith(run),
            "transformers pipeline": by_pipeline(export),
            "plain torch loop": by_hand(run),
        }
        for answer in ways.values():  # what is built when it is first asked is not measured
            answer([path for path, _ in asked[:BATCH]])
        for turn in range(len(found), -(-count // TURN)):
            paths = [path for path, _ in asked[turn * TURN : (turn + 1) * TURN]]
            row: dict[str, Any] = {"photos": len(paths), "load": round(load(), 2)}
            answers = {}
            for name, answer in ways.items():
                began, used = time.perf_counter(), time.process_time()
                answers[name] = answer(paths)
                row[name] = [round(time.perf_counter() - began, 3), round(time.process_time() - used, 3)]
            ours = answers["tunesmith predict"]
            row["equal"] = {
                name: sum(a == b for a, b in zip(ours, own, strict=True)) for name, own in answers.items()
            }
            found.append(row)
            print(row, flush=True)
            keep(found)
    write_numbers(RESULTS, ROOT / "docs" / "numbers.md")


def keep(found: list[dict[str, Any]]) -> None:
    """Write the turns, and what they come to."""
    names = list(found[0]["equal"])
    total = sum(row["photos"] for row in found)
    told = {
        name: {
            "a second": round(total / sum(row[name][0] for row in found), 1),
            "a second of the processor": round(total / sum(row[name][1] for row in found), 1),
            "times": round(statistics.median(row[name][1] / row[names[0]][1] for row in found), 2),
            "equal answers": sum(row["equal"][name] for row in found),
        }
        for name in names
    }
    content = {
        "command": "python bench/predicting.py",
        "machine": machine(),
        "photos": total,
        "told": told,
        "turns": found,
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
