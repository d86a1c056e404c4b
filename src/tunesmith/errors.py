"""Every error that tunesmith raises on purpose.

TunesmithError
├── UnknownName       LookupError        no task, source, strategy, model or option of that name
├── BadOption         ValueError         an option out of its range, or two that exclude each other
│   └── OtherBackend  RuntimeError       Keras runs on TensorFlow or JAX in this process
├── BadPlan           ValueError         a plan that is malformed or made for another network
├── BadData           ValueError         data that cannot be understood, or items that cannot be read
│   └── NoData        FileNotFoundError  nothing at this path
├── BadWeights        ValueError         weights of another architecture, incomplete, damaged or unsafe
├── TiedWeights       ValueError         one tensor belongs to a frozen stage and to a trained one
├── ModelUnavailable  OSError            weights that are not here and cannot be fetched
├── MissingPackage    ImportError        an optional package is not installed
├── BadRun            ValueError         a run folder that is missing, incomplete or damaged
├── BadExport         ValueError         an export that cannot be made, is damaged, or differs from its run
├── DiskFailed        OSError            a file that cannot be written, on a disk that is full, say
├── FrozenMoved       RuntimeError       a frozen stage was changed: a bug, and the run is worth nothing
├── CannotReplay      RuntimeError       a network that cannot go on from stored activations at this cut
├── EngineFailed      RuntimeError       an inference engine cannot run a network, or differs from it
├── Diverged          ArithmeticError    the loss became NaN or ran away
├── NothingLearned    ArithmeticError    a training that goes nowhere, whatever was tried
└── OutOfMemory       MemoryError        even one example does not fit

Each carries one sentence: what was asked, what was found, what to do. The command line prints it
and leaves with `exit_code`.
"""

from __future__ import annotations

import re

LONGEST = 4000  # characters of a message: what it quotes may be of any length
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    r"""A text as one line that a terminal can show: signs that steer it stand as their codes.

    Names of files and labels are other people's: a line break in one, or a sign that turns the
    direction of writing, would let it pass for a message of ours.

    >>> print(shown("red\nerror: all is lost.jpg"))
    red\nerror: all is lost.jpg
    """
    line = _UNSEEN.sub(lambda sign: sign[0].encode("unicode_escape").decode("ascii"), text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 503]}...{line[-500:]}"


class TunesmithError(Exception):
    """Anything that tunesmith refuses to do, with the reason and the cure in its message."""

    exit_code = 2

    def __str__(self) -> str:
        return shown(" ".join(str(part) for part in self.args))


class UnknownName(TunesmithError, LookupError):
    """No task, source, strategy, model or option of that name."""


class BadOption(TunesmithError, ValueError):
    """An option out of its range, or two that exclude each other."""


class OtherBackend(BadOption, RuntimeError):
    """Keras runs, or was told to run, on another backend than torch."""


class BadPlan(TunesmithError, ValueError):
    """A plan that is malformed, or that was made for another network."""


class BadData(TunesmithError, ValueError):
    """Data that cannot be understood, or items that cannot be read."""


class NoData(BadData, FileNotFoundError):
    """Nothing lies at the path that was given."""


class BadWeights(TunesmithError, ValueError):
    """Weights of another architecture, incomplete, damaged or unsafe to load."""


class TiedWeights(TunesmithError, ValueError):
    """One tensor belongs to a frozen stage and to a trained one."""


class ModelUnavailable(TunesmithError, OSError):
    """Pretrained weights that are not on this machine and cannot be fetched."""


class MissingPackage(TunesmithError, ImportError):
    """An optional package is not installed; the message names the line that installs it."""


class BadRun(TunesmithError, ValueError):
    """A run folder that is missing, incomplete or damaged."""


class BadExport(TunesmithError, ValueError):
    """An export that cannot be made, that is damaged, or that answers otherwise than its run."""


class DiskFailed(TunesmithError, OSError):
    """A file that cannot be written, on a disk that is full, say."""


class FrozenMoved(TunesmithError, RuntimeError):
    """A stage whose learning rate was 0.0 is not the same, bit for bit, after its phase."""

    exit_code = 1


class CannotReplay(TunesmithError, RuntimeError):
    """A network cannot go on from stored activations at this cut; it runs live instead."""


class EngineFailed(TunesmithError, RuntimeError):
    """An inference engine cannot run this network, or what it gives differs from the live network."""


class Diverged(TunesmithError, ArithmeticError):
    """The loss became NaN or infinite, or ran away; the last good checkpoint is kept."""

    exit_code = 1


class NothingLearned(TunesmithError, ArithmeticError):
    """A training learns nothing, or answers with one class, whatever was tried; the best network is kept."""


class OutOfMemory(TunesmithError, MemoryError):
    """Even one example at a time does not fit into memory."""

    exit_code = 1
