"""tunesmith fine-tunes pretrained networks for images and text, and says honestly whether it helped.

>>> import tunesmith as ts
>>> run = ts.fit("photos/", model="timm/mobilenetv2_100", strategy="gradual", epochs=8)  # doctest: +SKIP
>>> print(run.plan, run.scores, run.verdict)                                              # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.data.data import Data as Data
    from tunesmith.data.read import read as read
    from tunesmith.errors import TunesmithError as TunesmithError
    from tunesmith.networks.network import Network as Network
    from tunesmith.networks.network import Stage as Stage
    from tunesmith.networks.network import Want as Want
    from tunesmith.networks.preprocess import ImagePreprocess as ImagePreprocess
    from tunesmith.networks.preprocess import TextPreprocess as TextPreprocess
    from tunesmith.plan import Phase as Phase
    from tunesmith.plan import Plan as Plan
    from tunesmith.plan import Settings as Settings
    from tunesmith.runs import Run as Run
    from tunesmith.sources.module import network as network
    from tunesmith.tasks.named import task as task
    from tunesmith.training.loop import Training as Training
    from tunesmith.training.loop import train as train
    from tunesmith.verbs.check import check as check
    from tunesmith.verbs.compare import compare as compare
    from tunesmith.verbs.evaluate import evaluate as evaluate
    from tunesmith.verbs.exporting import export as export
    from tunesmith.verbs.fit import fit as fit
    from tunesmith.verbs.loading import load as load
    from tunesmith.verbs.looking import models as models
    from tunesmith.verbs.looking import stages as stages
    from tunesmith.verbs.predict import predict as predict
    from tunesmith.verbs.rank import rank as rank
    from tunesmith.verbs.rates import lr as lr
    from tunesmith.verbs.report import report as report
    from tunesmith.verbs.resume import resume as resume
    from tunesmith.verbs.verifying import verify as verify

# Names appear when they are first used: `import tunesmith` and `tunesmith --help` answer at once.
_HOMES = {
    "Data": "tunesmith.data.data",
    "ImagePreprocess": "tunesmith.networks.preprocess",
    "Network": "tunesmith.networks.network",
    "Phase": "tunesmith.plan",
    "Plan": "tunesmith.plan",
    "Run": "tunesmith.runs",
    "Settings": "tunesmith.plan",
    "Stage": "tunesmith.networks.network",
    "TextPreprocess": "tunesmith.networks.preprocess",
    "Training": "tunesmith.training.loop",
    "TunesmithError": "tunesmith.errors",
    "Want": "tunesmith.networks.network",
    "check": "tunesmith.verbs.check",
    "compare": "tunesmith.verbs.compare",
    "evaluate": "tunesmith.verbs.evaluate",
    "export": "tunesmith.verbs.exporting",
    "fit": "tunesmith.verbs.fit",
    "load": "tunesmith.verbs.loading",
    "lr": "tunesmith.verbs.rates",
    "models": "tunesmith.verbs.looking",
    "network": "tunesmith.sources.module",
    "predict": "tunesmith.verbs.predict",
    "rank": "tunesmith.verbs.rank",
    "read": "tunesmith.data.read",
    "report": "tunesmith.verbs.report",
    "resume": "tunesmith.verbs.resume",
    "stages": "tunesmith.verbs.looking",
    "task": "tunesmith.tasks.named",
    "train": "tunesmith.training.loop",
    "verify": "tunesmith.verbs.verifying",
}

__all__ = [*sorted(_HOMES), "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tunesmith' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
