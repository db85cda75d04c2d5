"""Files are decoded as a whole: what the command line of ffmpeg decodes, and a warning where something is missing."""

from __future__ import annotations

import struct

import irregular_audio as irregular
import numpy as np
import pytest
import synthetic_audio

from pipeline.audio import dr_flac, libav, sndfile
from pipeline.audio.decode import decode
from stores.errors import DecodeError

RATE = 16_000


def _seconds(audio):
    return len(audio.samples) / RATE


def _loudest_hz(audio, start, stop):
    return synthetic_audio.loudest_hz(audio.samples[int(start * RATE) : int(stop * RATE)])


def test_joined_mp3_files_are_decoded_to_the_end(tmp_path):
    part = irregular.mp3(tmp_path / "part.mp3")
    path = irregular.join(tmp_path / "joined.mp3", *[part] * 6)
    audio = decode(path, RATE)
    assert _seconds(audio) == pytest.approx(irregular.command_line_seconds(path), abs=0.001)
    assert _seconds(audio) > 12
    assert (audio.warnings, audio.decoder) == ((), libav.version())


@pytest.mark.parametrize("options", [("-b:a", "128k"), ("-q:a", "2")])
def test_joined_mp3_files_without_length_headers_are_decoded_to_the_end(tmp_path, options):
    part = irregular.plain_mp3(tmp_path / "part.mp3", *options)
    audio = decode(irregular.join(tmp_path / "joined.mp3", part, part), RATE)
    assert _seconds(audio) == pytest.approx(4.06, abs=0.06)
    assert audio.warnings == ()


def test_each_part_of_an_mp3_whose_rate_changes_keeps_its_pitch(tmp_path):
    parts = [
        irregular.mp3(tmp_path / f"{number}.mp3", rate_hz=rate_hz, hz=hz)
        for number, (rate_hz, hz) in enumerate([(22_050, 440), (48_000, 660), (44_100, 550)])
    ]
    path = irregular.join(tmp_path / "joined.mp3", *parts)
    audio = decode(path, RATE)
    assert _seconds(audio) == pytest.approx(irregular.command_line_seconds(path), abs=0.1)
    assert (audio.warnings, audio.source_rate_hz) == ((), 22_050)
    for start, hz in ((0.2, 440), (2.3, 660), (4.4, 550)):
        assert _loudest_hz(audio, start, start + 1.5) == pytest.approx(hz, abs=1)


@pytest.mark.parametrize("channels", [(1, 2), (2, 1)])
def test_each_part_of_an_mp3_whose_channels_change_becomes_their_mean(tmp_path, channels):
    parts = [irregular.mp3(tmp_path / f"{count}.mp3", channels=count) for count in channels]
    audio = decode(irregular.join(tmp_path / "joined.mp3", *parts), RATE)
    assert audio.warnings == ()
    assert _seconds(audio) == pytest.approx(4.03, abs=0.05)
    expected = {1: 0.475, 2: 0.4275}  # LAME scales by 0.95, and the second channel is at 0.8
    for start, count in zip((0.3, 2.4), channels, strict=True):
        part = audio.samples[int(start * RATE) : int((start + 1.2) * RATE)]
        assert np.sqrt(2 * np.mean(part**2)) == pytest.approx(expected[count], rel=0.03)


@pytest.mark.parametrize("frames", [10, 60, 75])
def test_an_mp3_whose_length_header_states_too_few_frames_is_decoded_to_the_end(tmp_path, frames):
    path = irregular.state_mp3_frames(irregular.mp3(tmp_path / "x.mp3"), frames)
    audio = decode(path, RATE)
    assert _seconds(audio) == pytest.approx(2.0, abs=0.03)
    assert audio.warnings == ()


def test_an_mp3_of_variable_bit_rate_without_a_length_header_is_decoded_to_the_end(tmp_path):
    path = irregular.plain_mp3(tmp_path / "x.mp3", "-q:a", "2")
    audio = decode(path, RATE)
    assert _seconds(audio) == pytest.approx(irregular.command_line_seconds(path), abs=0.001)
    assert audio.warnings == ()


@pytest.mark.parametrize("samples", [1, 44_100, 2 * 44_100 - 2_000])
def test_a_flac_whose_header_states_too_few_samples_is_decoded_to_the_end(tmp_path, samples):
    path = synthetic_audio.write(tmp_path / "x.flac", irregular.music(), irregular.RATE_HZ)
    audio = decode(irregular.state_flac_samples(path, samples), RATE)
    assert len(audio.samples) == 2 * RATE
    assert audio.warnings == ()


def test_a_flac_whose_header_states_another_rate_keeps_its_pitch(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.flac", irregular.music(), irregular.RATE_HZ)
    content = bytearray(path.read_bytes())
    fields = int.from_bytes(content[18:26], "big") & (1 << 44) - 1 | 32_000 << 44
    content[18:26] = fields.to_bytes(8, "big")
    audio = decode(irregular.change(path, content), RATE)
    assert (audio.warnings, len(audio.samples)) == ((), 2 * RATE)
    assert _loudest_hz(audio, 0.2, 1.8) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("rates", [(44_100, 44_100), (44_100, 48_000)])
def test_joined_flac_files_are_decoded_to_the_end(tmp_path, rates):
    parts = [
        synthetic_audio.write(tmp_path / f"{number}.flac", irregular.music(rate_hz=rate_hz), rate_hz)
        for number, rate_hz in enumerate(rates)
    ]
    audio = decode(irregular.join(tmp_path / "joined.flac", *parts), RATE)
    assert _seconds(audio) == pytest.approx(4.0, abs=0.001)
    assert audio.warnings == ()


@pytest.mark.parametrize("names", [("a.ogg", "b.ogg"), ("a.ogg", "b.opus", "c.oga"), ("b.opus", "b.opus")])
def test_chained_ogg_streams_are_decoded_to_the_end(tmp_path, names):
    options = {"a": ("-c:a", "libvorbis"), "b": ("-c:a", "libopus"), "c": ("-c:a", "flac")}
    sounds = {"a.ogg": (44_100, 440), "b.ogg": (48_000, 660), "b.opus": (48_000, 660), "c.oga": (22_050, 550)}
    parts = []
    for number, name in enumerate(names):
        rate_hz, hz = sounds[name]
        codec = options["a" if name.endswith(".ogg") else name[0]]
        parts.append(irregular.encode(tmp_path / f"{number}-{name}", *codec, rate_hz=rate_hz, hz=hz))
    audio = decode(irregular.join(tmp_path / "chained.ogg", *parts), RATE)
    assert _seconds(audio) == pytest.approx(2.0 * len(names), abs=0.01)
    assert (audio.warnings, audio.decoder) == ((), libav.version())
    for number, name in enumerate(names):
        assert _loudest_hz(audio, 2 * number + 0.2, 2 * number + 1.8) == pytest.approx(sounds[name][1], abs=1)


def test_a_chained_ogg_stream_that_cannot_be_decoded_costs_no_other(tmp_path):
    vorbis = irregular.encode(tmp_path / "a.ogg", "-c:a", "libvorbis")
    broken = irregular.zero(irregular.encode(tmp_path / "b.ogg", "-c:a", "libvorbis"), 3_000, share=0.012)
    audio = decode(irregular.join(tmp_path / "chained.ogg", vorbis, broken, vorbis), RATE)
    assert _seconds(audio) >= 4.0
    assert "damaged" in audio.warnings


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_an_ogg_cut_in_half_is_short_and_says_so(tmp_path, suffix):
    codec = {".ogg": "libvorbis", ".opus": "libopus"}[suffix]
    path = irregular.cut(irregular.encode(tmp_path / f"x{suffix}", "-c:a", codec, seconds=4.0))
    audio = decode(path, RATE)
    assert _seconds(audio) == pytest.approx(irregular.command_line_seconds(path), abs=0.01)
    assert audio.warnings == ("short",)
    assert audio.decoder_warnings.endswith("; the file breaks off inside its last page")


def test_an_ogg_cut_behind_a_page_is_short_and_says_so(tmp_path):
    path = irregular.encode(tmp_path / "x.ogg", "-c:a", "libvorbis", seconds=4.0)
    content = path.read_bytes()
    audio = decode(irregular.change(path, content[: content.rfind(b"OggS")]), RATE)
    assert audio.warnings == ("short",)
    assert "the file breaks off before the last page of its stream" in audio.decoder_warnings


def test_a_flac_with_a_repeated_stretch_is_decoded_whole_and_named(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.flac", irregular.music(), irregular.RATE_HZ)
    content = path.read_bytes()
    start = content.find(b"\xff\xf8")
    sync = content[start : start + 3]
    frames = content[start:].split(sync)[1:]
    repeated = [*frames[:10], *frames[7:]]
    irregular.change(path, content[:start] + b"".join(sync + frame for frame in repeated))
    audio = decode(path, RATE)
    assert audio.warnings == ("damaged",)
    assert audio.total_samples / RATE == pytest.approx(irregular.command_line_seconds(path), abs=0.001)
    assert audio.total_samples / RATE == pytest.approx(irregular.SECONDS + 3 * 4_096 / 44_100, abs=0.001)


def test_a_length_header_without_a_number_of_frames_is_no_audio(tmp_path):
    path = irregular.mp3(tmp_path / "x.mp3")
    whole = decode(path, RATE).samples
    audio = decode(irregular.state_mp3_frames(path, 0), RATE)
    assert audio.total_samples / RATE == pytest.approx(irregular.command_line_seconds(path), abs=0.001)
    beginning = slice(0, RATE)
    assert np.abs(audio.samples[beginning] - whole[beginning]).max() < 1e-3
    assert audio.warnings == ()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.97])
@pytest.mark.parametrize("suffix", [".ogg", ".opus", ".flac", ".oga"])
def test_a_hole_of_zeros_costs_its_surroundings_and_is_named_with_both_lengths(tmp_path, suffix, share):
    codec = {".ogg": "libvorbis", ".opus": "libopus", ".flac": "flac", ".oga": "flac"}[suffix]
    path = irregular.zero(irregular.encode(tmp_path / f"x{suffix}", "-c:a", codec, seconds=4.0), share=share)
    audio = decode(path, RATE)
    assert _seconds(audio) >= irregular.command_line_seconds(path) - 0.01
    assert audio.warnings[0] == "short"
    assert audio.expected_seconds == pytest.approx(4.0, abs=0.01)
    assert f"{_seconds(audio):.2f} s are stored" in audio.decoder_warnings
    assert "4.0" in audio.decoder_warnings


def test_bytes_inside_an_mp3_that_are_no_audio_are_skipped_and_counted(tmp_path):
    path = irregular.insert(irregular.mp3(tmp_path / "x.mp3"), bytes(5_000))
    audio = decode(path, RATE)
    assert _seconds(audio) == pytest.approx(irregular.command_line_seconds(path), abs=0.001)
    assert _seconds(audio) > 1.9
    assert "damaged" in audio.warnings
    assert "5000 bytes inside the audio are no audio" in audio.decoder_warnings


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".au", ".w64"])
def test_a_file_of_samples_copied_half_way_is_short_and_says_so(tmp_path, suffix):
    audio = decode(irregular.cut(synthetic_audio.write(tmp_path / f"x{suffix}", irregular.music(), 44_100)), RATE)
    assert _seconds(audio) == pytest.approx(1.0, abs=0.01)
    assert (audio.warnings, audio.expected_seconds) == (("short",), pytest.approx(2.0, abs=0.001))
    assert audio.decoder_warnings == "1.00 s are stored, but the header states 2.00 s"


@pytest.mark.parametrize("mended", ["data", "riff"])
def test_a_wav_copied_half_way_is_found_by_the_other_of_its_two_sizes(tmp_path, mended):
    path = irregular.cut(synthetic_audio.write(tmp_path / "x.wav", irregular.music(), 44_100))
    size = path.stat().st_size
    sizes = {"data_bytes": size - 44} if mended == "data" else {"riff_bytes": size - 8}
    audio = decode(irregular.state_wav_sizes(path, **sizes), RATE)
    assert (audio.warnings, audio.expected_seconds) == (("short",), pytest.approx(2.0, abs=0.001))


def test_a_wav_that_states_no_samples_is_decoded_to_the_end(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.wav", irregular.music(), 44_100)
    audio = decode(irregular.state_wav_sizes(path, 0, 0), RATE)
    assert _seconds(audio) == pytest.approx(2.0, abs=0.001)
    assert audio.warnings == ()


def test_samples_behind_the_end_that_a_wav_states_are_named(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.wav", irregular.music(), 44_100)
    audio = decode(irregular.state_wav_sizes(path, 44_100 * 4), RATE)
    assert audio.decoder_warnings == "1.00 s are stored, but the bytes of the file hold 2.00 s"


def test_a_second_wav_behind_the_first_is_named(tmp_path):
    part = synthetic_audio.write(tmp_path / "part.wav", irregular.music(), 44_100)
    audio = decode(irregular.join(tmp_path / "joined.wav", part, part), RATE)
    assert (audio.warnings, audio.expected_seconds) == (("short",), pytest.approx(4.0, abs=0.001))


@pytest.mark.parametrize("suffix", [".webm", ".mka"])
def test_a_cut_file_of_ffmpeg_is_compared_with_the_length_of_its_container(tmp_path, suffix):
    path = irregular.cut(synthetic_audio.write(tmp_path / f"x{suffix}", irregular.music(4.0, 48_000), 48_000))
    audio = decode(path, RATE)
    assert audio.warnings[0] == "short"
    assert audio.expected_seconds == pytest.approx(4.0, abs=0.05)


def test_a_second_mp4_behind_the_first_is_named(tmp_path):
    part = synthetic_audio.write(tmp_path / "part.m4a", irregular.music(), 44_100)
    audio = decode(irregular.join(tmp_path / "joined.m4a", part, part), RATE)
    assert audio.warnings == ("damaged",)
    assert "Found duplicated MOOV Atom" in audio.decoder_warnings


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".wav"])
def test_a_file_that_states_too_much_says_so(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".mp3":
        irregular.state_mp3_frames(irregular.mp3(path), 5_000)
    elif suffix == ".flac":
        irregular.state_flac_samples(synthetic_audio.write(path, irregular.music(), 44_100), 44_100 * 60)
    else:
        irregular.state_wav_sizes(synthetic_audio.write(path, irregular.music(), 44_100), 44_100 * 4 * 60)
    audio = decode(path, RATE)
    assert _seconds(audio) == pytest.approx(2.0, abs=0.03)
    assert audio.warnings == ("short",)
    assert audio.expected_seconds > 50


SOUND = {
    "xing.mp3": lambda path: irregular.mp3(path),
    "vbr.mp3": lambda path: irregular.mp3(path, "-q:a", "2"),
    "plain.mp3": lambda path: irregular.plain_mp3(path),
    "plain-48.mp3": lambda path: irregular.plain_mp3(path, rate_hz=48_000),
    "plain-8.mp3": lambda path: irregular.plain_mp3(path, "-b:a", "32k", rate_hz=8_000, channels=1),
    "8.mp3": lambda path: irregular.mp3(path, "-b:a", "24k", rate_hz=8_000, channels=1),
    "plain-vbr.mp3": lambda path: irregular.plain_mp3(path, "-q:a", "4"),
    "sndfile.mp3": lambda path: synthetic_audio.write(path, irregular.music(), 44_100),
    "tag.mp3": lambda path: irregular.change(path, irregular.mp3(path).read_bytes() + b"TAG" + b"x" * 125),
    "total-0.flac": lambda path: irregular.state_flac_samples(irregular.encode(path, "-c:a", "flac"), 0),
    "x.flac": lambda path: synthetic_audio.write(path, irregular.music(), 44_100),
    "tag.flac": lambda path: irregular.change(
        path, synthetic_audio.write(path, irregular.music(), 44_100).read_bytes() + b"TAG" + b"x" * 125
    ),
    "x.wav": lambda path: synthetic_audio.write(path, irregular.music(), 44_100),
    "piped.wav": lambda path: irregular.state_wav_sizes(
        synthetic_audio.write(path, irregular.music(), 44_100), 0xFFFFFFFF, 0xFFFFFFFF
    ),
    "riff-0.wav": lambda path: irregular.state_wav_sizes(
        synthetic_audio.write(path, irregular.music(), 44_100), None, 0
    ),
    "chunk.wav": lambda path: irregular.change(
        path, synthetic_audio.write(path, irregular.music(), 44_100).read_bytes() + b"LIST\x08\0\0\0INFOabcd"
    ),
    "x.aiff": lambda path: synthetic_audio.write(path, irregular.music(), 44_100),
    "x.au": lambda path: synthetic_audio.write(path, irregular.music(), 44_100),
    "x.w64": lambda path: synthetic_audio.write(path, irregular.music(), 44_100),
    "x.ogg": lambda path: synthetic_audio.write(path, irregular.music(), 44_100),
    "ffmpeg.ogg": lambda path: irregular.encode(path, "-c:a", "libvorbis"),
    "x.opus": lambda path: irregular.encode(path, "-c:a", "libopus"),
    "x.oga": lambda path: irregular.encode(path, "-c:a", "flac"),
    "x.m4a": lambda path: irregular.encode(path, "-c:a", "aac"),
    "alac.m4a": lambda path: irregular.encode(path, "-c:a", "alac"),
    "x.aac": lambda path: irregular.encode(path, "-c:a", "aac"),
    "x.webm": lambda path: irregular.encode(path, "-c:a", "libopus"),
    "x.mka": lambda path: irregular.encode(path, "-c:a", "flac"),
    "x.wma": lambda path: irregular.encode(path, "-c:a", "wmav2"),
    "x.wv": lambda path: irregular.encode(path, "-c:a", "wavpack"),
    "x.tta": lambda path: irregular.encode(path, "-c:a", "tta"),
    "x.caf": lambda path: irregular.encode(path, "-c:a", "pcm_s16le"),
    "x.ac3": lambda path: irregular.encode(path, "-c:a", "ac3"),
    "x.avi": lambda path: irregular.encode(path, "-c:a", "pcm_s16le"),
    "x.mov": lambda path: irregular.encode(path, "-c:a", "aac"),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_file_has_no_warning(tmp_path, name):
    audio = decode(SOUND[name](tmp_path / name), RATE)
    assert (audio.warnings, audio.decoder_warnings) == ((), "")
    assert _seconds(audio) == pytest.approx(2.0, abs=0.2)


def test_a_sound_file_is_decoded_by_the_fast_decoder_once(tmp_path, monkeypatch):
    monkeypatch.setattr(libav.FileDecoder, "blocks", lambda self: pytest.fail("a second decoding"))
    for name in ("xing.mp3", "vbr.mp3", "plain.mp3", "sndfile.mp3", "total-0.flac", "x.flac", "x.wav", "x.aiff"):
        audio = decode(SOUND[name](tmp_path / name), RATE)
        assert audio.decoder == (dr_flac if name == "x.flac" else sndfile).version()


def test_a_film_whose_sound_ends_before_the_picture_has_no_warning(tmp_path):
    picture = ["-f", "lavfi", "-i", "testsrc=d=3.5:s=64x64", "-c:v", "mpeg4"]
    audio = decode(irregular.encode(tmp_path / "x.mp4", *picture, "-c:a", "aac"), RATE)
    assert (audio.warnings, _seconds(audio)) == ((), pytest.approx(2.0, abs=0.05))


def test_a_decoder_that_fails_inside_a_file_leaves_a_warning_with_its_words(tmp_path, monkeypatch):
    path = synthetic_audio.write(tmp_path / "x.flac", irregular.music(), 44_100)
    monkeypatch.setattr(dr_flac, "supports", lambda _: False)
    good = sndfile.FileDecoder.blocks

    def fail(self):
        yield next(good(self))
        raise DecodeError("unreadable", "lost sync")

    monkeypatch.setattr(sndfile.FileDecoder, "blocks", fail)
    audio = decode(path, RATE)
    assert (audio.warnings, len(audio.samples)) == (("damaged",), 2 * RATE)
    assert audio.decoder_warnings == "lost sync; 2.00 s of 2.00 s are stored"


def test_the_longer_of_two_decodings_is_kept(tmp_path, monkeypatch):
    path = synthetic_audio.write(tmp_path / "x.wav", irregular.music(), 44_100)
    good = sndfile.FileDecoder.blocks

    def stop_early(self):
        yield next(good(self))[:44_100]

    monkeypatch.setattr(sndfile.FileDecoder, "blocks", stop_early)
    audio = decode(path, RATE)
    assert (audio.warnings, len(audio.samples), audio.decoder[:6]) == ((), 2 * RATE, "ffmpeg")


def test_a_second_decoding_that_takes_too_long_leaves_the_first(tmp_path, monkeypatch):
    path = irregular.cut(synthetic_audio.write(tmp_path / "x.wav", irregular.music(), 44_100))

    def expire(self):
        raise DecodeError("timeout", "decoding took over 1 s")
        yield

    monkeypatch.setattr("pipeline.audio.ffmpeg.FileDecoder.blocks", expire)
    audio = decode(path, RATE)
    assert (audio.warnings, audio.decoder) == (("short",), sndfile.version())


TAGS = {
    "ape": b"APETAGEX" + struct.pack("<4I", 2_000, 32 + 19, 1, 0x80000000) + bytes(8),
    "id3v1": b"TAG" + bytes(125),
    "id3v2": b"ID3\x04\0\0\0\0\x03\x74" + bytes(500),
    "zeros": bytes(1_000),
}
TAGS["ape"] += struct.pack("<II", 5, 0) + b"Title\0hello" + TAGS["ape"]
CODECS = {".flac": "flac", ".wv": "wavpack", ".ac3": "ac3", ".wav": "pcm_s16le"}


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize(
    ("suffix", "codec"), [(".flac", "flac"), (".wv", "wavpack"), (".ac3", "ac3"), (".wav", "pcm_s16le")]
)
def test_tags_behind_the_audio_are_no_damage(tmp_path, suffix, codec, tag):
    path = irregular.encode(tmp_path / f"x{suffix}", "-c:a", codec)
    whole = decode(path, RATE)
    if (suffix, tag) == (".ac3", "zeros"):
        pytest.skip("zeros in a stream of AC-3 cannot be told from lost data")
    tagged = decode(irregular.change(path, path.read_bytes() + TAGS[tag]), RATE)
    assert (whole.warnings, tagged.warnings) == ((), ())
    np.testing.assert_allclose(tagged.samples, whole.samples, atol=1e-6)


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_wavpack_file_that_was_cut_is_short_also_with_a_tag(tmp_path, share):
    path = irregular.cut(irregular.encode(tmp_path / "x.wv", "-c:a", "wavpack", seconds=10.0), share)
    for content in (path.read_bytes(), path.read_bytes() + TAGS["ape"]):
        assert "short" in decode(irregular.change(path, content), RATE).warnings
