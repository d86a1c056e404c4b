"""Keras on TensorFlow by its transfer-learning guide: MobileNetV2 with weights converted from timm's."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import json

import keras
import numpy as np
import tensorflow as tf
from common import Clock, examples, options
from safetensors import safe_open

EPSILON = {"timm": 1e-5, "keras": 1e-3}  # of BatchNorm
TOLERANCE = 1e-3


def layers():
    """(timm's convolution, timm's norm, Keras' convolution, Keras' norm), input first."""
    yield "conv_stem", "bn1", "Conv1", "bn_Conv1"
    b = "blocks.0.0"
    yield f"{b}.conv_dw", f"{b}.bn1", "expanded_conv_depthwise", "expanded_conv_depthwise_BN"
    yield f"{b}.conv_pw", f"{b}.bn2", "expanded_conv_project", "expanded_conv_project_BN"
    number = 0
    for group, count in enumerate((2, 3, 4, 3, 3, 1), start=1):
        for i in range(count):
            number += 1
            b, k = f"blocks.{group}.{i}", f"block_{number}"
            yield f"{b}.conv_pw", f"{b}.bn1", f"{k}_expand", f"{k}_expand_BN"
            yield f"{b}.conv_dw", f"{b}.bn2", f"{k}_depthwise", f"{k}_depthwise_BN"
            yield f"{b}.conv_pwl", f"{b}.bn3", f"{k}_project", f"{k}_project_BN"
    yield "conv_head", "bn2", "Conv_1", "Conv_1_bn"


def converted(path):
    """keras.applications.MobileNetV2 with timm's weights, and the input's size, mean and std."""
    with safe_open(path, "np") as file:
        header = file.metadata()
        tensors = {k: file.get_tensor(k).astype("float32") for k in file.keys()}  # noqa: SIM118
    size = int(header["input_size"])
    base = keras.applications.MobileNetV2((size, size, 3), include_top=False, weights=None, pooling="avg")
    for conv, norm, keras_conv, keras_norm in layers():
        kernel = tensors[f"{conv}.weight"]  # [out, in, H, W]; depthwise [C, 1, H, W]
        depthwise = conv.endswith("conv_dw")
        base.get_layer(keras_conv).set_weights(
            [kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)]
        )
        gamma, beta, mean, var = (
            tensors[f"{norm}.{n}"] for n in ("weight", "bias", "running_mean", "running_var")
        )
        # The two frameworks add different epsilons to the variance; gamma takes up the difference.
        gamma = gamma * np.sqrt((var + EPSILON["keras"]) / (var + EPSILON["timm"]))
        base.get_layer(keras_norm).set_weights([gamma, beta, mean, var])
    return base, (size, json.loads(header["mean"]), json.loads(header["std"]))


def checked(base, path):
    """The largest difference from what torch made of the same photos."""
    reference = np.load(path)
    gap = float(np.abs(base(reference["pixels"], training=False).numpy() - reference["features"]).max())
    if not gap <= TOLERANCE:
        raise SystemExit(f"the converted network differs from timm's by {gap:.1e}, more than {TOLERANCE}")
    return gap


def dataset(rows, size, mean, std, batch, *, shuffle):
    """Photos as image_dataset_from_directory makes them: decoded, resized, batched, prefetched."""
    paths, labels = map(list, zip(*rows, strict=True))

    def read(path, label):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        shorter = float(int(size / 0.875))
        wanted = tf.cast(tf.round(shape * shorter / tf.reduce_min(shape)), tf.int32)
        image = tf.image.resize(image, wanted)
        top, left = (wanted[0] - size) // 2, (wanted[1] - size) // 2
        image = image[top : top + size, left : left + size]
        image.set_shape((size, size, 3))
        return (image / 255.0 - mean) / std, label

    made = tf.data.Dataset.from_tensor_slices((paths, labels))
    made = made.shuffle(len(paths), seed=0) if shuffle else made
    return made.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(batch).prefetch(tf.data.AUTOTUNE)


def main():
    """Train, save, test; with --reference only check the conversion."""
    asked, clock = options(), Clock()
    keras.utils.set_random_seed(0)
    base, form = converted(asked.weights)
    if asked.reference:
        clock.note("largest_difference", checked(base, asked.reference))
        clock.report("keras", "tensorflow-cpu")
        return
    found, names = examples(asked)
    sets = {s: dataset(rows, *form, asked.batch, shuffle=s == "train") for s, rows in found.items()}
    base.trainable = asked.train == "full"
    inputs = keras.Input((form[0], form[0], 3))
    outputs = keras.layers.Dense(len(names))(base(inputs, training=False))
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.AdamW(asked.head_lr),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    mark = keras.callbacks.LambdaCallback(
        on_train_begin=lambda _: clock.ready(), on_epoch_end=lambda _, logs: clock.epoch(logs["val_accuracy"])
    )
    model.fit(sets["train"], validation_data=sets["valid"], epochs=asked.epochs, verbose=0, callbacks=[mark])
    path = asked.out / "model.keras"
    model.save(path)
    clock.saved(path)
    clock.tested(model.evaluate(sets["test"], verbose=0)[1])
    clock.report("keras", "tensorflow-cpu")


if __name__ == "__main__":
    main()
