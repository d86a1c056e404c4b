"""One split as training sees it: a content address and raw inputs for every row, tokenized once."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tunesmith.networks.preprocess import ImagePreprocess, Preprocess, TextPreprocess
from tunesmith.store import Shelf, Store
from tunesmith.store.keys import item_key, shelf_key
from tunesmith.tasks.task import Batch, Labels, Task
from tunesmith.training.batches import examples as rows_of

BLOCK = 1000  # texts that are tokenized at once
AT_HAND = 100_000  # rows whose labels are held in memory: Arrow takes a third of a small step to find 32


@dataclass(frozen=True)
class Given:
    """In the place of a preprocessing where the inputs are made already."""

    inputs: Any
    takes: str

    def raw(self, _: Sequence[Any]) -> Any:
        """The inputs, whatever the items."""
        return self.inputs

    def __getattr__(self, name: str) -> Any:
        raise TypeError(f"a task's collate may only ask a preprocessing for `raw`, not for {name!r}")


class Examples:
    """The rows of one split: batches of raw inputs, and a key that is the same for the same bytes.

    known: content addresses of files by path, where they are known already.
    store: where token ids are kept, and decoded images if `keep_pixels`; None: nowhere.
    task: says whether an example is cut into windows (`Task.cut`), which then are the rows; None: it is not.
    whole: the data set as it was given. of: which example a window belongs to, int64 [N]; None: rows are
        examples.
    lengths: tokens per row as the network takes them, int64 [N]; None for images.
    whole_lengths: before anything was cut.
    """

    def __init__(
        self,
        dataset: Any,
        preprocess: Preprocess,
        store: Store | None = None,
        *,
        known: dict[str, bytes] | None = None,
        task: Task | None = None,
    ) -> None:
        self.whole = dataset
        windows = None if task is None else task.cut(dataset, preprocess)
        self.of: np.ndarray | None = None
        placed = windows is not None and task is not None and task.answers == "parts"
        if windows is not None:
            dataset, self.of = windows, np.asarray(windows["of"][:], np.int64)
        self.dataset, self.preprocess, self._known = dataset, preprocess, known
        self.columns = dataset.remove_columns("item")
        if len(dataset) <= AT_HAND:
            names = [name for name in self.columns.column_names if name not in ("id", "group")]
            self.columns = _Columns({name: self.columns[name][:] for name in names})
        self.lengths: np.ndarray | None = None
        self.whole_lengths: np.ndarray | None = None
        self._store = store
        self._keys: list[bytes] | None = None
        self._pixels: Shelf | None = None
        self._tokens: _Tokens | None = None
        if isinstance(preprocess, TextPreprocess):
            keys = self.keys if store else None
            self._tokens = _Tokens(dataset, keys, preprocess, store, placed=placed)
            self.lengths, self.whole_lengths = self._tokens.lengths, self._tokens.whole_lengths

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tensors in a batch of raw inputs, where they have names; empty for images."""
        if self._tokens is not None:
            return self._tokens.names
        if isinstance(self.preprocess, ImagePreprocess):
            return ()
        found = self.raw(np.arange(1))
        return tuple(found) if isinstance(found, Mapping) else ()

    @property
    def storable(self) -> bool:
        """Whether inputs are of a form whose frozen activations can be stored by example."""
        form = self.preprocess
        right = isinstance(form, TextPreprocess) and form.tokenizer.padding_side == "right"
        return right or isinstance(form, ImagePreprocess)

    def close(self) -> None:
        """Let the shelves of token ids and images go."""
        for shelf in (self._pixels, self._tokens.shelf if self._tokens is not None else None):
            if shelf is not None:
                shelf.close()

    @property
    def keys(self) -> list[bytes]:
        """A content address per row: of a file's bytes, or of a text."""
        if self._keys is None:
            self._keys = content_keys(self.dataset, self._known)
        return self._keys

    @property
    def contents(self) -> list[bytes]:
        """A content address per example, whatever it was cut into."""
        return self.keys if self.of is None else content_keys(self.whole, self._known)

    def rows_of(self, examples: np.ndarray) -> np.ndarray:
        """The rows of some examples, in their order: themselves, or their windows."""
        if self.of is None:
            return examples
        first, last = (np.searchsorted(self.of, examples, side) for side in ("left", "right"))
        return np.concatenate([np.zeros(0, np.int64), *map(np.arange, first, last)])

    def counts(self, examples: np.ndarray) -> np.ndarray:
        """How many rows each of some examples has, int64 [n]."""
        if self.of is None:
            return np.ones(len(examples), np.int64)
        return np.searchsorted(self.of, examples, "right") - np.searchsorted(self.of, examples, "left")

    def means(self, features: np.ndarray, examples: np.ndarray) -> np.ndarray:
        """Features [n, D] of some examples, of those of their rows: the mean of each example's windows."""
        if self.of is None or not len(examples):
            return features
        counts = self.counts(examples)
        sums = np.add.reduceat(features.astype(np.float64), np.cumsum([0, *counts[:-1]]), axis=0)
        return (sums / counts[:, None]).astype(features.dtype)  # type: ignore[no-any-return]

    def put_together(
        self, answers: Sequence[Any], task: Task, examples: np.ndarray | None = None
    ) -> list[Any]:
        """One prediction per example from those of its rows.

        examples: whose rows were answered, in the order of `rows_of`; None: all.
        """
        if self.of is None:
            return list(answers)
        counts = self.counts(np.arange(len(self.whole)) if examples is None else examples)
        ends = np.cumsum([0, *counts])
        return [task.joined(answers[a:b]) for a, b in itertools.pairwise(ends)]

    def keep_pixels(self) -> None:
        """From now on decoded and resized images are kept in the store: nothing else of them can be."""
        form = self.preprocess
        if self._store is not None and isinstance(form, ImagePreprocess) and self._pixels is None:
            about = {"what": "decoded images", "preprocess": form.spec(), "decoder": decoder()}
            size = form.size
            self._pixels = self._store.shelf(shelf_key(about), {**about, "bytes": 3 * size * size})

    def raw(self, rows: np.ndarray, *, tokens: int | None = None) -> Any:
        """One batch of raw inputs on the CPU: uint8 images [B, 3, H, W], or token tensors [B, T].

        tokens: T; None: the longest of these rows.
        """
        if self._tokens is not None:
            return self._tokens.batch(rows, tokens)
        if self._pixels is None:
            return self.preprocess.raw(self._items(rows))
        size: int = self.preprocess.size  # type: ignore[attr-defined]
        keys = [self.keys[row] for row in rows]
        found = [self._pixels.get(key) for key in keys]
        # numpy alone: torch copies of this size, in this thread, start threads that spin beside training.
        images = np.empty((len(rows), 3, size, size), np.uint8)
        absent = [i for i, record in enumerate(found) if record is None]
        for i, record in enumerate(found):
            if record is not None:
                images[i] = np.frombuffer(record, np.uint8).reshape(3, size, size)
        if absent:
            images[absent] = self.preprocess.raw(self._items(rows[absent])).numpy()  # type: ignore[union-attr]
            self._pixels.put([keys[i] for i in absent], [images[i] for i in absent])
        return torch.from_numpy(images)

    def batch(self, rows: np.ndarray, task: Task, labels: Labels, inputs: Any = None) -> Batch:
        """A task's batch of these rows; of `inputs` where they are made already."""
        given = Given(self.raw(rows) if inputs is None else inputs, self.preprocess.takes)
        return task.collate(self.told(rows), given, labels)

    def told(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """What a task's collate is told of each row: its columns; of windows also text and tokens' places."""
        found = [{**row, "item": None} for row in rows_of(self.columns, rows)] or [{"item": None}] * len(rows)
        if self._tokens is None or not self._tokens.placed:
            return found
        places, texts = self._tokens.places(rows), self._items(rows)
        return [
            {**row, "item": text, "pieces": own} for row, text, own in zip(found, texts, places, strict=True)
        ]

    def _items(self, rows: np.ndarray) -> list[Any]:
        return list(self.dataset[np.asarray(rows).tolist()]["item"])


class _Columns(dict[str, list[Any]]):
    """Columns in memory, read by rows as a data set is."""

    def __getitem__(self, rows: Any) -> Any:
        return {name: [values[row] for row in rows] for name, values in self.items()}


class _Tokens:
    """Token ids of every text, in the store or in memory; padded when a batch is made.

    placed: with where each token lies in its text.
    """

    def __init__(
        self,
        dataset: Any,
        keys: list[bytes] | None,
        preprocess: TextPreprocess,
        store: Store | None,
        *,
        placed: bool = False,
    ) -> None:
        self.placed = placed
        tokenizer = preprocess.tokenizer
        self._preprocess, self._dataset, self._keys = preprocess, dataset, keys
        self._padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
        self._left = tokenizer.padding_side == "left"
        self.names: tuple[str, ...] = tuple(preprocess.raw(["a"]))
        self._each = len(self.names) + (3 if placed else 0)  # numbers per token in a record
        self.shelf: Shelf | None = None
        self._memory: dict[int, np.ndarray] = {}
        if store is not None:
            about = {
                "what": "token ids",
                "tokenizer": tokenizer_digest(tokenizer),
                "max_length": preprocess.max_length,
                "names": list(self.names),
                **({"pairs": True} if preprocess.pairs else {}),
                **({"placed": True} if placed else {}),
            }
            self.shelf = store.shelf(shelf_key(about), about)
        count = len(dataset)
        self.lengths, self.whole_lengths = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for start in range(0, count, BLOCK):
            rows = range(start, min(start + BLOCK, count))
            for row, record in zip(rows, self._records(list(rows), keep=True), strict=True):
                self.whole_lengths[row] = record[0]
                self.lengths[row] = (len(record) - 1) // self._each
        if self.shelf is not None:
            self.shelf.commit()

    def batch(self, rows: np.ndarray, tokens: int | None) -> dict[str, Tensor]:
        """Token tensors int64 [B, T]."""
        T = tokens or int(self.lengths[rows].max())
        out = {n: np.full((len(rows), T), self._padding.get(n, 0), np.int64) for n in self.names}
        for i, record in enumerate(self._records([int(row) for row in rows], keep=False)):
            own = (len(record) - 1) // self._each
            place = slice(T - own, T) if self._left else slice(0, own)
            for j, name in enumerate(self.names):
                out[name][i, place] = record[1 + j * own : 1 + (j + 1) * own]
        return {name: torch.from_numpy(array) for name, array in out.items()}

    def places(self, rows: np.ndarray) -> list[np.ndarray]:
        """Where the tokens of each row lie, int64 [t, 3]: see `TextPreprocess.places`."""
        found = []
        for record in self._records([int(row) for row in rows], keep=False):
            own = (len(record) - 1) // self._each
            found.append(record[1 + len(self.names) * own :].astype(np.int64).reshape(own, 3))
        return found

    def _records(self, rows: list[int], *, keep: bool) -> list[np.ndarray]:
        """int32 records: the length before cutting, then each name's ids."""
        found: dict[int, np.ndarray] = {}
        if self.shelf is not None and self._keys is not None:
            if keep:
                self.shelf.missing([self._keys[row] for row in rows])  # what other processes wrote
            for row in rows:
                record = self.shelf.get(self._keys[row])
                if record is not None:
                    found[row] = np.frombuffer(record, np.int32)
        else:
            found = {row: self._memory[row] for row in rows if row in self._memory}
        absent = [row for row in rows if row not in found]
        if absent:
            made = self._tokenized([str(text) for text in self._dataset[absent]["item"]])
            found.update(zip(absent, made, strict=True))
            if self.shelf is not None and self._keys is not None:
                self.shelf.put([self._keys[row] for row in absent], made)
            else:
                self._memory.update(zip(absent, made, strict=True))
        return [found[row] for row in rows]

    def _tokenized(self, texts: list[str]) -> list[np.ndarray]:
        lengths = self._preprocess.lengths(texts)
        cut = self._preprocess.encoded(texts, padding=False)
        places = self._preprocess.places(texts, encoded=cut) if self.placed else [()] * len(texts)
        return [
            np.concatenate([[length], *(cut[name][i] for name in self.names), np.ravel(places[i])]).astype(
                np.int32
            )
            for i, length in enumerate(lengths)
        ]


def truncation(splits: Mapping[str, Examples]) -> str:
    """How many texts of each split are longer than the network's window, and what becomes of them, in words.

    "" where none is longer.
    """
    cut, read, form = [], [], None
    windows = 0
    for split, own in splits.items():
        if own.whole_lengths is None or not isinstance(own.preprocess, TextPreprocess):
            continue
        form = own.preprocess
        if own.of is not None and form.long_texts == "windows":
            counts = own.counts(np.arange(len(own.whole)))
            read.append(f"{int((counts > 1).sum()):,} of {len(own.whole):,} {split}".strip())
            windows += int(counts[counts > 1].sum())
        if long := int((own.whole_lengths > form.max_length).sum()):
            cut.append(f"{long:,} of {len(own):,} {split}".strip())
    if form is None:
        return ""
    longer = f"{'pairs' if form.pairs else 'texts'} are longer than {form.max_length} tokens"
    together = " together" if form.pairs else ""
    said = [f"{', '.join(read)} {longer}{together}, and are read in {windows:,} windows"] if read else []
    if cut and form.long_texts == "windows":
        said.append(f"{', '.join(cut)} windows are still longer, and are cut")
    elif cut:
        lost = "lose the end of the longer text" if form.pairs else "are cut there"
        said.append(f"{', '.join(cut)} {longer}{together}, and {lost}")
    return "; ".join(said)


def tokenizer_digest(tokenizer: Any) -> str:
    """A content address of all that decides what a tokenizer makes of a text."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    whole = json.loads(fast.to_str()) if fast is not None else {"vocabulary": tokenizer.get_vocab()}
    # What the last call asked for, not what the tokenizer is: it would differ from run to run.
    inner = json.dumps({k: v for k, v in whole.items() if k not in ("truncation", "padding")}, sort_keys=True)
    sides = [tokenizer.padding_side, tokenizer.truncation_side]
    special = [str(tokenizer.pad_token_id), str(tokenizer.special_tokens_map)]
    said = [type(tokenizer).__name__, *sides, *special, inner]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def content_keys(dataset: Any, known: dict[str, bytes] | None = None) -> list[bytes]:
    """A content address per row: of a file's bytes, or of a text.

    known: addresses of files that were read already, by path; grows.
    Raises NoData or BadData for a file that cannot be read.
    """
    files = {} if known is None else known
    found: list[bytes] = []
    with ThreadPoolExecutor(max_workers=2) as threads:
        for start in range(0, len(dataset), BLOCK):
            found += threads.map(partial(item_key, known=files), dataset[start : start + BLOCK]["item"])
    return found


def decoder() -> str:
    """What decodes and resizes images, and so decides their pixels."""
    import PIL

    return f"torch {torch.__version__}, PIL {PIL.__version__}"
