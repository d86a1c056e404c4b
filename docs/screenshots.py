"""Make the screenshots in docs/screenshots: python docs/screenshots.py [FOLDER]

Two small runs, a probe to compare with and a check are made in FOLDER (a temporary one by default), of real
photos and sentences where ../shared/data or $TUNESMITH_REAL_DATA holds them, else of shapes that are drawn
here and of the support tickets that come with the package; runs of named entities, questions, pairs and
numbers of real ones alone. A run that lies in FOLDER already is not made again. The pages are opened in
headless Chromium, which has to be installed.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw

import tunesmith as ts

HERE = Path(__file__).resolve().parent
REAL = Path(os.environ.get("TUNESMITH_REAL_DATA", HERE.parents[1] / "shared" / "data"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
TALLEST = 16_000  # pixels of a page
SHOTS = (  # page, language, width, light, name of the picture
    ("photos", "en", 1200, "light", "run-photos"),
    ("photos", "en", 1200, "dark", "run-photos-dark"),
    ("photos", "zh", 390, "light", "run-photos-phone-zh"),
    ("texts", "en", 1200, "light", "run-texts"),
    ("texts", "zh", 390, "dark", "run-texts-phone-zh-dark"),
    ("check", "en", 1200, "light", "check"),
    ("check", "zh", 390, "light", "check-phone-zh"),
    ("compare", "en", 1200, "light", "compare"),
    ("compare", "zh", 390, "light", "compare-phone-zh"),
)
PARTS = (  # of data that do not come with the package
    ("tags", "en", 1200, "light", "run-tags"),
    ("questions", "zh", 1200, "light", "run-questions-zh"),
    ("pairs", "en", 1200, "dark", "run-pairs-dark"),
    ("numbers", "zh", 390, "light", "run-numbers-phone-zh"),
)


def main(folder: Path) -> None:
    """Make what is missing in the folder, and the pictures."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"screenshots need one of {', '.join(BROWSERS)} on the PATH, and there is none.")
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # so that commands on the pages name no place of this machine
    folder = Path()
    shown = photos(folder)
    runs = {
        "photos": run(folder / "photos", **shown),
        "texts": run(folder / "texts", **texts(folder)),
        "probe": run(folder / "photos-probe", **{**shown, "strategy": "linear_probe"}),
    }
    others = others_of_texts(folder / "data")
    runs |= {name: run(folder / name, **told) for name, told in others.items()}
    shots = SHOTS + PARTS if others else SHOTS
    for name, lang in dict.fromkeys((name, lang) for name, lang, *_ in shots):
        page = folder / f"{name}-{lang}.html"
        if name == "check":
            asked = {name: shown[name] for name in ("model", "image_size")}
            ts.check(shown["data"], **asked, page=page, lang=lang)
        elif name == "compare":
            ts.compare([runs["probe"], runs["photos"]], page=page, lang=lang)
        else:
            ts.report(runs[name], out=page, lang=lang)
    for name, lang, width, light, picture in shots:
        shot = opened(browser, folder / f"{name}-{lang}.html", width, light, folder)
        shot.save(HERE / "screenshots" / f"{picture}.png", optimize=True)
        print(f"docs/screenshots/{picture}.png {shot.width} x {shot.height}")


def run(folder: Path, **options: Any) -> ts.Run:
    """The run in a folder, made if it is not there."""
    if (folder / "scores.json").is_file():
        return ts.Run.open(folder)
    made = ts.fit(out=folder, device="cpu", epochs=2, **options)
    assert made is not None  # only a dry run gives none
    return made


def photos(folder: Path) -> Mapping[str, Any]:
    """Options of a fit on photos: 34 of each class of rubbish, or 40 of each of three shapes."""
    place, random = folder / "data" / "rubbish", np.random.default_rng(0)
    weights = REAL / "weights" / "mobilenetv2_100_keras.safetensors"
    if weights.is_file() and (REAL / "trashnet").is_dir():
        if not place.exists():
            for label in sorted(p for p in (REAL / "trashnet" / "images").iterdir() if p.is_dir()):
                (place / label.name).mkdir(parents=True)
                own = sorted(label.glob("*.jpg"))
                for i in random.permutation(len(own))[:34]:
                    shutil.copy(own[i], place / label.name)
        return {"data": place, "model": str(weights), "image_size": 160, "strategy": "lp_ft"}
    place = folder / "data" / "shapes"
    if not place.exists():
        for shape in ("circle", "square", "triangle"):
            (place / shape).mkdir(parents=True)
            for i in range(40):
                drawn(shape, random).save(place / shape / f"{i:02d}.png")
    return {"data": place, "model": "timm/test_resnet@none", "image_size": 64, "lr": 0.01, "strategy": "full"}


def drawn(shape: str, random: np.random.Generator) -> Image.Image:
    """A shape of any colour on a ground of any colour."""
    ground, colour = (tuple(int(c) for c in random.integers(0, 256, 3)) for _ in range(2))
    image = Image.new("RGB", (160, 160), ground)
    x, y, r = (int(n) for n in random.integers((60, 60, 25), (100, 100, 50)))
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif shape == "square":
        draw.rectangle((x - r, y - r, x + r, y + r), fill=colour)
    else:
        draw.polygon(((x, y - r), (x - r, y + r), (x + r, y + r)), fill=colour)
    return image


def texts(folder: Path) -> Mapping[str, Any]:
    """Options of a fit on texts: 1,000 sentences of film critics, or support tickets."""
    model = {"model": "hf/sentence-transformers/all-MiniLM-L6-v2", "max_length": 64}
    source = REAL / "sentence-polarity" / "train.tsv"
    if not source.is_file():
        tickets = folder / "data" / "tickets.csv"
        tickets.parent.mkdir(parents=True, exist_ok=True)
        tickets.write_bytes(files("tunesmith.demo").joinpath("tickets.csv").read_bytes())
        return {"data": tickets, "strategy": "top", "unfreeze": 2, **model}
    table = folder / "data" / "sentences.csv"
    if not table.exists():
        lines = source.read_text(encoding="utf-8").splitlines()[1:]
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "label"])
            for i in np.random.default_rng(0).permutation(len(lines))[:1000]:
                rows.writerow(lines[i].rsplit("\t", 1))
    return {"data": table, "strategy": "top", "unfreeze": 2, **model}


def others_of_texts(place: Path) -> Mapping[str, Mapping[str, Any]]:
    """Options of fits on named entities, questions, pairs and numbers; none where their data are missing."""
    if not all((REAL / name).is_dir() for name in ("crossner", "xquad", "banking77", "btc-ner")):
        return {}
    sys.path.insert(0, str(HERE.parent / "bench"))
    from pairs import data_of  # type: ignore[import-not-found]

    sources = {
        "politics": REAL / "crossner" / "politics",
        "same-intent": data_of("pairs"),
        "names-in-tweets": data_of("numbers"),
    }
    for name, source in sources.items():
        shutil.copytree(source, place / name, dirs_exist_ok=True)
    shutil.copy(REAL / "xquad" / "xquad.en.json", place)
    few = {"model": "hf/sentence-transformers/all-MiniLM-L6-v2", "strategy": "top", "unfreeze": 2, "lr": 1e-3}
    return {
        "tags": {"data": place / "politics", **few},
        "questions": {"data": place / "xquad.en.json", "max_length": 256, **few},
        "pairs": {"data": place / "same-intent", **few},
        "numbers": {"data": place / "names-in-tweets", "task": "text-regression", **few},
    }


def opened(browser: str, page: Path, width: int, light: str, folder: Path) -> Image.Image:
    """The whole page as a browser of this width shows it."""
    text = page.read_text(encoding="utf-8").replace(' id="auto" checked', ' id="auto"')
    shown, frame, shot = (folder / name for name in ("shown.html", "frame.html", "shot.png"))
    for switch in (light, "heat") if light == "dark" else (light,):
        text = text.replace(f' id="{switch}"', f' id="{switch}" checked')
    shown.write_text(text, encoding="utf-8")
    # A window is at least 500 pixels wide; a frame inside it can be as narrow as a telephone.
    style = f"border: 0; display: block; width: {width}px; height: {TALLEST}px"
    frame.write_text(f'<body style="margin: 0"><iframe src="shown.html" style="{style}"></iframe>')
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={Path('browser').resolve()}",
        f"--window-size={max(width, 600)},{TALLEST}",
        f"--screenshot={shot.resolve()}",
        frame.resolve().as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    with Image.open(shot) as image:
        picture = image.convert("RGB").crop((0, 0, width, TALLEST))
    empty = Image.new("RGB", picture.size, picture.getpixel((2, TALLEST - 2)))
    box = ImageChops.difference(picture, empty).getbbox()
    bottom = TALLEST if box is None else min(TALLEST, box[3] + 40)
    whole = picture.crop((0, 0, width, bottom))
    # 256 colours, found on a few pixels, make a file a third as large.
    few = whole.resize((width // 4, bottom // 4), Image.Resampling.NEAREST)
    return whole.quantize(palette=few.quantize(256, kmeans=2), dither=Image.Dither.NONE)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
