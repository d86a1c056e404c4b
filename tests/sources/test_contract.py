"""Every source keeps the public contract."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tunesmith.testing import SourceContract


class TestTorchvision(SourceContract):
    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        models = pytest.importorskip("torchvision.models")
        torch.manual_seed(0)
        path = tmp_path / "shufflenet.safetensors"
        save_file(models.shufflenet_v2_x0_5(num_classes=4).state_dict(), path, {"num_classes": "4"})
        return path

    @pytest.fixture
    def model(self, weights: Path) -> str:
        return f"torchvision/shufflenet_v2_x0_5@{weights}"


class TestTimm(SourceContract):
    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        timm = pytest.importorskip("timm")
        torch.manual_seed(0)
        path = tmp_path / "tiny.safetensors"
        module = timm.create_model("test_resnet", num_classes=4)
        save_file(module.state_dict(), path, {"num_classes": "4", "input_size": "32"})
        return path

    @pytest.fixture
    def model(self, weights: Path) -> str:
        return f"timm/test_resnet@{weights}"


class TestTransformers(SourceContract):
    kind = "text-classification"

    @pytest.fixture
    def weights(self, tmp_path: Path, tiny_text: Callable[[str], Path]) -> Path:
        pytest.importorskip("transformers")
        shutil.copytree(tiny_text("bert"), tmp_path / "bert")
        return tmp_path / "bert" / "model.safetensors"

    @pytest.fixture
    def model(self, weights: Path) -> str:
        return f"hf/{weights.parent}?pooling=mean"


class TestTransformersOwnClass(TestTransformers):
    @pytest.fixture
    def model(self, weights: Path) -> str:
        return f"hf/{weights.parent}"


class TestTransformersImages(SourceContract):
    @pytest.fixture
    def weights(self, tmp_path: Path, tiny_image: Callable[[str], Path]) -> Path:
        shutil.copytree(tiny_image("vit"), tmp_path / "vit")
        return tmp_path / "vit" / "model.safetensors"

    @pytest.fixture
    def model(self, weights: Path) -> str:
        return f"hf/{weights.parent}"
