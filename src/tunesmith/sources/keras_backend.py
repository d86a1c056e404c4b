"""Keras on its torch backend, or the reason why not."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from tunesmith.errors import BadOption, OtherBackend
from tunesmith.registry import require

BACKEND: Final = "KERAS_BACKEND"


def keras_on_torch() -> Any:
    """The package keras, running on torch.

    Keras reads KERAS_BACKEND once, when it is imported, so it is set here if nobody has set it.
    Raises MissingPackage; OtherBackend if the variable or an earlier import chose one; BadOption if keras'
    own configuration puts channels first or computes in another number type.
    """
    if "keras" not in sys.modules:
        asked = os.environ[BACKEND] = os.environ.get(BACKEND) or "torch"
        if asked != "torch":
            raise OtherBackend(
                f"Keras networks run on torch here, and {BACKEND} is {asked!r}; unset it, or set it to torch."
            )
    keras = require("keras", "keras", "a Keras network")
    found = keras.config.backend()
    if found != "torch":
        raise OtherBackend(
            f"Keras networks run on torch here, and keras was already imported with the backend {found!r}; "
            f"set {BACKEND}=torch before it is imported, or import tunesmith's network first."
        )
    layout, number = keras.config.image_data_format(), keras.config.floatx()
    if (layout, number) != ("channels_last", "float32"):
        raise BadOption(
            f"Keras is configured for {layout} and {number} (~/.keras/keras.json); its published weights "
            f"are for channels_last and float32: set these."
        )
    return keras
