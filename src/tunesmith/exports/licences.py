"""What is known of the licence of pretrained weights and of data, without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tunesmith.errors import TunesmithError

FILES: Final = ("LICENSE", "LICENCE", "COPYING")  # any case
ENDINGS: Final = ("", ".txt", ".md")  # any case
README: Final = "README.md"
READ: Final = 64 * 2**10  # bytes of a file that may state a licence
LONGEST: Final = 100  # signs of a line that is quoted
PACKAGED: Final = {"sentence-transformers/all-MiniLM-L6-v2": "apache-2.0"}  # those that a package carries


def weights_licence(recipe: Mapping[str, Any] | None, model: object) -> str | None:
    """As the file's header, the source or its package states it; None where nobody does.

    model: the name that was asked for.
    """
    if recipe is None or str(model).endswith("@none"):
        return None
    said = _headed(model)
    if said is not None:
        return said
    source, name = recipe.get("source"), str(recipe.get("model", ""))
    if "@" in str(model):
        return None
    if source == "timm":
        return _timm(name)
    return PACKAGED.get(name) if source == "hf" else None


def data_licence(data: object) -> str | None:
    """What a file beside the data says of their licence, quoted with its name; None where none does.

    A README.md whose front matter names a licence, as the hub's data sets have it, or the first line of a
    LICENSE, LICENCE or COPYING; in the folder that the data are, or in which their files lie.

    data: as `fit` takes it.
    """
    if isinstance(data, list | tuple):
        said = {data_licence(own) for own in data}
        return said.pop() if len(said) == 1 else None
    if not isinstance(data, str | Path):
        return None
    path = Path(data).expanduser()
    try:
        if not path.exists():
            return None
        folder = path if path.is_dir() else path.parent  # of a million pictures, perhaps
        stating = [own for own in folder.iterdir() if own.name == README or _is_licence(own)]
    except (OSError, ValueError):  # a name that no file can have
        return None
    for own in sorted(stating, key=lambda own: (own.name != README, own.name)):
        text = _beginning(own)
        if found := _front_matter(text) if own.name == README else _first_line(text):
            return f'"{found}", as {own.name} beside them says'
    return None


def _is_licence(path: Path) -> bool:
    return path.stem.upper() in FILES and path.suffix.lower() in ENDINGS


def _beginning(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(READ).decode("utf-8", "replace")
    except OSError:
        return ""


def _front_matter(text: str) -> str:
    """The licence that the front matter of a README names; empty where there is none."""
    import yaml

    before, _, rest = text.partition("---")
    front, closed, _ = rest.partition("\n---")
    if before.strip("\ufeff \r\n") or not closed:
        return ""
    try:
        told = yaml.safe_load(front)
    except (yaml.YAMLError, RecursionError):
        return ""
    named = told.get("license") if isinstance(told, Mapping) else None
    each = named if isinstance(named, list) else [named]
    return _first_line(", ".join(own for own in each if isinstance(own, str)))


def _first_line(text: str) -> str:
    lines = (" ".join(line.strip("\ufeff#*= \t").split()) for line in text.splitlines())
    found = "".join(sign for sign in next(filter(None, lines), "") if sign.isprintable() and sign not in '"`')
    return found if len(found) <= LONGEST else found[: LONGEST - 1] + "…"


def _headed(model: object) -> str | None:
    from tunesmith.networks.header import read_header

    file = str(model).rpartition("@")[2]
    if not file.endswith(".safetensors"):
        return None
    try:
        told = read_header(Path(file).expanduser()).metadata
    except (TunesmithError, OSError):
        return None
    return told.get("licence") or told.get("license")


def _timm(name: str) -> str | None:
    from importlib.util import find_spec

    if not find_spec("timm"):
        return None
    import timm

    config = timm.get_pretrained_cfg(name)
    return getattr(config, "license", None) or None
