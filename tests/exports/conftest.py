from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.errors import BadExport
from tunesmith.seals import seal
from tunesmith.verbs.reporting import Silent

Export = Callable[..., Path]


@pytest.fixture(scope="session")
def text_run(
    reviews: Path, tiny_text: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run on `reviews`, its tokens read by their mean."""
    out = tmp_path_factory.mktemp("runs") / "reviews"
    model = f"hf/{tiny_text('bert')}?pooling=mean"
    options: dict[str, Any] = {"epochs": 2, "batch": 8, "lr": 0.01, "keep": "trained", "baselines": "none"}
    ts.fit(reviews, model=model, device="cpu", out=out, reporter=Silent(), **options)
    return out


@pytest.fixture(scope="session")
def number_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run that gives a number for a picture: how bright it is, about 1,000."""
    import numpy as np
    from PIL import Image

    place = tmp_path_factory.mktemp("numbers")
    paths = sorted(photos.rglob("*.png"))
    lines = [f"{p},{1000 + np.asarray(Image.open(p)).mean():.2f}" for p in paths]
    (place / "bright.csv").write_text("\n".join(["path,brightness", *lines]) + "\n")
    options: dict[str, Any] = {"epochs": 1, "batch": 8, "keep": "trained", "baselines": "none"}
    ts.fit(
        place / "bright.csv", target="brightness", model="timm/test_resnet@none", image_size=32,
        device="cpu", out=place / "run", reporter=Silent(), **options,
    )  # fmt: skip
    return place / "run"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The folder of an export, made once for the same run and options; copy it to change it."""
    made: dict[str, Path] = {}

    def export(run: Path, **options: Any) -> Path:
        key = json.dumps([str(run), options])
        if key not in made:
            made[key] = ts.export(
                run, **options, out=tmp_path_factory.mktemp("exports") / "it", reporter=Silent()
            )
        return made[key]

    return export


@pytest.fixture
def tampered() -> Callable[[Path], None]:
    """Assert that a flipped bit in any sealed file and a swapped label are refused; spoils the folder."""

    def check(folder: Path) -> None:
        files = [folder / line[66:] for line in (folder / "files.sha256").read_text().splitlines()]
        assert {"export.json", "golden.safetensors"} < {path.name for path in files}
        for path in files:
            whole = path.read_bytes()
            path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:])
            with pytest.raises(BadExport, match=f"{re.escape(path.name)} was cut short or changed"):
                ts.verify(folder)
            path.write_bytes(whole)
        about = json.loads((folder / "export.json").read_text())
        about["labels"]["names"] = about["labels"]["names"][::-1]
        (folder / "export.json").write_text(json.dumps(about))
        with pytest.raises(BadExport, match=r"export\.json was cut short or changed"):
            ts.verify(folder)
        seal(folder)  # by someone who knows how the list is made
        with pytest.raises(BadExport, match=r"has the labels .* and export\.json says"):
            ts.verify(folder)

    return check
