"""Sources: where pretrained networks come from. A model is named SOURCE/NAME[?ARGS][@WEIGHTS].

`torchvision/resnet50`, `timm/mobilenetv2_100?pad_type=same@weights.safetensors`,
`hf/bert-base-uncased`, `hf/./local-folder`, `...@none` for random weights; the path of a safetensors
file whose header says what it is; or the folder of an earlier run.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from tunesmith.errors import BadOption, BadWeights, UnknownName
from tunesmith.registry import Registry, did_you_mean

if TYPE_CHECKING:
    from tunesmith.networks.network import Network, Stage, Want

SOURCES: Final = Registry(
    "source",
    {
        "torchvision": "tunesmith.sources.torchvision:Torchvision",
        "timm": "tunesmith.sources.timm:Timm",
        "hf": "tunesmith.sources.transformers:Transformers",
        "keras": "tunesmith.sources.keras:Keras",
    },
)


@dataclass(frozen=True)
class Name:
    """A model's name, taken apart.

    args: for the constructor of the network.
    weights: None: as published; "none": random; else the path of a file.
    header: what a safetensors file says of itself: input_size, mean, std, num_classes.
    """

    source: str
    model: str
    args: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    header: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        args = "&".join(f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in self.args.items())
        return f"{self.source}/{self.model}" + (f"?{args}" if args else "")


@dataclass(frozen=True)
class Model:
    """A line of `tunesmith models`.

    data: what it was pretrained on. parameters: in millions. None where it is not known.
    local: its weights are on this machine.
    """

    name: str
    kind: str
    data: str | None
    parameters: float | None
    licence: str | None
    local: bool


class Source(Protocol):
    """What a source of networks does."""

    def find(self, pattern: str, kind: str) -> list[Model]:
        """The models whose name contains `pattern`; kind is a task's name, or empty for all."""

    def load(self, name: Name, want: Want) -> Network:
        """Build the network and load its weights."""

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        """Build a saved network again, its weights still random, from the model folder alone."""


def parse(text: str) -> Name:
    """Take a model's name apart.

    >>> name = parse("timm/mobilenetv2_100?pad_type=same&bn_eps=0.001@none")
    >>> name.source, name.model, name.args, name.weights
    ('timm', 'mobilenetv2_100', {'pad_type': 'same', 'bn_eps': 0.001}, 'none')

    Raises UnknownName for a source that is not known, BadOption for a malformed name.
    """
    body, at, weights = text.partition("@")
    body, _, query = body.partition("?")
    source, slash, model = body.partition("/")
    if source not in SOURCES.names():
        guess = did_you_mean(source, SOURCES.names())
        raise UnknownName(
            f"no model named {text!r}: a name is SOURCE/NAME with a source of "
            f"{', '.join(SOURCES.names())}{guess or ','} or the path of a headed .safetensors file "
            f"or of a run's folder; `tunesmith models` lists what can be had."
        )
    if not slash or not model or (at and not weights):
        raise BadOption(f"model {text!r} is not of the form SOURCE/NAME[?ARGS][@WEIGHTS].")
    args = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise BadOption(f"model {text!r}: {pair!r} is not of the form name=value.")
        args[key] = _value(value)
    return Name(source, model, args, weights or None)


def resolve(text: str) -> Name:
    """The name behind a text: SOURCE/NAME, a safetensors file with a header, or a .keras file.

    Raises BadOption for a file whose header does not say what it is.
    """
    path = Path(text).expanduser()
    if path.suffix == ".safetensors" and "@" not in text:
        return headed(path)
    file = text.partition("?")[0]
    if file.endswith(".keras") and not file.startswith("keras/"):
        text = f"keras/{text}"
    name = parse(text)
    if name.model.endswith(".keras") and not Path(name.model).expanduser().is_file():
        raise BadWeights(f"no model at {name.model}: the file does not exist.")
    if (name.source, name.weights) == ("keras", "imagenet"):  # as keras.applications calls its own
        return Name(name.source, name.model, name.args, None)
    if name.weights not in (None, "none"):
        header = _header(Path(str(name.weights)).expanduser())
        name = Name(name.source, name.model, {**_model_args(header), **name.args}, name.weights, header)
    return name


def headed(path: Path) -> Name:
    """The model that a safetensors file says it is."""
    header = _header(path)
    if "model" not in header:
        raise BadOption(
            f"{path} does not say which network it belongs to (no 'model' in its header); "
            f"name it: SOURCE/NAME@{path}."
        )
    base = parse(header["model"])
    return Name(base.source, base.model, {**base.args, **_model_args(header)}, str(path), header)


def headed_files(pattern: str = "", source: str = "") -> list[Model]:
    """The safetensors files with a header in the folders of TUNESMITH_MODELS, of one source if named."""
    from tunesmith.networks.header import read_header

    found = []
    for folder in filter(None, os.environ.get("TUNESMITH_MODELS", "").split(os.pathsep)):
        for path in sorted(Path(folder).expanduser().glob("*.safetensors")):
            try:
                header = read_header(path)
            except (BadWeights, OSError):
                continue
            model = header.metadata.get("model")
            if model and model.startswith(f"{source}/" if source else "") and pattern in str(path):
                numbers = sum(math.prod(shape) for shape in header.shapes.values())
                found.append(
                    Model(
                        str(path),
                        "image-classification",
                        f"{header.metadata.get('num_classes', '?')} classes",
                        numbers / 1e6,
                        header.metadata.get("licence"),
                        True,
                    )
                )
    return found


def load(model: str, want: Want) -> Network:
    """Load the network that a name stands for, with the head that is wanted."""
    name = resolve(model)
    source: Source = SOURCES.load(name.source)()
    return source.load(name, want)


def _header(path: Path) -> Mapping[str, str]:
    from tunesmith.networks.header import read_header

    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.safetensors")] if path.parent.is_dir() else []
        raise BadWeights(f"no weights at {path}: the file does not exist{did_you_mean(path.name, siblings)}")
    return read_header(path).metadata if path.suffix == ".safetensors" else {}


def _model_args(header: Mapping[str, str]) -> dict[str, Any]:
    try:
        args = json.loads(header.get("model_args", "{}"))
    except ValueError as error:
        raise BadOption(f"the header's model_args are not JSON: {error}") from error
    if not isinstance(args, dict):
        raise BadOption("the header's model_args must be a JSON object.")
    return args


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
