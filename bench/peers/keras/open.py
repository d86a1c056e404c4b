"""Keras on TensorFlow: open a .keras file and answer, or fit the same network by model.fit.

python open.py answer MODEL.keras PIXELS.npz  probabilities of `test` beside those in the file
python open.py fit WEIGHTS PIXELS.npz EPOCHS LR SEED [STD]  base frozen, pooling, Dense, Adam, model.fit

PIXELS.npz: uint8 pictures [N, size, size, 3] and class numbers of train, valid and test, and `expected`.
STD: of the Dense layer's first weights, drawn from a normal distribution; without it they are Keras' own.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import json
import sys
import time

import keras
import numpy as np


def answer(path, pixels):
    """How far the file's answers are from those expected."""
    found = keras.models.load_model(path).predict(pixels["test"], batch_size=32, verbose=0)
    expected = pixels["expected"]
    return {
        "count": len(found),
        "largest_difference": float(np.abs(found - expected).max()),
        "equal_answers": int((found.argmax(1) == expected.argmax(1)).sum()),
        "accuracy": float((found.argmax(1) == pixels["test_labels"]).mean()),
    }


def fit(weights, pixels, epochs, lr, std):
    """The classic recipe: preprocess outside, base frozen and called with training=False, a Dense head."""
    size = pixels["train"].shape[1]
    if weights.endswith(".keras"):
        whole = keras.models.load_model(weights, compile=False)
        base = keras.Model(whole.input, whole.layers[-1].input)
        ready = lambda images: images.astype("float32")  # noqa: E731
    else:
        base = keras.applications.MobileNetV2(
            (size, size, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
        )
        base.load_weights(weights)
        ready = lambda images: images.astype("float32") / 127.5 - 1  # noqa: E731
    base.trainable = False
    given = keras.Input((size, size, 3))
    classes = int(pixels["train_labels"].max()) + 1
    first = "glorot_uniform" if std is None else keras.initializers.RandomNormal(stddev=std)
    head = keras.layers.Dense(classes, "softmax", kernel_initializer=first)
    model = keras.Model(given, head(base(given, training=False)))
    model.compile(keras.optimizers.Adam(lr), "sparse_categorical_crossentropy", metrics=["accuracy"])
    valid = ready(pixels["valid"]), pixels["valid_labels"]
    best = Best()
    began = time.monotonic()
    model.fit(
        ready(pixels["train"]), pixels["train_labels"], batch_size=32, epochs=epochs,
        validation_data=valid, verbose=0, callbacks=[best],
    )  # fmt: skip
    took = time.monotonic() - began
    test = ready(pixels["test"]), pixels["test_labels"]
    last = float(model.evaluate(*test, verbose=0)[1])
    model.set_weights(best.weights)
    kept = float(model.evaluate(*test, verbose=0)[1])
    return {"fit_seconds": round(took, 2), "accuracy": last, "accuracy_of_best_epoch": kept}


class Best(keras.callbacks.Callback):
    """Keeps the weights of the epoch that is most accurate on validation, the earlier of two as good."""

    def __init__(self):
        super().__init__()
        self.most, self.weights = -1.0, None

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        if logs["val_accuracy"] > self.most:
            self.most, self.weights = logs["val_accuracy"], self.model.get_weights()


if __name__ == "__main__":
    kind, path, file, *rest = sys.argv[1:]
    arrays = np.load(file)
    if kind == "fit":
        keras.utils.set_random_seed(int(rest[2]))
        std = float(rest[3]) if rest[3:] else None
        found = fit(path, arrays, int(rest[0]), float(rest[1]), std)
    else:
        found = answer(path, arrays)
    print(json.dumps({**found, "keras": keras.__version__, "backend": keras.config.backend()}))
