"""A run's folder: made whole, never overwritten, and the same again when resumed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.data.data import Data
from tunesmith.errors import BadOption, BadRun
from tunesmith.files import whole_folder
from tunesmith.networks.network import Network
from tunesmith.plan import Plan, table
from tunesmith.runs import Run, point_latest
from tunesmith.verbs.environment import described
from tunesmith.verbs.options import IN_MEMORY


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


def make_folder(asked: Mapping[str, Any], data: Data, network: Network, plan: Plan) -> Path:
    """The run's folder with what is known before training; appears whole."""
    import yaml

    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(asked["out"]).expanduser() if asked["out"] else Path("runs") / f"{data.name}-{stamp}"
    if asked["out"] is None:
        counted = 2
        while folder.exists():
            folder = folder.with_name(f"{data.name}-{stamp}-{counted}")
            counted += 1
    check_place(folder)
    if folder.exists():
        folder.rmdir()
    with whole_folder(folder) as temporary:
        written = {k: _plain(k, v) for k, v in asked.items() if k not in ("out", "dry_run")}
        (temporary / "asked.yaml").write_text(
            yaml.safe_dump(written, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        manifest = {
            "form": 1,
            "data": data.fingerprint,
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
    if folder.parent.name == "runs":
        point_latest(folder)
    return folder


def refuse_changes(folder: Path, data: Data, network: Network) -> None:
    """Raise BadRun unless data and weights are those that a run was begun with."""
    manifest = Run(folder).manifest
    if manifest["data"] != data.fingerprint:
        raise BadRun(
            f"the data are not those that {folder} was begun with, so the rest would not be the same run; "
            f"put them back, or begin a new run."
        )
    if manifest["network"] != network.origin:
        raise BadRun(
            f"{folder} was begun with {manifest['network']}, and the weights are now {network.origin}; "
            f"put them back, or begin a new run."
        )


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
