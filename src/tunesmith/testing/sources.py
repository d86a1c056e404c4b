"""The contract of a source of networks: what is loaded is whole, cut into parts, safe, and comes again."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tunesmith.errors import BadOption, BadWeights, TunesmithError
from tunesmith.networks.cuts import find_cut
from tunesmith.networks.network import Network, Want
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.networks.weights import fill
from tunesmith.sources import SOURCES, Source, load, parse
from tunesmith.testing.stand_ins import picture

BESIDE = ("modeling.py", "configuration.py", "hubconf.py", "model.py", "__init__.py", "conftest.py")


class SourceContract:
    """A member gives `model` and `weights`: a name that loads these weights, and where they lie.

    kind: of task that the model serves.
    """

    kind = "image-classification"

    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        """A safetensors file below `tmp_path`, whole; the contract damages it."""
        raise NotImplementedError("give the contract a fixture `weights`: the path of a safetensors file")

    @pytest.fixture
    def model(self, weights: Path) -> str:
        """The name that loads these weights: "zoo/small@/tmp/weights.safetensors"."""
        raise NotImplementedError("give the contract a fixture `model`: a model's name")

    @pytest.fixture
    def want(self) -> Want:
        """What a task of three classes asks for."""
        return Want(self.kind, 3, ("a", "b", "c"))

    @pytest.fixture
    def source(self, model: str) -> Source:
        """The member, as the registry has it: by an entry point, or SOURCES.register."""
        made: Source = SOURCES.load(parse(model).source)()
        return made

    @pytest.fixture
    def network(self, model: str, want: Want) -> Network:
        """What is loaded."""
        return load(model, want)

    def test_what_it_finds_matches_the_pattern(self, source: Source, model: str) -> None:
        name = parse(model).source
        assert all(found.name.startswith(f"{name}/") for found in source.find(f"{name}/", ""))
        assert source.find("no model is called like this", "") == []

    def test_a_model_that_is_not_there_is_refused(self, model: str, want: Want) -> None:
        with pytest.raises(TunesmithError):
            load(f"{parse(model).source}/no-such-model", want)

    def test_a_task_that_the_model_does_not_serve_is_refused(self, model: str) -> None:
        with pytest.raises(TunesmithError):
            load(model, Want("no-such-task", 3))

    def test_the_head_gives_what_is_wanted(self, model: str, network: Network, want: Want) -> None:
        """A head that the network cannot have is refused."""
        assert answers(network).shape == (3, 3)
        assert answers(load(model, Want(want.kind, 5, tuple("abcde")))).shape == (3, 5)
        with suppress(BadOption):
            mlp = load(model, Want(want.kind, 5, tuple("abcde"), head="mlp"))
            assert answers(mlp).shape == (3, 5)

    def test_it_is_loaded_to_predict(self, network: Network) -> None:
        """In eval mode: the loop sets what trains."""
        assert not any(module.training for module in network.module.modules())
        assert torch.equal(answers(network), answers(network))

    def test_every_weight_has_one_owner(self, network: Network) -> None:
        """Or a stage that is frozen is moved by another."""
        owned = Counter(name for part in network.parts for name in part.weights)
        named = dict(network.module.named_parameters()) | dict(network.module.named_buffers())
        assert [name for name, count in owned.items() if count > 1] == []
        assert owned.keys() == named.keys()

    def test_no_two_parts_share_a_tensor(self, network: Network) -> None:
        """One tensor under two names; what the head shares with a stage stands in `ties`."""
        owners: dict[int, dict[str, int]] = {}
        for part in range(len(network.parts)):
            for name, tensor in network.tensors(part).items():
                if tensor.numel():
                    owners.setdefault(tensor.data_ptr(), {})[name] = part
        assert [names for names in owners.values() if len(set(names.values())) > 1] == []

    def test_the_parts_run_in_their_order_and_the_head_last(self, network: Network) -> None:
        """Or what lies below the head cannot be stored and the rest gone on from."""
        order = called(network)
        assert order == sorted(order)
        assert order[-1] == len(network.stages)
        assert len(network.stages) >= 1

    def test_it_goes_on_from_what_lies_below_the_head(self, network: Network) -> None:
        """What the frozen stages put out is stored once: a cut that was found has been tried, bit for bit."""
        network.module.eval()
        items = items_of(network)
        first, second = network.preprocess.raw(items), network.preprocess.raw(items[:2])
        assert find_cut(network, len(network.stages), first, second).at == len(network.stages)

    def test_the_same_weights_load_the_same_network(self, model: str, network: Network, want: Want) -> None:
        again = load(model, want)
        assert again.parts == network.parts
        for part in range(len(network.stages)):
            mine, theirs = network.tensors(part), again.tensors(part)
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)
        assert again.origin == network.origin

    def test_other_weights_have_another_origin(
        self, model: str, network: Network, weights: Path, want: Want
    ) -> None:
        """The origin names what is loaded, in a run's manifest and in its report."""
        rewrite(weights, lambda tensors: tensors | {largest(tensors): tensors[largest(tensors)] + 1})
        assert load(model, want).origin != network.origin

    def test_weights_that_lack_a_tensor_are_refused(self, model: str, weights: Path, want: Want) -> None:
        rewrite(weights, lambda tensors: {n: t for n, t in tensors.items() if n != largest(tensors)})
        with pytest.raises(BadWeights):
            load(model, want)

    def test_what_may_be_missing_is_named(self, model: str, weights: Path, want: Want) -> None:
        lost = largest(load_file(weights))
        rewrite(weights, lambda tensors: {n: t for n, t in tensors.items() if n != lost})
        network = load(model, Want(want.kind, 3, want.labels, allow_missing=True))
        assert len(network.missing) == 1
        assert network.missing[0].endswith(lost.rpartition(".")[2])

    def test_weights_of_another_shape_are_refused(self, model: str, weights: Path, want: Want) -> None:
        rewrite(weights, lambda tensors: tensors | {largest(tensors): tensors[largest(tensors)][:-1]})
        with pytest.raises(BadWeights):
            load(model, want)

    def test_weights_that_are_left_over_are_refused_or_named(
        self, model: str, weights: Path, want: Want
    ) -> None:
        """A hub's weights may hold the head of their pretraining; nobody may take it for a match unsaid."""
        rewrite(weights, lambda tensors: tensors | {"of.another.network": torch.ones(3)})
        try:
            said = " ".join(load(model, want).loaded)
        except BadWeights as refusal:
            said = str(refusal)
        assert "of.another.network" in said

    def test_weights_cut_short_are_refused(self, model: str, weights: Path, want: Want) -> None:
        weights.write_bytes(weights.read_bytes()[:-64])
        with pytest.raises(BadWeights):
            load(model, want)

    def test_code_in_a_pickle_is_never_run(
        self, model: str, weights: Path, want: Want, tmp_path: Path
    ) -> None:
        """Not even where a file has the ending of PyTorch's own."""
        canary = tmp_path / "canary"
        for path in (weights, weights.with_suffix(".bin")):
            named = model.replace(str(weights), str(path))
            torch.save({"weight": Canary(canary)}, path)
            with pytest.raises(TunesmithError):
                load(named, want)
            path.write_bytes(pickle.dumps(Canary(canary)))
            with pytest.raises(TunesmithError):
                load(named, want)
        assert not canary.exists()

    def test_code_beside_the_weights_is_never_run(
        self, model: str, weights: Path, want: Want, tmp_path: Path
    ) -> None:
        canary = tmp_path / "canary"
        for name in BESIDE:
            (weights.parent / name).write_text(f"import pathlib; pathlib.Path({str(canary)!r}).touch()\n")
        load(model, want)
        assert not canary.exists()

    def test_a_saved_network_comes_back_from_its_folder(
        self, source: Source, network: Network, weights: Path, want: Want, tmp_path: Path
    ) -> None:
        """The weights that it was loaded from may be gone; those that it was saved with are there."""
        expected = answers(network)
        folder = tmp_path / "saved"
        folder.mkdir()
        network.preprocess.save(folder)
        assert network.recipe is not None
        recipe = json.loads(json.dumps({**network.recipe, "origin": network.origin}))
        spec = json.loads(json.dumps(network.preprocess.spec()))
        state = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
        weights.unlink()
        again = source.rebuild({**recipe, "preprocess": spec}, folder, want, network.parts)
        assert [asdict(part) for part in again.parts] == [asdict(part) for part in network.parts]
        fill(again.module, state)
        again.module.eval()
        assert torch.equal(answers(again), expected)


class Canary:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def items_of(network: Network) -> list[Any]:
    """Three items as the network takes them, of different lengths if they are texts."""
    if network.preprocess.takes == "image":
        size = network.preprocess.size if isinstance(network.preprocess, ImagePreprocess) else 32
        return [picture(number, size) for number in range(3)]
    return ["a text", "another text", "a third one that is somewhat longer than the others are"]


def answers(network: Network) -> Tensor:
    """What it puts out for three items in eval mode, float [3, K]."""
    network.module.eval()
    with torch.no_grad():
        return network(network.preprocess.raw(items_of(network)))


def called(network: Network) -> list[int]:
    """The parts in the order in which their modules first run."""
    order: list[int] = []
    paths = {path: i for i, part in enumerate(network.parts) for path in part.modules}

    def watch(part: int) -> Callable[..., None]:
        def hook(*_: object) -> None:
            if part not in order:
                order.append(part)

        return hook

    hooks = [
        network.module.get_submodule(path).register_forward_pre_hook(watch(part))
        for path, part in paths.items()
    ]
    answers(network)
    for handle in hooks:
        handle.remove()
    return order


def rewrite(path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Other tensors in a safetensors file, under the header that it has."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = change(load_file(path))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=header)


def largest(tensors: dict[str, Tensor]) -> str:
    """The name of the largest tensor that no head holds: one of three dimensions or more, if there is any."""
    return max(tensors, key=lambda name: (tensors[name].ndim > 2, tensors[name].numel()))
