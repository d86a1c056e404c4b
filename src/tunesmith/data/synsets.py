"""Readable names for ImageNet's synset folders: n01440764 is a tench."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from tunesmith.data.items import text_in
from tunesmith.errors import BadData

_SYNSET = re.compile(r"n\d{8}")


def are_synsets(names: Iterable[str]) -> bool:
    """Whether every name is a synset's number.

    >>> are_synsets(["n01440764", "n01443537"]), are_synsets(["cat"]), are_synsets([])
    (True, False, False)
    """
    names = list(names)
    return bool(names) and all(_SYNSET.fullmatch(name) for name in names)


def synset_names(folder: Path) -> tuple[dict[str, str], str]:
    """Synset to label, as "tench (n01440764)", and the file that says so ("" when there is none).

    The number stays in the label: two cranes are in ImageNet. The file lies in the folder or in
    the one above; else timm's own is read, without importing timm.
    """
    for place in (folder, folder.parent):
        for name in ("LOC_synset_mapping.txt", "words.txt", "imagenet_class_index.json"):
            if (place / name).is_file():
                return _labels(place / name), name
    spec = find_spec("timm")
    for place in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
        path = place / "data" / "_info" / "imagenet_synset_to_lemma.txt"
        if path.is_file():
            return _labels(path), "timm"
    return {}, ""


def _labels(path: Path) -> dict[str, str]:
    text = text_in(path, path.name)
    if path.suffix == ".json":  # {"0": ["n01440764", "tench"], ...}
        try:
            pairs = [(entry[0], entry[1].replace("_", " ")) for entry in json.loads(text).values()]
        except (ValueError, RecursionError, AttributeError, TypeError, LookupError) as error:
            raise BadData(
                f"{path.name} beside the class folders does not name synsets as ImageNet's does ({error}); "
                "mend or remove it."
            ) from error
    else:
        pairs = [(line[:9], line[9:]) for line in text.splitlines() if _SYNSET.match(line)]
    return {synset: f"{lemmas.split(',')[0].strip()} ({synset})" for synset, lemmas in pairs}
