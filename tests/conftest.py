"""What every test may use: a seed, a cache of its own, small data, and the real data where they are."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
IMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "vit": (
        {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
        | {"image_size": 32, "patch_size": 8},
        "ViTImageProcessor",
    ),
    "convnext": ({"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 2, 1]}, "ConvNextImageProcessor"),
    "resnet": (
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2], "layer_type": "basic"},
        "ConvNextImageProcessor",
    ),
}


# One thread per test process: the machine's cores go to pytest-xdist, and sums have one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture
def seed() -> int:
    """The one place where a test's randomness comes from; TUNESMITH_SEED draws others."""
    return int(os.environ.get("TUNESMITH_SEED", "0"))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["TUNESMITH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("TUNESMITH_MODELS", None)


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data sets and weights; a test that needs it is skipped where it is not."""
    folder = Path(os.environ.get("TUNESMITH_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "weights").is_dir():
        pytest.skip("needs the real data sets and weights, which the project does not ship")
    return folder


@dataclass(frozen=True)
class Answer:
    """What the command line gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def tunesmith(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """The command line, in this process: `tunesmith("fit", photos, "--epochs", 1)`."""

    def call(*words: object, stdin: str = "") -> Answer:
        from tunesmith.cli import main

        monkeypatch.setattr(sys, "argv", ["tunesmith", *(str(word) for word in words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def ask() -> Iterator[Callable[..., dict[str, Any]]]:
    """Have a verb carried out by a fresh child of a process that has imported everything.

    `ask("fit", die=("step", 3), data=photos)` gives {"killed", "code"}; see nursery.py for what else can be
    asked for with `beside`.
    """
    nursery = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("nursery.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    to, back = nursery.stdin, nursery.stdout
    assert back.readline().strip() == "ready"

    def request(
        verb: str,
        die: tuple[str, int] | None = None,
        beside: dict[str, Any] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        to.write(json.dumps({"verb": verb, "options": options, "die": die, **(beside or {})}) + "\n")
        to.flush()
        answer: dict[str, Any] = json.loads(back.readline())
        return answer

    yield request
    to.close()
    nursery.wait()


@pytest.fixture(scope="session")
def photo_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on `photos`; copy it to change it."""
    import tunesmith as ts
    from tunesmith.verbs.reporting import Silent

    out = tmp_path_factory.mktemp("runs") / "photos"
    ts.fit(
        photos,
        model="timm/test_resnet@none",
        image_size=32,
        epochs=2,
        batch=8,
        lr=0.01,
        keep="trained",
        device="cpu",
        out=out,
        reporter=Silent(),
    )
    return out


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures of 40 x 40 pixels in three class folders: red, green and blue, with noise."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("data") / "photos"
    random = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green", "blue")):
        (folder / name).mkdir(parents=True)
        for i in range(16):
            pixels = random.integers(0, 120, (40, 40, 3), dtype=np.uint8)
            pixels[..., channel] = random.integers(120, 255, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 short reviews in a CSV with the columns text and label: good and bad."""
    words = {
        "good": ["lovely", "great", "warm", "wonderful", "bright", "pleasing"],
        "bad": ["dull", "awful", "cold", "boring", "broken", "noisy"],
    }
    random = np.random.default_rng(0)
    lines = ["text,label"]
    for i in range(60):
        label = ("good", "bad")[i % 2]
        chosen = random.choice(words[label], 3).tolist()
        lines.append(f"number {i} was {chosen[0]} and {chosen[1]} but also {chosen[2]},{label}")
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a transformers folder: a tiny random network of a kind ("bert", "gpt2" ...) and its tokenizer."""

    def make(kind: str = "bert") -> Path:
        import torch
        import transformers
        from tokenizers import Tokenizer, models, pre_tokenizers

        folder = tmp_path_factory.mktemp(kind)
        letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [str(d) for d in range(10)]
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        vocabulary = {t: i for i, t in enumerate([*special, *letters, *(f"##{x}" for x in letters)])}
        raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        raw.pre_tokenizer = pre_tokenizers.Whitespace()
        named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        if kind == "gpt2":
            named = {"unk_token": "[UNK]", "eos_token": "[SEP]"}
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=raw,
            model_max_length=64,
            model_input_names=["input_ids", "attention_mask"],
            **named,
        )
        tokenizer.save_pretrained(folder)
        torch.manual_seed(0)
        shape: dict[str, int] = {"vocab_size": len(vocabulary)}
        if kind == "gpt2":
            shape |= {"n_embd": 16, "n_layer": 6, "n_head": 2, "n_positions": 64}
        elif kind == "distilbert":
            shape |= {"dim": 16, "n_layers": 6, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64}
        else:
            shape |= {
                "hidden_size": 16,
                "num_hidden_layers": 6,
                "num_attention_heads": 2,
                "intermediate_size": 32,
                "max_position_embeddings": 66,
            }
        config = transformers.AutoConfig.for_model(kind, **shape)
        transformers.AutoModelForSequenceClassification.from_config(config).base_model.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_image(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a transformers folder: a tiny random image classifier for 5 classes and its preprocessing."""

    def make(kind: str = "vit", *, dtype: Any = None, **processing: Any) -> Path:
        import torch

        transformers = pytest.importorskip("transformers")
        folder = tmp_path_factory.mktemp(kind)
        shape, processor = IMAGES[kind]
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(kind, num_labels=5, **shape)
        network = transformers.AutoModelForImageClassification.from_config(config)
        network.to(dtype or torch.float32).save_pretrained(folder)
        size = {"height": 32, "width": 32} if kind == "vit" else {"shortest_edge": 32}
        options = {"size": size, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], **processing}
        getattr(transformers, processor)(**options).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers folder: a tiny random BERT of 48 tokens, and a tokenizer of letters and pairs."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("reader")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [str(d) for d in range(10)]
    words = ["ann", "bob", "has", "a", "dog", "cat", "who", "what", "which", ".", "?", "lives", "in", "town"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    every = dict.fromkeys([*special, *words, *letters, *(f"##{x}" for x in letters)])
    inner = Tokenizer(models.WordPiece({token: i for i, token in enumerate(every)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=48,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        "bert",
        vocab_size=len(every),
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
    )
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def riddles(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a SQuAD file of 16 articles: two questions on a short context, two on one longer than a window.

    impossible: every fourth question has no answer.
    """

    def make(*, impossible: bool = False) -> Path:
        data = []
        for i in range(16):
            paragraphs = []
            for long in (False, True):
                pets = ("dog", "cat") if i % 2 else ("cat", "dog")
                context = f"Ann has a {pets[0]}. Bob has a {pets[1]}. " + f"Town {i} lives. " * (1 + 9 * long)
                qas = []
                for who in ("Bob", "Ann"):
                    answer = f"a {pets[0] if who == 'Ann' else pets[1]}"
                    start = context.index(answer, context.index(who))
                    own = {"id": f"{i}{'l' * long}{who[0]}", "question": f"What has {who}?"}
                    none = impossible and who == "Bob" and long
                    found = [] if none else [{"text": answer, "answer_start": start}]
                    qas.append({**own, "answers": found} | ({"is_impossible": none} if impossible else {}))
                paragraphs.append({"context": context, "qas": qas})
            data.append({"title": f"town {i}", "paragraphs": paragraphs})
        path = tmp_path_factory.mktemp("data") / "riddles.json"
        path.write_text(json.dumps({"version": "v2.0" if impossible else "1.1", "data": data}))
        return path

    return make
