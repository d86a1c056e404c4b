"""The table of truth: how good each of eight networks becomes on six data sets, and which ranker knew it.

    python bench/truth.py [DATA ...] [--list] [--retry]     # cells that are not there yet, then the rankers

Needs the data sets and weights that tests/real use, in TUNESMITH_REAL_DATA. 128 pixels, up to 300 training,
150 validation and 300 test photos, a class its share of each. A cell is a network on a data set: what a
ranking sees (features of the training photos), and nine fits: the head, the last stage with the head, and
everything, each at a third, once and three times the family's usual rate, replayed from the store where
frozen. The run of the best validation counts, by its balanced accuracy on the test photos. Hours in all; a
run that stands in bench/results/truth.json is not run again, and docs/numbers.md is written at the end.

--list writes the mean ranks into src/tunesmith/choosing/static_ranks.json, where `tunesmith rank` finds them.

The sixth data set, nuclei-count, is made of nuclei-dsb2018: photos of cells under a microscope, classed by
how many nuclei are marked in them: few, some or many, cut at the terciles of its training photos.

BENCH_SMALL=1 goes through two networks on one data set with 48 photos in a folder of its own; it proves
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from page import write_numbers
from rankers import judged, kept, rankers, static, truth
from running import DATA, PLACE, RESULTS, ROOT, SMALL, machine
from tunesmith.networks.header import read_header
from tunesmith.networks.network import Network

SIZE = 128
MOST = {"train": 48 if SMALL else 300, "valid": 24 if SMALL else 150, "test": 24 if SMALL else 300}
EPOCHS = {"linear_probe": 1, "top": 1, "full": 1} if SMALL else {"linear_probe": 10, "top": 5, "full": 5}
FACTORS = (1 / 3, 1.0, 3.0)
CHARACTERS = 20
FILE = RESULTS / "truth.json"
LIST = ROOT / "src" / "tunesmith" / "choosing" / "static_ranks.json"
NETWORKS = (
    "mobilenetv1_025",
    "mobilenetv1_050",
    "mobilenetv1_100",
    "mobilenetv2_100_keras",
    "mobilenetv2_035_notop",
    "mobilenetv2_100_inat_bird",
    "squeezenet1_1",
    "mcunet_imagenet",
)
LOOKED_AT = NETWORKS[3:5] if SMALL else NETWORKS


def nuclei(folder: Path) -> None:
    """nuclei-dsb2018 as class folders: few, some or many nuclei, cut at terciles of the training photos."""
    source = DATA / "nuclei-dsb2018"
    counts = {}
    for split in ("train", "val", "test"):
        told = json.loads((source / f"instances_{split}.json").read_text(encoding="utf-8"))
        marked = Counter(mark["image_id"] for mark in told["annotations"])
        counts[split] = {image["file_name"]: marked[image["id"]] for image in told["images"]}
    low, high = np.percentile(list(counts["train"].values()), (100 / 3, 200 / 3))
    for split, photos in counts.items():
        for name, count in photos.items():
            label = "few" if count <= low else "some" if count <= high else "many"
            target = folder / split / label / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / split / "images" / name, target)


SETS: Mapping[str, str | Callable[[Path], None]] = {
    "trashnet": "trashnet",
    "clothing-small": "clothing-small",
    "bccd-cells": "bccd-cells",
    "pneumoniamnist-28": "pneumoniamnist-28/pneumoniamnist.npz",
    "omniglot-small": "omniglot-small/images_background_small1.zip",
    "nuclei-count": nuclei,
}


def photos(name: str) -> Path:
    """A data set cut to size, as class folders; made once."""
    from tunesmith.data.read import read
    from tunesmith.verbs.probing import probe_rows

    target = PLACE / ".data" / f"truth-{name}"
    if target.exists():
        return target
    given = SETS[name]
    with tempfile.TemporaryDirectory(dir=_place()) as temporary:
        source = Path(temporary) / "whole"
        if callable(given):
            given(source)
        data = read(DATA / given if isinstance(given, str) else source)
        made = Path(temporary) / "made"
        names = sorted(set(data.train["label"]))
        if name.startswith("omniglot"):
            names = names[:: len(names) // CHARACTERS][:CHARACTERS]
        for split, most in MOST.items():
            rows = data.splits[split].filter(lambda label: label in names, input_columns="label")
            labels = np.searchsorted(names, rows["label"][:])
            for i in probe_rows(labels, most):
                row = rows[int(i)]
                content = row["item"]["bytes"] or Path(row["item"]["path"]).read_bytes()
                ending = ".jpg" if content[:2] == b"\xff\xd8" else ".png"
                place = made / split / str(row["label"]).replace("/", "-")
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{i:05d}{ending}").write_bytes(content)
        made.rename(target)
    return target


def network(name: str) -> str | Network:
    """A network as `fit` takes it: the path of its weights; where no source has its plan, built by hand."""
    path = DATA / "weights" / f"{name}.safetensors"
    header = read_header(path).metadata
    if "build" not in header:
        return str(path)
    import timm
    import torch
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet, _gen_mobilenet_v1
    from torch import nn

    import tunesmith as ts

    _ = timm
    if "arch_def" in header:
        module = EfficientNet(
            block_args=decode_arch_def(json.loads(header["arch_def"])),
            num_classes=1000,
            num_features=0,
            stem_size=16,
            fix_stem=True,
            round_chs_fn=lambda channels, *_, **__: channels,
            act_layer=nn.ReLU6,
        )
    else:
        width = float(header["build"].partition("channel_multiplier=")[2].split()[0])
        module = _gen_mobilenet_v1("mobilenetv1_100", width, pad_type="same", num_classes=1000)
    stored = load_file(path)
    module.load_state_dict({key: t.float() if t.is_floating_point() else t for key, t in stored.items()})
    mean, std = (tuple(json.loads(header[key])) for key in ("mean", "std"))
    form = ts.ImagePreprocess(SIZE, round(SIZE / 0.875), "bicubic", mean, std)
    return ts.network(module.eval(), example=torch.zeros(1, 3, SIZE, SIZE), preprocess=form)


def evidence(folder: Path, name: str) -> dict[str, Any]:
    """What a ranking sees of a network: the features of the training photos, and all scores of them."""
    from tunesmith.data.read import read
    from tunesmith.tasks.named import task as named
    from tunesmith.verbs.probing import probe_of, seen
    from tunesmith.verbs.replaying import open_store
    from tunesmith.verbs.reporting import Silent

    task = named("image-classification")
    data = read(folder, takes="image")
    labels = task.labels(data)
    known: dict[str, bytes] = {}
    total = sum(len(split) for split in data.splits.values())
    targets = np.asarray(task.targets(data.train, labels))
    probe = probe_of(data.train, targets, MOST["train"], known, total)
    began = time.monotonic()
    found = seen(
        network(name),
        task.want(labels, image_size=SIZE),
        task,
        probe,
        open_store("20GB"),
        known,
        Silent(),
        engine="auto",
        device="cpu",
        seed=0,
        left=lambda: float("inf"),
    )
    return {**kept(found), "took": round(time.monotonic() - began, 2)}


def run(folder: Path, name: str, strategy: str, factor: float) -> dict[str, Any]:
    """One fit: its best balanced accuracy on validation, and that epoch's on the test photos."""
    import tunesmith as ts
    from tunesmith.choosing.which_lr import DEFAULTS
    from tunesmith.verbs.reporting import Silent

    usual = DEFAULTS["cnn"]
    rate = {"linear_probe": usual.head_lr, "top": usual.top_lr, "full": usual.full_lr}[strategy] * factor
    with tempfile.TemporaryDirectory(dir=_place()) as temporary:
        began = time.monotonic()
        made = ts.fit(
            str(folder),
            model=network(name),
            image_size=SIZE,
            strategy=strategy,
            unfreeze=1 if strategy == "top" else None,
            epochs=EPOCHS[strategy],
            lr=rate,
            metric="balanced_accuracy",
            keep="trained",
            baselines="none",
            out=Path(temporary) / "run",
            reporter=Silent(),
        )
        assert made is not None
        test = made.scores["test"]["metrics"]
        return {
            "lr": rate,
            "valid": max(float(row["balanced_accuracy"]) for row in made.history),
            "test": float(test["balanced_accuracy"]["value"]),
            "accuracy": float(test["accuracy"]["value"]),
            "seconds": round(time.monotonic() - began, 1),
        }


def cells(data: str, table: dict[str, Any], *, retry: bool) -> Iterator[None]:
    """Fill the cells of a data set, one step at a time; after each the table is worth writing."""
    folder = photos(data)
    for name in LOOKED_AT:
        cell = table.setdefault(data, {}).setdefault(name, {"runs": {}})
        if "evidence" not in cell:
            print(f"== {data}, {name}: evidence", flush=True)
            cell["evidence"] = evidence(folder, name)
            yield
        for strategy in EPOCHS:
            for factor in FACTORS:
                key = f"{strategy} x{factor:.2g}"
                if key in cell["runs"] and not (retry and "failed" in cell["runs"][key]):
                    continue
                print(f"== {data}, {name}: {key}", flush=True)
                try:
                    cell["runs"][key] = run(folder, name, strategy, factor)
                except Exception as error:  # noqa: BLE001 (a failed line, and the next one runs)
                    cell["runs"][key] = {"failed": f"{type(error).__name__}: {error}"}
                print(f"   {cell['runs'][key]}", flush=True)
                yield


def write(table: Mapping[str, Any]) -> None:
    """The cells, and what they say of rankers where data sets are whole."""
    known = truth(table, LOOKED_AT, len(EPOCHS) * len(FACTORS))
    content = {
        "command": "python bench/truth.py",
        "machine": machine(),
        "size": SIZE,
        "most": MOST,
        "epochs": EPOCHS,
        "truth": known,
        "rankers": judged(known, rankers(table, known)) if known else {},
        "cells": table,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    temporary = FILE.with_suffix(".tmp")
    temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    temporary.replace(FILE)


def write_list(table: Mapping[str, Any]) -> None:
    """The mean ranks over all data sets of the table, by the networks' origins."""
    known = truth(table, LOOKED_AT, len(EPOCHS) * len(FACTORS))
    if set(known) != set(SETS):
        sys.exit(f"the list wants all {len(SETS)} data sets; {len(known)} are whole")
    origins = {name: next(iter(table.values()))[name]["evidence"]["origin"] for name in NETWORKS}
    ranks = {origins[name]: round(value, 4) for name, value in sorted(static(known).items())}
    about = f"bench/truth.py, {len(known)} data sets, {SIZE} pixels, up to {MOST['train']} training photos"
    LIST.write_text(json.dumps({"measured": about, "ranks": ranks}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run what has no result yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="DATA", help=f"of {', '.join(SETS)}")
    parser.add_argument("--list", action="store_true", help="write static_ranks.json from the whole table")
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(SETS):
        parser.error(f"no data set {', '.join(sorted(unknown))}")
    os.environ.setdefault("TUNESMITH_CACHE", str(PLACE / ".data" / "cache-truth"))
    table = json.loads(FILE.read_text(encoding="utf-8"))["cells"] if FILE.exists() else {}
    for data in asked.names or (["trashnet"] if SMALL else SETS):
        for _ in cells(data, table, retry=asked.retry):
            write(table)
    write(table)
    if asked.list:
        write_list(table)
    write_numbers(RESULTS, PLACE / "numbers.md" if SMALL else ROOT / "docs" / "numbers.md")


def _place() -> Path:
    place = PLACE / ".data"
    place.mkdir(parents=True, exist_ok=True)
    return place


if __name__ == "__main__":
    main()
