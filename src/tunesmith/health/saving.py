"""The health of data as JSON, and read back: health.json in a run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from tunesmith.health.finding import Finding, Health, Item

HEALTH: Final = "health.json"  # in a run's folder


def to_json(health: Health) -> str:
    """The same values give the same text."""
    return json.dumps(asdict(health), ensure_ascii=False, indent=1, allow_nan=False)


def from_json(text: str) -> Health:
    """What `to_json` gave. Raises ValueError, TypeError or KeyError for anything else."""
    found: dict[str, Any] = json.loads(text)
    findings = tuple(_finding(finding) for finding in found["findings"])
    return Health(**{**found, "findings": findings, "understood": tuple(found["understood"])})


def _finding(found: Mapping[str, Any]) -> Finding:
    groups = tuple(tuple(Item(**item) for item in group) for group in found["groups"])
    return Finding(**{**found, "groups": groups})
