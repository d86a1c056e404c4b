from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tunesmith.sources.keras_backend import keras_on_torch


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras, on torch."""
    if find_spec("keras") is None:
        pytest.skip("needs the package keras")
    return keras_on_torch()


@pytest.fixture(scope="session")
def tiny(keras: Any) -> Callable[..., Any]:
    """Make a functional model of 16 x 16 pixels: three residual blocks with BatchNorm, 5 classes."""

    def make(*, top: bool = True, rescales: bool = True, seed: int = 0) -> Any:
        keras.utils.set_random_seed(seed)
        layers = keras.layers
        given = keras.Input((16, 16, 3))
        x = layers.Rescaling(1 / 127.5, offset=-1)(given) if rescales else given
        x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
        for _ in range(3):
            y = layers.BatchNormalization()(x)
            y = layers.Conv2D(8, 3, padding="same", activation="relu")(y)
            x = layers.Add()([x, layers.SpatialDropout2D(0.1, seed=1)(y)])
        if not top:
            return keras.Model(given, x, name="tiny")
        x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))
        return keras.Model(given, layers.Dense(5, activation="softmax")(x), name="tiny")

    return make


@pytest.fixture(scope="session")
def tiny_file(tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a file; its moving statistics are off their start."""
    import torch

    model = tiny()
    model(100 * torch.rand(8, 16, 16, 3), training=True)
    path = tmp_path_factory.mktemp("keras") / "tiny.keras"
    model.save(path)
    return path
