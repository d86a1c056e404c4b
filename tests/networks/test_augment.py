"""Random changes to images: each image its own, on uint8, seeded by torch's generator."""

from __future__ import annotations

import pytest
import torch

from tunesmith.networks.augment import augmentation


@pytest.fixture
def images(seed: int) -> torch.Tensor:
    """64 copies of one image, uint8 [64, 3, 24, 24]."""
    one = torch.randint(0, 256, (1, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(7))
    return one.expand(64, -1, -1, -1).contiguous()


def change(name: str, images: torch.Tensor, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    made = augmentation(name, 24)
    assert made is not None
    return made(images)


def test_none_is_no_function() -> None:
    assert augmentation("none", 24) is None


@pytest.mark.parametrize("name", ["flip", "standard"])
def test_type_and_shape_stay(name: str, images: torch.Tensor, seed: int) -> None:
    changed = change(name, images, seed)
    assert changed.dtype == torch.uint8
    assert changed.shape == images.shape


def test_flip_gives_the_image_or_its_mirror_and_both_occur(images: torch.Tensor, seed: int) -> None:
    mirrored = images[0].flip(-1)
    kinds = ["mirror" if torch.equal(i, mirrored) else "same" for i in change("flip", images, seed)]
    same = [torch.equal(i, images[0]) for i in change("flip", images, seed)]
    assert same == [kind == "same" for kind in kinds]
    assert 10 < kinds.count("mirror") < 54  # 32 of 64 expected, standard deviation 4


def test_every_image_of_a_batch_draws_its_own_numbers(images: torch.Tensor, seed: int) -> None:
    changed = change("standard", images, seed)
    assert len({i.numpy().tobytes() for i in changed}) > 60


@pytest.mark.parametrize("name", ["flip", "standard"])
def test_the_same_seed_gives_the_same_images_and_another_does_not(
    name: str, images: torch.Tensor, seed: int
) -> None:
    assert torch.equal(change(name, images, seed), change(name, images, seed))
    assert not torch.equal(change(name, images, seed), change(name, images, seed + 1))


def test_the_input_is_left_as_it_was(images: torch.Tensor, seed: int) -> None:
    before = images.clone()
    change("standard", images, seed)
    assert torch.equal(images, before)
