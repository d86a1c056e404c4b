"""How the images of a Keras model must be normalised: measured on its family's own function."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tunesmith.errors import BadOption
from tunesmith.registry import did_you_mean
from tunesmith.sources.keras_graph import calls, inner, is_model

INSIDE: Final = ("Rescaling", "Normalization")
SPATIAL: Final = (
    "CenterCrop",
    "Cropping2D",
    "Dropout",
    "Identity",
    "InputLayer",
    "Resizing",
    "ZeroPadding2D",
)
OPERATIONS: Final = ("GetItem", "Stack", "Add", "Subtract", "Multiply", "Divide", "TrueDivide")


@dataclass(frozen=True)
class Form:
    """Pixels from 0 to 1, less mean, over std, per channel red first; then perhaps the channels turned."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    blue_first: bool = False


FORMS: Final = {  # the first three under Keras' own names
    "tf": Form((0.5,) * 3, (0.5,) * 3),
    "torch": Form((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": Form((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3, blue_first=True),
    "unit": Form((0.0,) * 3, (1.0,) * 3),
    "raw": Form((0.0,) * 3, (1 / 255,) * 3),
}
WORDS: Final = {
    "tf": "from -1 to 1",
    "torch": "by ImageNet's mean and deviation",
    "caffe": "blue first, less ImageNet's mean",
    "unit": "from 0 to 1",
    "raw": "from 0 to 255",
}


def form_named(name: str) -> Form:
    """The form of this name. Raises BadOption with a guess."""
    if name not in FORMS:
        guess = did_you_mean(name, FORMS)
        raise BadOption(f"preprocess must be one of {', '.join(FORMS)}; found {name!r}{guess or '.'}")
    return FORMS[name]


def form_of(build: Any) -> str:
    """Which form the networks of a function of keras.applications take: its `preprocess_input`, probed.

    Raises BadOption for one that is none of FORMS.
    """
    ready = sys.modules[build.__module__].preprocess_input
    probe = np.array([[[[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 99, 199]]]], np.float32)
    given = np.asarray(ready(probe.copy()))
    for name, form in FORMS.items():
        expected = (probe / 255 - np.array(form.mean)) / np.array(form.std)
        expected = expected[..., ::-1] if form.blue_first else expected
        if np.allclose(given, expected, atol=1e-3):
            return name
    raise BadOption(f"the preprocess_input of {build.__name__} is none of {', '.join(FORMS)}.")


def form_inside(model: Any, applications: Any) -> tuple[str, str]:
    """A guess at the form of a model of one's own, and why.

    What it rescales or normalises itself takes pixels as they are; a network of keras.applications within,
    by its name, what that takes; anything else pixels as they are.
    """
    if _normalises(model):
        return "raw", "it normalises them itself"
    built = {_plain(name): name for name in dir(applications) if callable(getattr(applications, name))}
    for layer in (model, *model.layers):
        if not is_model(layer):
            continue
        found = [name for plain, name in built.items() if _plain(layer.name).startswith(plain)]
        if found:
            name = max(found, key=len)
            return form_of(getattr(applications, name)), f"as {name} takes them"
    return "raw", "nothing in it says otherwise"


def _normalises(model: Any) -> bool:
    """Whether the first thing that a model does to the values of its pixels is to normalise them."""
    for node in calls(inner(model)):
        if not _stands_aside(node.operation):
            if is_model(node.operation):
                return _normalises(node.operation)
            return type(node.operation).__name__ in (*INSIDE, *OPERATIONS)
    return False


def _stands_aside(operation: Any) -> bool:
    """Whether pixels keep their range in a layer, or in all of a model: augmentation, and other sizes."""
    if is_model(operation):
        return all(_stands_aside(node.operation) for node in calls(inner(operation)))
    kind = type(operation).__name__
    return kind in SPATIAL or kind.startswith("Random")


def _plain(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())
