"""MP3 encoding: the decoded sound is the encoded one, and the command contains no file name."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

from pipeline.audio import ffmpeg, mp3
from pipeline.audio.decode import decode
from stores.errors import MissingArtifact


def test_a_tone_keeps_its_pitch_and_length(tmp_path):
    path = tmp_path / "tone.mp3"
    path.write_bytes(mp3.encode(synthetic_audio.sine(440, 2.0), synthetic_audio.RATE_HZ))
    audio = decode(path, synthetic_audio.RATE_HZ)
    assert synthetic_audio.loudest_hz(audio.samples) == pytest.approx(440, abs=1)
    assert len(audio.samples) / synthetic_audio.RATE_HZ == pytest.approx(2.0, abs=0.15)
    assert np.abs(audio.samples).max() == pytest.approx(0.5, abs=0.1)
    assert path.stat().st_size < 2 * mp3.KILOBITS_PER_SECOND * 1000 / 8 * 1.2


def test_the_same_samples_give_the_same_bytes():
    samples = synthetic_audio.chords(1.0)
    assert mp3.encode(samples, synthetic_audio.RATE_HZ) == mp3.encode(samples, synthetic_audio.RATE_HZ)


def test_samples_beyond_full_scale_are_clipped(tmp_path):
    path = tmp_path / "loud.mp3"
    path.write_bytes(mp3.encode(4 * synthetic_audio.sine(440, 1.0), synthetic_audio.RATE_HZ))
    assert synthetic_audio.loudest_hz(decode(path, synthetic_audio.RATE_HZ).samples) == pytest.approx(440, abs=1)


def test_the_command_reads_and_writes_pipes_only():
    command = mp3.encode_command(16_000)
    assert command[command.index("-protocol_whitelist") + 1] == "pipe"
    assert [word for word in command[1:] if "/" in word] == []
    assert command[-1] == "pipe:1"


def test_a_rate_that_mp3_does_not_support_keeps_the_pitch(tmp_path):
    path = tmp_path / "odd.mp3"
    path.write_bytes(mp3.encode(synthetic_audio.sine(440, 2.0, rate_hz=11_111), 11_111))
    assert synthetic_audio.loudest_hz(decode(path, synthetic_audio.RATE_HZ).samples) == pytest.approx(440, abs=2)


def test_an_ffmpeg_without_mp3_is_an_error_that_says_what_to_do(monkeypatch, tmp_path):
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho 'Unknown encoder libmp3lame' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "executable", lambda: str(fake))
    with pytest.raises(MissingArtifact, match="Unknown encoder libmp3lame; reinstall `imageio-ffmpeg`"):
        mp3.encode(synthetic_audio.sine(440, 1.0), 16_000)
