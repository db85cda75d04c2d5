"""`pipeline.ingest --transpose` stores copies that sound as their labels say."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

from model.inference.baselines import mean_chroma_of_audio
from pipeline import ingest, verify
from pipeline.audio import pitch_shift
from pipeline.ingestion import recording
from pipeline.ingestion.config import Limits
from stores.mel_store import MelStore

RATE = 22_050
SEMITONES = tuple(range(-5, 7))


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Return a folder with a triad in A minor and one in C major, of which the first is for training."""
    folder = tmp_path_factory.mktemp("keys")
    for name, pitches in {"a": (57, 60, 64), "c": (60, 64, 67)}.items():
        tones = [synthetic_audio.sine(440 * 2 ** ((pitch - 69) / 12), 4.0, RATE, 0.2) for pitch in pitches]
        synthetic_audio.write(folder / f"{name}.flac", sum(tones), RATE)
    (folder / "labels.csv").write_text("path,split,key\na.flac,train,A minor\nc.flac,test,C major\n")
    return folder


def _ingest(collection, store, *words):
    words = ["folder", "--root", str(collection), "--labels", str(collection / "labels.csv"), *words]
    return ingest.main([*words, "--store", str(store), "--scheduler", "threads", "--workers", "1"])


@pytest.fixture(scope="module")
def store(collection, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "keys.zarr"
    assert _ingest(collection, path, "--transpose", "12") == 0
    return path


def test_copies_have_the_pitch_the_length_and_the_label_of_their_transposition(store):
    rows = [row for row in MelStore.open(store).rows if row.source == "a.flac"]
    assert sorted(row.semitones for row in rows) == list(SEMITONES)
    assert len(MelStore.open(store).rows) == 13
    chroma = mean_chroma_of_audio(MelStore.open(store), rows)
    original = chroma[[row.semitones for row in rows].index(0)]
    for row, values in zip(rows, chroma, strict=True):
        agreement = [values @ np.roll(original, semitones) for semitones in SEMITONES]
        assert SEMITONES[int(np.argmax(agreement))] == row.semitones
        assert row.frames == rows[0].frames
        assert (row.split, row.state, row.warnings) == ("train", "written", "")
    assert {row.semitones: row.labels["key"] for row in rows if row.semitones in (-2, 3)} == {
        -2: "G minor",
        3: "C minor",
    }


@pytest.mark.slow
def test_a_second_ingest_finds_nothing_to_do_and_one_without_copies_unlists_them(collection, store, capsys):
    assert _ingest(collection, store, "--transpose", "12") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert verify.main([str(store)]) == 0
    assert _ingest(collection, store) == 0
    assert "11 clips are no longer listed" in capsys.readouterr().out
    assert _ingest(collection, store, "--transpose", "12") == 0
    assert "11 clips are listed again" in capsys.readouterr().out


def test_copies_of_all_splits_need_a_number_of_transpositions(collection, tmp_path, capsys):
    assert _ingest(collection, tmp_path / "x.zarr", "--transpose-all") == 2
    assert "needs --transpose N" in capsys.readouterr().err


def test_a_recording_is_decoded_once_for_all_its_copies(collection, tmp_path, monkeypatch):
    names, decode = [], recording.decode_stream
    monkeypatch.setattr(recording, "decode_stream", lambda path, *rest: names.append(path.name) or decode(path, *rest))
    assert _ingest(collection, tmp_path / "x.zarr", "--transpose", "12", "--transpose-all") == 0
    assert names == ["a.flac", "c.flac"]


def test_the_manifest_names_what_has_made_a_copy(store):
    decoders = {row.decoder for row in MelStore.open(store).rows if row.semitones}
    plain = {row.decoder for row in MelStore.open(store).rows if not row.semitones}
    assert decoders == {f"{plain.pop()}, {pitch_shift.version()}"}


def test_each_copy_of_a_recording_may_take_the_time_limit(store):
    rows = [row for row in MelStore.open(store).rows if row.source == "a.flac"]
    assert recording.limit_seconds(Limits(decode_seconds=5.0), rows) == 60.0
