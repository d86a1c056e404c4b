"""A network of Keras becomes a file that Keras opens, pixels in and probabilities out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith as ts
from tunesmith.verbs.reporting import Silent


def test_a_keras_network_is_proven_by_keras(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tampered: Callable[[Path], None],
    ask: Callable[..., dict[str, Any]],
) -> None:
    if find_spec("keras") is None:
        pytest.skip("needs the package keras")
    from tunesmith.sources.keras_backend import keras_on_torch

    keras = keras_on_torch()
    layers = keras.layers
    given = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(given)
    for _ in range(2):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3)(x)))
    x = layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    keras.Model(given, x).save(tmp_path / "mine.keras")
    options: dict[str, Any] = {"epochs": 1, "batch": 8, "keep": "trained", "baselines": "none"}
    run = ts.fit(
        photos, model=str(tmp_path / "mine.keras"), device="cpu", out=tmp_path / "run", reporter=Silent(),
        **options,
    )  # fmt: skip
    assert run is not None
    folder = ts.export(run, to="keras", reporter=Silent())
    proof = json.loads((folder / "export.json").read_text())["proof"]
    assert proof["largest"] <= 1e-3
    assert proof["equal"] == 1.0
    assert proof["runtime"].startswith("keras 3")
    assert folder.name == "keras"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "library_name: keras\n" in card
    assert f"keras {keras.__version__}" in card
    opened = keras.saving.load_model(folder / "model.keras")
    answers = opened.predict(np.zeros((2, 32, 32, 3)), verbose=0)
    assert answers.sum(1) == pytest.approx([1.0, 1.0], abs=1e-5)
    tampered(Path(shutil.copytree(folder, tmp_path / "tampered")))
    (code,) = re.findall(r"In this folder:\n\n```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    (folder / "picture.jpg").write_bytes((photos / "red" / "00.png").read_bytes())
    monkeypatch.chdir(folder)
    exec(compile(code, "README.md", "exec"), {})
    (answer,) = run.predict([str(folder / "picture.jpg")])
    assert answer["label"] in capsys.readouterr().out
    sizes = sorted((path.stat().st_size, path.name) for path in folder.iterdir())
    assert sizes[-1][1] == "model.keras"
    largest = (sizes[-1][0] + sizes[-2][0]) // 2
    argv = ["export", str(run.folder), "--to", "keras", "--out", str(tmp_path / "out" / "it")]
    beside = {"argv": argv, "err": str(tmp_path / "said"), "largest": largest}
    assert ask("", beside=beside)["code"] == 2
    said = (tmp_path / "said").read_text().splitlines()[-1]
    assert re.search("error: .*(File too large|look whether that disk is full)", said)
    assert not (tmp_path / "out").exists()
