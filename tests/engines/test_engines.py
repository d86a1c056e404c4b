"""Every engine gives what the live network gives; one that does not is caught."""

from __future__ import annotations

import copy
import gc
import math
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from tunesmith.engines import ENGINES, TOLERANCE, Engine, agreement, build, onnx_runtime
from tunesmith.engines.agreeing import difference
from tunesmith.engines.compiled import compiler
from tunesmith.engines.eager import live
from tunesmith.engines.open_vino import UsualNames, no_telemetry
from tunesmith.errors import BadOption, EngineFailed, MissingPackage

Chunks = list[tuple[Tensor, ...]]
FAST = ["eager", "onnxruntime", "openvino"]
every_engine = pytest.mark.parametrize("name", FAST)
networks = pytest.mark.parametrize("prefix", ["vit", "resnet", "bert"], indirect=True)
resnet = pytest.mark.parametrize("prefix", ["resnet"], indirect=True)
vit = pytest.mark.parametrize("prefix", ["vit"], indirect=True)
bert = pytest.mark.parametrize("prefix", ["bert"], indirect=True)


@dataclass
class Altered:
    """An engine whose outputs are changed: the control."""

    engine: Engine
    change: Callable[[Tensor], Tensor]
    name: str = "altered"
    precision: str = "fp32"

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        return [self.change(output) for output in self.engine(inputs)]


def needed(name: str) -> None:
    """Skip without importing: OpenVINO, imported plainly, reports its use."""
    if name in ("onnxruntime", "openvino") and find_spec(name) is None:
        pytest.skip(f"needs {name}")


@every_engine
@networks
def test_every_engine_agrees_with_the_live_network(name: str, prefix: nn.Module, chunks: Chunks) -> None:
    needed(name)
    engine = build(name, prefix, chunks[0], ragged=len(chunks[0]) > 1, rows=2)
    found = agreement(engine, prefix, chunks)
    assert found.largest < 1e-4
    assert found.equal_rows
    assert found.complaint("fp32") is None
    assert (engine.name, engine.precision) == (name, "fp32")


@every_engine
@vit
def test_outputs_stay_right_after_the_next_call(name: str, prefix: nn.Module, chunks: Chunks) -> None:
    needed(name)
    engine = build(name, prefix, chunks[0], ragged=False)
    first = engine(chunks[0])
    kept = [output.clone() for output in first]
    second = engine(chunks[1])
    assert all(map(torch.equal, first, kept))
    assert not any(map(torch.equal, first, second))


@every_engine
@resnet
def test_outputs_are_plain_float32_that_a_head_can_learn_from(
    name: str, prefix: nn.Module, chunks: Chunks
) -> None:
    needed(name)
    outputs = build(name, prefix, chunks[0], ragged=False)(chunks[0])
    assert {(o.dtype, o.device.type, o.is_contiguous()) for o in outputs} == {(torch.float32, "cpu", True)}
    weight = torch.ones(outputs[0].shape[1], requires_grad=True)  # an inference tensor would not do
    (outputs[0] @ weight).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None


@every_engine
@bert
def test_a_ragged_engine_takes_lengths_that_it_has_not_seen(
    name: str, prefix: nn.Module, chunks: Chunks
) -> None:
    needed(name)
    engine = build(name, prefix, chunks[0], ragged=True, rows=2)
    longer = tuple(tensor.repeat(1, 2) for tensor in chunks[1])
    outputs = engine(longer)
    assert outputs[-1].shape == (4, 48, 32)
    assert max(map(difference, outputs, live(prefix)(longer))) < 1e-4


@every_engine
def test_an_input_that_the_prefix_does_not_use_is_taken_all_the_same(name: str, seed: int) -> None:
    needed(name)

    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(60, 8)

        def forward(self, mask: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
            embedded = self.table(ids)
            return (embedded, embedded.mean(1), embedded)

    prefix = Embedded().eval()
    chunks = [torch.randint(0, 60, (2, 4, T)).unbind() for T in (8, 16)]
    engine = build(name, prefix, chunks[0], ragged=True, rows=2)
    assert agreement(engine, prefix, chunks).complaint("fp32") is None


class OtherNames(nn.Module):
    """A network whose layers call operations as Keras writes them."""

    class Layer(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            half = torch.divide(torch.multiply(x.subtract(x.mean(1, keepdim=True)), 3.0), 2.0)
            return torch.negative(half.clip(-1.0, 1.0)).absolute()

    def __init__(self) -> None:
        super().__init__()
        self.layer = self.Layer()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.layer(x),)


@every_engine
def test_operations_are_known_by_their_other_names(name: str, seed: int) -> None:
    needed(name)
    prefix = OtherNames().eval()
    chunks = [(torch.rand(4, 3, generator=torch.Generator().manual_seed(seed)),)]
    engine = build(name, prefix, chunks[0], ragged=False, rows=2)
    assert agreement(engine, prefix, chunks).complaint("fp32") is None


def test_openvino_alone_has_no_rules_for_the_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("openvino")
    monkeypatch.setattr(UsualNames, "names", {})
    with pytest.raises(EngineFailed, match="the conversion failed"):
        build("openvino", OtherNames().eval(), (torch.rand(2, 3),), ragged=False, rows=2)


@bert
def test_the_newer_exporter_stands_in_where_the_older_one_fails(
    prefix: nn.Module, chunks: Chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed("onnxruntime")
    asked = []

    def gone(*args: object) -> bytes:
        asked.append(args)
        raise TypeError("dynamo=False is no more")

    monkeypatch.setattr(onnx_runtime, "_by_torchscript", gone)
    engine = build("onnxruntime", prefix, chunks[0], ragged=True)
    assert len(asked) == 1
    assert agreement(engine, prefix, chunks).complaint("fp32") is None


@every_engine
@resnet
def test_an_engine_leaves_the_network_as_it_was(name: str, prefix: nn.Module, chunks: Chunks) -> None:
    needed(name)
    before = {key: (t.clone(), t.stride()) for key, t in prefix.state_dict().items()}
    build(name, prefix, chunks[0], ragged=False)(chunks[0])
    assert not prefix.training
    assert all(torch.equal(t, before[k][0]) for k, t in prefix.state_dict().items())
    assert all(t.stride() == before[k][1] for k, t in prefix.state_dict().items())


@every_engine
@vit
def test_deleting_an_engine_frees_the_network(name: str, prefix: nn.Module, chunks: Chunks) -> None:
    needed(name)
    own = copy.deepcopy(prefix)  # the fixture keeps `prefix`
    engine = build(name, own, chunks[0], ragged=False, rows=2)
    assert len(engine(chunks[0])) == 2
    watched = [weakref.ref(own), *map(weakref.ref, own.modules())]
    del engine, own
    gc.collect()
    assert not any(reference() for reference in watched)


@resnet
def test_an_engine_holds_the_weights_that_it_needs_after_the_network_is_gone(
    prefix: nn.Module, chunks: Chunks
) -> None:
    needed("openvino")
    expected = live(prefix)(chunks[0])
    engine = build("openvino", prefix, chunks[0], ragged=False, rows=2)
    del prefix.network
    gc.collect()
    litter = [torch.full((10_000,), math.nan) for _ in range(200)]
    assert max(map(difference, engine(chunks[0]), expected)) < 1e-4
    assert litter


@resnet
def test_a_scaled_output_is_caught(prefix: nn.Module, chunks: Chunks) -> None:
    engine = build("eager", prefix, chunks[0], ragged=False)
    assert agreement(engine, prefix, chunks).complaint("fp32") is None
    found = agreement(Altered(engine, lambda t: t * 1.01), prefix, chunks)
    assert found.equal_rows
    assert found.largest > 1e-2
    assert "differs from the live network by 0." in (found.complaint("fp32") or "")


@resnet
def test_rows_that_lean_on_their_place_are_caught(prefix: nn.Module, chunks: Chunks) -> None:
    def tilt(tensor: Tensor) -> Tensor:
        return tensor + 1e-6 * torch.arange(len(tensor)).view(-1, *[1] * (tensor.ndim - 1))

    engine = build("eager", prefix, chunks[0], ragged=False)
    found = agreement(Altered(engine, tilt), prefix, chunks)
    assert found.largest < TOLERANCE["fp32"]
    assert not found.equal_rows
    assert "depends on the other examples" in (found.complaint("fp32") or "")


@resnet
def test_zeros_do_not_agree_in_any_precision(prefix: nn.Module, chunks: Chunks) -> None:
    engine = build("eager", prefix, chunks[0], ragged=False)
    for precision in TOLERANCE:
        assert agreement(Altered(engine, torch.zeros_like), prefix, chunks).complaint(precision)


def test_a_difference_that_is_no_number_or_of_another_shape_is_infinite() -> None:
    ones = torch.ones(2, 3)
    assert difference(ones, ones) == 0
    assert difference(ones * math.nan, ones) == math.inf
    assert difference(torch.ones(2, 4), ones) == math.inf


@pytest.mark.parametrize("name", ["eager", "openvino"])
@bert
def test_bf16_is_rougher_than_fp32_and_agrees(name: str, prefix: nn.Module, chunks: Chunks) -> None:
    needed(name)
    try:
        engine = build(name, prefix, chunks[0], precision="bf16", ragged=True)
    except EngineFailed as error:
        pytest.skip(str(error))
    found = agreement(engine, prefix, chunks)
    assert engine.precision == "bf16"
    assert 1e-4 < found.largest < 0.1
    assert found.equal_rows


@vit
def test_what_cannot_be_asked_is_refused_with_the_reason(prefix: nn.Module, chunks: Chunks) -> None:
    with pytest.raises(BadOption, match=r"found 'openvno'; did you mean 'openvino'\?"):
        build("openvno", prefix, chunks[0], ragged=False)
    with pytest.raises(BadOption, match="fp32 or bf16; found 'fp8'"):
        build("eager", prefix, chunks[0], precision="fp8", ragged=False)
    needed("onnxruntime")
    with pytest.raises(EngineFailed, match="fp32 only"):
        build("onnxruntime", prefix, chunks[0], precision="bf16", ragged=False)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@vit
def test_a_missing_package_names_the_line_that_installs_it(
    name: str, prefix: nn.Module, chunks: Chunks, hide: Callable[[str], None]
) -> None:
    hide(name)
    with pytest.raises(MissingPackage, match=rf'pip install "tunesmith\[{name}\]"'):
        build(name, prefix, chunks[0], ragged=False)


def test_openvino_cannot_report_its_use_while_it_is_imported() -> None:
    before = sys.modules.get("openvino_telemetry")
    with no_telemetry(), pytest.raises(ImportError):
        import_module("openvino_telemetry")
    assert sys.modules.get("openvino_telemetry") is before


@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler here")
def test_the_compiled_prefix_agrees(seed: int) -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, values: Tensor) -> tuple[Tensor, ...]:
            return (torch.relu(self.linear(values.float() / 255).mean(1)),)

    torch.manual_seed(seed)
    small = Small().eval()
    chunks = [(torch.randint(0, 256, (4, T, 8), dtype=torch.uint8),) for T in (8, 16)]
    engine = build("compile", small, chunks[0], ragged=True)
    found = agreement(engine, small, chunks)
    assert found.largest < 1e-4
    assert found.equal_rows


def test_without_a_compiler_there_is_no_compiled_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EngineFailed, match="no C\\+\\+ compiler"):
        build("compile", nn.Identity(), [torch.zeros(2, 3)], ragged=False)


def test_every_engine_can_be_loaded() -> None:
    assert all(callable(ENGINES.load(name)) for name in ENGINES.names())
