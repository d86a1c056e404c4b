"""From a loaded module to a Network: its new head, its stages, its ties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from tunesmith.errors import BadOption
from tunesmith.networks.family import family
from tunesmith.networks.heads import new_head, started
from tunesmith.networks.network import Network, Stage, Want, untied
from tunesmith.networks.preprocess import Preprocess
from tunesmith.networks.stages import find_stages


def assemble(
    module: nn.Module,
    want: Want,
    *,
    head: Sequence[str],
    preprocess: Preprocess,
    example: Any,
    origin: str,
    recipe: Mapping[str, Any] | None,
    ready_head: bool = False,
    missing: tuple[str, ...] = (),
    loaded: tuple[str, ...] = (),
    parts: Sequence[Stage] | None = None,
    hints: Sequence[str] = (),
) -> Network:
    """Put the head that `want` asks for on a module and cut it into stages.

    head: paths of the modules that end the module as it was loaded; the last one is replaced.
    example: input for one forward pass, as `preprocess.ready` would give it: a tensor or a mapping.
    ready_head: the source has already built a head of the right width.
    parts: the stages and the head of an earlier call, to skip finding them.
    hints: paths at which stages begin, where the source knows better than the rules.
    """

    def call(m: nn.Module) -> object:
        try:
            return m(**example) if isinstance(example, Mapping) else m(example)
        except (RuntimeError, AssertionError, ValueError) as error:
            line = next(iter(str(error).strip().splitlines()), "")[:160]
            raise BadOption(
                f"{origin} cannot read {_described(example)} ({type(error).__name__}: {line}); leave the "
                f"image size or max_length out to take its own."
            ) from error

    paths = list(head)
    replaced = None
    if want.head == "pretrained":
        paths = keep_head(module, paths, want.outputs)
    elif not ready_head or want.head != "linear":
        if len(paths) != 1:
            raise BadOption(
                f"{origin} ends in {' and '.join(paths)}, which is no single linear layer, so head "
                f"{want.head!r} cannot take its place; use head 'linear'."
            )
        replaced = module.get_submodule(paths[0])
        new_head(module, paths[0], want.head, want.outputs, dropout=want.dropout, call=call)
    module.eval()
    if parts is not None:
        stages, end, ties = tuple(parts[:-1]), parts[-1], _ties(module, parts)
    else:
        found = find_stages(module, call, head=paths, hints=hints)
        stages, end, ties = found.stages, found.head, found.ties
    network = Network(
        module,
        stages,
        end,
        ties,
        preprocess,
        origin,
        recipe,
        family(module, preprocess.takes),
        missing,
        loaded,
        source_head=replaced if isinstance(replaced, nn.Linear) else None,
    )
    return untied(network) if want.untie and ties else network


def keep_head(module: nn.Module, paths: list[str], outputs: int) -> list[str]:
    """Keep the pretrained head: as the head itself if its width fits, else as a feature extractor.

    In the second case its outputs feed a new linear layer. Returns the paths of the head.
    """
    path = paths[-1]
    old = module.get_submodule(path)
    kinds = (nn.Linear, nn.Conv2d) if isinstance(old, nn.Conv2d) else (nn.Linear,)
    matrices = [m for m in old.modules() if isinstance(m, kinds)]
    if not matrices:
        raise BadOption("head 'pretrained' needs a network that ends in a linear layer; use head 'linear'.")
    last = matrices[-1]
    given = last.out_features if isinstance(last, nn.Linear) else last.out_channels
    if given == outputs:
        return paths
    extended = nn.Sequential()
    extended.add_module("pretrained", old)
    extended.add_module(
        "out",
        started(nn.Linear(given, outputs) if isinstance(last, nn.Linear) else nn.Conv2d(given, outputs, 1)),
    )
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, extended)
    return [f"{path}.out"]


def image_example(size: int, argument: str | None) -> Any:
    """One grey image, as a network would get it."""
    image = torch.zeros(1, 3, size, size)
    return image if argument is None else {argument: image}


def named(module: nn.Module, wanted: Callable[[str, nn.Module], bool]) -> list[str]:
    """Paths of the modules that a rule picks, in order of registration."""
    return [name for name, m in module.named_modules() if wanted(name, m)]


def _described(example: Any) -> str:
    first = next(iter(example.values())) if isinstance(example, Mapping) else example
    if first.ndim == 4:
        return f"an image of {first.shape[-2]} x {first.shape[-1]} pixels"
    return f"a text of {first.shape[-1]} tokens"


def _ties(module: nn.Module, parts: Sequence[Stage]) -> tuple[tuple[str, str], ...]:
    owner = {weight: i for i, part in enumerate(parts) for weight in part.weights}
    first = {id(p): n for n, p in module.named_parameters()}
    head_paths = tuple(f"{path}." for path in parts[-1].modules)
    return tuple(
        (first[id(p)], n)
        for n, p in module.named_parameters(remove_duplicate=False)
        if n not in owner and first[id(p)] != n and n.startswith(head_paths)
    )
