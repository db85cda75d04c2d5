"""Changed copies are made of every recording, also of those that only libsndfile reads."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import synthetic_audio

from pipeline.open_music.changed_copies import write_copies
from stores.errors import DecodeError


@pytest.fixture
def recordings(tmp_path):
    samples = synthetic_audio.chords(2.0, 44_100)
    synthetic_audio.write(tmp_path / "music" / "album" / "plain.flac", samples, 44_100)
    soundfile.write(tmp_path / "music" / "album" / "odd.mat", samples, 44_100, format="MAT5")  # ffmpeg cannot read it
    return tmp_path / "music"


@pytest.mark.parametrize(("change", "gain"), [("quiet", 10 ** (-12 / 20)), ("mp3", 1.0)])
def test_copies_have_the_length_and_the_level_of_their_change(recordings, tmp_path, change, gain):
    assert write_copies(recordings, change, tmp_path / change) == 2
    copies = sorted((tmp_path / change / "album").iterdir())
    assert [path.stem for path in copies] == ["odd", "plain"]
    original, _ = soundfile.read(recordings / "album" / "plain.flac")
    for path in copies:
        samples, rate_hz = soundfile.read(path)
        assert len(samples) / rate_hz == pytest.approx(2.0, abs=0.1)
        assert np.std(samples) == pytest.approx(gain * np.std(original), rel=0.1)  # LAME scales by 0.95


def test_copies_that_exist_are_kept_and_a_file_that_nothing_reads_is_an_error(recordings, tmp_path):
    write_copies(recordings, "quiet", tmp_path / "quiet")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "quiet").rglob("*.flac")}
    (recordings / "album" / "text.ogg").write_text("no audio")
    with pytest.raises(DecodeError, match=r"text\.ogg"):
        write_copies(recordings, "quiet", tmp_path / "quiet")
    assert {path: path.stat().st_mtime_ns for path in before} == before
