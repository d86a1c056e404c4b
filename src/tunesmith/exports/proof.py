"""The proof of an export: its golden examples answered again, by the runtime that it was made for.

`python -m tunesmith.exports.proof FOLDER` proves in a process that knows nothing but the folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tunesmith.engines.agreeing import TOLERANCE, difference, spread
from tunesmith.engines.compiled import first_line
from tunesmith.errors import BadExport, BadRun, TunesmithError
from tunesmith.exports import FORMATS
from tunesmith.exports.card import CARD
from tunesmith.exports.format import Format, Runtime, in_spreads, predictions, taken
from tunesmith.exports.golden import GOLDEN, Golden
from tunesmith.registry import require
from tunesmith.seals import SEALS, check_all, read_sealed, seals
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels, Task

ABOUT: Final = "export.json"
BATCH: Final = 16
LARGEST: Final = TOLERANCE["fp32"]  # difference, of the root mean square of the answers
TYPICAL: Final = 0.25  # of int8: root mean square of the difference; processors round in ways of their own


@dataclass(frozen=True)
class Proof:
    """How an export answered its golden examples.

    runtime: which software answered. count: examples. largest: of all differences to the network's answers,
    over their root mean square; typical: the same of the root mean square of the differences. equal: share of
    examples with the same answer. metric: what the task is scored by, and its value for the export (score)
    and for the network (before), on these examples alone; None where a run of an earlier version kept
    windows without their examples. count: windows, where examples are cut into them.
    """

    runtime: str
    count: int
    largest: float
    typical: float
    equal: float
    metric: str | None = None
    score: float | None = None
    before: float | None = None

    def told(self) -> str:
        """In one sentence.

        >>> print(Proof("onnxruntime 1.2", 64, 2e-6, 1e-7, 1.0, "accuracy", 0.75, 0.75).told())
        onnxruntime 1.2: 64 held-out examples, largest difference 2e-06, answers equal 64 of 64,
        accuracy 0.750 against 0.750
        """
        same = round(self.equal * self.count)
        parts = [
            f"{self.count} held-out examples",
            f"largest difference {self.largest:.1g}",
            f"answers equal {same} of {self.count}",
        ]
        if self.metric is not None:
            score = f"{self.score:.3f} against {self.before:.3f}"
            parts.append(f"{self.metric.replace('_', ' ')} {score}")
        return f"{self.runtime}: {', '.join(parts)}"


def prove(folder: Path) -> Proof:
    """Check every file of an export by its hash, open it, and compare its answers with what they should be.

    Raises BadExport for a file that was changed, added or taken away, for labels that differ from those in
    the network's file, and for answers that are not the network's.
    """
    about = read_about(folder)
    try:
        return _proven(folder, about)
    except TunesmithError:
        raise
    # Whoever changes a folder may write its hashes anew; tasks assert what a batch of theirs holds.
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadExport(
            f"{folder} does not hold what an export holds ({type(error).__name__}: {first_line(error)}); "
            f"copy it again from where it is whole, or export the run again."
        ) from error


def _proven(folder: Path, about: Mapping[str, Any]) -> Proof:
    form: Format = FORMATS.load(about["format"])()
    for package, extra in form.needs:
        require(package, extra, f"an export to {form.name}")
    golden = Golden.from_bytes((folder / GOLDEN).read_bytes(), where=folder / GOLDEN)
    labels, task = Labels.from_json(about["labels"]), TASKS.load(about["task"])()
    try:
        runtime = form.opened(folder, about)
        found = answers(runtime, about, golden)
    except TunesmithError:
        raise
    except Exception as error:  # whatever a runtime raises
        raise BadExport(f"{folder} cannot be opened as {form.says}: {first_line(error)}") from error
    if runtime.labels != labels.names:
        raise BadExport(
            f"{folder / form.file} has the labels {', '.join(runtime.labels)}, and {ABOUT} says "
            f"{', '.join(labels.names)}."
        )
    _refuse_other_inputs(folder, about, golden)
    proof = compared(runtime.version, found, golden, task, labels)
    _refuse_difference(folder, about, proof)
    return proof


def read_about(folder: Path) -> dict[str, Any]:
    """What an export says of itself, after every file was compared with its hash.

    Raises BadExport where there is none, or where a file was changed, added or taken away.
    """
    if not (folder / ABOUT).is_file():
        raise BadExport(
            f"no export at {folder}: no {ABOUT} there; name a folder that `tunesmith export` made."
        )
    try:
        check_all(folder, needed=(ABOUT, GOLDEN))
        known = {*seals(folder), SEALS, CARD}
        about = json.loads(read_sealed(folder, ABOUT))
    except (BadRun, ValueError) as error:
        raise BadExport(str(error)) from error
    if not isinstance(about, dict):
        raise BadExport(f"{folder / ABOUT} describes no export.")
    there = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    if more := sorted(name for name in there if name not in known):
        raise BadExport(f"{folder / more[0]} is not in {SEALS}: it was added since the export; remove it.")
    return about


def answers(runtime: Runtime, about: Mapping[str, Any], golden: Golden) -> Tensor:
    """What an export answers, in batches of one and then of BATCH: both must go.

    The text that goes alone is not padded, unless there are answers for every token.
    """
    each = golden.answers is not None and golden.answers.ndim > 2
    inputs = taken(about["preprocess"], golden, pixels=about["pixels"])
    sizes = [1, *[BATCH] * len(golden)]
    found, start = [], 0
    for size in sizes:
        if start >= len(golden):
            break
        piece = {name: tensor[start : start + size] for name, tensor in inputs.items()}
        found.append(runtime(piece if size > 1 or each else _unpadded(piece)).float())
        start += size
    return torch.cat(found)


def compared(version: str, found: Tensor, golden: Golden, task: Task, labels: Labels) -> Proof:
    """Answers of a runtime beside those of the network."""
    if golden.answers is None or golden.answers.shape != found.shape:
        raise BadExport(f"{GOLDEN} does not hold an answer to each of its {len(golden)} examples.")
    then, now = (in_spreads(a, labels).float() for a in (golden.answers, found))
    numbers = bool(labels.spreads)
    over = -1 if labels.names else 1  # labels, or the tokens at which an answer starts and ends
    same = (now - then).abs().amax(-1) <= LARGEST if numbers else now.argmax(over) == then.argmax(over)
    told: dict[str, Any] = {}
    if golden.targets is not None or golden.windows is not None:
        targets = _truths(golden, task, labels)
        metric = task.deciding(labels)
        scored = [
            task.score(task.outcomes(predictions(task, own, labels, golden), targets), labels)[metric]
            for own in (found, golden.answers)
        ]
        told = {"metric": metric, "score": scored[0], "before": scored[1]}
    equal = float(np.mean([bool(own.all()) for own in same]))
    return Proof(version, len(golden), difference(now, then), spread(now, then), equal, **told)


def _truths(golden: Golden, task: Task, labels: Labels) -> list[Any]:
    """The true answers of the golden examples."""
    if golden.windows is None:
        assert golden.targets is not None
        return list(golden.targets.numpy())
    return task.targets({"label": list(golden.windows.truths)}, labels)


def prove_elsewhere(folder: Path) -> Proof:
    """The same in a fresh process. Raises BadExport with what that process said."""
    child = subprocess.run(  # noqa: S603  our own module, on our own folder
        [sys.executable, "-m", "tunesmith.exports.proof", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    lines = [line for line in child.stdout.splitlines() if line.startswith("{")]
    if child.returncode == 0 and lines:
        return Proof(**json.loads(lines[-1]))
    said = (child.stderr.strip().splitlines() or ["it said nothing"])[-1]
    raise BadExport(said.removeprefix("error: "))


def _unpadded(piece: dict[str, Tensor]) -> dict[str, Tensor]:
    """A single text without its padding."""
    mask = piece.get("attention_mask")
    if mask is None or mask.ndim != 2:
        return piece
    real = mask[0].bool()
    return {name: t[:, real] if t.shape == mask.shape else t for name, t in piece.items()}


def _refuse_difference(folder: Path, about: Mapping[str, Any], proof: Proof) -> None:
    quantized = about.get("quantized")
    if quantized:
        worst = max(TYPICAL, 2 * quantized["typical"])
        if proof.typical <= worst:
            return
        by, allowed = proof.typical, f"{worst:.2g} is allowed of int8"
    else:
        if proof.largest <= LARGEST:
            return
        by, allowed = proof.largest, f"{LARGEST:g} is allowed"
    raise BadExport(
        f"{folder.name} does not answer as its run: in {proof.runtime} it differs by {by:.2g} of an answer's "
        f"root mean square, where {allowed}."
    )


def _refuse_other_inputs(folder: Path, about: Mapping[str, Any], golden: Golden) -> None:
    """Raise BadExport unless the folder's tokenizer or image processor makes what the network was given."""
    if about["format"] != "transformers":
        return
    from tunesmith.exports.transformers_folder import prepared

    images = golden.inputs.get("images")
    made = prepared(folder, golden.texts, images, about["preprocess"])
    if not made:
        return
    given = taken(about["preprocess"], golden, pixels=False)
    for name, tensor in given.items():
        if name not in made or not difference(made[name].float(), tensor.float()) <= LARGEST:
            what = "tokenizer" if golden.texts else "image processor"
            raise BadExport(f"the {what} in {folder.name} makes other {name} than its run was given.")


def main(folder: str) -> int:
    """Print the proof as JSON, or what is wrong."""
    try:
        print(json.dumps(asdict(prove(Path(folder)))))  # noqa: T201
    except TunesmithError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
