"""Engines: who runs a frozen prefix of a network at full speed, and the proof that it may.

A frozen prefix is inference, so an inference engine may run it. An engine is used only when it
agrees with the live network on real examples, and when an example's bits do not depend on the
batch that it travels in: see `choose`.
"""

from __future__ import annotations

from tunesmith.engines.agreeing import TOLERANCE, Agreement, agreement
from tunesmith.engines.choosing import AUTO, Chosen, choose
from tunesmith.engines.engine import ENGINES, Engine, build

__all__ = ["AUTO", "ENGINES", "TOLERANCE", "Agreement", "Chosen", "Engine", "agreement", "build", "choose"]
