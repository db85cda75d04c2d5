"""Folders as people have them become stores: all suffixes, archives, Parquet files, and whole videos of AudioSet."""

from __future__ import annotations

import shutil
import subprocess
import zipfile

import audioset_on_disk
import numpy as np
import pytest
import synthetic_audio

from pipeline import ingest as command
from pipeline import verify
from pipeline.audio import ffmpeg
from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from stores.mel_store import MelStore

FFMPEG_OPTIONS = {
    **{".m4b": ("-f", "mp4"), ".m4r": ("-f", "mp4"), ".mkv": (), ".mov": (), ".3gp": ("-c:a", "aac")},
    **{".aifc": ("-f", "aiff"), ".wave": ("-f", "wav"), ".mpga": ("-f", "mp3"), ".snd": ("-f", "au")},
    **{".flv": ("-ar", "44100"), ".eac3": (), ".ac3": (), ".ts": (), ".m2ts": ("-f", "mpegts"), ".caf": ()},
    **{".oga": ("-f", "ogg"), ".weba": ("-f", "webm", "-c:a", "libopus"), ".avi": (), ".wv": (), ".tta": ()},
}


def _ingest(dataset, *words):
    return command.main([dataset, "--scheduler", "threads", "--workers", "2", *map(str, words)])


def _states(store):
    return {row.id: row.state for row in MelStore.open(store).rows}


def test_every_suffix_that_the_decoders_read_is_stored(tmp_path):
    made = synthetic_audio.write(tmp_path / "made.wav", synthetic_audio.chords(2.0))
    root = tmp_path / "music"
    root.mkdir()
    for suffix, options in FFMPEG_OPTIONS.items():
        words = [ffmpeg.executable(), "-nostdin", "-v", "error", "-i", str(made), *options]
        subprocess.run([*words, str(root / f"x{suffix}")], check=True)
    for name in ("nosuffix", "01. Song", "jazz.00054"):
        shutil.copy(made, root / name)
    assert _ingest("folder", "--root", root, "--store", tmp_path / "m.zarr") == 0
    names = {*(f"x{suffix}" for suffix in FFMPEG_OPTIONS), "nosuffix", "01. Song", "jazz.00054"}
    assert _states(tmp_path / "m.zarr") == dict.fromkeys(names, "written")


def test_archives_and_parquet_files_are_stored_like_their_files(tmp_path, capsys):
    made = [
        synthetic_audio.write(tmp_path / "made" / f"{number}.flac", synthetic_audio.chords(1.5, seed=number))
        for number in range(4)
    ]
    root = tmp_path / "music"
    for name in ("x.tar", "x.tar.gz", "x.zip", "x.parquet"):
        synthetic_audio.pack(root / name, made)
    with zipfile.ZipFile(root / "hostile.zip", "w") as archive:
        archive.writestr("../../../escaped.flac", made[0].read_bytes())
        archive.writestr("text.flac", "no audio")
    assert _ingest("folder", "--root", root, "--store", tmp_path / "m.zarr") == 0
    rows = {row.id: row for row in MelStore.open(tmp_path / "m.zarr").rows}
    names = {f"{name}/{number}.flac" for name in ("x.tar", "x.tar.gz", "x.zip") for number in range(4)}
    names |= {f"x.parquet/{number}" for number in range(4)} | {"hostile.zip/../../../escaped.flac"}
    assert {name for name, row in rows.items() if row.state == "written"} == names
    assert {row.reason for name, row in rows.items() if name not in names} == {"unreadable"}
    for number in range(4):
        same = [row for row in rows.values() if f"/{number}" in row.id]
        assert len({(row.source_digest, row.codes_digest) for row in same}) == 1
    assert not list(tmp_path.rglob("escaped.flac"))
    assert verify.main([str(tmp_path / "m.zarr"), "--scheduler", "threads", "--read-audio"]) == 0


def _audioset(root, seconds, name="{}.flac", youtube_id="zyxwvutsrqp"):
    """Write a recording of a clip whose segment is 30 to 40 s."""
    audioset_on_disk.write_lists(root)
    samples = synthetic_audio.noise(seconds, seed=7, amplitude=0.5)
    synthetic_audio.write(root / "audio" / name.format(youtube_id), samples)


@pytest.mark.parametrize("name", ["{}.flac", "Title [{}].flac"])
@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        (48.0, (30.0, 40.0)),  # a whole video is cut
        (34.0, (30.0, 34.0)),  # it ends within its segment
        (10.0, (0.0, 10.0)),  # the segment itself
        (10.6, (0.0, 10.6)),  # the segment with the padding of a codec
        (8.0, (0.0, 8.0)),  # a segment that was cut short
        (11.5, None),  # neither: nothing of the segment is in it
    ],
)
def test_a_whole_video_of_audioset_is_cut_and_a_clip_is_taken_as_it_is(tmp_path, seconds, kept, name):
    _audioset(tmp_path / "a", seconds, name)
    assert _ingest("audioset", "--root", tmp_path / "a", "--store", tmp_path / "a.zarr") == 0
    store = MelStore.open(tmp_path / "a.zarr")
    (row,) = store.rows
    if kept is None:
        assert (row.state, row.reason) == ("refused", "too_short")
        return
    start, stop = (round(edge * 16_000) for edge in kept)
    expected = mel_power(decode(tmp_path / "a" / row.source, 16_000).samples[start:stop], store.spec)
    assert row.state == "written"
    assert store.clip(row.index).shape == expected.shape
    inside = store.clip(row.index) > 0
    distance = np.abs(np.log10(expected[inside] / store.clip(row.index)[inside]))
    assert distance.max() <= 0.51 * store.quantizer.step_decades


@pytest.mark.parametrize(("seconds", "kept_seconds"), [(10.6, 10.6), (48.0, 10.0), (20.0, None)])
def test_a_file_whose_name_states_the_start_is_cut_if_it_is_a_whole_video(tmp_path, seconds, kept_seconds):
    _audioset(tmp_path / "a", seconds, "{}_30.0-40.0.flac")
    assert _ingest("audioset", "--root", tmp_path / "a", "--store", tmp_path / "a.zarr") == 0
    store = MelStore.open(tmp_path / "a.zarr")
    (row,) = store.rows
    if kept_seconds is None:
        assert (row.reason, row.detail[:26]) == ("too_short", "the clip begins at 30.00 s")
        return
    assert (row.state, row.frames) == ("written", store.spec.frames_for(round(kept_seconds * 16_000)))


def test_a_clip_of_audioset_that_was_mended_is_taken_as_it_is(tmp_path):
    _audioset(tmp_path / "a", 10.0)
    path = tmp_path / "a" / "audio" / "zyxwvutsrqp.flac"
    sound = path.read_bytes()
    path.write_bytes(b"no audio")
    words = ["--root", tmp_path / "a", "--store", tmp_path / "a.zarr"]
    assert _ingest("audioset", *words) == 0
    assert _states(tmp_path / "a.zarr") == {"zyxwvutsrqp": "refused"}
    path.write_bytes(sound)
    assert _ingest("audioset", *words, "--retry-refused") == 0
    (row,) = MelStore.open(tmp_path / "a.zarr").rows
    assert (row.state, row.frames) == ("written", MelStore.open(tmp_path / "a.zarr").spec.frames_for(10 * 16_000))


def test_a_whole_video_in_the_place_of_a_clip_of_audioset_is_cut(tmp_path):
    words = ["--root", tmp_path / "a", "--store", tmp_path / "a.zarr"]
    for seconds in (10.0, 48.0):
        _audioset(tmp_path / "a", seconds)
        assert _ingest("audioset", *words) == 0
    (row,) = MelStore.open(tmp_path / "a.zarr").rows
    assert (row.cut_start_seconds, row.cut_seconds) == (30, 10)
    assert (row.state, row.frames) == ("written", MelStore.open(tmp_path / "a.zarr").spec.frames_for(10 * 16_000))


def test_a_test_clip_in_another_spelling_stays_out_of_training(tmp_path, capsys):
    root = tmp_path / "music"
    for number, name in enumerate(("a.wav", "b.wav", "c.wav")):
        synthetic_audio.write(root / name, synthetic_audio.chords(1.0, seed=number))
    table = tmp_path / "labels.csv"
    table.write_text("path,split,mood\na.wav,train,calm\n./B.WAV ,test,nan\nlost.wav,test,calm\n")
    assert _ingest("folder", "--root", root, "--store", tmp_path / "m.zarr", "--labels", table) == 0
    rows = {row.id: row for row in MelStore.open(tmp_path / "m.zarr").rows}
    assert (rows["b.wav"].split, dict(rows["b.wav"].labels)) == ("test", {})
    printed = capsys.readouterr().out
    assert "no file for the test row 'lost.wav' (line 4)" in printed
    assert "rows matched in another case: 1" in printed
    assert "cells with a word for no value, such as nan: 1" in printed
