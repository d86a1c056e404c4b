"""How an export is opened without tunesmith, in the few lines that its card shows; a test runs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PICTURE: Final = """\
import numpy as np
from PIL import Image, ImageOps

picture = ImageOps.exif_transpose(Image.open("picture.jpg")).convert("RGB")
scale = {resize} / min(picture.size)
sides = [max({resize}, round(side * scale)) for side in picture.size]
picture = picture.resize(sides, Image.Resampling.{filter})
left, top = ((side - {size}) // 2 for side in picture.size)
pixels = np.asarray(picture)[None, top : top + {size}, left : left + {size}].transpose(0, 3, 1, 2)
"""
NORMALISED: Final = """\
mean, std = np.array({mean}).reshape(3, 1, 1), np.array({std}).reshape(3, 1, 1)
"""
READY: Final = "(({pixels} / 255 - mean) / std).astype(np.float32)"
TEXT: Final = """\
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("tokenizer")
inputs = dict(tokenizer({items}, truncation=True, max_length={max_length}, return_tensors="np"))
"""
READER: Final = """\
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForQuestionAnswering.from_pretrained(".")
inputs = tokenizer("a question", "its context", truncation="only_second", return_tensors="pt")
said = model(**inputs)
start, end = said.start_logits[0].argmax(), said.end_logits[0].argmax()
print(tokenizer.decode(inputs["input_ids"][0][start : end + 1]))
"""
OPENED: Final = {
    "onnx": """\
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
answers = session.run(None, {name.name: inputs[name.name] for name in session.get_inputs()})[0]
""",
    "openvino": """\
import openvino

exact = {"INFERENCE_PRECISION_HINT": "f32"}  # or a processor that has bfloat16 computes in it
model = openvino.compile_model("model.xml", "CPU", exact)
answers = model({port.any_name: inputs[port.any_name] for port in model.inputs})[0]
""",
    "torch": """\
import torch

model = torch.export.load("model.pt2").module()
answers = model(*(torch.tensor(inputs[name]) for name in {names})).detach().numpy()
""",
    "keras": """\
import keras  # runs on TensorFlow, or on what KERAS_BACKEND names: torch, jax

model = keras.saving.load_model("model.keras")
answers = model.predict(inputs["pixels"].transpose(0, 2, 3, 1), verbose=0)
""",
    "timm": """\
import timm
import torch

model = timm.create_model("local-dir:.", pretrained=True).eval()  # or {call}
answers = model(torch.tensor(inputs["images"])).detach().numpy()
""",
    "safetensors": """\
import torch
import tunesmith as ts

network = ts.load("model.safetensors", ts.Want("image-classification", {K}, head="pretrained"))
answers = network(torch.tensor(pixels)).detach().numpy()
""",
}


def usage(about: Mapping[str, Any]) -> str:
    """Markdown: the code that opens the export and answers, and what the answers are.

    about: what `export.json` says.
    """
    code = _piped(about) if about["format"] == "transformers" else _by_hand(about)
    return f"In this folder:\n\n```python\n{code}```\n"


def _by_hand(about: Mapping[str, Any]) -> str:
    form, names = about["preprocess"], about["labels"]["names"]
    code = ""
    if "mean" in form:
        code += PICTURE.format(size=form["size"], resize=form["resize"], filter=form["interpolation"].upper())
        if about["pixels"]:
            code += 'inputs = {"pixels": np.ascontiguousarray(pixels)}\n\n'
        elif about["format"] != "safetensors":
            code += NORMALISED.format(mean=list(form["mean"]), std=list(form["std"]))
            code += f'inputs = {{"{about["inputs"][0]}": {READY.format(pixels="pixels")}}}\n\n'
        else:
            code += "\n"
    elif "max_length" in form:
        items = '["a text"], ["a second text"]' if form.get("pairs") else '["a text"]'
        code += TEXT.format(max_length=form["max_length"], items=items) + "\n"
    else:
        code += f"inputs = ...  # arrays by name: {', '.join(about['inputs'])}\n\n"
    opened = OPENED[about["format"]].replace("{K}", str(len(names))).replace("{names}", str(about["inputs"]))
    return code + opened.replace("{call}", about["opens"].get("call", "")) + _said(about)


def _said(about: Mapping[str, Any]) -> str:
    """The line that prints what the answers mean."""
    names = about["labels"]["names"]
    if about["labels"]["spreads"]:
        return f"print(dict(zip({names}, answers[0].tolist())))\n"
    if about["kind"] == "question-answering":
        return "start, end = answers[0].argmax(0)  # tokens\nprint(start, end)\n"
    if about["kind"] == "token-classification":
        return f"print([{names}[tag] for tag in answers[0].argmax(-1)])  # of each token\n"
    return f"print({names}[answers[0].argmax()])\n"


def _piped(about: Mapping[str, Any]) -> str:
    task = about["kind"]
    if task == "question-answering":  # transformers 5 has no pipeline for it
        return READER
    code = ", trust_remote_code=True" if about["opens"]["class"] == "PooledForSequenceClassification" else ""
    if about["preprocess"]["takes"] == "image":
        item = '"picture.jpg"'
    elif about["preprocess"].get("pairs"):
        item = '{"text": "a text", "text_pair": "a second text"}'
    else:
        item = '"a text"'
    options = ", truncation=True" if task == "text-classification" else ""
    options += ", top_k=None" if len(about["labels"]["spreads"]) > 1 else ""  # or only the largest number
    note = "  # runs pooled_transformers.py of this folder" if code else ""
    return (
        f"from transformers import pipeline\n\n"
        f'answer = pipeline("{task}", model="."{code}){note}\nprint(answer({item}{options}))\n'
    )
