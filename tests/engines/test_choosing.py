"""The engine is the first of a fixed order that is here, builds and agrees; the rest have their reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from tunesmith.engines import AUTO, choose, eager
from tunesmith.engines import build as the_real_build
from tunesmith.engines import choosing as choosing_module
from tunesmith.errors import BadOption, EngineFailed, MissingPackage

# Looked up, not imported: OpenVINO, imported plainly, reports its use.
HERE = {name: find_spec(name) is not None for name in ("openvino", "onnxruntime")}
Chunks = list[tuple[Tensor, ...]]
vit = pytest.mark.parametrize("prefix", ["vit"], indirect=True)
counted = pytest.mark.parametrize("prefix", ["counted"], indirect=True)
batch_statistics = pytest.mark.parametrize("prefix", ["batch statistics"], indirect=True)


@vit
def test_auto_takes_them_in_the_fixed_order(
    prefix: nn.Module, chunks: Chunks, hide: Callable[[str], None]
) -> None:
    if not (HERE["openvino"] and HERE["onnxruntime"]):
        pytest.skip("needs openvino and onnxruntime")
    assert AUTO == ("openvino", "onnxruntime", "compile", "eager")
    taken = []
    for package in (None, "openvino", "onnxruntime"):
        if package:
            hide(package)
        chosen = choose("auto", prefix, chunks, ragged=False, work=10**9)
        taken.append(chosen.engine.name)
        assert [reason.partition(":")[0] for reason in chosen.rejected] == list(AUTO[: AUTO.index(taken[-1])])
    assert taken == ["openvino", "onnxruntime", "eager"]
    assert chosen.rejected == (
        'openvino: not installed (pip install "tunesmith[openvino]")',
        'onnxruntime: not installed (pip install "tunesmith[onnxruntime]")',
        "compile: its minute of compiling pays from 1e+13 multiply-accumulates; this job has 1.0e+09",
    )
    assert chosen.agreement.largest == 0
    assert chosen.seconds > 0


@vit
def test_a_large_job_is_compiled_where_there_is_a_compiler(
    prefix: nn.Module, chunks: Chunks, hide: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide("openvino")
    hide("onnxruntime")
    asked: list[str] = []

    def build(name: str, *args: object, **options: object) -> eager.Eager:
        if name in ("openvino", "onnxruntime"):
            raise MissingPackage("not here")
        asked.append(name)
        return eager.live(prefix)

    monkeypatch.setattr(choosing_module, "build", build)
    monkeypatch.setattr(choosing_module, "compiler", lambda: "g++")
    choose("auto", prefix, chunks, ragged=False, work=10**14)
    monkeypatch.setattr(choosing_module, "compiler", lambda: None)
    chosen = choose("auto", prefix, chunks, ragged=False, work=10**14)
    assert asked == ["compile", "eager"]
    assert "C++ compiler" in chosen.rejected[-1]


@counted
def test_a_network_that_counts_its_rows_is_traced_with_all_of_them(prefix: nn.Module, chunks: Chunks) -> None:
    for name in ("openvino", "onnxruntime"):
        if HERE[name]:
            assert choose(name, prefix, chunks, ragged=False, work=0).agreement.largest < 1e-4


@pytest.mark.skipif(not HERE["openvino"], reason="needs openvino")
@counted
def test_the_control_two_traced_rows_mislead_it(
    prefix: nn.Module, chunks: Chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_two = the_real_build

    def build(name: str, p: nn.Module, e: Sequence[Tensor], *, precision: str, ragged: bool, rows: int):  # type: ignore[no-untyped-def]
        return only_two(name, p, e, precision=precision, ragged=ragged, rows=2)

    monkeypatch.setattr(choosing_module, "build", build)
    with pytest.raises(EngineFailed, match="engine openvino: differs from the live network by"):
        choose("openvino", prefix, chunks, ragged=False, work=0)


@batch_statistics
def test_a_network_whose_rows_lean_on_each_other_gets_no_engine(prefix: nn.Module, chunks: Chunks) -> None:
    said = "no engine agrees with this network: .*eager: .*depends on the other examples"
    with pytest.raises(EngineFailed, match=said):
        choose("auto", prefix, chunks, ragged=False, work=0)
    with pytest.raises(EngineFailed, match=r"engine eager: .*depends on the other examples of the chunk"):
        choose("eager", prefix, chunks, ragged=False, work=0)


@vit
def test_an_engine_asked_by_name_is_that_one_or_an_error(
    prefix: nn.Module, chunks: Chunks, hide: Callable[[str], None]
) -> None:
    assert choose("eager", prefix, chunks, ragged=False, work=0).rejected == ()
    with pytest.raises(
        BadOption, match=r"engine must be auto, eager, .* found 'egaer'; did you mean 'eager'\?"
    ):
        choose("egaer", prefix, chunks, ragged=False, work=0)
    hide("openvino")
    with pytest.raises(MissingPackage, match=r"tunesmith\[openvino\]"):
        choose("openvino", prefix, chunks, ragged=False, work=0)


@vit
def test_an_engine_that_breaks_on_real_examples_is_rejected(
    prefix: nn.Module, chunks: Chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(eager.Eager):
        def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
            raise RuntimeError("the kernel died\nand so on")

    def build(name: str, *args: object, **options: object) -> eager.Eager:
        kind = eager.Eager if name == "eager" else Broken
        return kind(prefix, "fp32", torch.device("cpu"), channels_last=False)

    monkeypatch.setattr(choosing_module, "build", build)
    chosen = choose("auto", prefix, chunks, ragged=False, work=0)
    assert chosen.engine.name == "eager"
    assert chosen.rejected[0] == "openvino: it failed on real examples: RuntimeError: the kernel died"
