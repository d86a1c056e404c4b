"""A network of Keras, written as a `.keras` file: plain Keras opens it and answers the same."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.errors import BadOption
from tunesmith.networks.network import Want
from tunesmith.sources import load
from tunesmith.sources.keras_writing import labels_in, write_keras

LABELS = ("glass", "paper", "Metall ü")


def want(head: str = "linear", dropout: float = 0.0, size: int | None = None) -> Want:
    return Want("image-classification", 3, LABELS, head=head, dropout=dropout, image_size=size)


@pytest.mark.parametrize(
    ("model", "head", "dropout"),
    [
        ("", "linear", 0.0),
        ("", "linear", 0.3),
        ("", "mlp", 0.1),
        ("", "conv", 0.1),
        ("", "pretrained", 0.0),
        ("keras/ResNet50@none", "linear", 0.0),
    ],
)
def test_plain_keras_answers_the_same(
    model: str, head: str, dropout: float, keras: Any, tiny_file: Path, tmp_path: Path
) -> None:
    network = load(model or str(tiny_file), want(head, dropout, 32 if model else None))
    side, path = network.preprocess.spec()["size"], tmp_path / "out.keras"
    with torch.no_grad():
        for name, tensor in network.module.state_dict().items():
            if tensor.is_floating_point() and ("head" in name or not model):
                tensor += 0.1 * torch.rand(tensor.shape)
    network.module.eval()
    pixels = torch.randint(0, 256, (5, 3, side, side), dtype=torch.uint8)
    with torch.no_grad():
        expected = network(pixels).softmax(1)
    write_keras(network, LABELS, path)
    opened = keras.saving.load_model(path, compile=False)
    found = torch.as_tensor(opened.predict(pixels.permute(0, 2, 3, 1).numpy(), verbose=0))
    assert torch.allclose(found, expected, atol=1e-4)
    turned = torch.as_tensor(opened.predict(pixels.flip(1).permute(0, 2, 3, 1).numpy(), verbose=0))
    assert not torch.allclose(turned, expected, atol=1e-4), "blue first must not answer the same"
    assert labels_in(path) == LABELS


def test_a_written_file_is_a_model_again(tiny_file: Path, tmp_path: Path) -> None:
    network = load(str(tiny_file), want())
    network.module.eval()
    write_keras(network, LABELS, tmp_path / "out.keras")
    again = load(str(tmp_path / "out.keras"), want("pretrained"))
    again.module.eval()
    pixels = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.allclose(again(pixels), network(pixels), atol=1e-5)
    with zipfile.ZipFile(tmp_path / "out.keras") as archive:
        assert "Lambda" not in archive.read("config.json").decode()
        assert json.loads(archive.read("metadata.json"))["keras_version"].startswith("3.")


def test_a_network_of_another_source_is_refused(tmp_path: Path) -> None:
    network = load("torchvision/squeezenet1_1@none", want(size=64))
    with pytest.raises(BadOption, match=r"no network of Keras; a \.keras file holds those alone"):
        write_keras(network, LABELS, tmp_path / "out.keras")


@pytest.mark.parametrize("name", ["logits", "pixels"])
def test_a_model_may_be_called_as_a_layer_that_is_added(name: str, keras: Any, tmp_path: Path) -> None:
    given = keras.Input((16, 16, 3))
    keras.Model(given, keras.layers.Conv2D(4, 3)(given), name=name).save(tmp_path / "own.keras")
    network = load(str(tmp_path / "own.keras"), want())
    write_keras(network, LABELS, tmp_path / "out.keras")
    opened = keras.saving.load_model(tmp_path / "out.keras", compile=False)
    pixels = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        network.module.eval()
        expected = network(pixels).softmax(1)
    found = torch.as_tensor(opened.predict(pixels.permute(0, 2, 3, 1).numpy(), verbose=0))
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found.flip(0), expected, atol=1e-4), "or the test is blind"
