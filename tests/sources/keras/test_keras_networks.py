"""Keras models as networks: every layer a module, the same answers, a new head, stages, replay."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunesmith.errors import BadOption, MissingPackage, ModelUnavailable, OtherBackend, UnknownName
from tunesmith.networks.cuts import find_cut
from tunesmith.networks.network import Network, Want
from tunesmith.networks.prefix import Prefix
from tunesmith.plan import Phase
from tunesmith.runs import load_model, save_model
from tunesmith.sources import load
from tunesmith.sources.keras import Keras, _fetched
from tunesmith.sources.keras_graph import KerasGraph
from tunesmith.sources.keras_inputs import form_of
from tunesmith.sources.keras_network import keras_model
from tunesmith.tasks import TASKS
from tunesmith.tasks.task import Labels
from tunesmith.training import frozen

Make = Callable[..., Any]


def want(outputs: int = 3, **options: Any) -> Want:
    return Want("image-classification", outputs, **options)


def pixels(count: int = 4, *, side: int = 16, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def answers(network: Network, inputs: Tensor) -> Tensor:
    network.module.eval()
    with torch.no_grad():
        return network(inputs)


# -- the graph -------------------------------------------------------------------------------------


def nested(keras: Any, tiny: Make) -> Any:
    given = keras.Input((16, 16, 3))
    maps = tiny(top=False)(given * 2.0 - 1.0, training=False)
    return keras.Model(given, keras.layers.GlobalMaxPooling2D()(maps[..., 1:]))


def sequential(keras: Any, tiny: Make) -> Any:
    conv = keras.layers.SeparableConv2D(4, 3, activation="gelu")
    return keras.Sequential(
        [keras.Input((16, 16, 3)), tiny(top=False), conv, keras.layers.LayerNormalization()]
    )


@pytest.mark.parametrize("make", [lambda _, tiny: tiny(), nested, sequential])
def test_a_graph_answers_bit_for_bit_as_keras_does(make: Make, keras: Any, tiny: Make) -> None:
    model = make(keras, tiny)
    graph = KerasGraph(model).eval()
    images = torch.rand(2, 16, 16, 3)
    with torch.no_grad():
        expected = model(images, training=False)
        assert torch.equal(graph(images), expected)
        next(graph.parameters()).mul_(1.5)
        assert not torch.equal(graph(images), expected)
        assert torch.equal(model(images, training=False), expected), "the module's weights are its own"


def test_moving_statistics_are_buffers_and_move_as_in_keras(tiny: Make) -> None:
    model = tiny(top=False)
    graph: Any = KerasGraph(model)
    images = 50 * torch.rand(4, 16, 16, 3)
    assert {n.rpartition(".")[2] for n, _ in graph.named_buffers()} == {"moving_mean", "moving_variance"}
    assert all("moving" not in name for name, _ in graph.named_parameters())
    before = graph.batch_normalization.moving_mean.clone()
    graph.train()(images)
    model(images, training=True)
    expected = model.layers[3].moving_mean.value
    assert torch.allclose(graph.batch_normalization.moving_mean, expected)
    assert not torch.allclose(graph.batch_normalization.moving_mean, before)


def test_seeded_dropout_draws_from_torchs_generator(tiny: Make) -> None:
    graph: Any = KerasGraph(tiny(top=False)).train()
    images = torch.rand(4, 16, 16, 3)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        out: Tensor = graph(images).detach()
        return out

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_names_of_weights_do_not_depend_on_what_was_built_before(tiny: Make) -> None:
    first, second = (KerasGraph(tiny()) for _ in range(2))
    assert list(first.state_dict()) == list(second.state_dict())
    assert str(first) == str(second)


# -- heads and inputs ------------------------------------------------------------------------------


def test_the_pretrained_head_gives_the_logits_of_keras_softmax(keras: Any, tiny_file: Path) -> None:
    network = load(str(tiny_file), want(5, head="pretrained"))
    images = pixels()
    found = answers(network, images).softmax(1)
    expected = keras.saving.load_model(tiny_file)(images.permute(0, 2, 3, 1).float(), training=False)
    assert torch.allclose(found, expected, atol=1e-6)
    assert len(expected.unique()) > 5


@pytest.mark.parametrize("head", ["linear", "mlp", "conv", "pretrained"])
def test_every_head_fits_and_survives_saving(head: str, tiny_file: Path, tmp_path: Path) -> None:
    asked = want(3, head=head)
    network = load(str(tiny_file), asked)
    with torch.no_grad():
        for tensor in (t for t in network.module.state_dict().values() if t.is_floating_point()):
            tensor += 0.1 * torch.rand(tensor.shape)
    expected = answers(network, pixels())
    task, labels = TASKS.load("image-classification")(), Labels(("a", "b", "c"), (1, 1, 1))
    save_model(network, asked, task, labels, tmp_path / "model")
    again, _, _ = load_model(tmp_path / "model")
    assert torch.equal(answers(again, pixels()), expected)
    assert again.parts == network.parts
    next(again.module.parameters()).data += 1
    assert not torch.equal(answers(again, pixels()), expected)


def test_a_model_without_a_top_is_pooled(tiny: Make, tmp_path: Path) -> None:
    tiny(top=False).save(tmp_path / "maps.keras")
    network = load(str(tmp_path / "maps.keras"), want())
    assert answers(network, pixels()).shape == (4, 3)
    assert network.source_head is None
    with pytest.raises(BadOption, match="no head of its own"):
        load(str(tmp_path / "maps.keras"), want(head="pretrained"))


@pytest.mark.parametrize(
    ("name", "form"),
    [("MobileNetV2", "tf"), ("ResNet50", "caffe"), ("DenseNet121", "torch"), ("EfficientNetV2B0", "raw")],
)
def test_the_preprocessing_of_a_family_is_measured_on_its_own_function(
    keras: Any, name: str, form: str
) -> None:
    assert form_of(getattr(keras.applications, name)) == form


def test_the_input_of_a_resnet_is_what_keras_makes_of_the_same_pixels(keras: Any) -> None:
    network = load("keras/ResNet50@none", want(image_size=32))
    images = pixels(side=32)
    ready = keras.applications.resnet50.preprocess_input(images.permute(0, 2, 3, 1).float().numpy())
    module: Any = network.module
    found = module.images(network.preprocess.ready(images))
    assert torch.allclose(found, torch.from_numpy(ready.copy()), atol=1e-3)
    assert not torch.allclose(found, torch.from_numpy(ready[..., ::-1].copy()), atol=1e-3)
    assert len(network.stages) == 17
    assert network.family == "cnn"


def test_an_efficientnet_of_keras_download_rescales_once_more_than_one_of_a_file(
    keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/keras.md says. Nothing is downloaded: both have the same random weights."""
    from keras.src.applications import efficientnet

    with monkeypatch.context() as asked:
        asked.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: "")
        asked.setattr(keras.Model, "load_weights", lambda *_, **__: None)
        options = {"include_top": False, "input_shape": (32, 32, 3)}
        published = keras.applications.EfficientNetB0(weights="imagenet", **options)
    published.save_weights(tmp_path / "b0.weights.h5")
    published.save(tmp_path / "b0.keras")
    whole: Any = load(str(tmp_path / "b0.keras"), want()).module
    module: Any = load(f"keras/EfficientNetB0@{tmp_path / 'b0.weights.h5'}", want(image_size=32)).module
    names = [type(layer).__name__ for layer in published.layers]
    assert names.count("Rescaling") == 2
    assert len([path for path, _ in module.named_modules() if "rescaling" in path]) == 1
    images = 255 * torch.rand(2, 32, 32, 3)
    with torch.no_grad():
        theirs, ours = published(images, training=False), module.eval().backbone(images)
        same = whole.eval().backbone(images)
    assert not torch.allclose(ours, theirs, rtol=0.05)
    assert torch.allclose(same, theirs, rtol=1e-3, atol=1e-6)
    wanted = [1 / math.sqrt(deviation) for deviation in (0.229, 0.224, 0.225)]
    assert list(published.layers[names.index("Normalization") + 1].scale) == pytest.approx(wanted)


def test_the_form_of_an_own_model_is_said_and_can_be_chosen(
    tiny: Make, tiny_file: Path, tmp_path: Path
) -> None:
    assert "images from 0 to 255, it normalises them itself" in " ".join(load(str(tiny_file), want()).loaded)
    tiny(rescales=False).save(tmp_path / "bare.keras")
    assert load(f"{tmp_path / 'bare.keras'}?preprocess=tf", want()).preprocess.spec()["mean"] == (0.5,) * 3
    with pytest.raises(BadOption, match="did you mean 'torch'"):
        load(f"{tmp_path / 'bare.keras'}?preprocess=torhc", want())


def of_own(keras: Any, tiny: Make, how: str) -> Any:
    """A model that normalises its pictures itself, in front of a network of keras.applications or in it."""
    layers, applications = keras.layers, keras.applications
    base = applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
    given = keras.Input((32, 32, 3))
    if how == "preprocess_input":
        x = base(applications.mobilenet_v2.preprocess_input(given), training=False)
    elif how == "caffe":
        base = tiny(top=False, rescales=False)
        base.name = "resnet50"
        given = keras.Input((16, 16, 3))
        x = base(applications.resnet.preprocess_input(given))
    elif how == "sequential":
        return keras.Sequential([given, layers.Rescaling(1 / 127.5, offset=-1), base])
    elif how == "augmented":
        x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(given))
        x = base(layers.Rescaling(1 / 127.5, offset=-1)(x))
    elif how == "augmentation within":
        augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomZoom(0.1)])
        x = base(layers.Rescaling(1 / 127.5, offset=-1)(augmentation(given)))
    else:
        x = applications.EfficientNetB0(weights=None, include_top=False, input_shape=(32, 32, 3))(given)
    return keras.Model(given, x)


@pytest.mark.parametrize(
    "how", ["preprocess_input", "caffe", "sequential", "augmented", "augmentation within", "efficientnet"]
)
def test_a_model_that_normalises_pictures_itself_was_given_normalised_ones(
    how: str, keras: Any, tiny: Make, tmp_path: Path
) -> None:
    model = of_own(keras, tiny, how)
    model.save(tmp_path / "own.keras")
    network = load(str(tmp_path / "own.keras"), want())
    assert "images from 0 to 255, it normalises them itself" in " ".join(network.loaded)
    module: Any = network.module.eval()
    images = pixels(2, side=model.inputs[0].shape[1])
    ready: Any = network.preprocess.ready(images)
    with torch.no_grad():
        ours = module.backbone(module.images(ready))
        theirs = model(images.permute(0, 2, 3, 1).float(), training=False)
        twice = module.backbone(module.images(ready / 127.5 - 1))
    assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    size = theirs.abs().max()  # random weights may make small maps
    assert torch.allclose(ours / size, theirs / size, atol=1e-3)
    assert not torch.allclose(twice / size, theirs / size, atol=1e-3), "or the test is blind"


def test_a_network_of_keras_within_gets_what_it_takes(keras: Any, tmp_path: Path) -> None:
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    )
    given = keras.Input((32, 32, 3))
    keras.Model(given, base(keras.layers.RandomFlip("horizontal")(given))).save(tmp_path / "own.keras")
    loaded = " ".join(load(str(tmp_path / "own.keras"), want()).loaded)
    assert "images from -1 to 1, as MobileNetV2 takes them" in loaded


def test_a_top_that_is_a_model_of_its_own_is_taken_off(keras: Any, tiny: Make, tmp_path: Path) -> None:
    layers = keras.layers
    top = keras.Sequential(
        [layers.GlobalAveragePooling2D(), layers.Dense(7, activation="softmax")], name="top"
    )
    model = keras.Sequential([keras.Input((16, 16, 3)), tiny(top=False), top])
    model.save(tmp_path / "own.keras")
    network = load(str(tmp_path / "own.keras"), want(7, head="pretrained"))
    assert tuple(network.module.get_parameter("head.weight").shape) == (7, 8)
    images = pixels(2)
    theirs = model(images.permute(0, 2, 3, 1).float())
    ready: Any = network.preprocess.ready(images)
    with torch.no_grad():
        found = network.module.eval()(ready)
    assert torch.allclose(found.softmax(1), theirs, atol=1e-5)
    assert not torch.allclose(found.softmax(1).flip(0), theirs, atol=1e-5), "or the test is blind"


def test_a_normalisation_that_is_inverted_is_inverted(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    inverted = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 2.0, 4.0], invert=True)
    adapted = layers.Normalization(invert=True)
    adapted.adapt(torch.rand(16, 16, 16, 3).numpy())
    given = keras.Input((16, 16, 3))
    model = keras.Model(given, layers.Conv2D(4, 3)(adapted(inverted(given))))
    model.save(tmp_path / "own.keras")
    network = load(str(tmp_path / "own.keras"), want())
    module: Any = network.module.eval()
    images = torch.rand(2, 16, 16, 3)
    with torch.no_grad():
        assert torch.allclose(module.backbone(images), model(images), atol=1e-5)


def test_a_random_crop_cuts_outside_training_too(keras: Any, tmp_path: Path) -> None:
    given = keras.Input((20, 20, 3))
    model = keras.Model(given, keras.layers.Conv2D(4, 3)(keras.layers.RandomCrop(16, 16)(given)))
    model.save(tmp_path / "own.keras")
    module: Any = load(str(tmp_path / "own.keras"), want()).module.train()
    images = torch.rand(2, 20, 20, 3)
    with torch.no_grad():
        assert torch.allclose(module.backbone(images), model(images, training=False), atol=1e-5)


def test_a_registered_class_whose_name_begins_with_random_stood_aside(keras: Any, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("mine")
    class RandomDoubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2 * x

    given = keras.Input((16, 16, 3))
    model = keras.Model(given, keras.layers.Conv2D(4, 3)(RandomDoubled()(given)))
    model.save(tmp_path / "own.keras")
    module: Any = load(str(tmp_path / "own.keras"), want()).module.eval()
    images = torch.rand(2, 16, 16, 3)
    with torch.no_grad():
        assert torch.allclose(module.backbone(images), model(images), atol=1e-5)


def test_published_weights_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = r"weights of keras/ResNet50 are not on this machine.*keras/ResNet50@NAME\.weights\.h5, or start"
    for name in ("keras/ResNet50@imagenet", "keras/ResNet50"):
        with pytest.raises(ModelUnavailable, match=said):
            load(name, want())


# -- frozen, replay --------------------------------------------------------------------------------


def test_a_frozen_stage_stands_still_and_an_unfrozen_one_moves(tiny_file: Path) -> None:
    network = load(str(tiny_file), want())
    phase = Phase("top", 1, (0.0,) * (len(network.stages) - 1) + (1e-3, 1e-3))
    frozen.apply(network, phase, batch_norm="train")
    before = frozen.fingerprints(network, phase)
    last = {name: tensor.clone() for name, tensor in network.tensors(len(network.stages) - 1).items()}
    network(pixels())
    frozen.verify(network, phase, before)
    moved = [n for n, t in network.tensors(len(network.stages) - 1).items() if not torch.equal(t, last[n])]
    assert moved
    assert all("moving" in name for name in moved)
    assert len(frozen.moving_statistics(network)) == 2
    frozen.modes(network, phase, batch_norm="frozen")
    assert not frozen.moving_statistics(network)


def test_replay_equals_live_at_every_cut(tiny_file: Path) -> None:
    network = load(str(tiny_file), want())
    network.module.eval()
    module: Any = network.module
    nn.init.normal_(module.head.weight)
    images = pixels(5)
    live = answers(network, images)
    for at in range(1, len(network.parts)):
        cut = find_cut(network, at, images[:3], images[3:])
        with torch.no_grad():
            stored = Prefix(network, [cut], pooled=False)(images)
            rest = torch.zeros(5, 3, 16, 16)
            assert torch.equal(cut.resume(network, [t.clone() for t in stored], rest), live)
            assert not torch.equal(cut.resume(network, [0 * t for t in stored], rest), live)


# -- names and the backend -------------------------------------------------------------------------


def test_models_are_listed_and_wrong_names_guessed() -> None:
    names = [model.name for model in Keras().find("MobileNet", "")]
    assert "keras/MobileNetV2" in names
    assert not any(name.endswith(("_v2", "utils")) for name in names)
    with pytest.raises(UnknownName, match="did you mean 'ResNet50'"):
        load("keras/Resnet50@none", want())
    with pytest.raises(BadOption, match="set image_size"):
        load("keras/ResNet50?input_shape=3@none", want())


def test_fetched_weights_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "resnet50v2_weights_tf_dim_ordering_tf_kernels.h5").touch()
    assert not _fetched("ResNet50")
    assert _fetched("ResNet50V2")


def test_another_backend_is_refused(keras: Any, tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(BadOption, match="already imported with the backend 'jax'"):
        load(str(tiny_file), want())


def test_a_variable_that_asks_for_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from tunesmith.sources.keras_backend import keras_on_torch

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(BadOption, match="KERAS_BACKEND is 'tensorflow'; unset it"):
        keras_on_torch()


def test_whoever_asked_for_no_network_of_keras_is_not_stopped_by_its_backend(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.verbs.candidates import _local
    from tunesmith.verbs.looking import models

    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    assert "timm/mobilenetv2_100" in [model.name.partition(".")[0] for model in models("mobilenetv2")]
    _local("image-classification")
    with pytest.raises(OtherBackend, match="already imported with the backend 'jax'"):
        models("mobilenetv2", source="keras")


def test_keras_that_is_not_installed_is_named_with_the_line_that_installs_it(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "keras", None)
    for name in (str(tiny_file), "keras/ResNet50@none"):
        with pytest.raises(MissingPackage, match=r'pip install "tunesmith\[keras\]"'):
            load(name, want())


def test_the_keras_model_is_handed_back_with_the_weights_of_the_module(tiny_file: Path) -> None:
    module: Any = load(str(tiny_file), want()).module
    images = torch.rand(2, 16, 16, 3)
    with torch.no_grad():
        for tensor in module.backbone.state_dict().values():
            tensor += 0.1 * torch.rand(tensor.shape)
        expected = module.backbone.eval()(images)
        before = module.body.model(images, training=False)
        assert torch.equal(keras_model(module)(images, training=False), expected)
        assert not torch.equal(before, expected)
