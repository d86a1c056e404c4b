"""What a person does by hand: every example through the frozen network once, then LogisticRegression."""

import joblib
import numpy as np
import torch
from common import Clock, examples, options
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader

from networks import prepared


def main():
    """Encode the three splits, fit, save, test."""
    asked, clock = options(), Clock()
    torch.manual_seed(0)
    network, sets, collate = prepared(asked, *examples(asked))
    network.eval()
    clock.ready()
    X, y = {}, {}
    for split, its in sets.items():
        batches = DataLoader(its, batch_size=asked.batch, num_workers=asked.workers, collate_fn=collate)
        with torch.inference_mode():
            rows = [(network.features(**inputs).numpy(), labels.numpy()) for inputs, labels in batches]
        X[split], y[split] = (np.concatenate(part) for part in zip(*rows, strict=True))
        clock.note(f"encode_{split}")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    model.fit(X["train"], y["train"])
    clock.note("head")
    clock.said["valid"].append(float(model.score(X["valid"], y["valid"])))
    path = asked.out / "model.joblib"
    joblib.dump(model, path)
    clock.saved(path)
    clock.tested(model.score(X["test"], y["test"]))
    clock.report("torch", "scikit-learn", "timm", "transformers")


if __name__ == "__main__":
    main()
