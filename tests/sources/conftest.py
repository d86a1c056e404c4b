from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tunesmith.networks.network import Network


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
