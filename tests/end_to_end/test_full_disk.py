"""A disk that fills at any moment of a stage is one sentence, and the same command goes on after room is made."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace

import numpy as np
import pytest
import synthetic_audio
import synthetic_report
import tiny
from small_disk import filled_disk, small_disk
from small_stores import store_maker

from model import extract, probe, report
from model.inference import representations
from model.probes.config import GRIDS
from pipeline import ingest, shard, verify
from stores.mel_store import MelStore

pytestmark = pytest.mark.slow
CLIPS = 24
ROOMS = (0, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 4096)
"""Room in KiB that is left, until the command succeeds."""


def _labeled(folder):
    splits = [("train", "valid", "test")[i % 3] for i in range(CLIPS)]
    (folder / "stores").mkdir()
    store = store_maker(folder)([300] * CLIPS, "stores/made.zarr", splits=splits)
    store.update([replace(row, labels={"key": f"key-{row.index % 2}"}) for row in store.rows])
    tiny.write_run(folder / "runs" / "first")


def _extracted(folder):
    _labeled(folder)
    assert extract.main(["made"]) == 0


def _scored(folder):
    synthetic_report.one_task(store_maker(folder))


def _ingested(folder):
    for number in range(6):
        synthetic_audio.write(folder / "music" / f"{number}.flac", synthetic_audio.noise(5.0, seed=number))
    words = ["folder", "--root", folder / "music", "--store", folder / "m.zarr", "--scheduler", "threads"]
    assert ingest.main([*map(str, words)]) == 0


def _damaged(folder):
    _ingested(folder)
    for file in MelStore.open(folder / "m.zarr").path.glob("mel/c/0/*"):
        file.write_bytes(b"")


STAGES = {
    "extract": (_labeled, extract.main, ["made", "--pool", "none", "--hop", "2"]),
    "extract to a table": (_labeled, extract.main, ["made", "--to", "npz"]),
    "extract to parquet": (_labeled, extract.main, ["made", "--to", "parquet"]),
    "probe": (_extracted, probe.main, ["made"]),
    "report": (_scored, report.main, ["made"]),
    "shard": (_ingested, shard.main, ["m.zarr"]),
    "verify": (_damaged, verify.main, ["m.zarr", "--repair", "--scheduler", "threads", "--workers", "2"]),
}


def _files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".log" and path.name not in ("manifest.parquet", "index.json")
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(tmp_path, monkeypatch, capsys, stage):
    prepare, main, words = STAGES[stage]
    monkeypatch.setitem(GRIDS, "quick", tiny.grid())
    chroma = np.random.default_rng(0).random((CLIPS, 12), np.float32)
    monkeypatch.setitem(representations._FUNCTIONS, "mean-chroma", lambda _store, _rows: chroma)
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    prepare(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "before")
    assert main(words) == 0
    failures = 0
    with small_disk(tmp_path / "disk", 64 << 20):
        place = tmp_path / "disk" / "whole"
        shutil.copytree(tmp_path / "before", place)
        monkeypatch.chdir(place)
        run = functools.partial(main, words)
        for room in ROOMS:
            with filled_disk(tmp_path / "disk", room << 10):
                capsys.readouterr()
                status = run()
            errors = capsys.readouterr().err
            if status == 0:
                break
            failures += 1
            assert status == 2, errors
            assert "Traceback" not in errors
            last = errors.splitlines()[-1]
            assert last.startswith("error: ")
            assert "No space left on device" in last
            assert "free some disk space, then start the same command again to continue" in last
        assert status == run() == 0
        assert failures
        assert _files(place) == _files(tmp_path / "whole")
        assert not [path for path in place.rglob(".*") if path.name != ".gitignore"]
        monkeypatch.chdir(tmp_path)
