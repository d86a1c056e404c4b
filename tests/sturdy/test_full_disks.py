"""Whatever the disk refuses, one sentence says it, the store stays sound, and a resume ends the same."""

from __future__ import annotations

import errno
import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]
KINDS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)
DRAWN = 12


class Disks:
    """Small runs, each with a cache of its own, on disks that refuse something."""

    def __init__(self, ask: Ask, photos: Path, folder: Path) -> None:
        self.ask, self.photos, self.folder = ask, photos, folder
        whole = folder / "whole"
        whole.mkdir()
        assert self.fit(whole)["code"] == 0, (whole / "said").read_text()
        self.asked = len((whole / "done").read_text().split())
        self.weights = (whole / "run" / "model" / "weights.safetensors").read_bytes()
        self.scores = json.loads((whole / "run" / "scores.json").read_text())

    def fit(self, place: Path, refuse: int = 0, code: int = 0, *, forever: bool = False) -> dict[str, Any]:
        disk = {"folders": [str(place / "run"), str(place / "cache")], "refuse": refuse, "code": code}
        return self.line(
            place,
            "fit",
            *(str(self.photos), "--model", "timm/test_resnet@none", "--image-size", "32", "--batch", "8"),
            *("--epochs", "2", "--strategy", "lp_ft", "--keep", "trained", "--device", "cpu"),
            *("--out", str(place / "run")),
            disk={**disk, "forever": forever},
            done=str(place / "done"),
        )

    def line(self, place: Path, *words: str, **beside: Any) -> dict[str, Any]:
        said = {"argv": words, "err": str(place / "said"), "cache": str(place / "cache"), **beside}
        return self.ask("", beside=said)

    def survives(self, refuse: int, code: int, *, forever: bool = False) -> str:
        """What became of a run whose disk refused once, or from then on: "refused" or "went on"."""
        from tunesmith.store import Store

        place = Path(tempfile.mkdtemp(prefix=f"{refuse}-{errno.errorcode[code]}-", dir=self.folder))
        answer = self.fit(place, refuse, code, forever=forever)
        said = (place / "said").read_text()
        assert not answer["killed"]
        assert answer["code"] in (0, 2), said
        assert "Traceback" not in said
        run = place / "run"
        if answer["code"] == 2:
            last = said.splitlines()[-1]
            assert last.startswith("error: "), said
            assert str(place) in last
            assert os.strerror(code) in last
            assert [p for p in place.rglob("*.tmp") if not forever] == []
        store = Store(place / "cache" / "store")
        assert [row.damaged for row in store.verify()] == [0] * len(store.shelves())
        if answer["code"] == 2:
            over = (run / "scores.json").is_file()  # and whether it would survive a power cut was not sure
            again = ("resume", str(run)) if (run / "manifest.json").is_file() else None
            code = (self.line(place, *again) if again else self.fit(place))["code"]
            assert code == (2 if over else 0), (place / "said").read_text()
        assert (run / "model" / "weights.safetensors").read_bytes() == self.weights
        assert json.loads((run / "scores.json").read_text()) == self.scores
        return "refused" if answer["code"] == 2 else "went on"


@pytest.fixture(scope="module")
def disks(ask: Ask, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Disks:
    return Disks(ask, photos, tmp_path_factory.mktemp("disks"))


def test_a_run_survives_whatever_the_disk_refuses_once(disks: Disks, seed: int) -> None:
    draw = random.Random(seed)
    share = disks.asked / DRAWN
    outcomes = [
        disks.survives(draw.randint(int(share * i) + 1, int(share * (i + 1))), KINDS[i % len(KINDS)])
        for i in range(DRAWN)
    ]
    # The first third of all writes is the store's, without which a run goes on.
    assert outcomes.count("refused") >= DRAWN // 6  # or the disk refused nothing that matters
    assert disks.asked > 100


def test_a_disk_that_stays_full_is_one_sentence(disks: Disks) -> None:
    """Also while the error is dealt with: nothing may be written any more."""
    assert disks.survives(disks.asked // 2, errno.ENOSPC, forever=True) == "refused"


@pytest.mark.full
def test_a_run_survives_a_full_disk_at_every_write(disks: Disks, seed: int) -> None:
    """TUNESMITH_DISKS names a ledger, a line for each write that was refused, to go on from."""
    ledger = Path(os.environ.get("TUNESMITH_DISKS", disks.folder / "disks.jsonl"))
    known = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.is_file() else []
    passed = {(row["refuse"], row["code"]) for row in known}
    draw = random.Random(seed)
    wanted = [(n, errno.ENOSPC) for n in range(1, disks.asked + 1)]
    wanted += [(draw.randint(1, disks.asked), code) for code in KINDS[1:] for _ in range(50)]
    for refuse, code in dict.fromkeys(wanted):
        if (refuse, code) not in passed:
            row = {"refuse": refuse, "code": code, "of": disks.asked, "became": disks.survives(refuse, code)}
            with ledger.open("a") as lines:
                lines.write(json.dumps(row) + "\n")


def test_a_folder_that_may_only_be_read_is_refused_before_any_work(disks: Disks) -> None:
    place = disks.folder / "read-only"
    place.mkdir()
    assert disks.fit(place, 1, errno.EROFS, forever=True)["code"] == 2
    said = (place / "said").read_text()
    assert "epoch" not in said
    assert os.strerror(errno.EROFS) in said.splitlines()[-1]
