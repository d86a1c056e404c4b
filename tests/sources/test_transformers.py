"""Networks of transformers from local folders: how texts are read, what is refused, what is obeyed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith.errors import BadOption, BadWeights, ModelUnavailable
from tunesmith.networks.network import Network, Want
from tunesmith.networks.pooled import Pooled
from tunesmith.sources import load
from tunesmith.sources.transformers import Transformers

transformers = pytest.importorskip("transformers")

TEXTS = ("bert", "roberta", "distilbert", "gpt2")
SHORT, LONG = "zb cd", "a much longer text, with many more letters than the other one has"
MakeText = Callable[[str], Path]
MakeImage = Callable[..., Path]


def want(outputs: int = 3, **options: Any) -> Want:
    return Want("text-classification", outputs, **options)


def images(outputs: int = 3, **options: Any) -> Want:
    return Want("image-classification", outputs, **options)


def logits(network: Network, texts: list[str]) -> Tensor:
    network.module.eval()
    with torch.no_grad():
        return network(network.preprocess.raw(texts))


def loud(network: Network) -> Network:
    """A head that says what it sees: fresh ones are nearly silent."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.tensors(len(network.stages)).items():
            if name.endswith("weight"):
                tensor.normal_()
    return network


# -- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["", "?pooling=mean", "?pooling=cls", "?pooling=last", "?pooling=max"])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_batch_with_padding_answers_as_each_text_alone(
    kind: str, pooling: str, tiny_text: MakeText
) -> None:
    network = loud(load(f"hf/{tiny_text(kind)}{pooling}", want()))
    together = logits(network, [SHORT, LONG])
    alone = torch.cat([logits(network, [SHORT]), logits(network, [LONG])])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-4)  # or the network is blind


def test_gpt2_without_its_padding_token_reads_padding_as_text(tiny_text: MakeText) -> None:
    """The control: this is what telling the network its padding token prevents."""
    network = loud(load(f"hf/{tiny_text('gpt2')}", want()))
    right = logits(network, [SHORT, LONG])
    network.module.config.pad_token_id = 3_000_000  # type: ignore[union-attr]
    wrong = logits(network, [SHORT, LONG])
    assert torch.equal(right[1], wrong[1])
    assert not torch.allclose(right[0], wrong[0], atol=1e-3)


def test_gpt2_pads_with_its_end_of_text(tiny_text: MakeText) -> None:
    network = load(f"hf/{tiny_text('gpt2')}", want())
    tokenizer = network.preprocess.tokenizer  # type: ignore[attr-defined]
    assert tokenizer.pad_token == tokenizer.eos_token
    assert network.module.config.pad_token_id == tokenizer.eos_token_id  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", TEXTS)
def test_a_network_is_read_by_its_own_class_unless_a_pooling_is_named(kind: str, tiny_text: MakeText) -> None:
    folder = tiny_text(kind)
    own, pooled = load(f"hf/{folder}", want()), load(f"hf/{folder}?pooling=mean", want())
    assert "SequenceClassification" in type(own.module).__name__
    assert isinstance(pooled.module, Pooled)
    assert len(own.stages) >= 6
    assert "texts are read by the network's own classification class" in own.loaded
    assert "texts are read by the mean of their tokens" in pooled.loaded


@pytest.mark.parametrize(("pooling", "answer"), [("mean", 2.0), ("cls", 1.0), ("last", 3.0), ("max", 3.0)])
def test_poolings_by_hand_arithmetic(pooling: str, answer: float) -> None:
    from tunesmith.networks.pooled import Pool

    states = torch.tensor([[[1.0], [2.0], [3.0], [9.0]]])
    assert Pool(pooling)(states, torch.tensor([[1, 1, 1, 0]])).item() == answer


@pytest.mark.parametrize(
    ("mode", "pooling"), [("mean_tokens", "mean"), ("cls_token", "cls"), ("lasttoken", "last")]
)
def test_a_sentence_encoder_is_read_as_it_was_trained(mode: str, pooling: str, tiny_text: MakeText) -> None:
    folder = tiny_text("bert")
    (folder / "1_Pooling").mkdir()
    stated = {"pooling_mode_mean_tokens": False, f"pooling_mode_{mode}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(stated))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24}')
    network = load(f"hf/{folder}", want())
    assert isinstance(network.module, Pooled)
    assert network.module.pool.pooling == pooling
    assert network.preprocess.spec()["max_length"] == 24
    own = load(f"hf/{folder}?pooling=own", want())
    assert not isinstance(own.module, Pooled)


def test_an_unknown_pooling_is_refused_with_the_known_ones(tiny_text: MakeText) -> None:
    with pytest.raises(BadOption, match="one of mean, cls, last, max, own; found 'median'"):
        load(f"hf/{tiny_text('bert')}?pooling=median", want())


@pytest.mark.parametrize("head", ["mlp", "conv"])
def test_an_own_head_that_cannot_be_replaced_is_refused_with_the_cure(head: str, tiny_text: MakeText) -> None:
    with pytest.raises(BadOption, match=rf"only head 'linear' renews; for head '{head}'.*\?pooling=mean"):
        load(f"hf/{tiny_text('bert')}", want(head=head))


def test_more_tokens_than_the_network_reads_are_refused(tiny_text: MakeText) -> None:
    with pytest.raises(BadOption, match="max_length 100 is more than this network can read: 64 tokens"):
        load(f"hf/{tiny_text('bert')}", want(max_length=100))
    assert load(f"hf/{tiny_text('bert')}", want(max_length=20)).preprocess.spec()["max_length"] == 20


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_roberta_reads_no_more_tokens_than_it_has_positions_for(pooling: str, tiny_text: MakeText) -> None:
    """RoBERTa counts positions from padding_idx + 1, so two of its 66 embeddings are never a token's."""
    folder = tiny_text("roberta")
    values = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**values, "model_max_length": 10**30}))
    network = load(f"hf/{folder}?pooling={pooling}", want())
    assert logits(network, ["a " * 200]).shape == (1, 3)


# -- a head that came with the weights ----------------------------------------------------------


@pytest.fixture
def classifier(tiny_text: MakeText) -> Path:
    """A BERT with a trained head for two classes."""
    folder = tiny_text("bert")
    torch.manual_seed(5)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    network.classifier.weight.data.normal_()
    network.save_pretrained(folder)
    return folder


def test_a_pretrained_text_head_is_kept(classifier: Path) -> None:
    network = load(f"hf/{classifier}", want(2, head="pretrained"))
    reference = transformers.AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    with torch.no_grad():
        expected = reference(**dict(network.preprocess.raw([SHORT, LONG]))).logits
    assert torch.equal(logits(network, [SHORT, LONG]), expected)
    assert not torch.equal(logits(load(f"hf/{classifier}", want(2)), [SHORT, LONG]), expected)


def test_a_pretrained_text_head_of_another_width_feeds_a_new_layer(classifier: Path) -> None:
    network = load(f"hf/{classifier}", want(3, head="pretrained"))
    assert logits(network, [SHORT]).shape == (1, 3)
    reference = transformers.AutoModelForSequenceClassification.from_pretrained(classifier)
    kept = network.module.get_submodule("classifier.pretrained")
    assert torch.equal(kept.weight, reference.classifier.weight)  # type: ignore[arg-type]


def test_weights_without_a_head_have_no_pretrained_head(tiny_text: MakeText) -> None:
    with pytest.raises(BadWeights, match=r"lack classifier\.bias, classifier\.weight"):
        load(f"hf/{tiny_text('bert')}", want(2, head="pretrained"))


def test_a_network_read_by_pooling_has_no_pretrained_head(tiny_text: MakeText) -> None:
    with pytest.raises(BadOption, match=r"no head 'pretrained'.*\?pooling=own"):
        load(f"hf/{tiny_text('bert')}?pooling=mean", want(2, head="pretrained"))


# -- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vit", "convnext", "resnet"])
def test_an_image_network_of_a_folder_answers_as_transformers_does(kind: str, tiny_image: MakeImage) -> None:
    folder = tiny_image(kind)
    network = load(f"hf/{folder}", images(5, head="pretrained"))
    reference = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))
    with torch.no_grad():
        expected = reference(pixel_values=(pixels / 255 - mean) / std).logits
        assert torch.allclose(network(pixels), expected, atol=1e-6)
        assert not torch.allclose(network(pixels), reference(pixel_values=pixels / 255).logits, atol=1e-4)


def test_convnexts_share_of_the_crop_is_obeyed(tiny_image: MakeImage) -> None:
    form = load(f"hf/{tiny_image('convnext', crop_pct=0.5)}", images()).preprocess.spec()
    assert (form["size"], form["resize"], form["interpolation"]) == (32, 64, "bicubic")


@pytest.mark.parametrize(("code", "name"), [(0, "nearest"), (1, "lanczos"), (2, "bilinear"), (3, "bicubic")])
def test_the_interpolation_of_the_folder_is_obeyed(code: int, name: str, tiny_image: MakeImage) -> None:
    form = load(f"hf/{tiny_image('vit', resample=code)}", images()).preprocess.spec()
    assert form["interpolation"] == name


def test_a_folder_that_does_not_normalise_is_obeyed(tiny_image: MakeImage) -> None:
    form = load(f"hf/{tiny_image('vit', do_normalize=False)}", images()).preprocess.spec()
    assert (form["mean"], form["std"]) == ((0.0,) * 3, (1.0,) * 3)


def test_an_image_folder_without_its_preprocessing_is_refused(tiny_image: MakeImage) -> None:
    folder = tiny_image("vit")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"has no preprocessor_config\.json, so its input is unknown"):
        load(f"hf/{folder}", images())


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("task", [want(), images()], ids=["text", "image"])
def test_code_that_a_model_brings_is_never_run(task: Want, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    folder = tmp_path / "model"
    folder.mkdir()
    code = f"import pathlib; pathlib.Path({str(canary)!r}).touch()\n"
    code += "from transformers import PretrainedConfig\nclass C(PretrainedConfig):\n    model_type = 'evil'\n"
    (folder / "evil.py").write_text(code)
    (folder / "config.json").write_text(
        json.dumps({"model_type": "evil", "auto_map": {"AutoConfig": "evil.C"}})
    )
    with pytest.raises(BadWeights, match="brings code of its own, which is never run; name a model"):
        load(f"hf/{folder}", task)
    assert not canary.exists()


@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_missing_weights_are_named_and_start_random_only_when_allowed(
    pooling: str, tiny_text: MakeText
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_text("bert")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    lost = next(n for n in tensors if n.endswith("layer.2.output.dense.weight"))
    del tensors[lost]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BadWeights, match=r"lack .*layer\.2\.output\.dense\.weight.*--allow-missing"):
        load(f"hf/{folder}?pooling={pooling}", want())
    network = load(f"hf/{folder}?pooling={pooling}", want(allow_missing=True))
    assert len(network.missing) == 1
    assert ".layer.2" in f".{network.stages[network.owner(network.missing[0])].name}"


def test_weights_cut_short_are_refused(tiny_text: MakeText) -> None:
    path = tiny_text("bert") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadWeights, match=r"was cut short or damaged"):
        load(f"hf/{path.parent}", want())


def test_pickled_weights_that_hold_code_are_refused_and_their_code_never_runs(
    tiny_text: MakeText, tmp_path: Path
) -> None:
    class Canary:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "canary",))

    folder = tiny_text("bert")
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": Canary()}, folder / "pytorch_model.bin")
    with pytest.raises((BadWeights, ModelUnavailable)):
        load(f"hf/{folder}", want())
    assert not (tmp_path / "canary").exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "canary").exists()


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match=r"no transformers folder: it holds no config\.json"):
        load(f"hf/{tmp_path}", want())


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match=r"no folder at \./nowhere"):
        load("hf/./nowhere", want())


def test_an_image_folder_asked_for_a_text_task_is_refused_in_one_line(tiny_image: MakeImage) -> None:
    with pytest.raises(ModelUnavailable, match="does not serve this task") as caught:
        load(f"hf/{tiny_image('vit')}", want())
    assert "\n" not in str(caught.value)


# -- the hub ------------------------------------------------------------------------------------


def test_a_name_that_is_not_here_is_refused_offline() -> None:
    with pytest.raises(
        ModelUnavailable, match=r"hf/no/such is not on this machine and --offline .*hf/\./DIR"
    ):
        load("hf/no/such", want())


@pytest.mark.parametrize("task", [want(), images()], ids=["text", "image"])
def test_a_hub_that_does_not_answer_is_named_within_seconds(
    task: Want, monkeypatch: pytest.MonkeyPatch
) -> None:
    """huggingface_hub itself tries six times, with pauses: 24 seconds."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    begun = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"and http://127\.0\.0\.1:9 does not answer") as caught:
        load("hf/no/such", task)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 8


@pytest.fixture
def cache(tmp_path: Path, tiny_text: MakeText, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache with a whole BERT, and a model of which only the config was fetched."""
    for module in ("constants", "utils._cache_manager"):  # the second one copies it when it is imported
        monkeypatch.setattr(f"huggingface_hub.{module}.HF_HUB_CACHE", str(tmp_path))
    for name, files in (("org--whole", "*"), ("org--config", "config.json")):
        repository = tmp_path / f"models--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("abc")
        (repository / "snapshots" / "abc").mkdir(parents=True)
        (repository / "blobs").mkdir()
        for file in tiny_text("bert").glob(files):
            shutil.copy(file, repository / "snapshots" / "abc")
    return tmp_path


def test_a_cached_model_is_listed_only_with_its_weights(cache: Path) -> None:
    assert [m.name for m in Transformers().find("org/", "")] == ["hf/org/whole"]
    assert [m.name for m in Transformers().find("org/", "text-classification")] == ["hf/org/whole"]
    assert Transformers().find("org/", "image-classification") == []


def test_a_cached_model_loads_while_the_hub_does_not_answer(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert len(load("hf/org/whole", want()).stages) >= 6
