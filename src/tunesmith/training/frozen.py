"""Frozen is frozen: a stage whose rate is 0.0 neither learns nor counts nor drops anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from tunesmith.errors import FrozenMoved
from tunesmith.networks.kinds import is_batch_norm
from tunesmith.networks.network import Network, digest, refuse_ties
from tunesmith.plan import Phase, Settings
from tunesmith.training.optimize import trainable

FEW = 1000  # training examples below which a batch's statistics are noise to BatchNorm


def apply(network: Network, phase: Phase, *, batch_norm: str) -> None:
    """Let the phase's weights move, and nothing else.

    A frozen stage stands in eval mode: in train mode BatchNorm would go on moving its statistics,
    which `requires_grad = False` does not prevent, and dropout would make every stored activation a
    lie. batch_norm: "frozen" leaves the statistics of unfrozen stages standing too; "train" does not.
    Raises TiedWeights where training the head would move a frozen stage.
    """
    refuse_ties(network, phase.lrs)
    moving = trainable(network, phase)
    for name, parameter in network.module.named_parameters():
        parameter.requires_grad_(name in moving)
        if name not in moving:
            parameter.grad = None
    modes(network, phase, batch_norm=batch_norm)


def modes(network: Network, phase: Phase, *, batch_norm: str) -> None:
    """Unfrozen stages in train mode, everything else in eval mode."""
    network.module.eval()
    for stage, lr in zip(network.parts, phase.lrs, strict=True):
        if lr > 0:
            for path in stage.modules:
                network.module.get_submodule(path).train()
    if batch_norm == "frozen":
        for module in network.module.modules():
            if is_batch_norm(module):
                module.eval()


def batch_norm_of(settings: Settings, count: int) -> str:
    """Whether BatchNorm in unfrozen stages trains: "train" or "frozen". count: of training examples."""
    if settings.batch_norm != "auto":
        return settings.batch_norm
    return "frozen" if count < FEW or settings.batch < 16 else "train"


@contextmanager
def norms_at_rest(network: Network, size: int) -> Iterator[None]:
    """For a batch of one example BatchNorm stands in eval mode: one example has no statistics."""
    moving = _moving_norms(network) if size == 1 else []
    for norm in moving:
        norm.eval()
    try:
        yield
    finally:
        for norm in moving:
            norm.train()


def moving_statistics(network: Network) -> list[Tensor]:
    """Running means and variances of the BatchNorm layers that stand in train mode."""
    found = [t for m in _moving_norms(network) for t in (m.running_mean, m.running_var)]
    return [tensor for tensor in found if isinstance(tensor, Tensor)]


def _moving_norms(network: Network) -> list[nn.Module]:
    return [m for m in network.module.modules() if is_batch_norm(m) and m.training]


def fingerprints(network: Network, phase: Phase) -> dict[int, str]:
    """A digest of every frozen stage's weights and buffers, by index."""
    return {i: digest(network.tensors(i)) for i, lr in enumerate(phase.lrs) if lr == 0}


def verify(network: Network, phase: Phase, before: dict[int, str]) -> None:
    """Raise FrozenMoved unless every frozen stage is the same, bit for bit, as before the phase."""
    for i, now in fingerprints(network, phase).items():
        if now != before[i]:
            raise FrozenMoved(
                f"stage {network.parts[i].name} was frozen in phase {phase.name!r} but its weights or "
                f"buffers changed; this is a fault in the network's own code (a buffer that updates "
                f"in eval mode?) or in tunesmith. Unfreeze that stage, or report it."
            )
