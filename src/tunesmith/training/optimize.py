"""Parameter groups, optimizers and schedules: how a phase's learning rates move weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from tunesmith.errors import BadPlan
from tunesmith.networks.network import Network
from tunesmith.plan import Phase, Settings


def trainable(network: Network, phase: Phase) -> dict[str, nn.Parameter]:
    """The parameters that move in a phase, by name, input first.

    In an unfrozen stage `phase.parts` says which; of the head all of them move.
    """
    parameters = dict(network.module.named_parameters())
    norms = _norm_weights(network.module) if phase.parts == "norm" else set()
    chosen = {}
    for part, (stage, lr) in enumerate(zip(network.parts, phase.lrs, strict=True)):
        if lr == 0:
            continue
        whole = phase.parts == "all" or part == len(network.stages)
        for name in stage.weights:
            if name not in parameters:
                continue
            if whole or name in norms or (phase.parts == "bias" and name.endswith("bias")):
                chosen[name] = parameters[name]
    return chosen


def optimizer_for(network: Network, phase: Phase, settings: Settings) -> torch.optim.Optimizer:
    """An optimizer over the parameters that move, one group per rate and decay.

    Each group holds "peak", its learning rate at the top of the schedule, and "names", those of its
    parameters. Biases, norms and other vectors are not decayed (Loshchilov & Hutter 2017,
    arXiv:1711.05101, decouple the decay; He et al. 2018, arXiv:1812.01187, spare these).
    """
    norms = _norm_weights(network.module)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in trainable(network, phase).items():
        lr = phase.lrs[network.owner(name)]
        spared = parameter.ndim < 2 or name in norms or name.endswith("bias")
        decay = 0.0 if spared else settings.weight_decay
        group = groups.setdefault(
            (lr, decay), {"params": [], "names": [], "peak": lr, "lr": lr, "weight_decay": decay}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    if not groups:
        raise BadPlan(
            f"phase {phase.name!r} has nothing to train: its stages hold no weights of the kind "
            f"{phase.parts!r}; use parts 'all', or unfreeze other stages."
        )
    # One pass over the memory instead of one per operation: an eighth of a small text network's step.
    moving = [p for group in groups.values() for p in group["params"]]
    fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in moving)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(list(groups.values()), lr=0.0, momentum=settings.momentum, fused=fused)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(list(groups.values()), lr=0.0, fused=fused)


def factor(step: int, steps: int, *, schedule: str, warmup: float) -> float:
    """The share of the peak rate at a step of a phase, above 0.

    step: from 0. steps: of the phase. warmup: the share of them that rises linearly.
    "one-cycle" rises over the first 30 % whatever `warmup` says and falls to 1/10,000, both along a
    cosine (Smith 2018, arXiv:1803.09820); "step" divides by 10 after one and after two thirds.

    >>> [round(factor(s, 10, schedule="linear", warmup=0.2), 3) for s in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    if schedule == "one-cycle":
        rise = max(0.3 * steps, 1.0)
        if step < rise:
            return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / rise)) / 2
        share = (step - rise) / max(steps - rise, 1.0)
        return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * share)) / 2
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    share = (step - rising) / max(steps - rising, 1)
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1 - share
    if schedule == "step":
        return 0.1 ** int(share * 3)
    return max((1 + math.cos(math.pi * share)) / 2, 1e-6)


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Give every group its peak rate times `share`."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state by parameter name: "exp_avg.layer4.0.conv1.weight" to a tensor."""
    found = {}
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            for key, value in optimizer.state.get(parameter, {}).items():
                if value is not None:
                    found[f"{key}.{name}"] = torch.as_tensor(value)
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Give an optimizer the state that `optimizer_tensors` took from another one."""
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            suffix = f".{name}"
            state = {
                k.removesuffix(suffix): v
                for k, v in tensors.items()
                if k.endswith(suffix) and "." not in k.removesuffix(suffix)
            }
            for key, value in state.items():
                # Averages lie as their parameter does, device and strides: a fused step reads both in a row,
                # and its count of steps lies there too; the others count on the CPU.
                like = torch.empty_like(parameter, dtype=value.dtype)
                if key == "step":
                    like = torch.empty(value.shape, device=like.device if group.get("fused") else "cpu")
                state[key] = like.copy_(value)
            if state:
                optimizer.state[parameter] = state


def _norm_weights(module: nn.Module) -> set[str]:
    return {
        f"{path}.{name}" if path else name
        for path, m in module.named_modules()
        if "norm" in type(m).__name__.lower()
        for name, _ in m.named_parameters(recurse=False)
    }
