"""Recognition of audio by its first bytes."""

from __future__ import annotations

import subprocess

import pytest
import synthetic_audio

from pipeline.audio import ffmpeg, signature

MUXERS = {
    **dict.fromkeys(("wav", "aiff", "au", "caf", "w64", "flac", "ogg", "tta", "wv", "mp3", "mp2", "ac3", "eac3"), ()),
    **dict.fromkeys(("adts", "mp4", "mov", "3gp", "matroska", "webm", "flv", "avi", "asf", "mpegts"), ()),
    "voc": ("-c:a", "pcm_s16le"),
    "amr": ("-ar", "8000", "-ac", "1"),
}
OPTIONS = {**MUXERS, "3gp": ("-c:a", "aac"), "flv": ("-ar", "44100")}


@pytest.mark.parametrize("muxer", MUXERS)
def test_every_format_that_the_decoders_read_is_recognized(tmp_path, muxer):
    source = synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.chords(0.5))
    command = [ffmpeg.executable(), "-nostdin", "-v", "error", "-i", str(source), *(OPTIONS[muxer] or ())]
    done = subprocess.run([*command, "-f", muxer, str(tmp_path / "y")], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"this ffmpeg does not write {muxer}")
    assert signature.is_audio((tmp_path / "y").read_bytes()[: signature.HEAD_BYTES])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0",
        b"hello, world\n" * 20,
        b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(100),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"%PDF-1.7\n",
        b"\0\0\0\1Bud1\0\0\x10\0",
        b"PK\3\4" + bytes(60),
        b"\x7fELF\2\1\1" + bytes(60),
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"\xff\xfe" + "text in UTF-16".encode("utf-16-le"),
        bytes(200),
    ],
)
def test_other_files_are_not_audio(head):
    assert not signature.is_audio(head[: signature.HEAD_BYTES])
