from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith.networks.network import Network

IMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "vit": (
        {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
        | {"image_size": 32, "patch_size": 8},
        "ViTImageProcessor",
    ),
    "convnext": ({"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 2, 1]}, "ConvNextImageProcessor"),
    "resnet": (
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2], "layer_type": "basic"},
        "ConvNextImageProcessor",
    ),
}


@pytest.fixture(scope="session")
def tiny_image(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a transformers folder: a tiny random image classifier for 5 classes and its preprocessing."""

    def make(kind: str = "vit", *, dtype: torch.dtype = torch.float32, **processing: Any) -> Path:
        transformers = pytest.importorskip("transformers")
        folder = tmp_path_factory.mktemp(kind)
        shape, processor = IMAGES[kind]
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(kind, num_labels=5, **shape)
        network = transformers.AutoModelForImageClassification.from_config(config)
        network.to(dtype).save_pretrained(folder)
        size = {"height": 32, "width": 32} if kind == "vit" else {"shortest_edge": 32}
        options = {"size": size, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], **processing}
        getattr(transformers, processor)(**options).save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def logits() -> Callable[..., Tensor]:
    """What a network answers, in eval mode, to fixed inputs of its kind: images, or two texts."""

    def answer(network: Network) -> Tensor:
        network.module.eval()
        size = getattr(network.preprocess, "size", None)
        with torch.no_grad():
            if size is None:
                return network(network.preprocess.raw(["abc def", "a much longer text with many letters"]))
            generator = torch.Generator().manual_seed(5)
            return network(torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=generator))

    return answer
