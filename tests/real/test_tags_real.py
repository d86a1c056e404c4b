"""Named entities of real data: read as they are, and learned from end to end with a small network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import tunesmith as ts
from tunesmith.data.read import read
from tunesmith.data.tags import Answer
from tunesmith.verbs.reporting import Silent

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("folder", "sentences", "spans"),
    [
        ("crossner/ai", 881, 3890),
        ("crossner/politics", 1392, 8995),
        ("btc-ner/CONLL-format/data", 9338, 14885),
        ("weibo-ner-zh", 1890, 2702),
    ],
)
def test_every_span_is_read_as_its_tags_mark_it(real: Path, folder: str, sentences: int, spans: int) -> None:
    data = read(real / folder)
    assert data.task == "token-classification"
    answers = [Answer.of(label) for own in data.splits.values() for label in own["label"]]
    assert len(answers) == sentences
    assert sum(len(answer.spans()) for answer in answers) == spans


def characters(folder: Path, texts: list[str]) -> Path:
    """A small BERT with random weights that reads single characters."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    seen = Counter(sign for text in texts for sign in text if not sign.isspace())
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    known = {sign: i for i, sign in enumerate([*special, *sorted(seen)])}
    inner = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=128, **names
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(known),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=130,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.full
def test_chinese_posts_are_learned_from_end_to_end(real: Path, tmp_path: Path) -> None:
    texts = read(real / "weibo-ner-zh").train["item"][:]
    run = ts.fit(
        real / "weibo-ner-zh",
        model=f"hf/{characters(tmp_path / 'bert', texts)}",
        strategy="full",
        epochs=2,
        lr=1e-3,
        balance="weights",
        device="cpu",
        out=tmp_path / "run",
        reporter=Silent(),
    )
    assert run is not None
    assert run.scores["test"]["count"] == 270
    assert run.scores["test"]["metrics"]["log_loss"]["value"] < 0.6
    text = "我在北京大学读书"
    (row,) = run.predict([text])
    assert all(text[span["start"] : span["end"]] in row["marked"] for span in row["spans"])
