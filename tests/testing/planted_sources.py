"""Sources with one fault each, and the checks of the contract that name it."""

from __future__ import annotations

import runpy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tunesmith.errors import BadOption, BadWeights, UnknownName
from tunesmith.files import file_digest
from tunesmith.networks.assemble import assemble
from tunesmith.networks.network import Network, Stage, Want
from tunesmith.networks.preprocess import ImagePreprocess, restore
from tunesmith.networks.weights import load_weights, read_weights
from tunesmith.sources import SOURCES, Model, Name
from tunesmith.testing import SourceContract


class Small(nn.Module):
    """Three convolutions, the mean over positions, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 6, 3, stride=2)
        self.two = nn.Conv2d(6, 6, 3, padding=1)
        self.three = nn.Conv2d(6, 8, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.three(torch.relu(self.two(torch.relu(self.one(images))))))
        logits: Tensor = self.fc(self.drop(maps.mean((2, 3))))
        return logits


class Whole:
    """No fault: the control. One network, from a file of weights."""

    caught_by: tuple[str, ...] = ()

    def find(self, pattern: str, kind: str) -> list[Model]:
        name = "planted/small"
        fits = pattern in name and kind in ("", "image-classification")
        return [Model(name, "image-classification", None, 0.001, None, True)] if fits else []

    def load(self, name: Name, want: Want) -> Network:
        if name.model != "small":
            raise UnknownName(f"no model named {name.model!r}.")
        self.check(want)
        path = Path(str(name.weights))
        torch.manual_seed(0)
        module = self.built()
        missing = self.filled(module, path, want)
        return self.finished(self.assembled(module, want, f"{name}@{file_digest(path)[:12]}", missing))

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        module = self.built()
        preprocess = restore(recipe["preprocess"], folder)
        return self.assembled(module, want, recipe["origin"], (), preprocess, parts)

    def check(self, want: Want) -> None:
        if want.kind != "image-classification":
            raise BadOption(f"small takes images, and the task is {want.kind}.")

    def built(self) -> nn.Module:
        return Small()

    def filled(self, module: nn.Module, path: Path, want: Want) -> tuple[str, ...]:
        options: dict[str, Any] = {"network": "small", "allow_missing": want.allow_missing}
        return load_weights(module, read_weights(path), where=str(path), **options).missing

    def assembled(
        self,
        module: nn.Module,
        want: Want,
        origin: str,
        missing: tuple[str, ...] = (),
        preprocess: Any = None,
        parts: Sequence[Stage] | None = None,
    ) -> Network:
        return assemble(
            module,
            want,
            head=["fc"],
            preprocess=preprocess or ImagePreprocess(16, 16),
            example=torch.zeros(1, 3, 16, 16),
            origin=origin,
            recipe={"source": "planted"},
            missing=missing,
            parts=parts,
        )

    def finished(self, network: Network) -> Network:
        return network


class StagesShareAWeight(Whole):
    caught_by = ("test_every_weight_has_one_owner",)

    def finished(self, network: Network) -> Network:
        first, *others = network.stages
        both = replace(first, weights=(*first.weights, others[0].weights[0]))
        return replace(network, stages=(both, *others))


class StagesShareATensor(Whole):
    """Two convolutions are one tensor under two names."""

    caught_by = ("test_no_two_parts_share_a_tensor",)

    def finished(self, network: Network) -> Network:
        module: Any = network.module
        module.two.bias.data = module.one.bias.data
        return network


class NobodyOwnsTheHeadsBias(Whole):
    caught_by = ("test_every_weight_has_one_owner",)

    def finished(self, network: Network) -> Network:
        return replace(network, head=replace(network.head, weights=network.head.weights[:1]))


class TheHeadIsNotLast(Whole):
    caught_by = ("test_the_parts_run_in_their_order_and_the_head_last",)

    def finished(self, network: Network) -> Network:
        *stages, last = network.stages
        return replace(network, stages=(*stages, network.head), head=last)


class LoadsWhatFits(Whole):
    """`strict=False`, and no look at what it says."""

    caught_by = (
        "test_weights_of_another_shape_are_refused",
        "test_weights_that_are_left_over_are_refused_or_named",
        "test_weights_that_lack_a_tensor_are_refused",
        "test_what_may_be_missing_is_named",
    )

    def filled(self, module: nn.Module, path: Path, want: Want) -> tuple[str, ...]:
        own = module.state_dict()
        fitting = {n: t for n, t in read_weights(path).items() if n in own and t.shape == own[n].shape}
        module.load_state_dict(fitting, strict=False)
        return ()


class UnpicklesWhatItFinds(Whole):
    caught_by = ("test_code_in_a_pickle_is_never_run",)

    def filled(self, module: nn.Module, path: Path, want: Want) -> tuple[str, ...]:
        if path.suffix == ".bin":
            try:
                torch.load(path, weights_only=False)
            except Exception as error:
                raise BadWeights(str(error)) from error
        return super().filled(module, path, want)


class RunsRemoteCode(Whole):
    caught_by = ("test_code_beside_the_weights_is_never_run",)

    def filled(self, module: nn.Module, path: Path, want: Want) -> tuple[str, ...]:
        beside = path.parent / "modeling.py"
        if beside.is_file():
            runpy.run_path(str(beside))
        return super().filled(module, path, want)


class StartsRandom(Whole):
    """A network that never was filled: what is loaded twice is not the same."""

    caught_by = ("test_the_same_weights_load_the_same_network",)

    def filled(self, module: nn.Module, path: Path, want: Want) -> tuple[str, ...]:
        missing = super().filled(module, path, want)
        torch.seed()
        for weight in module.parameters():
            nn.init.normal_(weight)
        return missing


class IsLeftInTraining(Whole):
    caught_by = ("test_it_is_loaded_to_predict",)

    def finished(self, network: Network) -> Network:
        network.module.train()
        return network


class ServesEveryTask(Whole):
    caught_by = ("test_a_task_that_the_model_does_not_serve_is_refused",)

    def check(self, want: Want) -> None:
        pass


class KeepsItsOwnHead(Whole):
    caught_by = ("test_the_head_gives_what_is_wanted",)

    def finished(self, network: Network) -> Network:
        module: Any = network.module
        if module.fc.__class__ is nn.Linear and module.fc.out_features != 3:
            module.fc = nn.Linear(8, 3)
        return network


class OriginIsTheName(Whole):
    caught_by = ("test_other_weights_have_another_origin",)

    def finished(self, network: Network) -> Network:
        return replace(network, origin="planted/small")


class FindsEverything(Whole):
    caught_by = ("test_what_it_finds_matches_the_pattern",)

    def find(self, pattern: str, kind: str) -> list[Model]:
        return super().find("", "")


class RebuildsAnotherNetwork(Whole):
    caught_by = ("test_a_saved_network_comes_back_from_its_folder",)

    def rebuild(self, recipe: Mapping[str, Any], folder: Path, want: Want, parts: Sequence[Stage]) -> Network:
        return super().rebuild(
            {**recipe, "preprocess": {**recipe["preprocess"], "mean": [0, 0, 0]}}, folder, want, parts
        )


PLANTED = [
    plant for plant in vars().copy().values() if isinstance(plant, type) and "caught_by" in vars(plant)
]


class PlantedContract(SourceContract):
    plant: Any

    @pytest.fixture(autouse=True)
    def registered(self) -> Iterator[None]:
        SOURCES.register("planted", self.plant)
        yield
        del SOURCES.added["planted"]

    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        torch.manual_seed(1)
        path = tmp_path / "small.safetensors"
        save_file(Small().state_dict(), path)
        return path

    @pytest.fixture
    def model(self, weights: Path) -> str:
        return f"planted/small@{weights}"


for planted in PLANTED:
    name = f"Test{planted.__name__}"
    vars()[name] = type(name, (PlantedContract,), {"plant": planted, "__module__": __name__})
