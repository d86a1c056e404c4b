"""What reads data, each with samples that it understands: rows of the table in bench/readers.py."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from inputs import Reader, Sample

FORMS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
NAMES = (
    "a.jpg", "b.JPG", "-rf.jpg", "new\nline.jpg", "\U0001f4a5.jpg", "\u202egpj.exe.jpg", ".hidden.jpg",
    "a b.jpg", "c.txt", "d.csv", "e", "f.zip", "%s.jpg", "$(touch canary).jpg", "x" * 200 + ".jpg",
    "état.jpg", "g.jpg.jpg", "h.npz", "state.json", "dataset_dict.json", "class.txt", "words.txt",
    "train.csv", "test.tsv",
)  # fmt: skip
MEMBERS = (
    "../x.jpg", "/x.jpg", "a/../../x.jpg", "..\\x.jpg", "C:\\x.jpg", "a\\b.jpg", "a//b.jpg", "./a.jpg",
    "a/./b.jpg", "a/", "a", "\0.jpg", "a\0b.jpg", "con", "nul.jpg", "x" * 300 + ".jpg", "a/" * 60 + "x.jpg",
    "é.jpg", "~/x.jpg", "file:///x.jpg", " ", "a/ .jpg", "a:b.jpg",
)  # fmt: skip


# -- images --------------------------------------------------------------------------------------


@cache
def picture(number: int) -> bytes:
    """An encoded image of few pixels; the number decides on format, mode and size."""
    from PIL import Image

    random = Random(number)
    form = FORMS[number % len(FORMS)]
    modes = {
        "JPEG": ("RGB", "L", "CMYK"),
        "PNG": ("RGB", "RGBA", "P", "I;16", "1", "LA"),
        "TIFF": ("RGB", "I;16", "F"),
    }
    mode = random.choice(modes.get(form, ("RGB", "L") if form != "GIF" else ("P",)))
    width, height = random.choice(((1, 1), (7, 5), (24, 18), (40, 3)))
    grey = Image.frombytes("L", (width, height), random.randbytes(width * height))
    image = (
        grey.convert("RGB").convert(mode) if mode not in ("I;16", "F") else grey.convert("I").convert(mode)
    )
    options: dict[str, Any] = {}
    if form in ("JPEG", "PNG", "WEBP", "TIFF") and random.random() < 0.4:
        exif = Image.Exif()
        exif[0x0112] = random.randint(0, 9)
        options["exif"] = exif
    if form == "GIF":
        options |= {"save_all": True, "append_images": [image.copy()]}
    if form == "PNG" and mode == "P":
        options["transparency"] = 0
    if form == "JPEG":
        options["progressive"] = random.random() < 0.3
    if form == "TIFF":
        options["compression"] = random.choice((None, "tiff_lzw", "tiff_adobe_deflate", "packbits"))
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def mended_png(content: bytes) -> bytes:
    """The chunks of a PNG with the checksums that belong to them; anything else as it is."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    mended, place = content[:8], 8
    while place + 12 <= len(content):
        length = struct.unpack(">I", content[place : place + 4])[0]
        body = content[place + 4 : place + 8 + length]
        if len(body) < 4 + length:
            break
        mended += content[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return mended + content[place:]


def an_image(random: Random) -> Sample:
    """One file whose ending may not be that of its format."""
    return Sample({"a.jpg": picture(random.randrange(70))}, "a.jpg", mend=mended_png)


def decoded(path: Path) -> object:
    """At full size, and reduced as the check of a data set does."""
    from tunesmith.data.images import decode

    decode({"path": str(path), "bytes": None}, at_least=(1, 1))
    return decode({"path": None, "bytes": path.read_bytes()})


def stacked(path: Path) -> object:
    """As a network takes them."""
    from tunesmith.networks.pixels import stacked

    return stacked([{"path": str(path), "bytes": None}], size=32, resize=36, interpolation="bicubic")


def checked(path: Path) -> object:
    """Read as `fit` does, then every item looked at."""
    from tunesmith.data.images import unreadable
    from tunesmith.data.read import read
    from tunesmith.data.texts import empty_texts

    data = read(path)
    return [(unreadable if data.takes == "image" else empty_texts)(split) for split in data.splits.values()]


def to_predict(takes: str) -> Callable[[Path], object]:
    """Read as `predict` does."""

    def items(path: Path) -> object:
        from tunesmith.data.read import read_items

        return read_items(path, takes=takes)["item"][:]

    return items


def class_folders(random: Random) -> Sample:
    """Two classes of three images with names that somebody chose."""
    files = {f"{'ab'[i % 2]}/{i}.jpg": picture(random.randrange(70)) for i in range(6)}
    for _ in range(random.randrange(4)):
        place = random.choice(("a/", "b/", "train/a/", "test/b/", "", "a/c/"))
        files[place + random.choice(NAMES)] = picture(random.randrange(70))
    return Sample(files)


def text_folders(random: Random) -> Sample:
    """Two classes of .txt files, some of them for no one's eyes."""
    words = ("good", "bad", "neither", "日本語", "naïve", "\u202eevil", "\U0001f4a5", "a\0b")
    files = {f"{'ab'[i % 2]}/{i}.txt": " ".join(random.choices(words, k=4)).encode() for i in range(6)}
    return Sample(files)


# -- tables --------------------------------------------------------------------------------------


def _rows(random: Random) -> list[tuple[str, str]]:
    words = ("good", "bad, really", 'a "quoted" one', "two\nlines", "naïve", "日本語", "", "=1+1", "x" * 50)
    return [(f"{i} " + " ".join(random.choices(words, k=3)), "ab"[i % 2]) for i in range(12)]


def csv_table(random: Random) -> Sample:
    """Text and label, quoted where that is needed, in some encoding."""
    import csv

    file = io.StringIO()
    writer = csv.writer(file, delimiter=random.choice(",,;\t"), lineterminator=random.choice(("\n", "\r\n")))
    writer.writerows([("text", "label"), *_rows(random)])
    encoding = random.choice(("utf-8",) * 8 + ("utf-8-sig", "latin-1", "gb18030", "utf-16"))
    return Sample({"a.csv": file.getvalue().encode(encoding, "replace")}, "a.csv")


def tsv_table(random: Random) -> Sample:
    """Text and label with tabs between, as .tsv or .txt."""
    name = random.choice(("a.tsv", "a.txt"))
    head = "text\tlabel\n" if random.random() < 0.5 else ""
    lines = (f"{text}\t{label}\n".replace("\n", " ", text.count("\n")) for text, label in _rows(random))
    return Sample({name: (head + "".join(lines)).encode()}, name)


def jsonl_table(random: Random) -> Sample:
    """One object a line."""
    number = random.choice(({}, {"a": 1, "b": 2.0}))
    lines = (json.dumps({"text": text, "label": number.get(label, label)}) for text, label in _rows(random))
    return Sample({"a.jsonl": "\n".join(lines).encode()}, "a.jsonl")


@cache
def _parquet(number: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, labels = zip(*_rows(Random(number)), strict=True)
    table = pa.table(
        {"text": texts, "label": labels if number % 2 else [ord(label) - 97 for label in labels]}
    )
    if number % 4 == 0:
        names = {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": names}})})
    file = io.BytesIO()
    pq.write_table(table, file, compression=("none", "snappy", "zstd", "gzip")[number % 4])
    return file.getvalue()


def parquet_table(random: Random) -> Sample:
    """Text and label, with and without names of classes."""
    return Sample({"a.parquet": _parquet(random.randrange(12))}, "a.parquet")


def image_table(random: Random) -> Sample:
    """Paths and labels, beside the images and a file of class names."""
    files = {f"{i}.jpg": picture(random.randrange(70)) for i in range(6)}
    paths = [*files, "./1.jpg", "sub/../2.jpg", "-rf", "~", "\U0001f4a5.jpg"]
    chosen = random.sample(paths, 6) if random.random() < 0.3 else list(files)
    rows = [f"{path},{i % 2}" for i, path in enumerate(chosen)]
    files["a.csv"] = ("path,label\n" + "\n".join(rows)).encode()
    if random.random() < 0.5:
        files["class.txt"] = b"cat\ndog\n"
    changed = ("a.csv", "class.txt") if "class.txt" in files else ("a.csv",)
    return Sample(files, random.choice(("", "a.csv")), changed, longest=20_000)  # 2,000 images to decode


def split_tables(random: Random) -> Sample:
    """A table for each split."""
    files = {f"{split}.csv": csv_table(random).files["a.csv"] for split in ("train", "valid", "test")}
    return Sample(files)


# -- archives, arrays, saved data -------------------------------------------------------------------


def zipped(random: Random) -> Sample:
    """Class folders in a zip, some with members that nobody should unpack."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for i in range(6):
            archive.writestr(f"p/{'ab'[i % 2]}/{i}.jpg", picture(random.randrange(70)))
        for _ in range(random.choice((0, 0, 0, 0, 1, 2))):
            member = zipfile.ZipInfo(random.choice(MEMBERS))
            member.external_attr = random.choice((0, 0o120777, 0o060666, 0o010666, 0o100644, 0o104755)) << 16
            archive.writestr(member, random.choice((b"/etc/passwd", b"x", b"\0" * 50_000)))
    return Sample({"a.zip": file.getvalue()}, "a.zip")


def tables_zipped(random: Random) -> Sample:
    """A table in a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", csv_table(random).files["a.csv"])
    return Sample({"a.zip": file.getvalue()}, "a.zip")


@cache
def _npz(number: int) -> bytes:
    import numpy as np

    random = np.random.default_rng(number)
    shape = ((12, 4, 4), (12, 4, 4, 3), (12, 3, 4, 4), (12,), (12, 1), (0, 4, 4))[number % 6]
    kinds = (np.uint8, np.uint16, np.float32, bool, np.int64)
    images: Any = random.integers(0, 2, shape).astype(kinds[number % 5])
    if number % 7 == 0:
        images = np.array([f"text {i}" for i in range(12)], dtype="U" if number % 2 else "S")
    if number % 11 == 0:
        images = np.asfortranarray(images)
    names = (("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels"))[number % 3]
    file = io.BytesIO()
    labels = np.arange(len(images)) % 2 if number % 5 else np.array(["a", "b"] * 6)[: len(images)]
    if number % 13 == 0:
        images = np.array([{"a": 1}] * 12, dtype=object)
    found: dict[str, Any] = {names[0]: images, names[1]: labels}
    (np.savez if number % 2 else np.savez_compressed)(file, **found)
    return file.getvalue()


def mended_zip(content: bytes) -> bytes:
    """The same members, as far as they can be read, with the checksums that belong to them."""
    file, place = io.BytesIO(), 0
    with zipfile.ZipFile(file, "w") as archive:
        while (place := content.find(b"PK\x03\x04", place)) >= 0 and place + 30 <= len(content):
            method, size, name, extra = struct.unpack("<8xH8xI4xHH", content[place : place + 30])
            start = place + 30 + name + extra
            end = content.find(
                b"PK\x01\x02" if content.find(b"PK\x03\x04", start) < 0 else b"PK\x03\x04", start
            )
            body = (
                content[start : start + size]
                if 0 < size < 1 << 20
                else content[start : end if end > 0 else None]
            )
            place = max(place + 4, start)
            if method:
                continue
            member = zipfile.ZipInfo(content[start - name - extra : start - extra].decode("cp437") or "a.npy")
            if member.filename not in archive.namelist():
                archive.writestr(member, body)
    return file.getvalue()


def arrays(random: Random) -> Sample:
    """Images or texts and labels in an npz; now and then pickled ones."""
    return Sample({"a.npz": _npz(random.randrange(60))}, "a.npz", mend=mended_zip)


@cache
def _saved() -> dict[str, bytes]:
    import datasets

    rows = {"text": [f"word {i}" for i in range(12)], "label": [i % 2 for i in range(12)]}
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        datasets.disable_progress_bars()
        datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features)}).save_to_disk(str(folder))
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def saved_dataset(_: Random) -> Sample:
    """What Hugging Face's save_to_disk writes."""
    return Sample(_saved())


def synsets(random: Random) -> Sample:
    """Folders named after ImageNet's synsets, and a file that names them."""
    name = random.choice(("LOC_synset_mapping.txt", "words.txt", "imagenet_class_index.json"))
    plain = b"n01440764 tench, Tinca tinca\nn01443537 goldfish\n"
    if name.endswith("json"):
        plain = b'{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}'
    files = {f"{('n01440764', 'n01443537')[i % 2]}/{i}.jpg": picture(i) for i in range(6)}
    return Sample({**files, name: plain}, mutated=(name,))


def pickled(random: Random) -> Sample:
    """Code that runs when it is unpickled, under a name that promises something else."""
    name = random.choice(("a.npz", "a.jpg", "a.csv", "a.parquet", "a.zip", "a.jsonl"))
    return Sample({name: b"cos\nsystem\n(S'touch canary'\ntR."}, name)


DATA = (
    Reader("images", decoded, an_image),
    Reader("images to tensors", stacked, an_image),
    Reader("class folders", checked, class_folders),
    Reader("folders to predict", to_predict("image"), class_folders),
    Reader("text folders", checked, text_folders),
    Reader("csv", checked, csv_table),
    Reader("csv to predict", to_predict("text"), csv_table),
    Reader("tsv and txt", checked, tsv_table),
    Reader("jsonl", checked, jsonl_table),
    Reader("parquet", checked, parquet_table),
    Reader("tables of images", checked, image_table),
    Reader("tables by split", checked, split_tables),
    Reader("zip", checked, zipped),
    Reader("zip of tables", checked, tables_zipped),
    Reader("npz", checked, arrays),
    Reader("saved datasets", checked, saved_dataset),
    Reader("synsets", checked, synsets),
    Reader("pickles", checked, pickled),
)
