"""Every task goes into the formats that can hold it, beside what test_formats.py has of single items."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.verbs.reporting import Silent

PETS = ("dog", "cat", "owl", "bee")
OPTIONS: dict[str, Any] = {"epochs": 1, "batch": 8, "keep": "trained", "baselines": "none", "device": "cpu"}


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Fit, export to some formats, run the code of each card; the proofs by format."""

    def export(data: Path, formats: tuple[str, ...], **options: Any) -> dict[str, Any]:
        run = ts.fit(data, out=tmp_path / "run", reporter=Silent(), **{**OPTIONS, **options})
        assert run is not None
        proofs = {}
        for to in formats:
            folder = ts.export(run, to=to, reporter=Silent())
            proof = json.loads((folder / "export.json").read_text())["proof"]
            # The test split is small, so that the golden examples are all of it.
            scored = run.scores["test"]["metrics"][proof["metric"]]["value"]
            assert (proof["before"], proof["score"]) == pytest.approx((scored, scored), rel=1e-4)
            proofs[to] = proof
            monkeypatch.chdir(folder)
            card = (folder / "README.md").read_text(encoding="utf-8")
            (code,) = re.findall(r"In this folder:\n\n```python\n(.*?)```", card, re.S)
            if "picture.jpg" not in code:
                exec(compile(code, "README.md", "exec"), {})
        if run.model[1].answers == "parts":
            folder = ts.export(run, to="onnx", quantize="int8", reporter=Silent())
            cost = json.loads((folder / "export.json").read_text())["quantized"]
            assert cost["count"] == run.scores["test"]["count"]  # examples, which are joined of their windows
            assert cost["before"] == pytest.approx(scored, rel=1e-4)
        return proofs

    return export


def proven(proofs: dict[str, Any], metric: str) -> None:
    """Assert that every format answers as the run."""
    for to, proof in proofs.items():
        assert proof["largest"] <= 1e-3, to
        assert proof["equal"] == 1.0, to
        assert proof["metric"] == metric, to


def test_answers_to_questions_are_exported(
    riddles: Callable[..., Path], tiny_reader: Path, exported: Callable[..., dict[str, Any]]
) -> None:
    formats = ("torch", "openvino", "transformers")
    proven(exported(riddles(), formats, model=f"hf/{tiny_reader}"), "f1")


def test_tagged_words_are_exported(
    tiny_text: Callable[[str], Path], tmp_path: Path, exported: Callable[..., dict[str, Any]]
) -> None:
    sentences = [
        f"{who} B-PER\nlives O\nin O\n{where} B-LOC\n"
        for who in ("ann", "bob", "eve", "tom")
        for where in ("rome", "oslo", "bern", "riga", "york")
    ]
    (tmp_path / "tags.conll").write_text("\n".join(sentences))
    formats = ("torch", "onnx", "transformers")
    proven(exported(tmp_path / "tags.conll", formats, model=f"hf/{tiny_text('bert')}"), "f1")


def test_pairs_of_texts_are_exported(
    tiny_text: Callable[[str], Path], tmp_path: Path, exported: Callable[..., dict[str, Any]]
) -> None:
    rows = ["sentence1,sentence2,label"]
    for i in range(48):
        first, second = PETS[i % 4], PETS[(i + i // 4 % 2) % 4]
        rows.append(
            f"number {i} is a {first},a {second} is what {i} saw,{'yes' if first == second else 'no'}"
        )
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    formats = ("onnx", "transformers")
    proven(exported(tmp_path / "pairs.csv", formats, model=f"hf/{tiny_text('bert')}"), "accuracy")


def test_numbers_of_texts_are_exported_in_their_unit(
    tiny_text: Callable[[str], Path], tmp_path: Path, exported: Callable[..., dict[str, Any]]
) -> None:
    rows = ["text,weight"] + [f"number {i} is a {PETS[i % 4]},{1000.25 + 7 * i}" for i in range(48)]
    (tmp_path / "pets.csv").write_text("\n".join(rows) + "\n")
    model = f"hf/{tiny_text('bert')}?pooling=mean"
    formats = ("onnx", "transformers")
    proven(exported(tmp_path / "pets.csv", formats, model=model, target="weight"), "rmse")


def test_numbers_of_a_keras_network_are_exported_in_their_unit(
    photos: Path, tmp_path: Path, exported: Callable[..., dict[str, Any]]
) -> None:
    pytest.importorskip("h5py")
    from tunesmith.sources.keras_backend import keras_on_torch

    keras = keras_on_torch()
    given = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(given)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    keras.Model(given, x).save(tmp_path / "mine.keras")
    rows = [f"{path},{1000.25 + 7 * i}" for i, path in enumerate(sorted(photos.rglob("*.png")))]
    (tmp_path / "numbers.csv").write_text("\n".join(["path,number", *rows]) + "\n")
    model = f"{tmp_path / 'mine.keras'}?preprocess=unit"
    proven(exported(tmp_path / "numbers.csv", ("keras", "onnx"), model=model, target="number"), "rmse")
    keras_file = next(tmp_path.rglob("model.keras"))
    answers = keras.saving.load_model(keras_file).predict(30 * keras.ops.ones((1, 32, 32, 3)), verbose=0)
    assert answers.shape == (1, 1)
    assert 500 < float(answers[0, 0]) < 2000  # or the unit was left out
