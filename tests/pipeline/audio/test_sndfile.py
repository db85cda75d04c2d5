"""The choice of files for libsndfile by their first bytes."""

from __future__ import annotations

import pytest
import synthetic_audio

from pipeline.audio import sndfile


def _head(path):
    return path.read_bytes()[: sndfile.HEAD_BYTES]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au", ".w64"])
def test_common_containers_are_supported(tmp_path, suffix):
    assert sndfile.supports(
        _head(synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.sine(440, 0.5, 44_100), 44_100))
    )


@pytest.mark.parametrize("suffix", [".m4a", ".opus", ".webm", ".mka", ".wma"])
def test_other_containers_are_not_supported(tmp_path, suffix):
    assert not sndfile.supports(
        _head(synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.sine(440, 0.5, 48_000), 48_000))
    )


@pytest.mark.parametrize(
    "head",
    [b"", b"R", b"RIFF1234AVI LIST", b"FORM1234ILBM", b"\xff\xf1\x50", b"\xff\xf9\x50", b"\xff", b"#EXTM3U"],
)
def test_empty_video_aac_and_text_files_are_not_supported(head):
    assert not sndfile.supports(head)


def test_an_mp3_after_an_id3_tag_is_supported():
    assert sndfile.supports(b"ID3\x04\x00" + bytes(20))
