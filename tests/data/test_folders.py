from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tunesmith.data.read import read
from tunesmith.data.synsets import synset_names
from tunesmith.errors import BadData, NoData

Photo = Callable[..., Path]
Write = Callable[[str, str], Path]


def counts(data: object) -> dict[str, int]:
    return {name: len(split) for name, split in data.splits.items()}  # type: ignore[attr-defined]


def labels(data: object) -> Counter[str]:
    every = data.splits.values()  # type: ignore[attr-defined]
    return Counter(label for split in every for label in split["label"])


def test_class_folders_are_understood(photos: Path) -> None:
    data = read(photos)
    assert data.takes == "image"
    assert labels(data) == {"cat": 10, "dog": 6}
    assert data.train[0]["item"]["path"] == str(photos / data.train[0]["id"])
    assert data.train[0]["item"]["bytes"] is None


def test_what_was_understood_is_said(photos: Path, photo: Photo) -> None:
    (photos / "cat" / "notes.pdf").write_text("x")
    (photos / "cat" / ".DS_Store").write_text("x")
    photo(photos / "loose.jpg")
    assert read(photos).understood == (
        "photos: 16 images in 2 classes, read from class folders",
        "classes: cat 10, dog 6",
        "splits: train 12, valid 2, test 2, made here (stratified, seed 0)",
        "imbalance: 1.7 : 1 between the largest class and the smallest, 62% of all are cat",
        "left out: 1 image outside class folders; files of other kinds (1 .pdf)",
    )


@pytest.mark.parametrize("valid", ["val", "valid", "validation", "dev"])
def test_split_folders_are_obeyed(tmp_path: Path, photo: Photo, valid: str) -> None:
    for split, count in (("train", 3), (valid, 1), ("test", 2)):
        for label in ("a", "b"):
            for number in range(count):
                photo(tmp_path / "p" / split / label / f"{number}.jpg")
    data = read(tmp_path / "p")
    assert counts(data) == {"train": 6, "valid": 2, "test": 4}
    assert data.understood[2].endswith("as given")


def test_a_test_folder_without_classes_is_left_out_and_said(tmp_path: Path, photo: Photo) -> None:
    for label in ("a", "b"):
        for number in range(10):
            photo(tmp_path / "p" / "train" / label / f"{number}.jpg")
    photo(tmp_path / "p" / "test" / "1.jpg")
    data = read(tmp_path / "p")
    assert sum(counts(data).values()) == 20
    assert data.understood[-1] == "left out: 1 image outside class folders"


def test_a_folder_around_the_data_is_entered(photos: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer" / "inner"
    outer.parent.mkdir()
    photos.rename(outer)
    data = read(outer.parent)
    assert (data.name, labels(data)["cat"]) == ("outer", 10)


def test_the_class_is_the_whole_path_when_top_folders_hold_only_folders(tmp_path: Path, photo: Photo) -> None:
    for alphabet in ("Greek", "Latin"):
        for letter in ("a", "b"):
            for number in range(4):
                photo(tmp_path / "p" / alphabet / letter / f"{number}.png")
    assert set(labels(read(tmp_path / "p"))) == {"Greek/a", "Greek/b", "Latin/a", "Latin/b"}


def test_the_class_is_the_top_folder_when_it_holds_files(photos: Path, photo: Photo) -> None:
    photo(photos / "cat" / "tabby" / "1.jpg")
    assert labels(read(photos)) == {"cat": 11, "dog": 6}


def test_synset_folders_get_names_from_a_mapping_beside_them(tmp_path: Path, photo: Photo) -> None:
    for synset in ("n01440764", "n01443537"):
        for number in range(5):
            photo(tmp_path / "p" / "train" / synset / f"{number}.jpg")
    (tmp_path / "LOC_synset_mapping.txt").write_text(
        "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n"
    )
    data = read(tmp_path / "p")
    assert set(labels(data)) == {"tench (n01440764)", "goldfish (n01443537)"}
    assert data.understood[-1] == "class names of ImageNet's synsets from LOC_synset_mapping.txt"


def test_synset_names_come_from_timm_when_no_file_is_there(tmp_path: Path) -> None:
    if find_spec("timm") is None:
        pytest.skip("timm, whose own list of synsets is read, is not installed")
    names, source = synset_names(tmp_path)
    assert (names["n01440764"], source) == ("tench (n01440764)", "timm")


def test_text_folders_leave_out_what_has_no_label(write: Write, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            for number in range(8):
                write(f"imdb/{split}/{label}/{number}.txt", f"{label} {number} {split}")
    write("imdb/train/unsup/0.txt", "who knows")
    write("imdb/README", "hello")
    data = read(tmp_path / "imdb")
    assert (data.takes, labels(data)) == ("text", {"pos": 16, "neg": 16})
    assert counts(data)["test"] == 16
    assert data.understood[-1] == "left out: train/unsup (1 text without label)"
    assert data.test[0] == {"id": "test/neg/0.txt", "item": "neg 0 test", "label": "neg"}


def test_tables_named_after_splits_are_the_splits(write: Write, tmp_path: Path) -> None:
    for name, count in (("train", 8), ("dev", 4), ("test", 6)):
        rows = "".join(f"{name} {n}\t{'ab'[n % 2]}\n" for n in range(count))
        write(f"d/{name}.tsv", "text\tlabel\n" + rows)
    write("d/README.txt", "not data")
    data = read(tmp_path / "d")
    assert counts(data) == {"train": 8, "valid": 4, "test": 6}
    assert data.understood[0].endswith("train.tsv, dev.tsv, test.tsv (columns text, label)")
    assert data.valid[1]["id"] == "dev.tsv:3"


def test_a_test_table_without_labels_is_left_out_and_said(write: Write, tmp_path: Path) -> None:
    write("d/train.csv", "text,label\n" + "".join(f"t{n},{'ab'[n % 2]}\n" for n in range(20)))
    write("d/test.csv", "id,text\n1,x\n")
    data = read(tmp_path / "d")
    assert counts(data) == {"train": 14, "valid": 3, "test": 3}
    assert data.understood[-1] == "left out: test.csv (it has no column 'label')"


def test_a_table_beside_image_folders_names_their_paths(photos: Path) -> None:
    rows = [f"cat/{n}.jpg,{'xy'[n % 2]}" for n in range(10)]
    (photos / "labels.csv").write_text("path,label\n" + "\n".join(rows))
    assert labels(read(photos)) == {"x": 5, "y": 5}


def test_a_table_that_is_no_list_of_examples_does_not_hide_class_folders(photos: Path) -> None:
    (photos / "sizes.csv").write_text("class,bytes,n\ncat,1,2\n")
    assert labels(read(photos)) == {"cat": 10, "dog": 6}


def test_a_broken_table_beside_one_folder_of_images_is_said(tmp_path: Path, photo: Photo) -> None:
    """The folder would be a class else, and every example's label its name."""
    for number in range(4):
        photo(tmp_path / "d" / "images" / f"{number}.jpg")
    rows = [f"images/{n}.jpg,{'xy'[n % 2]}" for n in range(4)]
    (tmp_path / "d" / "labels.csv").write_text("image,label\n" + "\n".join([*rows, "images/0.jpg,x,y"]))
    with pytest.raises(BadData, match=r"labels\.csv:6 has 3 fields where 2 are expected"):
        read(tmp_path / "d")


def test_two_tables_beside_loose_images_are_said(tmp_path: Path, photo: Photo) -> None:
    photo(tmp_path / "d" / "train" / "1.jpg")
    for name in "ab":
        (tmp_path / "d" / f"{name}.csv").write_text("p,q\n1,2\n")
    with pytest.raises(BadData, match=r"d holds 2 tables \(a\.csv, b\.csv\); give one of them"):
        read(tmp_path / "d")


@pytest.mark.parametrize("table", ["labels.csv", "train.csv"])
def test_names_without_an_ending_find_their_images(tmp_path: Path, photo: Photo, table: str) -> None:
    """As Kaggle lays out its dog breeds: labels.csv (id, breed), train/ID.jpg and test/ID.jpg."""
    for number in range(10):
        photo(tmp_path / "d" / "train" / f"0a{number}.jpg")
        photo(tmp_path / "d" / "test" / f"0b{number}.jpg")
    rows = [f"0a{n},{('pug', 'chow')[n % 2]}" for n in range(10)]
    (tmp_path / "d" / table).write_text("id,breed\n" + "\n".join(rows))
    data = read(tmp_path / "d")
    assert (data.takes, labels(data)) == ("image", {"pug": 5, "chow": 5})
    assert data.understood[0] == f"d: 10 images in 2 classes, read from {table} (columns id, breed)"
    assert data.train[0]["id"].startswith("train/0a")
    assert labels(read(tmp_path / "d" / table, item="id")) == labels(data)
    (tmp_path / "d" / "train" / "0a3.jpg").unlink()
    with pytest.raises(BadData, match=r":5 names the image train/0a3\.jpg, which is not there"):
        read(tmp_path / "d")


def test_names_that_two_folders_hold_are_not_guessed(tmp_path: Path, photo: Photo) -> None:
    for number in range(4):
        photo(tmp_path / "d" / "large" / f"{number}.jpg")
        photo(tmp_path / "d" / "small" / f"{number}.jpg")
    rows = [f"{n},{'xy'[n % 2]},{n}" for n in range(4)]
    (tmp_path / "d" / "a.csv").write_text("id,breed,age\n" + "\n".join(rows))
    assert labels(read(tmp_path / "d")) == {"large": 4, "small": 4}
    with pytest.raises(BadData, match="its columns are id, breed, age"):
        read(tmp_path / "d" / "a.csv")


def test_one_word_texts_are_no_names_of_images(write: Write, photo: Photo, tmp_path: Path) -> None:
    photo(tmp_path / "d" / "images" / "w0.jpg")
    path = write("d/a.csv", "name,label\n" + "".join(f"w{n},{'ab'[n % 2]}\n" for n in range(10)))
    assert read(path).takes == "text"


@pytest.mark.parametrize("name", ["lost+found", "@eaDir", "$RECYCLE.BIN", "System Volume Information"])
def test_a_system_s_own_folder_is_no_class(photos: Path, photo: Photo, name: str) -> None:
    photo(photos / name / "SYNOPHOTO_THUMB.jpg")
    assert labels(read(photos)) == {"cat": 10, "dog": 6}


def test_two_tables_are_one_too_many(write: Write, tmp_path: Path) -> None:
    write("d/a.csv", "text,label\nx,y\n")
    write("d/b.csv", "text,label\nx,y\n")
    with pytest.raises(BadData, match=r"d holds 2 tables \(a\.csv, b\.csv\); give one of them"):
        read(tmp_path / "d")


def test_class_names_beside_numbers_are_used_and_said(write: Write, tmp_path: Path) -> None:
    write("d/class.txt", "finance\nsport\n")
    path = write("d/news.txt", "".join(f"title {n}\t{n % 2}\n" for n in range(20)))
    data = read(path)
    assert labels(data) == {"finance": 10, "sport": 10}
    assert data.understood[-1] == "class names from class.txt"


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(BadData, match="d is an empty folder"):
        read(tmp_path / "d")


def test_a_folder_of_strangers_says_what_lies_there(write: Write, tmp_path: Path) -> None:
    for number in range(3):
        write(f"d/{number}.pdf", "x")
    write("d/more/a.docx", "x")
    with pytest.raises(BadData, match=r"nothing in d was recognised: it holds 3 \.pdf, 1 \.docx"):
        read(tmp_path / "d")


def test_loose_images_need_class_folders(tmp_path: Path, photo: Photo) -> None:
    photo(tmp_path / "d" / "1.jpg")
    with pytest.raises(BadData, match="d holds images but no class folders"):
        read(tmp_path / "d")


def test_a_wrong_path_gets_a_guess(photos: Path) -> None:
    with pytest.raises(NoData, match=r"nothing is at .*photo; did you mean 'photos'\?"):
        read(photos.parent / "photo")


def test_a_group_of_class_folders_is_refused(photos: Path) -> None:
    with pytest.raises(BadData, match="photos is no table, so it has no column 'patient'"):
        read(photos, group="patient")


def test_a_link_to_its_own_folder_does_not_walk_for_ever(photos: Path) -> None:
    (photos / "cat" / "again").symlink_to(photos / "cat", target_is_directory=True)
    assert labels(read(photos)) == {"cat": 10, "dog": 6}
