"""A model card says what the run knows, in the form that the Hugging Face hub reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import tunesmith as ts
from tunesmith.errors import BadOption
from tunesmith.exports.licences import data_licence, weights_licence
from tunesmith.exports.using import usage
from tunesmith.verbs.reporting import Silent


def test_a_run_has_a_card_that_the_hub_reads(photo_run: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard.load(photo_run / "model" / "README.md")
    scores = json.loads((photo_run / "scores.json").read_text())
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.license == "unknown"  # random weights have none that is known
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == scores["test"]["metrics"]["accuracy"]["value"]
    assert results["accuracy"].dataset_name == "photos"
    assert scores["verdict"] in card.text
    assert "| blue |" in card.text
    assert "held-out examples of the same data" in card.text


def test_a_card_tells_no_path_of_the_machine(photo_run: Path, text_run: Path, photos: Path) -> None:
    for run in (photo_run, text_run):  # the latter is of a network in a local folder
        text = (run / "model" / "README.md").read_text()
        assert str(photos.parent) not in text
        assert str(run.parent.parent) not in text


def test_a_weights_file_that_states_its_licence_gives_it_to_the_card(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "birds.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"licence": "Apache-2.0"})
    recipe = {"source": "timm", "model": "resnet18"}
    assert weights_licence(recipe, f"timm/resnet18@{path}") == "Apache-2.0"
    assert weights_licence(recipe, str(path)) == "Apache-2.0"
    assert weights_licence(recipe, "timm/resnet18@none") is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"LICENSE": "MIT License\n\nCopyright"}, '"MIT License", as LICENSE beside them says'),
        ({"licence.txt": "\n== CC BY 4.0 ==\n"}, '"CC BY 4.0", as licence.txt beside them says'),
        (
            {"README.md": "---\nlicense: cc-by-4.0\n---\n# Photos\n", "LICENSE": "MIT"},
            '"cc-by-4.0", as README.md beside them says',
        ),
        (
            {"README.md": "---\nlicense: [mit, 7]\n---\n"},
            '"mit", as README.md beside them says',
        ),
        ({"README.md": "---\nlicense: [}\n---\n"}, None),
        ({"README.md": "# MIT License\n"}, None),
        ({"LICENSE.png": "MIT"}, None),
        ({"LICENSE": ""}, None),
        ({}, None),
    ],
)
def test_data_have_the_licence_that_lies_beside_them(
    files: dict[str, str], said: str | None, tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_text("text,label\n")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert data_licence(tmp_path) == data_licence(str(tmp_path / "data.csv")) == said
    assert data_licence([tmp_path / "data.csv"]) == said


def test_data_that_are_no_file_have_no_licence_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").mkdir()
    for data in (object(), "\0", tmp_path / "gone", tmp_path, "x" * 5000, []):
        assert data_licence(data) is None


def test_a_card_tells_the_licence_of_the_data_after_they_have_gone(tmp_path: Path, photos: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "LICENSE").write_text("Creative Commons\n")
    options: dict[str, Any] = {"epochs": 1, "image_size": 32, "engine": "eager", "reporter": Silent()}
    run = ts.fit(
        tmp_path / "photos",
        model="timm/test_resnet@none",
        strategy="linear_probe",
        out=tmp_path / "run",
        **options,
    )
    assert run is not None
    shutil.rmtree(tmp_path / "photos")
    told = 'photos. Licence of the data: "Creative Commons", as LICENSE beside them says.'
    assert told in (tmp_path / "run" / "model" / "README.md").read_text()
    out = run.export(to="safetensors", out=tmp_path / "out")
    assert told in (Path(out) / "README.md").read_text()


def test_a_run_is_loaded_as_a_plain_module(photo_run: Path) -> None:
    module = ts.load(photo_run)
    assert isinstance(module, torch.nn.Module)
    assert not module.training
    images = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
    network = ts.Run.open(photo_run).model[0]
    with torch.no_grad():
        assert torch.equal(module(network.preprocess.ready(images)), network(images))


def test_a_name_alone_is_not_loaded_without_saying_what_for(photo_run: Path) -> None:
    with pytest.raises(BadOption, match=r"no run at torchvision/resnet18@none; for a model's name say what"):
        ts.load("torchvision/resnet18@none")
    with pytest.raises(BadOption, match="is a run, whose network is loaded as it is; leave want out"):
        ts.load(str(photo_run), ts.Want("image-classification", 3))


def test_the_call_of_timm_on_a_card_makes_the_network(number_run: Path, tmp_path: Path) -> None:
    import re

    import timm

    folder = Path(ts.export(number_run, to="timm", out=tmp_path / "it", reporter=Silent()))
    (call,) = re.findall(r"or create_model\((.*)\)$", (folder / "README.md").read_text(), re.M)
    module = eval(
        f"timm.create_model({call.replace('model.safetensors', str(folder / 'model.safetensors'))})"
    )
    assert "num_classes=1" in call
    other = timm.create_model(f"local-dir:{folder}", pretrained=True)
    for name, tensor in other.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("spreads", "pairs", "says"),
    [
        ([1.0, 2.0], False, 'print(answer("a text", truncation=True, top_k=None))'),
        ([1.0], False, 'print(answer("a text", truncation=True))'),
        ([], True, 'print(answer({"text": "a text", "text_pair": "a second text"}, truncation=True))'),
    ],
)
def test_a_pipeline_is_shown_all_of_an_item_and_gives_every_number(
    spreads: list[float], pairs: bool, says: str
) -> None:
    about = {
        "format": "transformers",
        "kind": "text-classification",
        "labels": {"spreads": spreads},
        "preprocess": {"takes": "text", "pairs": pairs},
        "opens": {"class": "BertForSequenceClassification"},
    }
    assert says in usage(about)


def test_a_label_cannot_break_a_card(photo_run: Path) -> None:
    from tunesmith.exports.card import card
    from tunesmith.verbs.carding import facts_of

    run = ts.Run.open(photo_run)
    facts = facts_of(run, run.scores)
    facts.described["labels"]["names"] = ["<b>", "two\nlines", "green"]
    text = card(facts)
    assert "one of 3 labels (&lt;b>, two lines, green)" in text
