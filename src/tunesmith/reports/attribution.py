"""Which pieces of a text an answer rests on: integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.data.pairs import SEPARATOR
from tunesmith.networks.preprocess import TextPreprocess
from tunesmith.reports.asked import Asked

if TYPE_CHECKING:
    from tunesmith.networks.network import Network

STEPS = 16  # between a text that says nothing and the text
TOKENS = 1024  # of a text, all steps counted, that go through the network at once: it bounds memory
TAIL = 200  # signs of what lies behind the window that are kept


def spoken(
    network: Network, text: str, asked: Asked, *, steps: int = STEPS
) -> tuple[tuple[str, float], ...] | None:
    """The pieces of a text, each with how much it speaks for what is asked (above 0) or against it.

    Joined, the pieces are the text. The largest weight is 1 or -1; what lies behind the network's window
    weighs 0, and of it the beginning alone is kept. None where the network has no place at which tokens
    become vectors.
    """
    preprocess = network.preprocess
    if not isinstance(preprocess, TextPreprocess) or not text.strip():
        return None
    inputs = preprocess.raw([text])
    weights = attributions(network, inputs, asked, steps=steps)
    if weights is None:
        return None
    pieces = pieces_of(preprocess, text, weights.tolist())
    most = max((abs(weight) for _, weight in pieces), default=0.0)
    return tuple((piece, weight / most if most else 0.0) for piece, weight in pieces)


def attributions(
    network: Network, inputs: Mapping[str, Tensor], asked: Asked, *, steps: int = STEPS
) -> Tensor | None:
    """What each token adds to what is asked, the log odds of a class or a number: [T], special tokens 0.

    Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) along the
    straight line from a text of nothing but mask tokens (unknown or padding ones where a tokenizer has none)
    to this one; special tokens stand. Zero vectors, the paper's beginning for texts, are never met in
    training: the LayerNorm behind the embedding blows them up, and 16 steps missed most of the change.
    The sum is what is asked of the text less the same of the masked one, but for the rule's error.

    inputs: token tensors [1, T] as the preprocessing makes them. steps: points of Gauss's rule.
    """
    device = next(network.module.parameters()).device
    one = {name: tensor.to(device) for name, tensor in inputs.items()}
    network.module.eval()
    path = embedded_at(network, one)
    if path is None:
        return None
    text, nothing = embedded(network, one, path), embedded(network, masked(network, one), path)
    points, weights = np.polynomial.legendre.leggauss(steps)
    shares, parts = (
        torch.from_numpy(numbers).to(text).view(-1, 1, 1) for numbers in ((points + 1) / 2, weights / 2)
    )
    mean = torch.zeros_like(text)
    at_once = max(1, TOKENS // text.shape[1])
    for share, part in zip(torch.split(shares, at_once), torch.split(parts, at_once), strict=True):
        line = (nothing + share * (text - nothing)).requires_grad_()
        mean += (part * _gradient(network, one, path, line, asked)).sum(0, keepdim=True)
    return ((text - nothing) * mean).sum(-1)[0].cpu()


def _gradient(network: Network, one: Mapping[str, Tensor], path: str, line: Tensor, asked: Asked) -> Tensor:
    """That of what is asked by the vectors [S, T, D] that the module at `path` puts out."""
    many = {name: tensor.expand(len(line), *tensor.shape[1:]) for name, tensor in one.items()}
    # A copy: what works in place behind it may not touch a leaf.
    with torch.enable_grad(), _hooked(network, path, lambda _: line.clone()):
        return torch.autograd.grad(asked(network(many)).sum(), [line])[0]


def masked(network: Network, one: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The token tensors [1, T] of a text that says nothing: of the same length, its special tokens kept."""
    preprocess: Any = network.preprocess
    tokenizer, ids = preprocess.tokenizer, one["input_ids"]
    known = (tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
    silent = next(token for token in known if token is not None)
    told = tokenizer.get_special_tokens_mask(ids[0].tolist(), already_has_special_tokens=True)
    special = torch.tensor([told], device=ids.device).bool()
    return {**one, "input_ids": torch.where(special, ids, torch.full_like(ids, silent))}


def embedded(network: Network, one: Mapping[str, Tensor], path: str) -> Tensor:
    """The vectors [1, T, D] that the module at `path` puts out."""
    seen: list[Tensor] = []
    with torch.no_grad(), _hooked(network, path, lambda output: seen.append(output.clone())):
        network(one)
    return seen[0]


def embedded_at(network: Network, one: Mapping[str, Tensor]) -> str | None:
    """Path of the module that turns token ids [1, T] into vectors [1, T, D].

    That is the embedding that is given the ids themselves; where none is (a network that looks them up by
    its own code), the first module that puts out a vector for every token.
    """
    ids, found = one["input_ids"], {"ids": "", "any": ""}

    def note(path: str, module: nn.Module) -> Any:
        def hook(_: Any, given: tuple[Any, ...], output: Any) -> None:
            if not isinstance(output, Tensor) or output.shape[:2] != ids.shape or output.ndim != 3:
                return
            found["any"] = found["any"] or path
            told = next((g for g in given if isinstance(g, Tensor)), None)
            if isinstance(module, nn.Embedding) and told is not None and torch.equal(told, ids):
                found["ids"] = found["ids"] or path

        return hook

    handles = [m.register_forward_hook(note(path, m)) for path, m in network.module.named_modules() if path]
    try:
        with torch.no_grad():
            network(one)
    finally:
        for handle in handles:
            handle.remove()
    return found["ids"] or found["any"] or None


@contextmanager
def _hooked(network: Network, path: str, change: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """While it lasts, what a module puts out is what `change` makes of it; None: as it is."""
    module = network.module.get_submodule(path)
    handle = module.register_forward_hook(lambda _, __, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def pieces_of(preprocess: TextPreprocess, text: str, weights: list[float]) -> list[tuple[str, float]]:
    """The text cut where its tokens end, each piece with the weight of its tokens, and what follows them.

    Tokens that share a character (bytes of an emoji) are one piece; a space belongs to the piece behind it.
    """
    tokenizer = preprocess.tokenizer
    if not getattr(tokenizer, "is_fast", False):  # knows no places
        ids = preprocess.raw([text])["input_ids"][0].tolist()
        mask = tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)
        kept = [(tokenizer.decode([i]), w) for i, w, off in zip(ids, weights, mask, strict=True) if not off]
        return [(f" {piece}" if n else piece, weight) for n, (piece, weight) in enumerate(kept)]
    pieces: list[tuple[int, float]] = []  # where a piece ends, and its weight
    second = text.find(SEPARATOR) + 1  # where the other text of a pair begins
    for (part, _, end), weight in zip(preprocess.places([text])[0].tolist(), weights, strict=True):
        if part < 0 or end == 0:  # special tokens stand nowhere
            continue
        if part == 1:
            end += second
            if (
                not pieces or pieces[-1][0] < second
            ):  # the rest of the first text, that was cut off, and the separator
                pieces += [(second - 1, 0.0), (second, 0.0)]
        if pieces and end <= pieces[-1][0]:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + weight)
        else:
            pieces.append((end, weight))
    ends = [0, *(end for end, _ in pieces)]
    cut = [(text[a:b], w) for a, b, (_, w) in zip(ends, ends[1:], pieces, strict=False)]
    unread = text[ends[-1] : ends[-1] + TAIL] + ("…" if len(text) > ends[-1] + TAIL else "")
    return cut + ([(unread, 0.0)] if unread else [])
