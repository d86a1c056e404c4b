"""A functional Keras model as a torch module whose layers are modules that run one after the other.

In a `keras.Model` on the torch backend all weights lie in one flat list, moving statistics among the
parameters, and calls inside the graph pass by hooks and by `forward`. So the graph is walked here: every
layer becomes a module that owns its weights and lends them to Keras for one call
(`keras.StatelessScope`). Freezing, stages, replay, engines and saving are then those of any network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from tunesmith.errors import BadOption
from tunesmith.sources.keras_layers import KerasLayer, free_name, wrapped

CONTEXT: Final = ("training", "mask")  # arguments that say how a layer is run; images have no masks


@dataclass(frozen=True)
class Slot:
    """In the arguments of a step: the tensor of this number."""

    number: int


@dataclass(frozen=True)
class Step:
    """One call of a layer.

    path: of its module. args, kwargs: with slots for tensors. outputs: the slots of what it puts out.
    """

    path: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[int, ...]

    @cached_property
    def reads(self) -> set[int]:
        """The slots that it reads."""
        leaves = tree_leaves((self.args, dict(self.kwargs)))
        return {leaf.number for leaf in leaves if isinstance(leaf, Slot)}


class KerasGraph(nn.Module):
    """Runs the layers of a functional model in the order of its graph.

    model: a built keras model with one input and one output; models inside it become graphs too.
    Whether it was once called with `training=False` is not asked: what stands still, a plan says.
    """

    channel_axis = 3  # of maps, as Keras has them, unless a layer says otherwise

    def __init__(self, model: Any) -> None:
        super().__init__()
        functional = inner(model)
        self.steps: list[Step] = []
        self._paths: dict[int, str] = {}  # a layer called twice is one module
        slots = {id(tensor): number for number, tensor in enumerate(functional.inputs)}
        self.inputs = tuple(slots.values())
        for node in calls(functional):
            given = node.arguments
            path = self._module(node.operation)
            kwargs = {k: v for k, v in given.kwargs.items() if k not in CONTEXT}
            slots.update({id(tensor): len(slots) + i for i, tensor in enumerate(node.outputs)})
            outputs = tuple(slots[id(tensor)] for tensor in node.outputs)
            self.steps.append(Step(path, _with_slots(given.args, slots), _with_slots(kwargs, slots), outputs))
        self.result = slots[id(functional.outputs[0])]
        self._note_wiring()

    def forward(self, *inputs: Tensor) -> Tensor:
        """The model's input to its output, both as Keras shapes them."""
        values: dict[int, Any] = dict(zip(self.inputs, inputs, strict=True))
        for step in self.steps:
            args, kwargs = _with_values(step.args, values), _with_values(dict(step.kwargs), values)
            out = self.get_submodule(step.path)(*args, **kwargs)
            made = out if isinstance(out, list | tuple) else (out,)
            values.update(zip(step.outputs, made, strict=True))
        result: Tensor = values[self.result]
        return result

    def _module(self, layer: Any) -> str:
        if id(layer) not in self._paths:
            path = free_name(self, _lasting_name(layer))
            self.add_module(path, KerasGraph(layer) if is_model(layer) else wrapped(layer))
            self._paths[id(layer)] = path
        return self._paths[id(layer)]

    def _note_wiring(self) -> None:
        """Tell every layer what it reads."""
        made_by = {slot: step.path for step in self.steps for slot in step.outputs}
        for step in self.steps:
            module = self.get_submodule(step.path)
            if isinstance(module, KerasLayer):

                def name(leaf: Any) -> Any:
                    return made_by.get(leaf.number, "input") if isinstance(leaf, Slot) else leaf

                module.reads.append(str(tree_map(name, (step.args, dict(step.kwargs)))))


def is_model(layer: Any) -> bool:
    """Whether a layer is a model of layers of its own."""
    return hasattr(layer, "layers")


def inner(model: Any) -> Any:
    """The functional model of a model: itself, or what a Sequential has built.

    Raises BadOption for a subclassed model, whose calls are code and no graph, and for several inputs.
    """
    functional = getattr(model, "_functional", model)
    if not hasattr(functional, "_nodes_by_depth"):
        raise BadOption(
            f"{model.name} is no functional Keras model, so it cannot be cut into stages; build it with "
            f"keras.Model(inputs, outputs), or as a keras.Sequential that begins with a keras.Input."
        )
    if (len(functional.inputs), len(functional.outputs)) != (1, 1):
        raise BadOption(
            f"{model.name} has {len(functional.inputs)} inputs and {len(functional.outputs)} outputs; a "
            f"network here has one of each: keras.Model(inputs, outputs) makes one of a part of it."
        )
    return functional


def calls(functional: Any) -> list[Any]:
    """The calls of its layers, in the order in which Keras makes them."""
    depths = functional._nodes_by_depth
    nodes = [node for depth in sorted(depths, reverse=True) for node in depths[depth]]
    return [node for node in nodes if not node.is_input]


def _lasting_name(layer: Any) -> str:
    """The layer's name, without the number that Keras gave it by how many its process had built before.

    >>> class Conv2D:
    ...     name = "conv2d_17"
    >>> _lasting_name(Conv2D())
    'conv2d'
    """
    base = re.sub(r"_\d+$", "", layer.name)
    unnamed = base.replace("_", "") == type(layer).__name__.lower()
    return base if unnamed else str(layer.name)


def _with_slots(arguments: Any, slots: Mapping[int, int]) -> Any:
    import keras

    def slot(leaf: Any) -> Any:
        return Slot(slots[id(leaf)]) if isinstance(leaf, keras.KerasTensor) else leaf

    return tree_map(slot, arguments)


def _with_values(arguments: Any, values: Mapping[int, Any]) -> Any:
    return tree_map(lambda leaf: values[leaf.number] if isinstance(leaf, Slot) else leaf, arguments)
