"""A run's network for other people's tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tunesmith.errors import BadOption
from tunesmith.registry import require
from tunesmith.verbs.environment import prepare

if TYPE_CHECKING:
    from tunesmith.exports.format import Format
    from tunesmith.runs import Run
    from tunesmith.verbs.reporting import Reporter

INT8: Final = "int8"


def export(
    run: str | Path | Run,
    *,
    to: str,
    quantize: str | None = None,
    pixels: bool = False,
    out: str | Path | None = None,
    data: Any = None,
    reporter: Reporter | None = None,
) -> Path:
    """Hand a run's network to other tools, proven on held-out examples in a fresh process.

    Returns the folder: the network's file, labels, preprocessing, golden examples, hashes, a model card.
    Nothing is written where the export does not answer as the run does.

    run: the folder of the run; runs/latest is the newest one.
    to: onnx, torch, openvino, transformers, timm, keras or safetensors.
    quantize: int8, of onnx: what it costs and gains is measured on the test split.
    pixels: images go in as uint8, resized; the graph normalises them.
    out: the folder to make; by default one in the run's folder.
    data: the data, where they were given in memory; int8 reads them again.
    reporter: where to tell how it was proven; None: lines on standard error.

    Raises BadOption for a format that cannot hold the run, BadExport for an export that differs from it.
    """
    prepare()
    from tunesmith.runs import Run as Opened
    from tunesmith.verbs.reporting import Lines

    say = reporter or Lines()
    opened = run if isinstance(run, Opened) else Opened.open(run)
    form = format_of(to)
    check(opened, form, quantize=quantize, pixels=pixels)
    place = place_of(opened, form, out, quantize=quantize, pixels=pixels)
    pixels = pixels or form.name == "keras"  # whose files always begin with pixels
    for package, extra in form.needs:
        require(package, extra, f"an export to {form.name}")
    calibration = None
    if quantize:
        from tunesmith.verbs.calibrating import calibration_of

        calibration = calibration_of(opened, data)
    from tunesmith.verbs.handing_out import handed_out

    for line in handed_out(opened, form, place, pixels=pixels, calibration=calibration, say=say):
        say.say(line)
    return place


def format_of(name: str) -> Format:
    """The format of a name; raises UnknownName with a guess."""
    from tunesmith.exports import FORMATS

    found: Format = FORMATS.load(name)()
    return found


def check(run: Run, form: Format, *, quantize: str | None, pixels: bool) -> None:
    """Raise, before weights load, for a run that is unfinished or that the format cannot hold."""
    from tunesmith.exports import FORMATS

    _ = run.scores
    described = run.described
    if quantize not in (None, INT8):
        raise BadOption(f"quantize is int8, or left out; found {quantize!r}.")
    if quantize and not form.quantizes:
        raise BadOption(f"int8 is there for onnx; leave quantize out for {form.name}.")
    if pixels and described["preprocess"].get("takes") != "image":
        raise BadOption("pixels is for images, and this run takes texts; leave it out.")
    if pixels and not form.pixels:
        can = [name for name in FORMATS.names() if FORMATS.load(name)().pixels]
        raise BadOption(
            f"{form.says} has no place for a normalisation; leave pixels out, or export to {', '.join(can)}."
        )
    if why := form.refuses(described):
        can = [name for name in FORMATS.names() if FORMATS.load(name)().refuses(described) is None]
        source = (described["recipe"] or {}).get("source")
        whose = f"of {source}" if source else "of your own"
        raise BadOption(
            f"{form.says} cannot hold {run.folder.name}, a network {whose}: {why}. What can: "
            f"{', '.join(can)}."
        )


def place_of(run: Run, form: Format, out: str | Path | None, *, quantize: str | None, pixels: bool) -> Path:
    """The folder that is to appear. Raises BadOption if something is there."""
    words = [form.name, *([quantize] if quantize else []), *(["pixels"] if pixels else [])]
    place = Path(out).expanduser() if out else run.folder / "exports" / "-".join(words)
    if place.exists():
        raise BadOption(f"{place} exists; exports are never overwritten. Choose another --out.")
    return place
