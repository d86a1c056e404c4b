"""Photos, drawings, scans: numbers for each."""

from __future__ import annotations

from functools import partial

from tunesmith.tasks.image_classification import unreadable_images
from tunesmith.tasks.regression import Regression

ImageRegression = partial(
    Regression,
    name="image-regression",
    takes="image",
    kind="image-classification",
    model="timm/mobilenetv3_large_100",
    inspect=unreadable_images,
    unit="image",
)
