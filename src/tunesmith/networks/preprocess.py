"""From a raw item to what a network takes; travels with every saved model.

Two steps, so that the first can run beside training and its result be kept: `raw` (decode and
resize, or tokenize; no randomness, on the CPU) and `ready` (to the network's number type).
Augmentation stands between them, on uint8 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from tunesmith.data.pairs import apart
from tunesmith.errors import BadOption
from tunesmith.networks.pixels import stacked
from tunesmith.registry import did_you_mean

LONG_TEXTS: Final = ("cut", "windows")

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Preprocess(Protocol):
    """What the loop, the tasks and the saved model need of a preprocessing."""

    @property
    def takes(self) -> str:
        """What an item is: "image" or "text"."""

    def raw(self, items: Sequence[Any]) -> Tensor | dict[str, Tensor]:
        """Items as they lie in the data, to one batch of tensors on the CPU."""

    def ready(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor | Mapping[str, Tensor]:
        """That batch, perhaps augmented and on another device, to the network's input."""

    def spec(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values."""

    def save(self, folder: Path) -> None:
        """Write what `spec` cannot hold (a tokenizer) into the folder."""


@dataclass(frozen=True)
class ImagePreprocess:
    """Resize the shorter side, crop the middle, scale to [0, 1], normalise.

    size: pixels a side of what the network gets.
    resize: pixels of the shorter side before the crop; equal to size where nothing is cut off.
    interpolation: as PIL calls it; all but nearest are antialiased.
    mean, std: per channel, of values in [0, 1].
    argument: the name under which the network's forward takes the images; None: the first one.
    """

    size: int
    resize: int
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    argument: str | None = None
    takes: str = "image"

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 4096 or self.resize < self.size:
            raise BadOption(
                f"an image size must lie between 8 and 4096 pixels and be at most the resize before "
                f"the crop; found size {self.size}, resize {self.resize}."
            )

    def raw(self, items: Sequence[Any]) -> Tensor:
        """Decode, resize and crop.

        items: {"path", "bytes"} as the data hold them.
        Returns uint8 [B, 3, size, size], contiguous.
        """
        return stacked(items, size=self.size, resize=self.resize, interpolation=self.interpolation)

    def ready(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor | Mapping[str, Tensor]:
        """uint8 [B, 3, H, W] to normalised float32 of the same shape."""
        import torch

        if isinstance(inputs, Mapping):
            raise TypeError("images come as one tensor")
        mean = torch.tensor(self.mean, device=inputs.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=inputs.device).view(-1, 1, 1)
        images = (inputs.to(torch.float32) / 255 - mean) / std
        images = images.contiguous(
            memory_format=torch.channels_last if inputs.is_cuda else torch.contiguous_format
        )
        return images if self.argument is None else {self.argument: images}

    def spec(self) -> dict[str, Any]:
        """The fields of this class."""
        return asdict(self)

    def save(self, folder: Path) -> None:
        """Nothing: `spec` says it all."""


@dataclass(frozen=True)
class TextPreprocess:
    """Tokenize, cut at the network's window, pad to the longest of the batch.

    tokenizer: of transformers, with a padding token.
    max_length: tokens, special ones included; what is longer is cut at the end, of a pair the longer text
        first.
    pairs: items are two texts (`tunesmith.data.pairs`), with the tokenizer's separator between them.
    long_texts: "cut"; or "windows": a task that gives one answer of each text cuts what is longer into parts
        that overlap (`Task.cut`), of which each fits. `raw` is given the parts.
    """

    tokenizer: Any
    max_length: int
    pairs: bool = False
    takes: str = "text"
    long_texts: str = "cut"

    def __post_init__(self) -> None:
        check_long_texts(self.long_texts, self.tokenizer)

    def raw(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """Texts to token tensors: int64 [B, T], T the longest of this batch."""
        return dict(self.encoded(items, padding=True, return_tensors="pt"))

    def encoded(self, items: Sequence[Any], *, whole: bool = False, **options: Any) -> Any:
        """What the tokenizer makes of texts or pairs, cut at the window; uncut if `whole`.

        options: of the tokenizer's call.
        """
        cut: dict[str, Any] = {"truncation": True, "max_length": self.max_length}
        if whole:
            cut = {"truncation": False, "verbose": False}
        if not self.pairs:
            return self.tokenizer(list(items), **cut, **options)
        firsts, seconds = zip(*map(apart, items), strict=True)
        return self.tokenizer(list(firsts), list(seconds), **cut, **options)

    def places(self, items: Sequence[Any], *, encoded: Any = None) -> list[np.ndarray]:
        """Where each token lies: per item int64 [T, 3], the part and the characters from start to end in it.

        part: 0 the text, or a pair's first; 1 its second; -1 a token that stands for no text.
        encoded: what `encoded` made of these items; None: it is made here.
        Raises BadOption for a tokenizer that does not know.
        """
        import numpy as np

        if not self.tokenizer.is_fast:
            raise BadOption(
                f"{type(self.tokenizer).__name__} does not say where its tokens lie in the text, which this "
                f"task needs; name a model with a fast tokenizer (a tokenizer.json)."
            )
        found = []
        for own in (self.encoded(items) if encoded is None else encoded).encodings:
            parts = [-1 if part is None else part for part in own.sequence_ids]
            found.append(
                np.asarray([(part, *at) for part, at in zip(parts, own.offsets, strict=True)], np.int64)
            )
        return found

    def ready(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor | Mapping[str, Tensor]:
        """As they are."""
        return inputs

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens per text before anything is cut, special ones included."""
        encoded = self.encoded(texts, whole=True, padding=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def spec(self) -> dict[str, Any]:
        """The window, whether items are pairs, whether long ones are windows; not the tokenizer."""
        also: dict[str, Any] = {"pairs": True} if self.pairs else {}
        if self.long_texts != "cut":
            also["long_texts"] = self.long_texts
        return {"takes": "text", "max_length": self.max_length, **also}

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files."""
        self.tokenizer.save_pretrained(folder / "tokenizer")


def check_long_texts(how: Any, tokenizer: Any = None) -> None:
    """Raise BadOption for what no long text can be done with, and for windows that a tokenizer cannot find.

    tokenizer: None: it is not known yet.
    """
    if how not in LONG_TEXTS:
        guess = did_you_mean(str(how), LONG_TEXTS)
        raise BadOption(f"long_texts must be one of {', '.join(LONG_TEXTS)}; found {how!r}{guess}")
    if how == "windows" and tokenizer is not None and not tokenizer.is_fast:
        raise BadOption(
            f"{type(tokenizer).__name__} does not say where its tokens lie in the text, so long texts cannot "
            f"be read in windows; leave long_texts out, or name a model with a fast tokenizer (a "
            f"tokenizer.json)."
        )


def restore(spec: Mapping[str, Any], folder: Path) -> Preprocess:
    """The preprocessing that was saved in a model's folder."""
    if spec["takes"] == "image":
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in spec.items()}
        return ImagePreprocess(**values)
    from tunesmith.registry import require

    transformers = require("transformers", "transformers", "a model for texts")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    also = {name: spec[name] for name in ("pairs", "long_texts") if name in spec}
    return TextPreprocess(tokenizer, spec["max_length"], **also)
