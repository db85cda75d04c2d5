"""The length that files of chunks state: WAV, RF64, AIFF, AU, W64 and CAF."""

from __future__ import annotations

import struct

import irregular_audio as irregular
import pytest
import soundfile
import synthetic_audio

from pipeline.audio.lengths.by_format import read_statement


def _statement(path):
    return read_statement(path, lambda: None)


def _write(path, subtype=None, kind=None):
    soundfile.write(str(path), irregular.music(), irregular.RATE_HZ, subtype=subtype, format=kind)
    return path


FILES = {
    "16.wav": lambda path: _write(path, "PCM_16"),
    "24.wav": lambda path: _write(path, "PCM_24"),
    "8.wav": lambda path: _write(path, "PCM_U8"),
    "float.wav": lambda path: _write(path, "FLOAT"),
    "double.wav": lambda path: _write(path, "DOUBLE"),
    "law.wav": lambda path: _write(path, "ULAW"),
    "extensible.wav": lambda path: _write(path, "PCM_16", "WAVEX"),
    "64.wav": lambda path: _write(path, "PCM_16", "RF64"),
    "ffmpeg-64.wav": lambda path: irregular.encode(path, "-c:a", "pcm_s24le", "-rf64", "always"),
    "16.aiff": lambda path: _write(path, "PCM_16"),
    "float.aiff": lambda path: _write(path, "FLOAT"),
    "16.au": lambda path: _write(path, "PCM_16"),
    "float.au": lambda path: _write(path, "FLOAT"),
    "16.w64": lambda path: _write(path, "PCM_16"),
    "ffmpeg.w64": lambda path: irregular.encode(path, "-c:a", "pcm_f32le"),
    "16.caf": lambda path: irregular.encode(path, "-c:a", "pcm_s16le"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_stated_length_is_read_also_of_a_file_that_is_cut(tmp_path, name):
    path = FILES[name](tmp_path / name)
    assert _statement(path).seconds == pytest.approx(2.0, abs=1e-4)
    assert _statement(irregular.cut(path)).seconds == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_size_that_says_unknown_states_nothing(tmp_path, size):
    statement = _statement(irregular.state_wav_sizes(_write(tmp_path / "x.wav"), size, size))
    assert (statement.seconds, statement.is_regular) == (0, True)


def test_a_size_of_zero_states_nothing_and_is_irregular(tmp_path):
    statement = _statement(irregular.state_wav_sizes(_write(tmp_path / "x.wav"), 0))
    assert (statement.seconds, statement.is_regular) == (0, False)


@pytest.mark.parametrize("riff_bytes", [0, 1, 36, 0xFFFFFFFF, 44_100 * 8 + 44])
def test_a_false_size_of_the_whole_file_changes_nothing(tmp_path, riff_bytes):
    path = irregular.state_wav_sizes(_write(tmp_path / "x.wav"), None, riff_bytes)
    assert _statement(path).seconds == pytest.approx(2.0)


def _state_third(path, name, layout, offset=4):
    """Let the chunk of audio state a third of its size."""
    content = bytearray(path.read_bytes())
    position = content.find(name) + offset
    (size,) = struct.unpack_from(layout, content, position)
    struct.pack_into(layout, content, position, size // 24 * 8)
    return irregular.change(path, content)


LOW = {
    "16.au": (b".snd", ">I", 8),
    "16.caf": (b"data", ">q", 4),
    "64.wav": (b"ds64", "<Q", 16),
    "16.w64": (b"data", "<Q", 16),
    "16.aiff": (b"SSND", ">I", 4),
}


@pytest.mark.parametrize("name", LOW)
def test_audio_behind_a_stated_size_that_is_too_small_counts_in_every_format(tmp_path, name):
    path = _state_third(FILES[name](tmp_path / name), *LOW[name])
    assert _statement(path).seconds == pytest.approx(2.0, abs=1e-3)


def test_a_missing_byte_of_padding_makes_no_audio_of_the_next_chunk(tmp_path):
    soundfile.write(str(tmp_path / "x.wav"), irregular.music(channels=1)[:-1], irregular.RATE_HZ, subtype="PCM_U8")
    content = (tmp_path / "x.wav").read_bytes()
    end = content.find(b"data") + 8 + len(irregular.music()) - 1
    irregular.change(tmp_path / "x.wav", content[:end] + b"LIST" + struct.pack("<I", 4_000) + b"INFO" * 1_000)
    assert _statement(tmp_path / "x.wav").seconds == pytest.approx(2.0, abs=1e-3)


def test_g722_states_its_length_whatever_its_header_says_of_bytes_per_second(tmp_path):
    path = irregular.encode(tmp_path / "x.wav", "-ar", "16000", "-ac", "1", "-c:a", "adpcm_g722")
    assert _statement(path).seconds == pytest.approx(2.0, abs=0.01)
    path.write_bytes(path.read_bytes() * 2)  # joined with itself
    assert _statement(path).seconds == pytest.approx(4.0, abs=0.05)


def test_a_codec_whose_bytes_per_second_are_stated_wrongly_has_its_number_of_samples(tmp_path):
    path = irregular.encode(tmp_path / "x.wav", "-c:a", "adpcm_yamaha")
    assert _statement(path).seconds == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("rest", [b"LIST\x04\0\0\0abcd", b"id3 \x40\0\0\0" + b"t" * 64, bytes(10_000)])
def test_chunks_and_padding_behind_the_audio_are_no_audio(tmp_path, rest):
    path = _write(tmp_path / "x.wav")
    assert _statement(irregular.change(path, path.read_bytes() + rest)).seconds == pytest.approx(2.0)


def test_audio_behind_the_stated_end_counts(tmp_path):
    statement = _statement(irregular.state_wav_sizes(_write(tmp_path / "x.wav"), 44_100 * 4))
    assert (statement.seconds, statement.origin) == (pytest.approx(2.0, abs=1e-3), "the bytes of the file hold")


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff",
        b"RIFF\0\0\0\0WAVE" + b"data\0\0\0\0" * 5_000,
        b"FORM\0\0\0\0AIFFCOMM\0\0\0\x12" + b"\xff" * 18 + b"SSND\0\0\0\x08" + bytes(8),
        b".snd" + bytes(20),
        b".snd\xff",
        b"caff\0\1\0\0desc" + struct.pack(">q", 32) + b"\xff" * 32 + b"data" + struct.pack(">q", -1) + bytes(100),
        b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00" + b"\xff" * 100,
    ],
)
def test_a_header_without_sense_states_nothing(tmp_path, content):
    assert _statement(irregular.change(tmp_path / "x.wav", content)).seconds == 0


def test_formats_of_ffmpeg_state_nothing_here(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.m4a", irregular.music(), irregular.RATE_HZ)
    assert _statement(path).seconds == 0


def _large_wav(path, stated_bytes, audio_bytes, behind=b""):
    """Write a sparse WAV file of 16 bits, mono, 1,000 Hz, whose header states any size, and return its path."""
    layout = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 1_000, 2_000, 2, 16)
    with path.open("wb") as file:
        file.write(layout + struct.pack("<4sI", b"data", stated_bytes))
        file.seek(44 + audio_bytes)
        file.write(behind)
        file.truncate(44 + audio_bytes + len(behind))
    return path


LIST = b"LIST" + struct.pack("<I", 40) + b"INFOISFT" + bytes(32)


@pytest.mark.parametrize("audio_bytes", [(1 << 32) + 4_000, (3 << 32) + 2_000])
@pytest.mark.parametrize("behind", [b"", LIST])
@pytest.mark.parametrize("knows_size", [True, False])
def test_the_whole_length_of_a_wav_file_over_4_gib_is_stated(tmp_path, audio_bytes, behind, knows_size):
    size = audio_bytes & 0xFFFFFFFF if knows_size else 0xFFFFFFFF
    behind = behind if knows_size else b""
    statement = _statement(_large_wav(tmp_path / "x.wav", size, audio_bytes, behind))
    assert statement.seconds == audio_bytes / 2_000
    assert statement.is_regular == knows_size  # libsndfile reads 4 GiB of a file of unknown size, and ffmpeg all


def test_a_wav_file_that_ends_elsewhere_is_not_taken_for_a_larger_one(tmp_path):
    statement = _statement(_large_wav(tmp_path / "x.wav", 4_000, (1 << 32) + 90_000, b"x" * 100))
    assert statement.seconds != ((1 << 32) + 4_000) / 2_000
    assert _statement(_large_wav(tmp_path / "y.wav", 4_000, 90_000)).seconds == 2.0


def test_audio_behind_the_stated_end_that_begins_with_silence_is_noticed(tmp_path):
    path = _large_wav(tmp_path / "x.wav", 4_000, 2_000_000, b"sound" * 40_000)
    assert _statement(path).seconds == pytest.approx(2_200_000 / 2_000)
