"""Integrated gradients find a word that was planted, and add up to what they explain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tunesmith as ts
from tunesmith.data.pairs import together
from tunesmith.reports.asked import odds_of
from tunesmith.reports.attribution import TAIL, attributions, masked, pieces_of, spoken
from tunesmith.reports.content import Content, Shown
from tunesmith.reports.page import run_page
from tunesmith.reports.rendering import around
from tunesmith.testing.stand_ins import speller

FILLERS = ["the", "a", "of", "to", "and", "in", "is", "on", "that", "with", "for", "as", "it", "at", "by"]
# In texts of class 0, of class 1, and of neither. Two tokens each: a text's length must tell nothing.
PLANTED = ("zebra", "camel", "lemur")
TARGETS = torch.tensor([[1, 0], [0, 1], [0.5, 0.5]])


def texts(count: int, seed: int, classes: int = 2) -> list[tuple[str, int]]:
    """Eight words each, one of them planted at a drawn place; the rest tells nothing."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(count):
        words = random.choice(FILLERS, 8).tolist()
        words[random.integers(8)] = PLANTED[i % classes]
        found.append((" ".join(words), i % classes))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT whose tokens are words; a word of two pieces among them."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    place = tmp_path_factory.mktemp("words")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {
        t: i for i, t in enumerate([*special, *FILLERS, "zeb", "##ra", "cam", "##el", "lem", "##ur"])
    }
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, model_max_length=32, pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(place)  # fmt: skip
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=34,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(place)
    return place


def loaded(folder: Path) -> ts.Network:
    torch.manual_seed(0)
    return ts.load(f"hf/{folder}", ts.Want("text-classification", 2))


@pytest.fixture(scope="module")
def network(folder: Path) -> ts.Network:
    """It learned which word belongs to which class, and that unknown words tell nothing.

    As pretrained networks have met masks; without, what it makes of a masked text is chance.
    """
    random = np.random.default_rng(2)
    made = loaded(folder)
    with torch.no_grad():  # from half as wide a head: wider, it is so sure that sixteen steps lose the way
        made.module.get_parameter(made.head.weights[-2]).mul_(0.5)
    optimizer = torch.optim.Adam(made.module.parameters(), 3e-3)
    made.module.train()
    for step in range(120):
        pairs = texts(30, step, classes=3)
        hidden = [
            " ".join(w if w in PLANTED or random.random() < i / 30 else "?" for w in text.split())
            for i, (text, _) in enumerate(pairs)
        ]
        loss = nn.functional.cross_entropy(
            made(made.preprocess.raw(hidden)), TARGETS[[label for _, label in pairs]]
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    made.module.eval()
    assert loss.item() < 0.3  # 0.23 is the least: a third of the texts has no answer
    return made


def first_word(network: ts.Network, text: str, answer: int) -> str:
    """The word with the largest weight, its pieces added up."""
    said = spoken(network, text, odds_of(answer))
    assert said is not None
    words: dict[int, float] = {}
    place = 0
    for piece, weight in said:
        start = place + len(piece) - len(piece.lstrip())
        words[text[:start].count(" ")] = words.get(text[:start].count(" "), 0.0) + weight
        place += len(piece)
    return text.split(" ")[max(words, key=lambda i: words[i])]


def test_the_planted_word_has_the_largest_weight(network: ts.Network) -> None:
    pairs = texts(20, 100)
    assert [first_word(network, text, label) for text, label in pairs] == [PLANTED[y] for _, y in pairs]


def test_a_network_that_learned_nothing_rests_on_other_words(folder: Path) -> None:
    """The control: if any network's largest weight were the planted word's, the test above would be blind."""
    untrained, pairs = loaded(folder), texts(20, 100)
    found = [first_word(untrained, text, label) == PLANTED[label] for text, label in pairs]
    assert sum(found) < 15


def test_the_word_speaks_against_the_other_class(network: ts.Network) -> None:
    for text, label in texts(4, 200):
        said = spoken(network, text, odds_of(1 - label))
        assert said is not None
        assert min(said, key=lambda pair: pair[1])[0].strip() in ("zeb", "ra", "cam", "el")
        assert min(weight for _, weight in said) == -1


def odds(network: ts.Network, inputs: dict[str, torch.Tensor]) -> float:
    """Log odds of class 0."""
    with torch.no_grad():
        logits = network(inputs)[0]
    return float(logits[0] - logits[1])


def test_weights_add_up_to_what_the_words_change(network: ts.Network) -> None:
    """Completeness, the axiom that makes the method; one step alone does not reach it."""
    worst = {1: 0.0, 16: 0.0, 128: 0.0}
    for text, _ in texts(6, 300):
        inputs = dict(network.preprocess.raw([text]))
        change = odds(network, inputs) - odds(network, masked(network, inputs))
        for steps in worst:
            summed = attributions(network, inputs, odds_of(0), steps=steps)
            assert summed is not None
            worst[steps] = max(worst[steps], abs(float(summed.sum()) - change) / abs(change))
    assert worst[128] < 0.02
    assert worst[16] < 0.2  # this network is as sure as can be; the pretrained ones have smoother ways
    assert worst[1] > 2 * worst[16]  # the control


def test_pieces_are_the_text_again(network: ts.Network) -> None:
    text = "  the zebra  is,\n on a camel at " + "of the " * 30 + "end"
    said = spoken(network, text, odds_of(0))
    assert said is not None
    assert "".join(piece for piece, _ in said) == text
    assert said[-1][1] == 0  # what lies behind the window was not read
    assert max(abs(weight) for _, weight in said) == 1


@pytest.mark.parametrize("long", ["of the " * 700_000, "x" * 5_000_000], ids=["words", "one word"])
def test_a_text_of_five_megabytes_went_into_the_page_whole(
    network: ts.Network, make_content: Callable[..., Content], long: str
) -> None:
    text = f"the zebra is {long}"
    said = spoken(network, text, odds_of(0))
    assert said is not None
    assert len(said[-1][0]) <= TAIL + 1 or said[-1][0] == f" {long}"  # one word that the network did read
    mistakes = (Shown("1", "a", text=text, guess="b", probability=0.9, tokens=said),) * 12
    untold = (Shown("1", "a", text=text, guess="b", probability=0.9),)
    examples = (Shown("1", "a", text=text),) * 4
    page = run_page(make_content(takes="text", own={"mistakes": mistakes + untold}, examples=examples))
    assert len(page.encode()) < 1_000_000
    assert "zeb" in page


@pytest.mark.parametrize("first", ["ab cd", "ab cd " * 30, "?"])
def test_pieces_of_a_pair_are_both_texts_again(first: str) -> None:
    """What the first text lost at the window, and the sign between, weigh nothing."""
    preprocess = ts.TextPreprocess(speller(["abcd", "efgh"]), 24, pairs=True)
    item = together(first, "ef gh")
    places = preprocess.places([item])[0]
    pieces = pieces_of(preprocess, item, [float(part) for part, _, _ in places])
    assert "".join(piece for piece, _ in pieces) == item
    assert "".join(piece for piece, weight in pieces if weight > 0) == "ef gh"
    assert "\n" in [piece for piece, _ in around(pieces)]


def test_bytes_of_one_sign_are_one_piece() -> None:
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(["a"], trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="a")
    text = "a 好🙂!"
    count = len(tokenizer(text)["input_ids"])
    assert count == 2 + 3 + 4 + 1
    pieces = pieces_of(ts.TextPreprocess(tokenizer, 64), text, [1.0] * count)
    assert "".join(piece for piece, _ in pieces) == text
    assert dict(pieces) == {"a": 1, " ": 1, "好": 3, "🙂": 4, "!": 1}


@pytest.mark.parametrize("kind", ["bert", "gpt2", "distilbert"])
def test_networks_of_every_kind_tell_what_they_rest_on(kind: str, tiny_text: Callable[[str], Path]) -> None:
    made = ts.load(f"hf/{tiny_text(kind)}", ts.Want("text-classification", 3))
    for weight in made.module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    said = spoken(made, "warm and dull", odds_of(1))
    assert said is not None
    assert "".join(piece for piece, _ in said) == "warm and dull"
    assert max(abs(weight) for _, weight in said) == 1
    assert not any(m._forward_hooks for m in made.module.modules())


def test_an_empty_text_rests_on_nothing(network: ts.Network) -> None:
    assert spoken(network, "  ", odds_of(0)) is None
