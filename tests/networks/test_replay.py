"""Replay equals the live network, outputs and gradients, bit for bit, at every cut of many networks."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunesmith.errors import CannotReplay
from tunesmith.networks.activations import Activations
from tunesmith.networks.cuts import find_cut
from tunesmith.networks.network import Network
from tunesmith.networks.prefix import Prefix
from tunesmith.networks.replay import Cut, conducted
from tunesmith.networks.stages import find_stages

torchvision = pytest.importorskip("torchvision")
timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")


def _zoo() -> Any:
    """The networks of test_stages, which lies beside this file."""
    spec = importlib.util.spec_from_file_location(
        "networks_of_stages", Path(__file__).with_name("test_stages.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["networks_of_stages"] = module
    spec.loader.exec_module(module)
    return module


ZOO = _zoo()
TEXTS = {**ZOO.TEXTS, **ZOO.MORE_TEXTS}
# Forty and more: whatever the rules for stages are proven on, and what cannot be cut everywhere is named.
TIMM = (*ZOO.TIMM, "test_vit", "test_resnet", "hrnet_w18_small", "densenet121", "ghostnet_100", "lcnet_050")
ALL = (
    *(f"torchvision/{name}" for name in ZOO.TORCHVISION),
    *(f"timm/{name}" for name in TIMM),
    *(f"transformers/{name}" for name in TEXTS),
)
# Token-first layouts, tables that stages hand on, pooled lengths: these run live before some stages.
PARTLY = {"t5", "squeezebert", "xlnet", "funnel"}
LARGE = {"torchvision/vit_b_16", "torchvision/vgg16", "torchvision/vgg11_bn", "timm/coatnet_nano_rw_224"}


class Raw:
    """Inputs are ready as they come."""

    takes = "image"
    argument = None

    def __init__(self, size: int) -> None:
        self.size = size

    def ready(self, inputs: Any) -> Any:
        return inputs


@dataclass
class Case:
    """A network and two batches of different numbers and lengths."""

    network: Network
    first: Any
    second: Any


def case(name: str) -> Case:
    source, _, rest = name.partition("/")
    torch.manual_seed(0)
    return _text(rest) if source == "transformers" else _image(source, rest)


def _image(source: str, name: str) -> Case:
    size, head = 64, ()
    if source == "torchvision":
        options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        module = torchvision.models.get_model(name, **options)
        size = 224 if "vit" in name else 64
    else:
        module = timm.create_model(name)
        own = int(module.default_cfg["input_size"][-1])
        size = own if module.default_cfg.get("fixed_input_size") else min(own, 64)
        named = module.default_cfg.get("classifier", ())
        head = (named,) if isinstance(named, str) else tuple(named)
    images = torch.randn(3, 3, size, size)
    return Case(_network(module, lambda m: m(images[:1]), head, Raw(size)), images, images[:2] * 0.5)


def _text(kind: str) -> Case:
    config = transformers.AutoConfig.for_model(kind, **({"pad_token_id": 0} | TEXTS[kind]))
    module = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    end = getattr(config, "eos_token_id", None) or 2

    def tokens(count: int, length: int) -> dict[str, Tensor]:
        ids = torch.randint(3, 90, (count, length))
        ids[:, -1] = end
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    long, short = tokens(3, 13), tokens(2, 9)
    head = tuple(
        n
        for n, m in module.named_children()
        if n != module.base_model_prefix and next(m.parameters(), None) is not None
    )
    one = {n: t[:1] for n, t in long.items()}
    return Case(_network(module, lambda m: m(**one), head, Raw(0)), long, short)


def _network(module: nn.Module, call: Callable[[nn.Module], object], head: Any, form: Any) -> Network:
    with torch.no_grad():  # a weight that starts at 0 would make any replay look exact
        for weight in module.parameters():
            if float(weight.abs().max()) < 1e-4:
                weight.normal_(0, 0.05)
    module.eval()
    found = find_stages(module, call, head=head)
    return Network(module, found.stages, found.head, found.ties, form, "test")


def recorded(network: Network, cut: Cut, inputs: Any) -> tuple[Tensor, ...]:
    """What the store would hold of a batch."""
    names = tuple(inputs) if isinstance(inputs, dict) else ()
    prefix = Prefix(network, (cut,), names=names, pooled=False)
    with torch.no_grad():
        found: tuple[Tensor, ...] = prefix(*(inputs.values() if names else (inputs,)))
    return found


def resumed(network: Network, cut: Cut, tensors: tuple[Tensor, ...], inputs: Any) -> Tensor:
    rest = inputs if isinstance(inputs, dict) else None
    return network(Activations(cut, tuple(t.clone() for t in tensors), rest))


def gradients(network: Network, at: int, output: Tensor) -> list[Tensor | None]:
    behind = [
        w for i in range(at, len(network.parts)) for w in network.tensors(i).values() if w.requires_grad
    ]
    random = torch.Generator().manual_seed(0)
    pull = torch.randn(output.shape, generator=random)
    return list(torch.autograd.grad((output * pull).sum(), behind, allow_unused=True))


def prove(name: str) -> tuple[int, int]:
    """Replay at every cut; returns how many were exact and how many refused with a reason."""
    it = case(name)
    network, inputs = it.network, it.first
    exact = refused = 0
    for at in range(1, len(network.stages) + 1):
        try:
            cut = find_cut(network, at, it.first, it.second)
        except CannotReplay:
            refused += 1
            continue
        for i in range(at):  # frozen, as training freezes it
            for weight in network.tensors(i).values():
                weight.requires_grad_(False)
        stored = recorded(network, cut, inputs)
        live = network(inputs)
        for _ in range(2):  # in-place layers spoil only the second replay
            again = resumed(network, cut, stored, inputs)
            assert torch.equal(live, again), (name, at)
        for a, b in zip(gradients(network, at, live), gradients(network, at, again), strict=True):
            assert (a is None and b is None) or torch.equal(a, b), (name, at)  # type: ignore[arg-type]
        # The control: the same replay of something else must be seen.
        other = tuple(t.flip(0) * 1.01 + 0.1 for t in stored)
        assert not torch.equal(live, resumed(network, cut, other, inputs)), (name, at)
        exact += 1
    return exact, refused


def drawn(seed: int) -> list[str]:
    light = [name for name in ALL if name not in LARGE]
    return random.Random(seed).sample(light, 8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("place", range(8))
def test_replay_equals_live_at_every_cut_of_drawn_networks(place: int, seed: int) -> None:
    name = drawn(seed)[place]
    exact, refused = prove(name)
    assert exact > 0
    assert refused == 0 or name.rpartition("/")[2] in PARTLY, name


@pytest.mark.full
@pytest.mark.parametrize("name", ALL)
def test_replay_equals_live_at_every_cut(name: str) -> None:
    exact, refused = prove(name)
    if written := os.environ.get("TUNESMITH_EXACT_RESULT"):
        with Path(written).open("a", encoding="utf-8") as file:
            file.write(f"{name} {exact} {refused}\n")
    assert exact > 0
    assert refused == 0 or name.rpartition("/")[2] in PARTLY, (name, refused)


def test_there_are_forty_networks() -> None:
    assert len(set(ALL)) >= 40


class TestTraps:
    """The four traps of replaying, one test each."""

    def test_in_place_layers_do_not_spoil_what_is_stored(self, seed: int) -> None:
        class Block(nn.Module):
            def __init__(self, channels: int) -> None:
                super().__init__()
                self.relu, self.conv = nn.ReLU(inplace=True), nn.Conv2d(channels, 4, 3)

            def forward(self, maps: Tensor) -> Tensor:
                return self.conv(self.relu(maps))  # type: ignore[no-any-return]

        class Wipes(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.blocks = nn.Sequential(Block(3), Block(4), Block(4))
                self.head = nn.Linear(4, 2)

            def forward(self, images: Tensor) -> Tensor:
                return self.head(self.blocks(images.clone()).mean((2, 3)))  # type: ignore[no-any-return]

        images = torch.randn(3, 3, 8, 8)
        network = _network(Wipes(), lambda m: m(images[:1]), ("head",), Raw(8))
        cut = find_cut(network, 1, images, images[:2])
        stored = recorded(network, cut, images)
        kept = [t.clone() for t in stored]
        assert torch.equal(resumed(network, cut, stored, images), network(images))
        assert all(torch.equal(a, b) for a, b in zip(stored, kept, strict=True))
        # The control: handed out without copying, the first replay spoils the store.
        network(Activations(cut, stored))
        assert not all(torch.equal(a, b) for a, b in zip(stored, kept, strict=True))

    def test_hooks_still_fire_and_forward_is_put_back(self, seed: int) -> None:
        it = case("timm/test_resnet")
        network = it.network
        cut = find_cut(network, 2, it.first, it.second)
        seen: list[str] = []
        for path, module in network.module.named_modules():
            module.register_forward_hook(lambda *_, path=path: seen.append(path))
        stored = recorded(network, cut, it.first)
        seen.clear()
        resumed(network, cut, stored, it.first)
        behind = [p for part in network.parts[2:] for p in part.modules]
        assert set(behind) <= set(seen)
        assert not any("forward" in vars(module) for module in network.module.modules())

    def test_a_zero_head_makes_any_replay_look_exact(self, seed: int) -> None:
        it = case("timm/test_resnet")
        network = it.network
        cut = find_cut(network, 2, it.first, it.second)
        stored = recorded(network, cut, it.first)
        wrong = tuple(torch.randn_like(t) for t in stored)
        assert not torch.equal(network(it.first), resumed(network, cut, wrong, it.first))
        head = network.module.get_submodule(network.head.modules[-1])
        with torch.no_grad():
            for weight in head.parameters():
                weight.zero_()
        # Why every proof above starts from heads that are not zero.
        assert torch.equal(network(it.first), resumed(network, cut, wrong, it.first))

    def test_tied_weights_are_found_before_they_move(self, seed: int) -> None:
        from tunesmith.errors import TiedWeights
        from tunesmith.networks.network import refuse_ties

        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed, self.mix = nn.Embedding(9, 4), nn.Linear(4, 4)
                self.out = nn.Linear(4, 9, bias=False)
                self.out.weight = self.embed.weight

            def forward(self, input_ids: Tensor) -> Tensor:
                return self.out(self.mix(self.embed(input_ids)).mean(1))  # type: ignore[no-any-return]

        ids = torch.randint(0, 9, (3, 5))
        network = _network(Tied(), lambda m: m(input_ids=ids[:1]), ("out",), Raw(0))
        assert network.ties
        with pytest.raises(TiedWeights):
            refuse_ties(network, [0.0] * len(network.stages) + [1e-3])


def test_a_network_that_reads_its_input_twice_runs_live(seed: int) -> None:
    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head((self.b(self.a(images)) + images).mean((2, 3)))  # type: ignore[no-any-return]

    images = torch.randn(3, 3, 8, 8)
    network = _network(Skips(), lambda m: m(images[:1]), ("head",), Raw(8))
    network.stages = tuple(
        type(network.head)(n, (n,), tuple(f"{n}.{w}" for w in ("weight", "bias"))) for n in "ab"
    )
    with pytest.raises(CannotReplay):
        find_cut(network, 1, images, images[:2])


def test_several_cuts_in_one_pass_hold_what_each_alone_holds(seed: int) -> None:
    it = case("timm/test_vit")
    network = it.network
    cuts = [find_cut(network, at, it.first, it.second) for at in (1, 3, len(network.stages))]
    with torch.no_grad():
        together = Prefix(network, cuts)(it.first)
    alone = [t for cut in cuts for t in recorded(network, cut, it.first)]
    assert all(torch.equal(a, b) for a, b in zip(together[:-1], alone, strict=True))
    assert together[-1].shape[0] == 3


def test_play_is_undone_after_an_error(seed: int) -> None:
    module = nn.Sequential(nn.Linear(2, 2))

    def fails(*_: Any) -> Any:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"), conducted(module, ["0"], fails):
        module(torch.zeros(1, 2))
    assert "forward" not in vars(module[0])
