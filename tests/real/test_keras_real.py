"""Keras' real weights: the timm twin of the same network gives the same features and the same probe."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith.networks.kinds import channel_axis, is_batch_norm
from tunesmith.networks.network import Network, Want
from tunesmith.networks.prefix import Prefix
from tunesmith.sources import load
from tunesmith.training.heads import ridge

pytest.importorskip("timm")
pytestmark = pytest.mark.real
WANT = Want("image-classification", 6, image_size=96)


def photos(real: Path, split: str, count: int) -> tuple[list[dict[str, object]], np.ndarray]:
    """Photos of trashnet, evenly over its classes, and their class numbers."""
    with (real / "trashnet" / "splits.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    rows = [rows[i * len(rows) // count] for i in range(count)]
    names = sorted({row["label"] for row in rows})
    items: list[dict[str, object]] = [
        {"path": str(real / "trashnet" / row["path"]), "bytes": None} for row in rows
    ]
    return items, np.array([names.index(row["label"]) for row in rows])


def features(network: Network, pixels: Tensor) -> Tensor:
    """What the head is given, [N, 1280]."""
    network.module.eval()
    prefix = Prefix(network)
    with torch.no_grad():
        found = torch.cat([prefix(pixels[i : i + 20])[-1] for i in range(0, len(pixels), 20)])
    return found[:, -prefix.widths[-1] :]


@pytest.fixture
def mobilenet(real: Path) -> Network:
    pytest.importorskip("h5py")
    file = real / "weights" / "keras_mobilenetv2_035_notop.weights.h5"
    return load(f"keras/MobileNetV2?alpha=0.35@{file}", WANT)


def test_the_timm_twin_has_the_same_features_and_the_same_probe(real: Path, mobilenet: Network) -> None:
    file = real / "weights" / "mobilenetv2_035_notop.safetensors"
    twin = load(f"timm/mobilenetv2_035?pad_type=same&bn_eps=0.001@{file}", WANT)
    assert twin.preprocess.spec() == mobilenet.preprocess.spec()
    (train, y), (test, _) = photos(real, "train", 120), photos(real, "test", 60)
    pixels = mobilenet.preprocess.raw([*train, *test])
    assert isinstance(pixels, Tensor)
    ours, theirs = features(mobilenet, pixels), features(twin, pixels)
    print("largest difference of features", float((ours - theirs).abs().max()), float(theirs.abs().max()))
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert not torch.allclose(features(mobilenet, pixels.flip(1)), theirs, atol=1e-4)
    answers = [
        np.stack(ridge(f[:120].double().numpy(), y, 6).answers(f[120:].double().numpy())).argmax(1)
        for f in (ours, theirs)
    ]
    assert np.array_equal(*answers)


def test_real_weights_fit_their_preprocessing_better_than_any_other(real: Path) -> None:
    """Moving statistics of the first BatchNorm are those of pictures as the network was trained with."""
    file = real / "weights" / "keras_resnet8_cifar10.keras"
    items, _ = photos(real, "train", 40)
    gaps = {}
    for form in ("raw", "unit", "tf", "torch", "caffe"):
        network = load(f"{file}?preprocess={form}", Want("image-classification", 6))
        network.module.eval()
        layer: Any = next(m for m in network.module.modules() if is_batch_norm(m))
        seen: list[Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        with torch.no_grad():
            network(network.preprocess.raw(items))
        hook.remove()
        mean = seen[0].mean([d for d in range(4) if d != channel_axis(layer)])
        spread = layer.running_var.sqrt()
        gaps[form] = float(((mean - layer.running_mean) / spread).square().mean().sqrt())
    print(gaps)
    assert min(gaps, key=lambda form: gaps[form]) == "raw"
