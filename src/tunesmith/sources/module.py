"""A person's own nn.Module as a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tunesmith.errors import BadOption
from tunesmith.networks.assemble import assemble
from tunesmith.networks.family import family
from tunesmith.networks.network import Network, Stage, Want, digest
from tunesmith.networks.preprocess import ImagePreprocess, Preprocess, restore
from tunesmith.networks.stages import find_stages


def network(
    module: nn.Module,
    *,
    example: Any,
    preprocess: Preprocess | None = None,
    head: str | None = None,
    stages: Sequence[str] = (),
) -> Network:
    """A Network of a module of your own; serves wherever a model's name does.

    example: input for one forward pass: images [1, 3, H, W], or a mapping of token tensors [1, T].
    preprocess: None: images of the example's size, scaled to [0, 1] and normalised with ImageNet's
        mean and standard deviation; a module for texts needs one.
    head: path of the last linear layer; None: the last weight that is called.
    stages: paths at which stages begin; none: found by rule.
    """
    form: Preprocess
    if preprocess is not None:
        form = preprocess
    else:
        if not (isinstance(example, Tensor) and example.ndim == 4 and example.shape[1] == 3):
            raise BadOption(
                "pass preprocess=...; only for an example of images [1, 3, H, W] it can be guessed."
            )
        side = int(min(example.shape[2:]))
        form = ImagePreprocess(side, side)

    def call(m: nn.Module) -> object:
        return m(**example) if isinstance(example, Mapping) else m(example)

    found = find_stages(module, call, head=(head,) if head else (), hints=tuple(stages))
    origin = f"{type(module).__name__}@{digest(module.state_dict())[:12]}"
    return Network(
        module,
        found.stages,
        found.head,
        found.ties,
        form,
        origin,
        None,
        family(module, form.takes),
        example=example,
    )


def with_head(given: Network, want: Want) -> Network:
    """A network with the head that a task wants instead of the one that it came with."""
    paths = [path for path in given.head.modules if _weighted(given.module, path)]
    made = assemble(
        given.module,
        want,
        head=paths,
        preprocess=given.preprocess,
        example=_example(given),
        origin=given.origin,
        recipe=given.recipe,
        missing=given.missing,
        loaded=given.loaded,
    )
    # A head that was itself put in another one's place has learned nothing yet.
    return made if given.source_head is None else replace(made, source_head=given.source_head)


def rebuild(
    module: nn.Module, spec: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]
) -> Network:
    """A saved network again, around a fresh module of the person's."""
    preprocess = restore(spec, folder)
    bare = Network(module, tuple(parts[:-1]), parts[-1], (), preprocess, type(module).__name__)
    paths = list(dict.fromkeys(filter(None, (_before(module, path) for path in parts[-1].modules))))
    made = assemble(
        module,
        want,
        head=paths,
        preprocess=preprocess,
        example=_example(bare),
        origin=bare.origin,
        recipe=None,
        parts=parts,
    )
    return replace(made, family=family(module, preprocess.takes))


def _before(module: nn.Module, path: str) -> str:
    """Where a saved head's module sits in a module that has not got its new head yet.

    A pretrained head that was extended is saved as "fc.out"; in the person's own module it is "fc".
    """
    known = {name for name, _ in module.named_modules()}
    while path not in known:
        path = path.rpartition(".")[0]
    return path if _weighted(module, path) else ""


def _weighted(module: nn.Module, path: str) -> bool:
    try:
        found = module.get_submodule(path)
    except AttributeError:
        return False
    return any(True for _ in found.parameters())


def _example(given: Network) -> Any:
    if given.example is not None:
        return given.example
    import torch

    preprocess = given.preprocess
    if isinstance(preprocess, ImagePreprocess):
        return preprocess.ready(torch.zeros(1, 3, preprocess.size, preprocess.size, dtype=torch.uint8))
    return preprocess.raw(["a short text to trace the network with"])
