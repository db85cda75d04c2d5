"""Files that only ffmpeg decodes have a warning where something is missing, and none where nothing is."""

from __future__ import annotations

import struct
import subprocess

import irregular_audio as irregular
import numpy as np
import pytest

from pipeline.audio import ffmpeg
from pipeline.audio.decode import decode

RATE = 16_000
CODECS = {
    ".wma": ("-c:a", "wmav2"),
    ".avi": ("-c:a", "pcm_s16le"),
    ".voc": ("-c:a", "pcm_s16le"),
    ".mp2": ("-c:a", "mp2"),
    ".aifc": ("-c:a", "adpcm_ima_qt", "-f", "aiff"),
    ".wav": ("-c:a", "libmp3lame"),
    ".tta": ("-c:a", "tta"),
    ".caf": ("-c:a", "alac"),
    ".flv": ("-c:a", "aac"),
    ".wv": ("-c:a", "wavpack"),
    ".ts": ("-c:a", "mp2"),
    ".aac": ("-c:a", "aac"),
    ".3gp": ("-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1"),
}


def _write(path, seconds=4.0):
    return irregular.encode(path, *CODECS[path.suffix], seconds=seconds)


@pytest.mark.parametrize("share", [0.31, 0.96])
@pytest.mark.parametrize("suffix", [".wma", ".avi", ".voc", ".mp2", ".aac", ".aifc", ".wav"])
def test_a_file_that_was_cut_is_named(tmp_path, suffix, share):
    path = irregular.cut(_write(tmp_path / f"x{suffix}"), share)
    audio = decode(path, RATE)
    assert audio.warnings[0] == "short"
    assert audio.total_samples / RATE >= irregular.command_line_seconds(path) - 0.1


def test_the_sound_part_of_a_file_that_is_mostly_damaged_is_stored(tmp_path):
    path = _write(tmp_path / "x.tta", seconds=10)
    content = bytearray(path.read_bytes())
    start = len(content) // 4
    content[start:] = bytes((value * 7 + 1) & 255 for value in content[start:])
    path.write_bytes(content)
    audio = decode(path, RATE)
    assert set(audio.warnings) == {"short", "damaged"}
    assert 1 < audio.total_samples / RATE < 3


WITH_CHECKSUMS = {
    "x.wv": ("-c:a", "wavpack"),
    "float.wv": ("-c:a", "wavpack", "-sample_fmt", "fltp"),
    "x.tta": ("-c:a", "tta"),
    "wv.mka": ("-c:a", "wavpack"),
    "tta.mka": ("-c:a", "tta"),
    "flac.mka": ("-c:a", "flac"),
}


@pytest.mark.parametrize("name", WITH_CHECKSUMS)
def test_a_changed_bit_is_named_where_the_format_has_checksums(tmp_path, name):
    path = irregular.encode(tmp_path / name, *WITH_CHECKSUMS[name], seconds=5.0)
    assert decode(path, RATE).warnings == ()
    content = path.read_bytes()
    for seed in range(6):
        place = np.random.default_rng(seed).integers(len(content) // 4, len(content))
        changed = bytearray(content)
        changed[place] ^= 16
        audio = decode(irregular.change(path, bytes(changed)), RATE)
        assert "damaged" in audio.warnings, place
        assert audio.total_samples / RATE > 4.5 or "short" in audio.warnings


def test_damaged_blocks_of_floats_do_not_reject_the_others(tmp_path):
    path = irregular.encode(tmp_path / "x.wv", *WITH_CHECKSUMS["float.wv"], seconds=10.0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4_000] = b"\xa5" * 4_000  # without the checksum, this gives NaN
    audio = decode(irregular.change(path, bytes(content)), RATE)
    assert "damaged" in audio.warnings
    assert np.isfinite(audio.samples).all()
    assert np.abs(audio.samples).max() < 1


@pytest.mark.parametrize(("share", "name"), [(0.52, "short"), (0.3, "short"), (0.6, "damaged")])
def test_a_transport_stream_that_ends_inside_a_packet_is_named(tmp_path, share, name):
    path = _write(tmp_path / "x.ts")
    assert decode(path, RATE).warnings == ()
    irregular.cut(path, share)
    if name == "damaged":  # inside a packet of audio, and between two packets of the stream
        irregular.change(path, path.read_bytes()[: path.stat().st_size // 188 * 188])
    assert name in decode(path, RATE).warnings


@pytest.mark.parametrize("suffix", [".wma", ".voc", ".tta", ".caf", ".flv", ".wv"])
def test_another_file_behind_the_first_one_is_named(tmp_path, suffix):
    part = _write(tmp_path / f"part{suffix}")
    path = irregular.join(tmp_path / f"joined{suffix}", part, part)
    audio = decode(path, RATE)
    assert audio.warnings
    assert audio.total_samples / RATE >= irregular.command_line_seconds(path) - 0.1


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_hole_of_zeros_in_aac_is_counted(tmp_path, share):
    audio = decode(irregular.zero(_write(tmp_path / "x.aac"), 4_000, share), RATE)
    assert audio.total_samples / RATE < 3.9
    assert audio.warnings == ("damaged",)
    assert "bytes inside the audio are no audio" in audio.decoder_warnings


def test_joined_aac_files_are_decoded_to_the_end_without_a_warning(tmp_path):
    parts = [irregular.encode(tmp_path / f"{hz}.aac", "-c:a", "aac", rate_hz=hz) for hz in (44_100, 22_050)]
    audio = decode(irregular.join(tmp_path / "x.aac", *parts), RATE)
    assert (audio.warnings, audio.total_samples / RATE) == ((), pytest.approx(4.1, abs=0.1))


def test_both_lengths_of_joined_wavpack_files_are_stated(tmp_path):
    part = _write(tmp_path / "part.wv")
    audio = decode(irregular.join(tmp_path / "joined.wv", part, part), RATE)
    assert audio.decoder_warnings.startswith("4.00 s are stored, but the blocks of two files hold 8.00 s")


def test_damage_that_makes_a_recording_longer_is_named(tmp_path):
    path = irregular.zero(_write(tmp_path / "x.3gp"), 2_000, share=0.4)
    audio = decode(path, RATE)
    assert audio.total_samples / RATE > audio.expected_seconds + 0.5
    assert audio.warnings == ("damaged",)


def _state_unknown_size(path, name, layout, offset):
    content = bytearray(path.read_bytes())
    value = (1 << 63) - 1 if layout == "<Q" else -1
    struct.pack_into(layout, content, content.find(name) + offset, value)
    return irregular.change(path, content)


def _write_to_pipe(path, *codec):
    source = irregular.encode(path.with_suffix(".wav"), "-c:a", "pcm_s16le")
    words = [ffmpeg.executable(), "-v", "error", "-i", str(source), *codec, "-f", path.suffix[1:], "-"]
    path.write_bytes(subprocess.run(words, capture_output=True, check=True).stdout)
    return path


PIPED = {
    "x.avi": lambda path: _write_to_pipe(path, "-c:a", "libmp3lame"),
    "x.w64": lambda path: _state_unknown_size(irregular.encode(path, "-c:a", "pcm_s16le"), b"data", "<Q", 16),
    "x.caf": lambda path: _state_unknown_size(irregular.encode(path, "-c:a", "pcm_s16le"), b"data", ">q", 4),
}


@pytest.mark.parametrize("name", PIPED)
def test_a_writer_to_a_pipe_knows_no_length_and_there_is_no_warning(tmp_path, name):
    audio = decode(PIPED[name](tmp_path / name), RATE)
    assert (audio.warnings, audio.decoder_warnings) == ((), "")
    assert audio.total_samples / RATE == pytest.approx(2.0, abs=0.05)


def test_a_film_of_windows_media_whose_sound_ends_before_the_picture_has_no_warning(tmp_path):
    picture = ["-f", "lavfi", "-i", "testsrc=d=3.5:s=64x64", "-c:v", "wmv2"]
    audio = decode(irregular.encode(tmp_path / "x.wmv", *picture, "-c:a", "wmav2"), RATE)
    assert (audio.warnings, audio.total_samples / RATE) == ((), pytest.approx(2.0, abs=0.1))


@pytest.mark.parametrize("suffix", [".aac", ".mp2"])
def test_a_tag_with_a_cover_behind_raw_frames_is_no_damage(tmp_path, suffix):
    path = _write(tmp_path / f"x{suffix}", seconds=2.0)
    whole = decode(path, RATE)
    item = b"Cover Art (Front)\0" + np.random.default_rng(0).bytes(100_000)
    item = struct.pack("<II", len(item) - 18, 0) + item
    edge = b"APETAGEX" + struct.pack("<4I", 2_000, len(item) + 32, 1, 0x80000000) + bytes(8)
    tagged = decode(irregular.change(path, path.read_bytes() + edge + item + edge), RATE)
    assert (whole.warnings, tagged.warnings) == ((), ())
    np.testing.assert_array_equal(tagged.samples, whole.samples)
