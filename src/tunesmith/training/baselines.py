"""What answers without pretraining: words and colours with a linear head, and random features.

Targets are classes, int [N], answered by probabilities, or numbers, float [N, K], answered by numbers.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.scripts import unspaced
from tunesmith.networks.preprocess import ImagePreprocess
from tunesmith.store import Store
from tunesmith.store.keys import shelf_key
from tunesmith.training.examples import Examples, decoder
from tunesmith.training.heads import are_numbers, ridge
from tunesmith.training.recorded import Recorded
from tunesmith.training.solving import probe_head

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

Ints = NDArray[np.int64]
Targets = NDArray[Any]
Answers = list[NDArray[np.float64]]

UNSPACED: Final = 0.3  # of a text's letters; above it, words are not told apart by spaces
TERMS: Final = 50_000  # of a TF-IDF, the most frequent
STRENGTH: Final = {"words": 10.0, "looks": 1.0}  # C of logistic regression, on unit rows and unit spreads
STEPS: Final = 300  # of L-BFGS
PENALTIES: Final = tuple(10.0**e for e in range(-2, 4))  # of ridge regression on words and looks
FOLDS: Final = 5  # that choose between them
TOGETHER: Final = 64  # images that lie in memory at a time
CELLS, BINS, LEVELS = 2, 8, 4  # gradients: 2 x 2 places of 8 directions; colours: 4 levels a channel
LOOKS: Final = LEVELS**3 + CELLS * CELLS * BINS
SMALL: Final = 2000  # rows up to which features are solved in memory, by the smaller of N and D


def tf_idf(texts: Sequence[str], targets: Targets, asked: Sequence[str], outputs: int) -> Answers:
    """Answers of logistic (or, of numbers, ridge) regression on TF-IDF, [outputs] for each text asked.

    Words and pairs of words; where words are not told apart by spaces (Chinese, Japanese, Thai), one to
    three characters. Raises ValueError where the texts hold no word at all.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    form: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 3)}
    if unspaced(texts) < UNSPACED:
        form = {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}
    vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=TERMS, **form)
    known = vectorizer.fit_transform(texts)
    return _linear(known, targets, vectorizer.transform(asked), outputs, STRENGTH["words"])


def looks(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colours and edges of images uint8 [B, 3, H, W]: float32 [B, 96].

    The square root of the share of pixels in each of 4 x 4 x 4 colours, and of the gradient of grey in 8
    directions over 2 x 2 places (a coarse form of Dalal & Triggs 2005).
    """
    B = len(images)
    red, green, blue = (images[:, channel] // np.uint8(256 // LEVELS) for channel in range(3))
    colour = ((red * LEVELS + green) * LEVELS + blue).reshape(B, -1)  # below 64: bytes hold it
    found = np.zeros((B, LOOKS), np.float32)
    stride = max(1, images.shape[-1] // 64)
    grey = images[:, :, ::stride, ::stride].astype(np.float32).mean(1)
    down, across = np.gradient(grey, axis=(1, 2))
    force, turn = np.hypot(down, across), np.arctan2(down, across) % (2 * np.pi)
    H, W = grey.shape[1:]
    place = (np.arange(H) * CELLS // H)[:, None] * CELLS + (np.arange(W) * CELLS // W)[None]
    kind = place * BINS + np.minimum((turn / (2 * np.pi) * BINS).astype(np.int64), BINS - 1)
    for i in range(B):
        share = np.bincount(colour[i], minlength=LEVELS**3) / colour.shape[1]
        edges = np.bincount(kind[i].ravel(), force[i].ravel(), minlength=CELLS * CELLS * BINS)
        found[i] = np.sqrt(np.concatenate([share, edges / max(float(edges.sum()), 1e-9)]))
    return found


def looks_of(
    examples: Examples, rows: Ints, store: Store, progress: Callable[[int], None] | None = None
) -> Any:
    """`looks` of some rows, float32 [n, 96]: read from the store, or computed and kept there."""
    form = examples.preprocess
    assert isinstance(form, ImagePreprocess)
    code = hashlib.sha256(inspect.getsource(looks).encode()).hexdigest()
    about = {"what": "colours and edges", "preprocess": form.spec(), "decoder": decoder(), "code": code}
    out = np.zeros((len(rows), LOOKS), np.float32)
    shelf = store.shelf(shelf_key(about), about)
    try:
        for start in range(0, len(rows), TOGETHER):
            some = rows[start : start + TOGETHER]
            keys = [examples.keys[row] for row in some]
            absent = shelf.missing(keys)
            kept = [None if gone else shelf.get(key) for key, gone in zip(keys, absent, strict=True)]
            lacking = np.flatnonzero([record is None for record in kept])
            made = looks(examples.raw(some[lacking]).numpy()) if len(lacking) else out[:0]
            for i, record in enumerate(kept):
                if record is not None:
                    out[start + i] = np.frombuffer(record, np.float32)
            out[start + lacking] = made
            shelf.put([keys[i] for i in lacking], list(made))
            if progress:
                progress(len(some))
        shelf.commit()
    finally:
        shelf.close()
    return out


def by_looks(
    known: NDArray[np.float32], targets: Targets, asked: NDArray[np.float32], outputs: int
) -> Answers:
    """Answers of logistic (or, of numbers, ridge) regression on `looks`, [outputs] for each row asked."""
    mean, spread = known.mean(0), known.std(0)
    spread = np.where(spread > 1e-6, spread, np.inf)  # a colour that is nowhere says nothing
    return _linear((known - mean) / spread, targets, (asked - mean) / spread, outputs, STRENGTH["looks"])


def by_features(
    recorded: Recorded,
    train: tuple[Examples, Targets, Ints],
    asked: tuple[Examples, Ints],
    outputs: int,
) -> Answers:
    """Answers of a ridge head on what a network says of some examples, [outputs] for each row asked.

    train: examples, the targets of all of them, and the rows that are learned from. asked: examples, rows.
    Raises ValueError where a feature is not finite: random weights may let activations overflow.
    """
    examples, targets, rows = train
    for own, some in ((examples, rows), asked):
        if recorded.missing(own, own.rows_of(some)):
            recorded.fill(own, own.rows_of(some))
    if len(rows) > SMALL:
        solved = probe_head(recorded, examples, targets, outputs, rows=rows)
        return list(solved.answers(recorded.pooled(*asked)))
    known, new = recorded.pooled(examples, rows).astype(float), recorded.pooled(*asked).astype(float)
    if not (np.isfinite(known).all() and np.isfinite(new).all()):
        raise ValueError("its features overflow")
    return ridge(known, targets[rows], outputs).answers(new)


def _linear(
    known: NDArray[Any] | csr_matrix,
    targets: Targets,
    asked: NDArray[Any] | csr_matrix,
    outputs: int,
    strength: float,
) -> Answers:
    if are_numbers(targets):
        return _ridge(known, targets, asked)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(targets)) < 2:
        raise ValueError("its training examples are all of one class")
    model = LogisticRegression(C=strength, max_iter=STEPS)
    with warnings.catch_warnings():  # a baseline need not be solved to the last digit
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(known, targets)
    chances = np.zeros((asked.shape[0], outputs))
    chances[:, model.classes_] = model.predict_proba(asked)
    return list(chances)


def _ridge(known: NDArray[Any] | csr_matrix, targets: Targets, asked: NDArray[Any] | csr_matrix) -> Answers:
    """Ridge regression with the penalty of least error in five folds; the baseline of numbers."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, KFold

    folds = min(FOLDS, len(targets))
    if folds < 2:
        raise ValueError("it needs two training examples")
    search = GridSearchCV(
        Ridge(solver="lsqr", tol=1e-6),
        {"alpha": PENALTIES},
        scoring="neg_mean_squared_error",
        cv=KFold(folds, shuffle=True, random_state=0),
    )
    search.fit(known, targets)
    return list(np.asarray(search.predict(asked)).reshape(asked.shape[0], -1))
