"""Maps with as many channels as places a side tell nothing; what puts them out says where channels are."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunesmith.networks.augment import shaken
from tunesmith.networks.cuts import find_cut
from tunesmith.networks.kinds import stated_axis
from tunesmith.networks.network import Network, Want
from tunesmith.networks.prefix import Prefix, pooled_features
from tunesmith.reports.asked import odds_of
from tunesmith.reports.heat import heat_map
from tunesmith.sources import load

WANT = Want("image-classification", 2)


@pytest.fixture
def cube(tmp_path: Path) -> Callable[..., Network]:
    """Make a Keras network of 16 x 16 pixels whose stages all put out maps of 8 x 8 x 8."""
    if find_spec("keras") is None:
        pytest.skip("needs the package keras")
    from tunesmith.sources.keras_backend import keras_on_torch

    keras = keras_on_torch()

    def make(strides: Any = 2) -> Network:
        keras.utils.set_random_seed(0)
        given = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(8, 3, strides=strides, padding="same", name="block1_conv")(given)
        for i in (2, 3):
            y = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name=f"block{i}_conv")(x)
            x = keras.layers.Add(name=f"block{i}_add")([x, y])
        keras.Model(given, x).save(tmp_path / "cube.keras")
        return load(f"{tmp_path / 'cube.keras'}?preprocess=unit", WANT)

    return make


def seen(network: Network, pixels: Tensor) -> list[Tensor]:
    """What every stage but the last puts out: it ends in pooling."""
    found: list[Tensor] = []
    ends = [stage.modules[-1] for stage in network.stages[:-1]]
    module = network.module.eval()
    hooks = [module.get_submodule(p).register_forward_hook(lambda *a: found.append(a[2])) for p in ends]
    with torch.no_grad():
        network(pixels)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("strides", [2, (2, 1)], ids=["cube", "oblong"])
def test_stages_of_keras_are_pooled_over_places(strides: Any, cube: Callable[..., Network]) -> None:
    network = cube(strides)
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    maps = seen(network, pixels)
    assert maps, "the network has one stage alone"
    prefix = Prefix(network)
    with torch.no_grad():
        parts = prefix(pixels)[-1].split(prefix.widths, 1)
    assert prefix.widths == (8,) * len(network.stages)
    for own, part in zip(maps, parts[:-1], strict=True):
        assert own.shape == (4, 8, 8 if strides == 2 else 16, 8)
        assert torch.equal(part, own.mean((1, 2)))
        assert not torch.allclose(own.mean((1, 2)), own.mean((2, 3)))  # or the test is blind


def test_stored_maps_of_keras_are_shaken_by_channels(cube: Callable[..., Network]) -> None:
    network = cube()
    pixels = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    cut = find_cut(network, 1, pixels, pixels[:2])
    (axis,) = (stated_axis(network.module, cut.maker(leaf)) for leaf in cut.stored)
    ones = torch.ones(2, 8, 8, 8)
    told, guessed = shaken(ones, axis=axis), shaken(ones)
    assert torch.equal(told[:, 0, 3], told[:, 5, 1])
    assert not torch.equal(guessed[:, 0, 3], guessed[:, 5, 1])


def test_warmth_in_maps_of_keras_lies_where_the_channels_are_not(cube: Callable[..., Network]) -> None:
    import io

    import numpy as np
    from PIL import Image

    network = cube()
    module: Any = network.module
    with torch.no_grad():  # all channels count places that are bright
        for name, tensor in module.backbone.state_dict().items():
            tensor.fill_(0.1 if name.endswith("kernel") else 0.0)
        module.head.weight.copy_(torch.stack([torch.ones(8), -torch.ones(8)]))
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:4, 12:] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    heat = heat_map(network, {"path": None, "bytes": file.getvalue()}, odds_of(0))
    assert heat is not None
    top, left = np.unravel_index(heat.argmax(), heat.shape)
    assert top < 3
    assert left > 4


def test_windows_of_timm_and_torchvision_say_where_their_channels_are() -> None:
    pytest.importorskip("timm")
    asked = Want("image-classification", 2, image_size=96)
    network = load("timm/swin_tiny_patch4_window7_224?embed_dim=24@none", asked)
    assert stated_axis(network.module, "layers.0.blocks.1") == 3
    pixels = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    first = next(i for i, stage in enumerate(network.stages) if stage.modules[-1].startswith("layers.0"))
    own, prefix = seen(network, pixels)[first], Prefix(network)
    with torch.no_grad():
        part = prefix(pixels)[-1].split(prefix.widths, 1)[first]
    assert own.shape == (2, 24, 24, 24)
    assert torch.allclose(part, own.mean((1, 2)))
    assert not torch.allclose(part, own.mean((2, 3)))
    swin = load("torchvision/swin_t@none", Want("image-classification", 2, image_size=32)).module
    assert stated_axis(swin, "features.1.0") == 3
    assert stated_axis(swin, "features.0.0") is None
    assert stated_axis(swin, "permute") is None


def test_where_nobody_says_the_shape_decides() -> None:
    first, last = torch.rand(2, 3, 5, 5), torch.rand(2, 5, 5, 3)
    assert torch.equal(pooled_features(first), first.mean((2, 3)))
    assert torch.equal(pooled_features(last), last.mean((1, 2)))
    assert stated_axis(nn.Sequential(nn.Conv2d(3, 4, 3)), "0") is None
