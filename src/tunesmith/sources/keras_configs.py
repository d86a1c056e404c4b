"""What a Keras configuration may name: a closed list. Nothing in it is looked up by import.

Keras builds whatever class a configuration names in the installed package, or in any that it finds;
`safe_mode` refuses Python bytecode alone, and was bypassed more than once. So every name is checked here
before Keras sees one, and what is on no list is refused: a layer that holds code (Lambda), loads other
files (TFSMLayer, StringLookup) or unpickles (TorchModuleWrapper) among the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tunesmith.errors import BadWeights
from tunesmith.registry import did_you_mean


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


DEEPEST: Final = 100  # of lists and objects in each other; keras writes 20 levels
LAYERS: Final = _names(
    """Activation Add Average AveragePooling2D BatchNormalization CenterCrop Concatenate Conv1D Conv2D
    Conv2DTranspose Cropping2D Dense DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten
    GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D
    GlobalMaxPooling2D GroupNormalization Identity InputLayer LayerNormalization LeakyReLU MaxPooling2D
    Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization
    RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
    RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
    RandomTranslation RandomZoom ReLU Rescaling Reshape Resizing SeparableConv2D Softmax SpatialDropout2D
    Subtract UnitNormalization UpSampling2D ZeroPadding2D"""
)
OPERATIONS: Final = _names(
    """Absolute Add BroadcastTo Clip Concatenate Divide Elu Exp ExpandDims Flip Gelu GetItem HardSigmoid
    HardSilu LeakyRelu Log Matmul Max Maximum Mean Min Minimum Multiply Negative Power Relu Relu6 Repeat
    Reshape Selu Sigmoid Silu Softmax Softplus Softsign Sqrt Square Squeeze Stack Subtract Sum Swapaxes Tanh
    Transpose TrueDivide"""
)
INITIALIZERS: Final = _names(
    """Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones
    Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros"""
)
MODELS: Final = ("Functional", "Sequential")
ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "keras": frozenset({*MODELS, "DTypePolicy"}),
    "keras.models": frozenset(MODELS),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.src.models.sequential": frozenset({"Sequential"}),
    "keras.layers": LAYERS,
    "keras.dtype_policies": frozenset({"DTypePolicy"}),
    "keras.initializers": INITIALIZERS,
    "keras.regularizers": frozenset({"L1", "L2", "L1L2", "OrthogonalRegularizer"}),
    "keras.constraints": frozenset({"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"}),
    "keras.src.ops.numpy": OPERATIONS,
    "keras.src.ops.nn": OPERATIONS,
    "keras.src.applications.convnext": frozenset({"LayerScale"}),
}
VALUES: Final = ("__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__")
FUNCTIONS: Final = _names(
    """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
    sparse_plus sparsemax squareplus swish tanh tanh_shrink threshold"""
)


def checked(config: Any, where: str) -> dict[str, Any]:
    """A model's configuration, if Keras may build it; without what it was compiled with.

    where: the file, for messages. Classes that the person has registered with
    `keras.saving.register_keras_serializable` in this process pass.
    Raises BadWeights for a model that is no graph of layers, and for every name on no list.
    """
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise BadWeights(f"{where}: its configuration describes no Keras model.")
    kind = config.get("class_name")
    if kind not in MODELS:
        raise BadWeights(
            f"{where} holds a model of the class {str(kind)[:80]!r}, whose calls are code that no file "
            f"should bring along; save it as a functional model: keras.Model(inputs, outputs)."
        )
    for found in _named(config, where):
        _refuse_unlisted(found, where)
    return {**config, "compile_config": None}


def in_float32(config: Any) -> Any:
    """The same configuration with every number type of layers float32: mixed precision is chosen here."""
    if isinstance(config, list):
        return [in_float32(part) for part in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return "float32"
    return {
        key: "float32"
        if key == "dtype" and isinstance(value, str) and "float" in value
        else in_float32(value)
        for key, value in config.items()
    }


def _named(config: Any, where: str, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every part that Keras would build something of."""
    if depth > DEEPEST:
        raise BadWeights(f"{where}: its configuration is nested more than {DEEPEST} deep; no Keras model is.")
    if isinstance(config, dict):
        if "class_name" in config or "registered_name" in config:
            yield config
        parts = config.values()
    elif isinstance(config, list):
        parts = config  # type: ignore[assignment]
    else:
        return
    for part in parts:
        yield from _named(part, where, depth + 1)


def _refuse_unlisted(part: Mapping[str, Any], where: str) -> None:
    kind, module, registered = (part.get(key) for key in ("class_name", "module", "registered_name"))
    function = part.get("config")
    if kind in VALUES and module is None:
        return
    if kind == "function" and module == "builtins" and isinstance(function, str) and function in FUNCTIONS:
        return
    own = registered in (None, "", kind)
    if own and isinstance(module, str) and isinstance(kind, str) and kind in ALLOWED.get(module, ()):
        return
    if kind not in ("Lambda", "__lambda__") and not own and _is_registered(registered):
        return
    name = str(kind if own else registered)[:80]
    name = name if module is None else f"{str(module)[:80]}.{name}"
    if kind in ("Lambda", "__lambda__"):
        raise BadWeights(
            f"{where} holds a Lambda layer: code of whoever made the file, which loading it would run. It is "
            f"not loaded; build the model again with layers or keras.ops in its place."
        )
    if own and module == "keras.layers" and _is_of_keras(kind):
        raise BadWeights(
            f"{where} names {name}, a layer of Keras that is not loaded from a file here; build the "
            f"model again without it."
        )
    guess = did_you_mean(str(kind), LAYERS) if module == "keras.layers" else ""
    raise BadWeights(
        f"{where} names {name}, which is no layer that is loaded from a file{guess or '.'} Where it is "
        f"a class of your own, register it in this process first "
        f"(keras.saving.register_keras_serializable)."
    )


def _is_of_keras(kind: Any) -> bool:
    import keras

    return isinstance(kind, str) and kind in vars(keras.layers)


def _is_registered(name: Any) -> bool:
    import keras

    return isinstance(name, str) and name in keras.saving.get_custom_objects()
