"""The snippets of docs/snippets.md run as they stand there; only what they would download is put in place.

torchvision's ResNet-50 is shortened (one narrow block per stage) and its random weights lie where
torchvision keeps its downloads; BERT is a tiny folder of the same name in the current folder.
"""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

CLASSIC = ("freeze", "layer", "full", "bert")
MISTAKES = (
    "requires-grad",
    "batch-norm",
    "bert-model",
    "eval",
    "optimizer",
    "label-order",
    "softmax",
)
State = dict[str, torch.Tensor]
Snippets = dict[str, str]


@pytest.fixture(scope="module")
def snippets(blocks: Callable[[str], list[Any]]) -> Snippets:
    return {b.marks["id"]: b.text for b in blocks("snippets.md") if "id" in b.marks}


@pytest.fixture
def resnet(here: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """A short ResNet-50 for everybody who asks torchvision for it; gives its `pretrained` weights."""
    from torchvision.models import ResNet50_Weights, resnet

    whole = resnet._resnet

    def short(block: Any, layers: list[int], weights: Any, progress: bool, **options: Any) -> Any:
        return whole(block, [1] * len(layers), weights, progress, width_per_group=4, **options)

    monkeypatch.setattr(resnet, "_resnet", short)
    monkeypatch.setenv("TORCH_HOME", str(here / "torch"))
    torch.manual_seed(0)
    state: State = resnet.resnet50(weights=None).state_dict()
    place = here / "torch" / "hub" / "checkpoints" / Path(ResNet50_Weights.DEFAULT.url).name
    place.parent.mkdir(parents=True)
    torch.save(state, place)
    return state


@pytest.fixture
def photos_in_splits(here: Path) -> Path:
    """18 training and 6 validation pictures in three classes, as photos/ in the current folder."""
    from PIL import Image

    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for channel, name in enumerate(("red", "green", "blue")):
            folder = here / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 120, (24, 24, 3), dtype=np.uint8)
                pixels[..., channel] += 120
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return here / "photos"


@pytest.fixture
def bert(here: Path, tiny_text: Callable[[str], Path]) -> State:
    """A tiny BERT in the folder bert-base-uncased; gives its weights by their names in the classifier."""
    from safetensors.torch import load_file

    shutil.copytree(tiny_text("bert"), here / "bert-base-uncased")
    weights = load_file(here / "bert-base-uncased" / "model.safetensors")
    return {f"bert.{name}": tensor for name, tensor in weights.items()}


@pytest.fixture
def imdb(here: Path) -> Path:
    """aclImdb with 24 training, 8 test and 4 unlabelled reviews."""
    words = {"pos": "lovely warm great", "neg": "dull cold boring", "unsup": "seen last night"}
    for split, names, count in (("train", ("pos", "neg"), 12), ("test", ("pos", "neg"), 4)):
        for name in names:
            for i in range(count):
                path = here / "aclImdb" / split / name / f"{i}_{7 if name == 'pos' else 2}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"film {i} {words[name]}", encoding="utf-8")
    for i in range(4):
        path = here / "aclImdb" / "train" / "unsup" / f"{i}_0.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"film {i} {words['unsup']}", encoding="utf-8")
    return here / "aclImdb"


def ran(source: str, **names: Any) -> dict[str, Any]:
    """The names that a snippet leaves behind."""
    space: dict[str, Any] = {"__name__": "snippet", **names}
    exec(compile(source, "docs/snippets.md", "exec"), space)
    return space


def moved(before: State, after: State) -> set[str]:
    """Names of the tensors that differ; a tensor that is new, as the head's, counts as moved."""
    return {
        name
        for name, tensor in after.items()
        if name not in before
        or before[name].shape != tensor.shape
        or not torch.equal(before[name], tensor.cpu())
    }


def both(snippets: Snippets, name: str) -> tuple[State, State, Any]:
    """The weights after the classic snippet and after its twin, and the twin's run."""
    classic = ran(snippets[f"{name}-classic"])["model"].state_dict()
    run = ran(snippets[f"{name}-twin"])["run"]
    return classic, run.model[0].module.state_dict(), run


# -- the four snippets -----------------------------------------------------------------------------


@pytest.mark.usefixtures("photos_in_splits")
def test_freezing_moves_the_new_fc_alone_in_both(snippets: Snippets, resnet: State) -> None:
    classic, twin, run = both(snippets, "freeze")
    assert moved(resnet, classic) == moved(resnet, twin) == {"fc.weight", "fc.bias"}
    assert run.finished


@pytest.mark.usefixtures("photos_in_splits")
def test_a_new_layer_moves_itself_and_the_output_alone_in_both(snippets: Snippets, resnet: State) -> None:
    classic, twin, run = both(snippets, "layer")
    shapes = [sorted(tuple(s[n].shape) for n in moved(resnet, s)) for s in (classic, twin)]
    assert shapes[0] == shapes[1] == [(3,), (3, 256), (256,), (256, 2048)]
    assert {n for s in (classic, twin) for n in moved(resnet, s) if not n.startswith("fc.")} == set()
    assert run.finished


@pytest.mark.usefixtures("photos_in_splits")
def test_full_fine_tuning_moves_every_weight_and_statistic_in_both(snippets: Snippets, resnet: State) -> None:
    classic, twin, run = both(snippets, "full")
    assert moved(resnet, classic) == moved(resnet, twin) == set(resnet)
    assert run.finished


@pytest.mark.usefixtures("imdb")
def test_bert_moves_every_weight_in_both(snippets: Snippets, bert: State) -> None:
    classic, twin, run = both(snippets, "bert")
    head = {"classifier.weight", "classifier.bias"}
    assert moved(bert, classic) == moved(bert, twin) == set(bert) | head
    assert "train/unsup (4 texts without label)" in (run.folder / "plan.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CLASSIC)
def test_the_command_asks_for_the_same_as_the_python_lines(
    snippets: Snippets, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import inspect

    import typer.main

    import tunesmith
    from tunesmith.cli.app import app
    from tunesmith.verbs.options import rate

    defaults = {n: p.default for n, p in inspect.signature(tunesmith.fit).parameters.items()}
    heard: list[dict[str, Any]] = []

    def listen(data: Any, **options: Any) -> Any:
        heard.append({**defaults, "data": data, **options})
        return type("Heard", (), {"verdict": ""})()

    monkeypatch.setattr(tunesmith, "fit", listen)
    ran(snippets[f"{name}-twin"])
    program, verb, *words = shlex.split(snippets[f"{name}-command"].replace("\\\n", " "))
    assert (program, verb) == ("tunesmith", "fit")
    command: Any = typer.main.get_command(app).commands["fit"]  # type: ignore[attr-defined]
    asked = command.make_context("fit", words).params
    said = {k: v for k, v in asked.items() if k in defaults}
    assert heard == [{**defaults, **said, "lr": rate(said["lr"])}]  # typed as a word


# -- the mistakes ----------------------------------------------------------------------------------


def small() -> Any:
    """A network with BatchNorm, dropout, a layer1 and an fc."""
    from torch import nn

    torch.manual_seed(0)
    network = nn.Sequential()
    network.add_module("layer1", nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    network.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5)))
    network.add_module("fc", nn.Linear(4, 2))
    return network


def copied(model: Any) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


IMAGES = torch.linspace(-1, 1, 4 * 3 * 8 * 8).reshape(4, 3, 8, 8)


def test_requires_grad_on_a_module_freezes_nothing(snippets: Snippets) -> None:
    model = small()
    assert ran(snippets["requires-grad-wrong"], model=model)["frozen"] == []
    assert len(ran(snippets["requires-grad-right"], model=model)["frozen"]) == 4


def test_frozen_batch_norm_moves_in_train_mode(snippets: Snippets) -> None:
    model = small()
    before = copied(model)
    ran(snippets["batch-norm-right"], model=model, images=IMAGES)
    assert moved(before, copied(model)) == set()
    ran(snippets["batch-norm-wrong"], model=model, images=IMAGES)
    names = ("running_mean", "running_var", "num_batches_tracked")
    assert moved(before, copied(model)) == {f"layer1.1.{name}" for name in names}


@pytest.mark.usefixtures("bert")
def test_bert_model_gives_no_logits(snippets: Snippets) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained("bert-base-uncased")
    names = {"transformers": transformers, "batch": tokenizer(["a film", "a play"], return_tensors="pt")}
    with pytest.raises(AttributeError, match="logits"):
        ran(snippets["bert-model-wrong"], **names)
    assert ran(snippets["bert-model-right"], **names)["logits"].shape == (2, 2)


def test_without_eval_the_same_images_get_two_answers(snippets: Snippets) -> None:
    names = {"model": small(), "images": IMAGES, "torch": torch}
    wrong = ran(snippets["eval-wrong"], **names)
    assert not torch.equal(wrong["first"], wrong["second"])
    right = ran(snippets["eval-right"], **names)
    assert torch.equal(right["first"], right["second"])


@pytest.mark.parametrize(("which", "moves"), [("wrong", True), ("right", False)])
def test_an_optimizer_moves_what_was_frozen_after_its_first_step(
    snippets: Snippets, which: str, moves: bool
) -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(IMAGES).square().sum().backward()
    optimizer.step()
    before = model.layer1[0].weight.detach().clone()
    optimizer = ran(snippets[f"optimizer-{which}"], model=model, optimizer=optimizer, torch=torch)[
        "optimizer"
    ]
    model(IMAGES).square().sum().backward()
    optimizer.step()
    assert torch.equal(before, model.layer1[0].weight) is not moves


@pytest.mark.parametrize(("which", "orders"), [("wrong", True), ("right", False)])
def test_a_set_of_labels_has_another_order_in_another_process(
    snippets: Snippets, which: str, orders: bool
) -> None:
    source = snippets[f"label-order-{which}"] + "print(index)\n"
    found = {
        subprocess.run(
            [sys.executable, "-c", source],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(1, 5)
    }
    assert (len(found) > 1) is orders


def test_the_loss_of_a_softmax_cannot_come_near_zero(snippets: Snippets) -> None:
    names = {"logits": torch.tensor([[50.0, -50.0]]), "labels": torch.tensor([0]), "torch": torch}
    assert float(ran(snippets["softmax-wrong"], **names)["loss"]) == pytest.approx(0.3133, abs=1e-4)
    assert float(ran(snippets["softmax-right"], **names)["loss"]) == pytest.approx(0.0, abs=1e-6)


# -- the page --------------------------------------------------------------------------------------


def test_every_snippet_of_the_page_is_run(snippets: Snippets) -> None:
    known = {f"{name}-{part}" for name in CLASSIC for part in ("classic", "command", "twin")}
    known |= {f"{name}-{part}" for name in MISTAKES for part in ("wrong", "right")}
    assert set(snippets) == known


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_takes_two_lines(snippets: Snippets, name: str) -> None:
    for part in ("wrong", "right"):
        assert len(snippets[f"{name}-{part}"].splitlines()) == 2
        ast.parse(snippets[f"{name}-{part}"])
