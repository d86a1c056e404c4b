"""How an export is made: written beside its place, proven in a fresh process, and only then put there."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError

from tunesmith.engines.compiled import first_line
from tunesmith.errors import BadExport, BadRun, DiskFailed, TunesmithError
from tunesmith.exports.card import CARD, WINDOWED, card
from tunesmith.exports.format import Format, Subject, live_answers, taken
from tunesmith.exports.golden import GOLDEN, Golden, named, unnamed
from tunesmith.exports.proof import ABOUT, BATCH, answers, compared, prove_elsewhere
from tunesmith.exports.using import usage
from tunesmith.files import whole_folder
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.runs import Run, load_model
from tunesmith.seals import read_sealed, seal
from tunesmith.verbs.carding import facts_of, origin_name
from tunesmith.verbs.reporting import Reporter

if TYPE_CHECKING:
    from tunesmith.verbs.calibrating import Calibration

WHOLE: Final = "float32.onnx"  # what int8 is made of and compared with; does not stay


def handed_out(
    run: Run, form: Format, place: Path, *, pixels: bool, calibration: Calibration | None, say: Reporter
) -> list[str]:
    """Make an export; what was found, a line each.

    Raises BadExport if it answers otherwise than the run; nothing is left behind then.
    """
    subject, golden = subject_of(run, pixels=pixels)
    with _nothing_left(place), whole_folder(place) as folder:
        with say.work(f"writing {form.says}", 1):
            opens = _written(form, subject, folder)
            if form.name != "transformers":
                subject.network.preprocess.save(folder)
        about = _about(run, form, subject, opens)
        lines = []
        if calibration is not None:
            about["quantized"], told = _quantized(form, subject, golden, folder, about, calibration)
            lines.append(told)
        (folder / GOLDEN).write_bytes(golden.to_bytes())
        _write_about(folder, about)
        with say.work("proving it in a fresh process", len(golden)):
            proof = prove_elsewhere(folder)
        lines.insert(0, proof.told())
        about["proof"] = asdict(proof)
        facts = replace(facts_of(run, run.scores), format=form.name, proof=lines, use=usage(about))
        _write_about(folder, about)
        (folder / CARD).write_text(card(facts), encoding="utf-8")  # not sealed: people may add what they know
    return [*lines, WINDOWED] if about["preprocess"].get("long_texts") == "windows" else lines


def subject_of(run: Run, *, pixels: bool) -> tuple[Subject, Golden]:
    """A run's network, for a format to change as it likes, and golden examples with its answers."""
    if not (run.folder / GOLDEN).is_file():
        raise BadRun(
            f"{run.folder} keeps no golden examples, by which an export is proven: it is of an earlier "
            f"version. Fit it again: tunesmith fit --config {run.folder / 'asked.yaml'}"
        )
    golden = Golden.from_bytes(read_sealed(run.folder, GOLDEN), where=run.folder / GOLDEN)
    if run.described["recipe"] is None:  # a person's own, which no folder holds
        network, task, labels = copy.deepcopy(run.model)
    else:
        network, task, labels = load_model(run.folder / "model")
    network.module.to("cpu", torch.float32).eval()
    golden = replace(golden, answers=live_answers(network, golden.inputs, labels, batch=BATCH))
    form = network.preprocess
    if not isinstance(form, ImagePreprocess):  # a person's own does not travel: its inputs do, made ready
        ready = form.ready(unnamed(golden.inputs, form.takes))
        golden = replace(golden, inputs=named(ready, form.takes))
    two = torch.tensor([0, len(golden) - 1])  # a batch of one would be taken for the only size
    inputs = taken(form.spec(), golden, pixels=pixels)
    example = {name: tensor[two] for name, tensor in inputs.items()}
    return Subject(run.folder.name, network, task, labels, run.described, example, pixels), golden


def _about(run: Run, form: Format, subject: Subject, opens: dict[str, Any]) -> dict[str, Any]:
    """What an export says of itself, before it is proven."""
    return {
        "form": 1,
        "format": form.name,
        "file": form.file,
        "run": run.folder.name,
        "network": origin_name(run.manifest["network"]),
        "task": subject.task.name,
        "kind": subject.described["want"]["kind"],
        "answers": "numbers" if subject.labels.spreads else "logits",
        "labels": asdict(subject.labels),
        "preprocess": subject.network.preprocess.spec(),
        "inputs": list(subject.example),
        "pixels": subject.pixels,
        "opens": opens,
    }


def _written(form: Format, subject: Subject, folder: Path) -> dict[str, Any]:
    try:
        return form.write(subject, folder)
    except (TunesmithError, OSError, SafetensorError):
        raise
    except Exception as error:  # whatever a library raises, a full disk among it
        raise BadExport(f"{subject.name} cannot be written as {form.says}: {first_line(error)}") from error


def _quantized(
    form: Format,
    subject: Subject,
    golden: Golden,
    folder: Path,
    about: dict[str, Any],
    calibration: Calibration,
) -> tuple[dict[str, Any], str]:
    """Put int8 in the place of the graph; how far it is off and what it costs, as values and in words."""
    from tunesmith.exports.quantized import cost_of, quantize

    whole, small = folder / WHOLE, folder / form.file
    small.rename(whole)
    spec, task, labels = about["preprocess"], subject.task, subject.labels
    learned, tested = calibration.batches(spec, pixels=subject.pixels)
    quantize(whole, small, learned)
    cost = cost_of(whole, small, tested, calibration.targets, task, labels, of=calibration.whole)
    whole.unlink()
    runtime = form.opened(folder, about)
    found = compared(runtime.version, answers(runtime, about, golden), golden, task, labels)
    return {"typical": found.typical, "equal": found.equal, **asdict(cost)}, cost.told()


def _write_about(folder: Path, about: dict[str, Any]) -> None:
    (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    seal(folder)


@contextmanager
def _nothing_left(place: Path) -> Iterator[None]:
    """Where an export fails, take away the folder around it if it is new; messages name the place."""
    new = not place.parent.exists()
    try:
        yield
    except BaseException as error:
        if new:
            with suppress(OSError):
                place.parent.rmdir()
        if isinstance(error, BadExport | DiskFailed):
            error.args = (_placed(str(error), place),)
        raise


def _placed(said: str, place: Path) -> str:
    """A message about the temporary folder as one about the place that it was for."""
    import re

    return re.sub(rf"\.{re.escape(place.name)}\.[0-9a-f]{{8}}\.tmp", place.name, said)
