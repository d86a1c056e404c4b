"""Words whose first letter says what they are, and networks of which one knows the letters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.networks.network import Network, Stage
from tunesmith.networks.preprocess import TextPreprocess
from tunesmith.testing.stand_ins import speller

LETTERS = "abcdefghijklmnopqrstuvwxyz"
KIND = {letter: (0, 1, 0, 2)[place * 7 % 26 % 4] for place, letter in enumerate(LETTERS)}
TAGS = ("O", "B-PER", "B-LOC")
WIDTH = 8


class Spelled(nn.Module):
    """A vector for each token, then a mixing stage, and a head on each token's vector."""

    def __init__(self, tokens: int, outputs: int = 5) -> None:
        super().__init__()
        self.embed = nn.Embedding(tokens, WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, outputs)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        logits: Tensor = self.head(self.mix(self.embed(input_ids)))
        return logits


def planted(seed: int, *, knows: bool, finite: bool = True, constant: bool = False) -> Network:
    """A network with random weights, or one whose vectors say what kind of word a letter begins or ends."""
    tokenizer = speller(["".join(LETTERS), " ".join(LETTERS), "."])
    torch.manual_seed(seed)
    module = Spelled(len(tokenizer)).eval()
    with torch.no_grad():
        if knows:
            module.mix.weight.copy_(torch.eye(WIDTH))
            for letter, kind in KIND.items():
                module.embed.weight[tokenizer.convert_tokens_to_ids(letter), kind] += 6
                module.embed.weight[tokenizer.convert_tokens_to_ids(f"##{letter}"), 3 + kind] += 6
        if constant:
            module.mix.weight.zero_()
        if not finite:
            module.embed.weight[tokenizer.convert_tokens_to_ids("a")] = torch.nan
    stages = (
        Stage("embed", ("embed",), ("embed.weight",)),
        Stage("mix", ("mix",), ("mix.weight", "mix.bias")),
    )
    head = Stage("head", ("head",), ("head.weight", "head.bias"))
    name = "knows" if knows else "random"
    return Network(module, stages, head, (), TextPreprocess(tokenizer, 64), f"{name}@{seed}", family="text")


def for_pairs(network: Network) -> Network:
    """The same, which reads a question and its context."""
    preprocess: Any = network.preprocess
    network.preprocess = TextPreprocess(preprocess.tokenizer, 64, pairs=True)
    return network


def tagged(folder: Path, count: int, *, seed: int = 0) -> Path:
    """A folder of sentences of six words, each with the tag of its first letter."""
    random = np.random.default_rng(seed)
    for split, many in (("train", count), ("dev", 4), ("test", 4)):
        lines = []
        for _ in range(many):
            for letter in random.choice(list(LETTERS), 6):
                lines.append(f"{letter}{''.join(random.choice(list(LETTERS), 2))}\t{TAGS[KIND[letter]]}")
            lines.append("")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{split}.txt").write_text("\n".join(lines))
    return folder


def asked(path: Path, count: int, *, seed: int = 0) -> Path:
    """Questions on contexts of five words, of which the one of a known kind is the answer."""
    random = np.random.default_rng(seed)
    answers = [letter for letter, kind in KIND.items() if kind == 1]
    others = [letter for letter, kind in KIND.items() if kind == 0]
    data = []
    for i in range(count):
        words = ["".join(random.choice(others, 3)) for _ in range(5)]
        place = int(random.integers(5))
        words[place] = random.choice(answers) + random.choice(others) + random.choice(answers)
        start = sum(len(word) + 1 for word in words[:place])
        own = {"text": words[place], "answer_start": start}
        qas = [{"id": f"q{i}", "question": "which", "answers": [own]}]
        data.append({"title": f"t{i}", "paragraphs": [{"context": " ".join(words), "qas": qas}]})
    path.write_text(json.dumps({"version": "1.1", "data": data}))
    return path
