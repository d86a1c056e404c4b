"""A run's folder: made whole, never overwritten, and the same again when resumed."""

from __future__ import annotations

import errno
import io
import itertools
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.data.data import SPLITS, Data
from tunesmith.errors import BadOption, BadRun, DiskFailed
from tunesmith.exports.licences import data_licence
from tunesmith.files import clear_leftovers, whole_folder
from tunesmith.networks.network import Network
from tunesmith.networks.weights import shortened
from tunesmith.plan import Plan, table
from tunesmith.runs import Run, point_latest
from tunesmith.seals import read_sealed, seal
from tunesmith.training.examples import Examples
from tunesmith.verbs.environment import described
from tunesmith.verbs.options import IN_MEMORY

EXAMPLES = "examples.parquet"


def check_place(folder: Path) -> None:
    """Raise BadOption if something is where a run should be written, or if nothing can be."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadOption(
            f"{folder} exists and is not empty; runs are never overwritten. Choose another --out."
        )
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        why = "cannot be written to" if there.is_dir() else "is a file"
        raise BadOption(f"no run can be written at {folder}: {there} {why}. Choose another --out.")


def make_folder(
    asked: Mapping[str, Any],
    data: Data,
    examples: Mapping[str, Examples],
    network: Network,
    plan: Plan,
    also: Mapping[str, str],
) -> Path:
    """The run's folder with what is known before training; appears whole. also: further files by name."""
    if asked["out"]:
        folder = Path(asked["out"]).expanduser()
        check_place(folder)
        if folder.exists():
            folder.rmdir()
        _fill_folder(folder, asked, data, examples, network, plan, also)
    else:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in itertools.count(1):
            folder = Path("runs") / "-".join([data.name, stamp, *[str(number)] * (number > 1)])
            if folder.exists():
                continue
            check_place(folder)
            try:
                _fill_folder(folder, asked, data, examples, network, plan, also)
                break
            except DiskFailed as error:  # another run began in the same second and has the name now
                if getattr(error.__cause__, "errno", None) not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
    if folder.parent.name == "runs":
        point_latest(folder)
    return folder


def _fill_folder(
    folder: Path,
    asked: Mapping[str, Any],
    data: Data,
    examples: Mapping[str, Examples],
    network: Network,
    plan: Plan,
    also: Mapping[str, str],
) -> None:
    import yaml

    with whole_folder(folder) as temporary:
        written = {k: _plain(k, v) for k, v in asked.items() if k not in ("out", "dry_run")}
        (temporary / "asked.yaml").write_text(
            yaml.safe_dump(written, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        manifest = {
            "form": 1,
            "data": data.fingerprint,
            "data_licence": data_licence(asked["data"]),
            "network": network.origin,
            "seed": asked["seed"],
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            **described(),
        }
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        (temporary / "plan.json").write_text(plan.to_json(), encoding="utf-8")
        names = [part.name for part in network.parts]
        (temporary / "plan.txt").write_text(
            "\n".join([*data.understood, network.origin, *network.loaded, table(plan, names), *plan.notes])
            + "\n",
            encoding="utf-8",
        )
        (temporary / EXAMPLES).write_bytes(_written(data, examples))
        for name, text in also.items():
            (temporary / name).write_text(text, encoding="utf-8")
        seal(temporary)


def refuse_other_data(folder: Path, data: Data, examples: Mapping[str, Examples]) -> None:
    """Raise BadRun, naming what differs, unless the data are those that a run was begun with."""
    then, now = _rows(read_sealed(folder, EXAMPLES)), _rows(_written(data, examples))
    kinds = {
        "gone": [i for i in then if i not in now],
        "new": [i for i in now if i not in then],
        "changed": [i for i in then if i in now and then[i][0] != now[i][0]],
        "under another label": [i for i in then if i in now and then[i][1] != now[i][1]],
    }
    if not any(kinds.values()):
        kinds["in another split"] = [i for i in then if then[i][2] != now[i][2]]
    said = [f"{shortened(tuple(names))} {kind}" for kind, names in kinds.items() if names]
    if not said and Run(folder).manifest["data"] != data.fingerprint:
        said = ["groups, weights or what was left out differ"]
    if said:
        raise BadRun(
            f"the data are not those that {folder} was begun with ({'; '.join(said)}), so the rest would not "
            f"be the same run; put them back, or begin a new run."
        )


def refuse_other_weights(folder: Path, network: Network) -> None:
    """Raise BadRun unless the weights are those that a run was begun with."""
    manifest = Run(folder).manifest
    if manifest["network"] != network.origin:
        raise BadRun(
            f"{folder} was begun with {manifest['network']}, and the weights are now {network.origin}; "
            f"put them back, or begin a new run."
        )


def kept_content(folder: Path) -> dict[str, bytes] | None:
    """The content address of every example that a run kept, by id; None of a run that kept no list.

    Raises BadRun where the list was changed.
    """
    if not (folder / EXAMPLES).is_file():
        return None
    return {name: content for name, (content, _, _) in _rows(read_sealed(folder, EXAMPLES)).items()}


def kept_labels(folder: Path) -> dict[str, tuple[str, ...]] | None:
    """The labels of the examples that a run kept, by split; None of a run that kept no list.

    Raises BadRun where the list was changed.
    """
    if not (folder / EXAMPLES).is_file():
        return None
    rows = _rows(read_sealed(folder, EXAMPLES)).values()
    return {split: tuple(label for _, label, own in rows if own == split) for split in SPLITS}


def tidy(folder: Path) -> None:
    """Remove what a finished run needs no more: its checkpoints, and what a kill left half-written."""
    clear_leftovers(folder)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)


def _written(data: Data, examples: Mapping[str, Examples]) -> bytes:
    """Every example's id, split, label and content address, as a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {"id": [], "split": [], "label": [], "content": []}
    for split, dataset in data.splits.items():
        columns["id"] += dataset["id"][:]
        columns["label"] += dataset["label"][:]
        columns["split"] += [split] * len(dataset)
        columns["content"] += examples[split].contents
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _rows(parquet: bytes) -> dict[str, tuple[bytes, str, str]]:
    """Content, label and split by id."""
    import pyarrow.parquet as pq

    columns = pq.read_table(io.BytesIO(parquet)).to_pydict()
    rows = zip(columns["content"], columns["label"], columns["split"], strict=True)
    return dict(zip(columns["id"], rows, strict=True))


def _plain(key: str, value: Any) -> Any:
    """A value as a configuration file can hold it; what lives in memory only is named as such.

    Paths of data and runs become absolute, so that the run can be resumed from anywhere; a plan is
    the one that lies in the run's folder.
    """
    if key == "plan" and value is not None:
        return "plan.json"
    if key in ("data", "model") and isinstance(value, str | Path):
        path = Path(value).expanduser()
        there = path.exists() if key == "data" else (path / "manifest.json").is_file()
        return str(path.resolve()) if there else str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(v, str | int) for v in value):
        return list(value)
    return f"{IN_MEMORY}{type(value).__name__}>"
