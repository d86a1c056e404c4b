"""Photos, drawings, scans: one label each."""

from __future__ import annotations

from functools import partial

from tunesmith.data.data import SPLITS, Data, Finding
from tunesmith.data.images import unreadable
from tunesmith.tasks.classification import Classification


def unreadable_images(data: Data) -> list[Finding]:
    """Every image of every split that cannot be decoded."""
    return [finding for split in SPLITS for finding in unreadable(data.splits[split])]


ImageClassification = partial(
    Classification,
    name="image-classification",
    takes="image",
    kind="image-classification",
    model="timm/mobilenetv3_large_100",
    inspect=unreadable_images,
    unit="image",
)
