"""A last transformer block of which only the first token is read, computed for that token alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.errors import BadOption
from tunesmith.networks.cls_forms import ACTIVATIONS, FORMS, TOKENWISE, class_name


def cls_only(block: nn.Module) -> Callable[..., Any] | None:
    """What may stand in for a block's `forward` where only the first token is read.

    It takes the block's arguments and gives its output with T = 1, [B, 1, D], from the block's own
    weights: exact up to the order of summation, gradients too; dropout is drawn for one token instead of
    all. A call that it cannot serve (a causal mask, a cache, a new hook inside the attention) runs the
    whole block and gives its first token: right, and no faster. Stochastic depth draws the numbers that
    the whole block would draw. None for a block that `refusal` names a reason for.
    """
    if refusal(block) is not None or "forward" in vars(block):
        return None
    form, whole = FORMS[class_name(block)], block.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        first = form.first(block, *args, **kwargs) if refusal(block) is None else None
        return _changed(whole(*args, **kwargs), lambda tokens: tokens[:, :1]) if first is None else first

    return forward


def refusal(block: nn.Module) -> str | None:
    """Why a block cannot be computed for its first token alone, in words; None where it can.

    Known are timm's Block and, of transformers, the layers of BERT, RoBERTa, XLM-RoBERTa, CamemBERT,
    ELECTRA, ViT, DeiT and DistilBERT, made of parts that are known as well.
    """
    form = FORMS.get(class_name(block))
    if form is None:
        return f"its class, {class_name(block)}, is not among those whose arithmetic is known"
    for path, part in block.named_modules():
        if (reason := _unknown(part, form.parts)) is not None:
            return f"{path or 'it'} {reason}"
        if path and "forward" in vars(part):
            return f"the forward of its {path} was replaced"
        inside = path == form.attention or path.startswith(f"{form.attention}.")
        if inside and _hooked(part):
            return f"a hook hangs on its {path} and would not be called"
    return form.odd(block)


@contextmanager
def only_cls(module: nn.Module, path: str) -> Iterator[None]:
    """Within it the block at `path` computes its first token alone; afterwards all is as before.

    Puts a function in the place of `forward` on the instance, so hooks on the block go on firing.
    Ask `obstacle` first whether what follows reads no other token.
    Raises BadOption with the reason for a block that `cls_only` does not serve.
    """
    block = module.get_submodule(path)
    forward = cls_only(block)
    if forward is None:
        raise BadOption(
            f"block {path!r} cannot compute its first token alone: {_reason(block)}; run it whole."
        )
    block.forward = forward
    try:
        yield
    finally:
        del block.forward


def reads_only_cls(module: nn.Module, path: str, run: Callable[[], Tensor]) -> bool:
    """Whether what `run` gives depends on the block's first token and on none of the others.

    NaN in the place of the others must leave every bit as it was; NaN in the first must show, or the
    question was not asked. False for a network that draws random numbers.

    run: a forward pass of `module` in eval mode, from the same inputs each time, that gives the logits.
    """
    block = module.get_submodule(path)
    with torch.no_grad():
        live = run()
        others = _poisoned(block, run, slice(1, None))
        first = _poisoned(block, run, slice(0, 1))
    if others is None or first is None:
        return False
    return bool(live.isfinite().all()) and torch.equal(live, others) and not bool(first.isfinite().any())


def obstacle(
    module: nn.Module, path: str, run: Callable[[], Tensor], *, tolerance: float = 1e-4
) -> str | None:
    """Why `only_cls` may not be used on a block of this network, in words; None if it may.

    Asks for the block's form and for who reads it, and then compares the logits with and without.

    run: as for `reads_only_cls`, in the precision that will be trained.
    tolerance: the largest difference of two logits, as a share of the largest logit.
    """
    block = module.get_submodule(path)
    if cls_only(block) is None:
        return _reason(block)
    if not reads_only_cls(module, path, run):
        return "what follows reads more than its first token"
    with torch.no_grad():
        live = run()
        try:
            with only_cls(module, path):
                short = run()
        # What follows the block was never meant to see one token, and may stumble in any way.
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            return f"what follows cannot take one token ({' '.join(str(error).split())})"
    if short.shape != live.shape:
        return f"the logits became {tuple(short.shape)} instead of {tuple(live.shape)}"
    gap, size = float((short - live).abs().max()), float(live.abs().max())
    if not gap <= tolerance * size:
        return f"logits moved by {gap:.1e}, more than {tolerance:g} of the largest, {size:.1e}"
    return None


def _reason(block: nn.Module) -> str:
    return "its forward was replaced already" if "forward" in vars(block) else str(refusal(block))


def _unknown(part: nn.Module, parts: Mapping[str, tuple[frozenset[str], ...]]) -> str | None:
    kind = class_name(part)
    if kind in TOKENWISE or kind.startswith(ACTIVATIONS):
        return None
    if kind not in parts:
        return f"is a {kind}, which is not known to treat each token by itself"
    children = {name for name, _ in part.named_children()}
    own = [name for name, _ in part.named_parameters(recurse=False)]
    own += [name for name, _ in part.named_buffers(recurse=False)]
    if children not in parts[kind] or own:
        return f"is a {kind} of another make: it holds {', '.join(sorted([*children, *own]))}"
    return None


def _hooked(part: nn.Module) -> bool:
    return bool(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
    )


def _poisoned(block: nn.Module, run: Callable[[], Tensor], tokens: slice) -> Tensor | None:
    """The logits with NaN in the place of some tokens of the block; None if it gives no tokens [B, T, D]."""
    poured = False

    def poison(states: Tensor) -> Tensor:
        states = states.clone()
        states[:, tokens] = torch.nan
        return states

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal poured
        changed = _changed(output, poison)
        poured = changed is not None
        return changed

    handle = block.register_forward_hook(hook)
    try:
        logits = run()
    finally:
        handle.remove()
    return logits if poured else None


def _changed(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A block's output, [B, T, D] alone or first in a tuple, with its tokens changed; else None."""
    if isinstance(output, Tensor):
        return change(output) if output.ndim == 3 else None
    if type(output) is tuple and output and isinstance(output[0], Tensor) and output[0].ndim == 3:
        return (change(output[0]), *output[1:])
    return None
