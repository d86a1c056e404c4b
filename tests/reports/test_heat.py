"""Grad-CAM finds evidence that was planted, in maps and in tokens."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import tunesmith as ts
from tunesmith.data.images import decode
from tunesmith.health.looks import SHOWN, jpeg, small
from tunesmith.reports.asked import odds_of
from tunesmith.reports.heat import heat_map
from tunesmith.reports.pictures import warmed

PLACES = ((0, 0), (0, 24), (24, 0), (24, 24))  # where a square may lie: the corners, in pixels
SQUARE = 8
TARGETS = torch.tensor([[1, 0], [0, 1], [0.5, 0.5]])  # of red, green and blue


class Convolutional(nn.Module):
    """Pools inside its last stage, so that no map leaves it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(True)
        )
        self.second = nn.Sequential(
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(True),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        return self.head(self.second(self.first(x)).flatten(1))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention over all tokens, then each by itself."""

    def __init__(self, D: int) -> None:
        super().__init__()
        self.norm, self.more = nn.LayerNorm(D), nn.LayerNorm(D)
        self.attend = nn.MultiheadAttention(D, 4, batch_first=True)
        self.think = nn.Sequential(nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D]."""
        normed = self.norm(x)
        x = x + self.attend(normed, normed, normed)[0]
        return x + self.think(self.more(x))  # type: ignore[no-any-return]


class Tokens(nn.Module):
    """A small vision transformer whose head reads the class token alone."""

    def __init__(self, D: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, D, 4, stride=4)
        self.first = nn.Parameter(torch.zeros(1, 1, D))
        self.places = nn.Parameter(torch.randn(1, 65, D) * 0.02)
        self.blocks = nn.ModuleList([Block(D) for _ in range(3)])
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), tokens], 1) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]


def planted(random: np.random.Generator, colour: int, place: tuple[int, int]) -> np.ndarray:
    """Grey noise with a bright square: red is class 0, green class 1, blue neither."""
    pixels = random.integers(90, 140, (32, 32, 3), dtype=np.uint8)
    top, left = place
    pixels[top : top + SQUARE, left : left + SQUARE] = 30
    pixels[top : top + SQUARE, left : left + SQUARE, colour] = 250
    return pixels


def item(pixels: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"path": None, "bytes": file.getvalue()}


def trained(module: nn.Module, steps: int, lr: float) -> ts.Network:
    """The module, after it learned to tell red squares from green ones.

    A third of the squares is blue and has no answer: otherwise green could be where there is no red.
    """
    network = ts.network(module, example=torch.zeros(1, 3, 32, 32))
    random = np.random.default_rng(1)
    optimizer = torch.optim.Adam(module.parameters(), lr)
    module.train()
    for _ in range(steps):
        colours = np.arange(33) % 3
        images = np.stack([planted(random, c, PLACES[random.integers(4)]) for c in colours.tolist()])
        ready = network.preprocess.ready(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
        loss = nn.functional.cross_entropy(module(ready), TARGETS[colours])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.3  # 0.23 is the least; what has learned nothing rests on nothing
    return network


@pytest.fixture(scope="module", params=["maps", "tokens"])
def network(request: pytest.FixtureRequest) -> ts.Network:
    torch.manual_seed(0)
    return trained(Convolutional(), 80, 1e-2) if request.param == "maps" else trained(Tokens(), 100, 3e-3)


def share(heat: np.ndarray, place: tuple[int, int]) -> float:
    """How much of the heat lies in the quarter of the picture around a corner."""
    top, left = (int(edge > 0) for edge in place)
    h, w = (side // 2 for side in heat.shape)
    return float(heat[top * h : top * h + h, left * w : left * w + w].sum() / heat.sum())


def test_the_heat_lies_on_the_square_that_decides(network: ts.Network) -> None:
    random = np.random.default_rng(5)
    for i, place in enumerate(PLACES * 2):
        colour = i // 4
        heat = heat_map(network, item(planted(random, colour, place)), odds_of(colour))
        assert heat is not None
        assert heat.max() == 1
        assert heat.min() >= 0
        assert share(heat, place) > 0.6
        opposite = PLACES[3 - PLACES.index(place)]
        assert share(heat, opposite) < 0.25  # the control: the other corner would not pass


def test_a_square_of_two_has_the_heat_of_its_own_class(network: ts.Network) -> None:
    """Both squares are there: asked for red the heat is on the red one, asked for green on the other."""
    random = np.random.default_rng(6)
    pixels = planted(random, 0, PLACES[0])
    pixels[24:, 24:] = planted(random, 1, PLACES[3])[24:, 24:]
    red, green = (heat_map(network, item(pixels), odds_of(answer)) for answer in (0, 1))
    assert red is not None
    assert green is not None
    assert share(red, PLACES[0]) > share(red, PLACES[3])
    assert share(green, PLACES[3]) > share(green, PLACES[0])


def test_looking_leaves_no_hook_and_no_gradient(network: ts.Network) -> None:
    heat_map(network, item(planted(np.random.default_rng(0), 0, PLACES[0])), odds_of(0))
    assert not any(m._forward_hooks for m in network.module.modules())
    for weight in network.module.parameters():
        weight.grad = None
    heat_map(network, item(planted(np.random.default_rng(0), 0, PLACES[0])), odds_of(0))
    assert all(weight.grad is None for weight in network.module.parameters())


def test_a_network_without_places_has_no_heat() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8), nn.ReLU(), nn.Linear(8, 2))
    made = ts.network(flat, example=torch.zeros(1, 3, 32, 32))
    assert heat_map(made, item(planted(np.random.default_rng(0), 0, PLACES[0])), odds_of(0)) is None


@pytest.mark.parametrize(
    "name", ["timm/test_resnet", "timm/test_vit", "timm/test_convnext", "timm/test_mambaout"]
)
def test_networks_of_every_form_have_places(name: str) -> None:
    made = ts.load(f"{name}@none", ts.Want("image-classification", 2, image_size=96))
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    heats = [heat_map(made, item(pixels), odds_of(answer)) for answer in (0, 1)]
    assert any(heat is not None for heat in heats)
    assert all(heat.shape[0] == heat.shape[1] > 1 for heat in heats if heat is not None)


# Pictures


def test_a_picture_is_small_and_upright() -> None:
    wide = np.zeros((300, 600, 3), np.uint8)
    wide[:, :300] = 255
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: to be turned to the right
    Image.fromarray(wide).save(file, "JPEG", exif=exif, quality=95)
    pixels = small({"path": None, "bytes": file.getvalue()})
    assert pixels.shape == (SHOWN, SHOWN // 2, 3)
    assert pixels[:70].mean() > 250
    assert pixels[90:].mean() < 5


def test_warmth_lies_on_the_square_that_the_network_saw(tmp_path: Path) -> None:
    grey = np.full((100, 160, 3), 128, np.uint8)
    seen = ts.ImagePreprocess(80, 100)
    out = warmed(grey, np.ones((4, 4)), seen)
    changed = (out != grey).any(-1)
    assert changed[10:90, 40:120].all()
    assert changed.sum() == 80 * 80
    assert (warmed(grey, np.zeros((4, 4)), seen) == grey).all()  # the control


def test_the_same_picture_is_the_same_bytes() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    assert jpeg(pixels) == jpeg(pixels.copy())
    assert decode({"path": None, "bytes": jpeg(pixels)}).shape == pixels.shape
