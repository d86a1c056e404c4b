"""What contracts put in the place of people's data and networks: small, made on the spot, known by heart."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.data.pairs import apart
from tunesmith.networks.network import Network, Stage
from tunesmith.networks.preprocess import Preprocess
from tunesmith.registry import require
from tunesmith.tasks.task import Batch

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def picture(number: int, size: int = 16) -> dict[str, Any]:
    """An image item of noise, another for each number: size x size pixels."""
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return {"path": None, "bytes": buffer.getvalue()}


def dataset(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Columns as a `datasets.Dataset`, named here: pickling them to name them takes longer than a test."""
    import datasets
    import pyarrow as pa
    from datasets.table import InMemoryTable

    table = pa.table({name: list(values) for name, values in columns.items()})
    name = hashlib.sha256(repr(columns).encode()).hexdigest()[:16]
    return datasets.Dataset(InMemoryTable(table), fingerprint=name)


def speller(texts: Sequence[str]) -> Any:
    """A fast tokenizer of transformers whose tokens are the letters of these texts, any script's.

    Words have several tokens each, as with a real vocabulary, and no letter is unknown.
    """
    transformers = require("transformers", "transformers", "a contract for texts")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    letters = sorted({letter for text in texts for part in apart(text) for letter in part})
    tokens = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
    )


class ByHeart(nn.Module):
    """Puts out what it was told for each input that it was shown, in whatever company the input comes.

    shown: what a preprocessing made ready. outputs: [N, ...], or [N, T, K] over the tokens of texts.
    """

    def __init__(self, shown: Tensor | Mapping[str, Tensor], outputs: Any) -> None:
        super().__init__()
        self.outputs = nn.Parameter(torch.as_tensor(np.asarray(outputs), dtype=torch.float32))
        self.places = {key: place for place, key in enumerate(_keys(shown))}

    def forward(self, *images: Tensor, **tokens: Tensor) -> Tensor:
        """The outputs of these inputs, [B, ...]."""
        inputs = tokens or images[0]
        said = self.outputs[[self.places[key] for key in _keys(inputs)]]
        over_tokens = said.ndim == 3 and isinstance(inputs, Mapping)
        return said[:, : next(iter(tokens.values())).shape[1]] if over_tokens else said


def by_heart(batch: Batch, outputs: Any, preprocess: Preprocess) -> Network:
    """A network that puts this out for the examples of a batch, alone or together."""
    assert not hasattr(batch.inputs, "resume")
    module = ByHeart(preprocess.ready(batch.inputs), outputs)
    return Network(module, (), Stage("all", ("",), ("outputs",)), (), preprocess, "by heart")


def _keys(inputs: Tensor | Mapping[str, Tensor]) -> list[bytes]:
    """What tells an example from others: its pixels, or its tokens without the padding."""
    if isinstance(inputs, Tensor):
        return [one.numpy().tobytes() for one in inputs.contiguous()]
    seen = inputs["attention_mask"].bool()
    ids = [inputs[name] for name in ("input_ids", "token_type_ids") if name in inputs]
    return [b"".join(part[row][mask].numpy().tobytes() for part in ids) for row, mask in enumerate(seen)]


def same(one: Any, other: Any) -> bool:
    """Whether two predictions, batches' tensors or tables say the same, whatever they are made of."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one) and is_dataclass(other):
        return type(one) is type(other) and same(vars(one), vars(other))
    if isinstance(one, Tensor):
        one = one.detach().numpy()
    if isinstance(other, Tensor):
        other = other.detach().numpy()
    if isinstance(one, np.ndarray | float | np.floating):
        return np.shape(one) == np.shape(other) and bool(
            np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)
            if np.asarray(one).dtype.kind in "fiub"
            else np.array_equal(one, other)
        )
    return bool(one == other)
