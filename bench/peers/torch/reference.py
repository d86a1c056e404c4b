"""What the torch network makes of eight photos, for a peer in another framework to agree with."""

import numpy as np
import torch
from common import Clock, examples, options

from networks import prepared


def main():
    """Write OUT/reference.npz: pixels [8, H, W, 3], normalised, and features [8, D]."""
    asked, clock = options(), Clock()
    found, names = examples(asked)
    network, sets, collate = prepared(asked, found, names)
    step = max(1, len(sets["train"]) // 8)
    inputs, _ = collate([sets["train"][i] for i in range(0, 8 * step, step)])
    network.eval()
    with torch.inference_mode():
        features = network.features(**inputs)
    np.savez(
        asked.out / "reference.npz",
        pixels=inputs["pixels"].permute(0, 2, 3, 1).numpy(),
        features=features.numpy(),
    )
    clock.ready()
    clock.report("torch", "timm")


if __name__ == "__main__":
    main()
