"""Keras networks fine-tuned on trashnet, opened in the real TensorFlow, beside model.fit.

python bench/keras_fits.py         (results stay in bench/results/keras_fits.json; what stands there is kept)

MobileNetV2 (alpha 0.35) and a ResNet-8 of CIFAR-10, each with linear_probe, top and gradual on 300 training
photos and all 379 validation photos. The fine-tuned network is written as a .keras file; Keras on TensorFlow,
in another environment, answers the whole test split from the pixels on.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tunesmith as ts
from keras_page import SEEDS
from running import DATA, PEERS, PLACE, RESULTS, interpreter, load, machine, photos, timed
from tunesmith.data.read import read_items
from tunesmith.networks.network import Want
from tunesmith.networks.prefix import Prefix
from tunesmith.runs import Run
from tunesmith.sources import load as load_network
from tunesmith.sources.keras_writing import write_keras
from tunesmith.training.heads import ridge

TRAIN, REST, EPOCHS, LR = 300, 379, 6, 1e-3
WEIGHTS = DATA / "weights"
NETWORKS = {
    "mobilenetv2_035": (
        f"keras/MobileNetV2?alpha=0.35@{WEIGHTS / 'keras_mobilenetv2_035_notop.weights.h5'}",
        WEIGHTS / "keras_mobilenetv2_035_notop.weights.h5",
        96,
    ),
    "resnet8": (str(WEIGHTS / "keras_resnet8_cifar10.keras"), WEIGHTS / "keras_resnet8_cifar10.keras", 32),
}
SMALL_STD = 0.0063  # of our new heads on 1,280 features (networks.heads.started)
STRATEGIES = ("linear_probe", "top", "gradual")
FILE = RESULTS / "keras_fits.json"
WORK = PLACE / ".data" / "keras"


def main() -> None:
    """Measure what is not there yet."""
    WORK.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Any] = json.loads(FILE.read_text("utf-8"))["runs"] if FILE.exists() else {}
    for network in reversed(NETWORKS):
        keep(rows, f"{network} linear_probe", partial(fitted, network, "linear_probe"))
        for seed in SEEDS:
            keep(rows, f"{network} model.fit {seed}", partial(by_keras, network, seed))
            keep(rows, f"{network} model.fit small {seed}", partial(by_keras, network, seed, SMALL_STD))
            keep(rows, f"{network} linear_probe {seed}", partial(head_of, network, seed))
        for strategy in STRATEGIES[1:]:
            keep(rows, f"{network} {strategy}", partial(fitted, network, strategy))
    keep(rows, "timm-twin", twin)


def keep(rows: dict[str, Any], key: str, measure: Callable[[], dict[str, Any]]) -> None:
    """One line, written as soon as it is known."""
    if key in rows:
        return
    before = load()
    rows[key] = {"load_before": before, **measure()}
    print(key, rows[key], flush=True)
    told = {"command": "python bench/keras_fits.py", "machine": machine(), "runs": rows}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def fitted(network: str, strategy: str) -> dict[str, Any]:
    """Fine-tune, write, and have TensorFlow answer."""
    model, _, size = NETWORKS[network]
    out = WORK / f"{network}-{strategy}"
    run = Run.open(out) if (out / "scores.json").is_file() else ts.fit(
        photos(TRAIN, rest=REST), model=model, strategy=strategy, epochs=EPOCHS, lr=LR, image_size=size,
        optimizer="adam", schedule="constant", weight_decay=0.0, batch=32, out=str(out),
    )  # fmt: skip
    assert run is not None
    kept = run.scores["test"]["metrics"]["accuracy"]
    # What was trained by the recipe: the network that was kept, or else a baseline of it.
    trained = run.scores["baselines"].get("fine-tuned network", run.scores["test"])
    return {
        "seconds": round(run.facts["seconds"], 1),
        "accuracy": [round(kept[name], 4) for name in ("value", "low", "high")],
        "trained": round(trained["metrics"]["accuracy"]["value"], 4),
        "kept": run.scores["kept"].get("sentence", ""),
        "frozen_bit_identical": frozen_identical(run, network),
        "tensorflow": opened(run, out),
    }


def head_of(network: str, seed: int) -> dict[str, Any]:
    """The head that steps train, as `model.fit` does it, from an empty store; of the whole process."""
    model, _, size = NETWORKS[network]
    out = WORK / f"{network}-head-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable, "-m", "tunesmith", "fit", str(photos(TRAIN, rest=REST)), "--model", model,
        "--strategy", "linear_probe", "--epochs", str(EPOCHS), "--lr", str(LR), "--image-size", str(size),
        "--optimizer", "adam", "--schedule", "constant", "--weight-decay", "0", "--batch", "32",
        "--metric", "accuracy", "--keep", "trained", "--baselines", "none", "--seed", str(seed),
        "--out", str(out),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=WORK) as cache:
        row = timed(command, {"TUNESMITH_CACHE": cache})
    row = {name: value for name, value in row.items() if name != "command"}
    if "failed" not in row:
        row["accuracy"] = Run.open(out).scores["test"]["metrics"]["accuracy"]["value"]
    return row


def twin() -> dict[str, Any]:
    """The same weights as Keras' network and as timm's: their features, and a ridge probe on each."""
    want = Want("image-classification", 6, image_size=96)
    weights = WEIGHTS / "mobilenetv2_035_notop.safetensors"
    models = (NETWORKS["mobilenetv2_035"][0], f"timm/mobilenetv2_035?pad_type=same&bn_eps=0.001@{weights}")
    networks = [load_network(model, want) for model in models]
    with (DATA / "trashnet" / "splits.csv").open(encoding="utf-8", newline="") as file:
        told = [row for row in csv.DictReader(file) if row["split"] in ("train", "test")]
    names = sorted({row["label"] for row in told})
    truth = np.array([names.index(row["label"]) for row in told])
    test = np.array([row["split"] == "test" for row in told])
    features = [_features(network, [DATA / "trashnet" / row["path"] for row in told]) for network in networks]
    answers = [
        np.stack(ridge(own[~test].astype(float), truth[~test], 6).answers(own[test].astype(float))).argmax(1)
        for own in features
    ]
    return {
        "count": int(test.sum()),
        "learned": int((~test).sum()),
        "largest_difference": float(np.abs(features[0] - features[1]).max()),
        "largest_feature": float(np.abs(features[1]).max()),
        "equal_answers": int((answers[0] == answers[1]).sum()),
        "accuracy": [round(float((own == truth[test]).mean()), 4) for own in answers],
    }


def _features(network: Any, paths: list[Path]) -> Any:
    """What the head is given, [N, D]."""
    prefix, found = Prefix(network), []
    network.module.eval()
    with torch.inference_mode():
        for i in range(0, len(paths), 20):
            pixels = network.preprocess.raw(
                [{"path": str(path), "bytes": None} for path in paths[i : i + 20]]
            )
            found.append(prefix(pixels)[-1][:, -prefix.widths[-1] :].numpy())
    return np.concatenate(found)


def frozen_identical(run: Run, network: str) -> bool:
    """Whether every stage that no phase moved is, bit for bit, as it was loaded."""
    model, _, size = NETWORKS[network]
    kept, _, labels = run.model
    fresh = load_network(model, Want("image-classification", len(labels.names), image_size=size))
    lrs = np.max([phase.lrs for phase in run.plan.phases], axis=0)
    return all(
        torch.equal(tensor, fresh.tensors(i)[name])
        for i in range(len(kept.stages))
        if lrs[i] == 0
        for name, tensor in kept.tensors(i).items()
    )


def opened(run: Run, out: Path) -> dict[str, Any]:
    """The answers of the real TensorFlow to the whole test split, beside the run's own."""
    network, _, labels = run.model
    network.module.eval()
    write_keras(network, labels.names, out / "model.keras")
    arrays = pixels(network.preprocess, labels.names)
    images = torch.from_numpy(arrays["test"]).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        parts = [network(images[i : i + 32]).softmax(1) for i in range(0, len(images), 32)]
    np.savez(out / "pixels.npz", expected=torch.cat(parts).numpy(), **arrays)
    return tensorflow("answer", out / "model.keras", out / "pixels.npz")


def by_keras(network: str, seed: int, std: float | None = None) -> dict[str, Any]:
    """model.fit on TensorFlow on the pixels of the linear probe, the same epochs, batch and rate."""
    file = WORK / f"{network}-linear_probe" / "pixels.npz"
    return tensorflow(
        "fit",
        NETWORKS[network][1],
        file,
        str(EPOCHS),
        str(LR),
        str(seed),
        *([] if std is None else [str(std)]),
    )


def tensorflow(*words: object) -> dict[str, Any]:
    """The peer's script in its own environment."""
    script = PEERS / "keras" / "open.py"
    command = [str(interpreter("keras")), str(script), *map(str, words)]
    row = timed(command, {"PYTHONPATH": "", "KERAS_BACKEND": "tensorflow"})
    return {name: value for name, value in row.items() if name != "command"}


def pixels(preprocess: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Every split as the network gets it, before it is normalised."""
    arrays: dict[str, Any] = {}
    for split, name in (("train", "train"), ("valid", "valid"), ("test", "test")):
        rows = read_items(photos(TRAIN, rest=REST), split=name, takes="image", answers="classes")
        arrays[split] = preprocess.raw(rows["item"]).permute(0, 2, 3, 1).contiguous().numpy()
        arrays[f"{split}_labels"] = np.array([names.index(label) for label in rows["label"]])
    return arrays


if __name__ == "__main__":
    os.environ.setdefault("TUNESMITH_CACHE", str(WORK / "cache"))
    main()
