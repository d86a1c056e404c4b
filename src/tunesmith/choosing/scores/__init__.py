"""Scores: how well a network's features suit some targets, without training it.

Each file is one idea and its paper, a function of numpy arrays; none of them imports torch. Which of them
decide is the business of `choosing.which_network`; the others are shown beside.
"""

from __future__ import annotations

from typing import Final

from tunesmith.registry import Registry

SCORES: Final = Registry(
    "score",
    {
        "ridge_loo": "tunesmith.choosing.scores.ridge_loo:RIDGE_LOO",
        "ridge_mse": "tunesmith.choosing.scores.ridge_loo:RIDGE_MSE",
        "knn": "tunesmith.choosing.scores.knn:KNN",
        "logme": "tunesmith.choosing.scores.logme:LOGME",
        "h_score": "tunesmith.choosing.scores.h_score:H_SCORE",
        "h_score_shrunk": "tunesmith.choosing.scores.h_score:H_SCORE_SHRUNK",
        "transrate": "tunesmith.choosing.scores.transrate:TRANSRATE",
        "gbc": "tunesmith.choosing.scores.gbc:GBC",
        "leep": "tunesmith.choosing.scores.leep:LEEP",
        "nce": "tunesmith.choosing.scores.nce:NCE",
    },
)
