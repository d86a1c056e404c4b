"""The snippets of docs/keras.md run as they stand there, with a small network in ResNet-50's place."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.sources.keras_backend import keras_on_torch


@pytest.fixture
def resnet(here: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Whoever asks Keras for ResNet-50 gets the same small network; gives its weights."""
    if find_spec("keras") is None:
        pytest.skip("needs the package keras")
    keras = keras_on_torch()

    def small(weights: str, include_top: bool, input_shape: Any, pooling: str | None = None) -> Any:
        assert (weights, include_top) == ("imagenet", False)
        given = keras.Input(input_shape)
        x = keras.layers.Conv2D(8, 7, strides=16, kernel_initializer=keras.initializers.HeNormal(1))(given)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.Conv2D(8, 3, kernel_initializer=keras.initializers.HeNormal(2))(x)
        x = keras.layers.GlobalAveragePooling2D()(x) if pooling else x
        return keras.Model(given, x, name="resnet50")

    small.__module__ = "keras.src.applications.resnet"
    monkeypatch.setattr(keras.applications, "ResNet50", small)
    monkeypatch.setenv("KERAS_HOME", str(here / "keras"))
    (here / "keras" / "models").mkdir(parents=True)
    (here / "keras" / "models" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    return [variable.value.clone() for variable in small("imagenet", False, (224, 224, 3)).variables]


@pytest.fixture
def photos_in_splits(here: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for channel, name in enumerate(("red", "green", "blue")):
            folder = here / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 120, (24, 24, 3), dtype=np.uint8)
                pixels[..., channel] += 120
                Image.fromarray(pixels).save(folder / f"{i}.png")


@pytest.mark.usefixtures("photos_in_splits")
def test_the_head_alone_moves_in_the_classic_snippet_and_in_its_twin(
    blocks: Callable[[str], list[Any]], resnet: list[torch.Tensor], here: Path
) -> None:
    found = {b.marks["id"]: b.text for b in blocks("keras.md") if "id" in b.marks}
    spaces: dict[str, dict[str, Any]] = {"classic": {}, "twin": {}}
    for name, space in spaces.items():
        exec(compile(found[name], "docs/keras.md", "exec"), space)
    base = spaces["classic"]["base"]
    assert all(torch.equal(v.value, w) for v, w in zip(base.variables, resnet, strict=True))
    assert (here / "photos.keras").is_file()
    run = spaces["twin"]["run"]
    assert run.finished
    kept = [t for name, t in run.model[0].module.state_dict().items() if name.startswith("backbone")]
    assert sorted(float(t.detach().sum()) for t in kept) == sorted(float(w.detach().sum()) for w in resnet)
    assert run.plan.phases[0].lrs[-1] == pytest.approx(1e-4)


def test_the_command_gives_the_same_options_as_the_twin(blocks: Callable[[str], list[Any]]) -> None:
    found = {b.marks["id"]: b.text for b in blocks("keras.md") if "id" in b.marks}
    words = shlex.split(found["command"])
    assert words[:3] == ["tunesmith", "fit", "photos"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert len(given) == found["twin"].count("=") - 1
    for option, value in given.items():
        name = option.removeprefix("--")
        assert f'{name}="{value}"' in found["twin"] or f"{name}={value}" in found["twin"]


@pytest.mark.parametrize("trains", [True, False])
def test_training_false_alone_does_not_hold_batch_norm_still_in_keras(trains: bool, resnet: Any) -> None:
    keras = keras_on_torch()
    given, outer = (keras.Input((8, 8, 3)) for _ in range(2))
    base = keras.Model(given, keras.layers.BatchNormalization()(given))
    base.trainable = trains
    keras.Model(outer, base(outer, training=False))(5 + torch.randn(4, 8, 8, 3), training=True)
    moved = bool((base.layers[1].moving_mean.value != 0).any())
    assert moved is trains


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_class_numbers_need_the_sparse_loss_in_keras(loss: str) -> None:
    if find_spec("keras") is None:
        pytest.skip("needs the package keras")
    keras = keras_on_torch()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", loss)
    known, numbers = np.zeros((6, 4), np.float32), np.arange(6) % 3
    if loss.startswith("sparse"):
        model.fit(known, numbers, epochs=1, verbose=0)
        return
    with pytest.raises(ValueError, match="shape"):
        model.fit(known, numbers, epochs=1, verbose=0)


def test_a_softmax_twice_hides_what_the_network_is_sure_of() -> None:
    """With `from_logits=True` over a softmax layer no answer costs less than 0.55 of three classes."""
    if find_spec("keras") is None:
        pytest.skip("needs the package keras")
    keras = keras_on_torch()
    truth, sure = np.array([0]), np.array([[1.0, 0.0, 0.0]], np.float32)
    losses = [
        float(keras.losses.sparse_categorical_crossentropy(truth, sure, from_logits=twice)[0])
        for twice in (False, True)
    ]
    assert losses[0] < 1e-6
    assert losses[1] > 0.55
