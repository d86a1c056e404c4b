"""Strategies: which stages train when. Each file is one idea and its paper; each gives one function,

    plan(stages, epochs, lr, *, head_lr=None, decay=1.0, ...) -> Plan

stages: how many the network has, the head not counted. lr: the peak rate of the stage next to the
head; stages below it get `decay` times the rate of the stage above. head_lr: the head's own rate,
None: the same as lr.
"""

from __future__ import annotations

from typing import Final

from tunesmith.registry import Registry

STRATEGIES: Final = Registry(
    "strategy",
    {
        "linear_probe": "tunesmith.strategies.linear_probe:plan",
        "top": "tunesmith.strategies.top:plan",
        "gradual": "tunesmith.strategies.gradual:plan",
        "lp_ft": "tunesmith.strategies.lp_ft:plan",
        "full": "tunesmith.strategies.full:plan",
        "surgical": "tunesmith.strategies.surgical:plan",
        "auto": "tunesmith.strategies.auto:plan",
        "contrastive": "tunesmith.strategies.contrastive:plan",
    },
)
