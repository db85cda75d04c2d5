"""The command `pipeline.ingest`: folders as people have them become stores, and it says what became of what."""

from __future__ import annotations

import os

import numpy as np
import pytest
import synth

from pipeline import ingest
from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from stores.mel_store import MelStore

BAD = {"text.wav": b"no audio", "empty.mp3": b"", "zeros.flac": bytes(5000)}


@pytest.fixture
def mixed(tmp_path):
    """Four good files in four formats, four bad ones, and one that is no audio by its name."""
    root = tmp_path / "music"
    synth.write(root / "a.wav", synth.chords(3.0))
    synth.write(root / "deep" / "er" / "b.m4a", synth.noise(2.0, 44_100), 44_100)
    synth.write(root / "C.ogg", np.stack([synth.sine(440, 2.0, 48_000)] * 2, axis=1), 48_000)
    synth.write(root / "with space.flac", synth.chirp(100, 7000, 2.0, 96_000), 96_000)
    synth.write(root / "short.wav", synth.sine(440, 0.05))
    for name, content in BAD.items():
        (root / name).write_bytes(content)
    (root / "readme.txt").write_text("not looked at")
    return root


def _ingest(dataset, *arguments):
    return ingest.main([dataset, "--scheduler", "threads", "--workers", "2", *map(str, arguments)])


def test_good_and_bad_files_are_told_apart_and_counted(mixed, tmp_path, capsys):
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr") == 0
    store = MelStore.open(tmp_path / "m.zarr")
    written = {row.id for row in store.rows if row.state == "written"}
    assert written == {"a.wav", "deep/er/b.m4a", "C.ogg", "with space.flac"}
    reasons = {row.id: row.reason for row in store.rows if row.state == "refused"}
    assert set(reasons) == {*BAD, "short.wav"}
    assert reasons["short.wav"] == "too_short"
    assert reasons["text.wav"] == "unreadable"
    printed = capsys.readouterr().out
    assert "8 clips" in printed
    assert "4 written" in printed
    assert "1 refused: too_short" in printed
    assert "refused text.wav: unreadable:" in printed


def test_what_is_stored_is_the_mel_within_half_a_step(mixed, tmp_path):
    _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr")
    store = MelStore.open(tmp_path / "m.zarr")
    for row in [row for row in store.rows if row.state == "written"]:
        power = mel_power(decode(mixed / row.source, 16_000).samples, store.spec)
        stored = store.clip(row.index)
        assert stored.shape == power.shape == (128, row.frames)
        inside = stored > 0
        assert np.abs(np.log10(power[inside] / stored[inside])).max() <= 0.5001 * store.quantizer.step_decades
        assert power[~inside].max(initial=0) < 10 ** (
            store.quantizer.low_decades - 0.499 * store.quantizer.step_decades
        )


def test_the_second_run_does_nothing(mixed, tmp_path, capsys):
    _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr")
    capsys.readouterr()
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr") == 0
    assert "every clip is there already" in capsys.readouterr().out


def test_a_dry_run_says_what_is_needed_and_writes_nothing(mixed, tmp_path, capsys):
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "8 clips" in printed
    assert "MB before compression" in printed
    assert not list(tmp_path.glob("*m.zarr*"))


def test_a_root_that_is_not_there_is_told_and_nothing_is_made(tmp_path, capsys):
    assert _ingest("folder", "--root", tmp_path / "none", "--store", tmp_path / "m.zarr") == 2
    assert f"error: {tmp_path / 'none'} is not a folder; give the one that holds the audio" in capsys.readouterr().err
    assert not (tmp_path / "m.zarr").exists()


def test_a_folder_without_audio_is_told(tmp_path, capsys):
    assert _ingest("folder", "--root", tmp_path, "--store", tmp_path / "m.zarr") == 2
    assert "no audio below" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", ingest.NOT_YET)
def test_a_dataset_that_is_not_built_yet_says_so_and_what_to_do(dataset, capsys):
    assert _ingest(dataset) == 2
    error = capsys.readouterr().err
    assert f"dataset '{dataset}' is not built yet" in error
    assert "pipeline.ingest folder --root DIR" in error


def test_an_unknown_dataset_is_refused_by_the_command_line(capsys):
    with pytest.raises(SystemExit) as ended:
        _ingest("nonesuch")
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["genres/{genre}", "genres_original/{genre}", "{genre}", "."])
def test_gtzan_is_read_in_the_layouts_that_people_have(tmp_path, layout):
    root = tmp_path / "gtzan"
    for genre in ("blues", "jazz"):
        for number in range(2):
            folder = root / layout.format(genre=genre)
            synth.write(folder / f"{genre}.{number:05d}.wav", synth.chords(1.0, 22_050, number), 22_050)
    assert _ingest("gtzan", "--root", root, "--store", tmp_path / "g.zarr") == 0
    store = MelStore.open(tmp_path / "g.zarr")
    assert [row.id for row in store.rows] == ["blues.00000", "blues.00001", "jazz.00000", "jazz.00001"]
    assert [row.labels for row in store.rows] == [{"genre": "blues"}] * 2 + [{"genre": "jazz"}] * 2


def test_default_places_are_data_and_stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MYNA_DATA", raising=False)
    synth.write(tmp_path / "data" / "folder" / "a.wav", synth.chords(1.0))
    assert _ingest("folder") == 0
    assert len(MelStore.open("stores/folder.zarr")) == 1


def test_the_limits_of_a_track_are_kept(tmp_path):
    synth.write(tmp_path / "music" / "long.wav", synth.chords(3.0))
    _ingest("folder", "--root", tmp_path / "music", "--store", tmp_path / "m.zarr", "--max-seconds", "2")
    (row,) = MelStore.open(tmp_path / "m.zarr").rows
    assert (row.state, row.reason) == ("refused", "too_long")


@pytest.mark.parametrize(
    "option", [("--max-seconds", "0"), ("--max-seconds", "inf"), ("--decode-seconds", "-1"), ("--max-seconds", "nan")]
)
def test_limits_that_cannot_be_are_refused(mixed, tmp_path, capsys, option):
    assert _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr", *option) == 2
    assert "error: " in capsys.readouterr().err


def test_a_file_name_that_is_no_utf8_is_told_before_anything_is_made(tmp_path, capsys):
    path = synth.write(tmp_path / "music" / "a.wav", synth.chords(1.0))
    path.rename(path.with_name(os.fsdecode(b"caf\xe9.wav")))
    assert _ingest("folder", "--root", tmp_path / "music", "--store", tmp_path / "m.zarr") == 2
    assert "is not UTF-8; rename" in capsys.readouterr().err
    assert not (tmp_path / "m.zarr").exists()


def test_a_store_made_from_another_root_is_not_gone_on_with(mixed, tmp_path, capsys):
    _ingest("folder", "--root", mixed, "--store", tmp_path / "m.zarr")
    mixed.rename(tmp_path / "moved")
    assert _ingest("folder", "--root", tmp_path / "moved", "--store", tmp_path / "m.zarr") == 2
    assert "root: store" in capsys.readouterr().err
