"""What answers without pretraining: words, colours, edges and random features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tunesmith.data.scripts import unspaced
from tunesmith.training.baselines import LOOKS, by_looks, looks, tf_idf

GOOD, BAD = ["lovely and warm", "great fun", "a warm hug"], ["dull and cold", "awful noise", "a cold wait"]


def test_words_tell_texts_apart() -> None:
    answers = tf_idf(GOOD + BAD, np.array([0, 0, 0, 1, 1, 1]), ["warm fun", "cold noise"], 2)
    assert [int(np.argmax(own)) for own in answers] == [0, 1]
    assert [float(own.sum()) for own in answers] == pytest.approx([1, 1])


def test_chinese_is_read_by_its_characters() -> None:
    texts = ["今天天气很好我很高兴", "这部电影真好看", "质量太差了很失望", "服务很差不会再来"]
    assert unspaced(texts) == 1.0
    answers = tf_idf(texts, np.array([0, 0, 1, 1]), ["这家店真好", "太差了"], 2)
    assert [int(np.argmax(own)) for own in answers] == [0, 1]


def test_a_class_that_was_not_learned_is_never_answered() -> None:
    answers = tf_idf(GOOD + BAD, np.array([0, 0, 0, 2, 2, 2]), ["warm"], 3)
    assert answers[0].shape == (3,)
    assert answers[0][1] == 0


def test_texts_without_a_word_are_refused() -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        tf_idf(["!!!", "???"], np.array([0, 1]), ["..."], 2)


def test_colours_and_edges_are_shares_of_a_picture() -> None:
    red = np.zeros((1, 3, 32, 32), np.uint8)
    red[:, 0] = 255
    found = looks(red)[0]
    assert found.shape == (LOOKS,)
    assert found[3 * 16] == 1.0  # the reddest of 4 x 4 x 4 colours
    assert found[:64].sum() == 1.0
    assert found[64:].sum() == 0.0  # no edge anywhere


def test_edges_tell_stripes_apart_that_have_the_same_colours(seed: int) -> None:
    random = np.random.default_rng(seed)
    across = np.zeros((80, 3, 16, 16), np.uint8)
    across[:, :, ::4] = across[:, :, 1::4] = 200
    across = across + random.integers(0, 30, across.shape).astype(np.uint8)
    images = np.where((np.arange(80) % 2 == 0)[:, None, None, None], across, across.transpose(0, 1, 3, 2))
    known, targets = looks(images), np.arange(80) % 2
    guesses = np.argmax(by_looks(known[:40], targets[:40], known[40:], 2), axis=1)
    assert (guesses == targets[40:]).mean() > 0.95
    colours = known.copy()
    colours[:, 64:] = 0
    blind = np.argmax(by_looks(colours[:40], targets[:40], colours[40:], 2), axis=1)
    assert (blind == targets[40:]).mean() < 0.8  # or the colours would do


class Tokened(nn.Module):
    """A layer that can be reset, and a parameter that stands alone."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(1, 50, 8) * 0.1 + 3)
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)


def test_a_twin_has_the_architecture_and_none_of_the_weights() -> None:
    from tunesmith.networks.network import Network, Stage
    from tunesmith.networks.preprocess import ImagePreprocess
    from tunesmith.networks.untrained import untrained

    module = Tokened()
    module.norm.running_mean.fill_(5)  # type: ignore[union-attr]
    network = Network(module, (), Stage("head", (), ()), (), ImagePreprocess(8, 8), "mine@1")
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.random.get_rng_state()
    twin, same, other = (untrained(network, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    own = twin.module.state_dict()
    assert not torch.equal(own["conv.weight"], before["conv.weight"])
    assert not torch.equal(own["place"], before["place"])
    assert float(own["place"].mean()) == pytest.approx(3, abs=0.05)
    assert torch.equal(own["norm.running_mean"], torch.zeros(8))
    assert all(torch.equal(tensor, same.module.state_dict()[name]) for name, tensor in own.items())
    assert not torch.equal(own["conv.weight"], other.module.state_dict()["conv.weight"])


def test_colours_are_counted_once(photos: Path, tmp_path: Path) -> None:
    import tunesmith as ts
    from tunesmith.networks.preprocess import ImagePreprocess
    from tunesmith.store import Store
    from tunesmith.training.baselines import looks_of
    from tunesmith.training.examples import Examples

    store = Store(tmp_path / "store")
    examples = Examples(ts.read(photos).train, ImagePreprocess(32, 32), store)
    rows = np.arange(10)
    first = looks_of(examples, rows, store)
    examples.raw = None  # type: ignore[assignment, method-assign]  # a second look would fail
    assert np.array_equal(looks_of(examples, rows, store), first)
