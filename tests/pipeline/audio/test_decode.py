"""Decoding: every file gives the right samples or a rejection reason, without a hang or a crash."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import synthetic_audio

from pipeline.audio import attempt, dr_flac, ffmpeg, libav, sndfile
from pipeline.audio import decode as decoding
from pipeline.audio.attempt import StreamSettings
from pipeline.audio.deadline import Deadline
from pipeline.audio.decode import decode, decode_beginning, file_digest, preprocessing
from stores.errors import REJECTION_REASONS, DecodeError

RATE = synthetic_audio.RATE_HZ
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
AU_HEADER = struct.pack(">4s5I", b".snd", 24, 0xFFFFFFFF, 6, RATE, 1)


def _rejection(path, **limits):
    with pytest.raises(DecodeError) as caught:
        decode(path, RATE, **limits)
    assert caught.value.reason in REJECTION_REASONS
    return caught.value


def _reason_or_samples(path, **limits):
    try:
        return "", len(decode(path, RATE, **limits).samples)
    except DecodeError as rejection:
        return rejection.reason, 0


def _use_decoders(monkeypatch, *decoders):
    """Let only these decoders support files, with ffmpeg after them."""
    for decoder in (dr_flac, libav, sndfile):
        monkeypatch.setattr(decoder, "supports", lambda head, supported=decoder in decoders: supported)


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """Return a function that replaces ffmpeg by a Python script and returns the file with its process id."""

    def replace_ffmpeg(body):
        script, pid = tmp_path / "ffmpeg", tmp_path / "pid"
        lines = [f"#!{sys.executable} -S", "import os, sys, time", f"open({str(pid)!r}, 'w').write(str(os.getpid()))"]
        script.write_text("\n".join([*lines, f"header = {AU_HEADER!r}", body]))
        script.chmod(0o755)
        monkeypatch.setattr(ffmpeg, "executable", lambda: str(script))
        _use_decoders(monkeypatch)
        return pid

    return replace_ffmpeg


def _is_running(pid_file):
    stat = Path(f"/proc/{pid_file.read_text()}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".webm", ".aiff", ".mka", ".wma"])
def test_a_tone_keeps_its_frequency_and_length_in_every_format(tmp_path, suffix):
    path = synthetic_audio.write(tmp_path / f"tone{suffix}", synthetic_audio.sine(440, 2.0, 48_000), 48_000)
    audio = decode(path, RATE)
    assert audio.samples.dtype == np.float32
    assert len(audio.samples) / RATE == pytest.approx(2.0, abs=0.15)
    assert synthetic_audio.loudest_hz(audio.samples[8000:24000]) == pytest.approx(440, abs=0.5)
    assert np.abs(audio.samples[8000:24000]).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 96_000, 192_000])
def test_a_tone_keeps_its_frequency_and_loudness_at_every_rate(tmp_path, rate_hz):
    path = synthetic_audio.write(tmp_path / "tone.wav", synthetic_audio.sine(1000, 2.0, rate_hz), rate_hz)
    audio = decode(path, RATE)
    assert audio.source_rate_hz == rate_hz
    assert abs(len(audio.samples) - 2 * RATE) <= 1
    assert synthetic_audio.loudest_hz(audio.samples) == pytest.approx(1000, abs=0.05)
    assert np.sqrt(np.mean(audio.samples[4000:-4000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)


def test_frequencies_above_half_the_rate_are_removed_without_aliasing(tmp_path):
    path = synthetic_audio.write(tmp_path / "high.wav", synthetic_audio.sine(11_000, 1.0, 48_000), 48_000)
    assert np.abs(decode(path, RATE).samples[800:-800]).max() < 1e-4


def test_samples_at_the_right_rate_are_unchanged(tmp_path):
    samples = synthetic_audio.noise(3.0)
    path = synthetic_audio.write(tmp_path / "noise.wav", samples, subtype="FLOAT")
    np.testing.assert_array_equal(decode(path, RATE).samples, samples)


def test_resampling_in_blocks_equals_resampling_at_once(tmp_path, monkeypatch):
    path = synthetic_audio.write(tmp_path / "chirp.wav", synthetic_audio.chirp(50, 6000, 4.0, 44_100), 44_100)
    whole = decode(path, RATE).samples
    monkeypatch.setattr(sndfile, "BLOCK_SAMPLES", 10_007)
    np.testing.assert_allclose(decode(path, RATE).samples, whole, atol=1e-6)
    _use_decoders(monkeypatch)
    monkeypatch.setattr(ffmpeg, "BLOCK_BYTES", 10_007)
    np.testing.assert_allclose(decode(path, RATE).samples, whole, atol=1e-6)


@pytest.mark.parametrize(
    ("subtype", "tolerance"), [("PCM_U8", 8e-3), ("PCM_16", 4e-5), ("PCM_24", 2e-7), ("DOUBLE", 0)]
)
def test_full_scale_is_one_in_every_sample_type(tmp_path, subtype, tolerance):
    samples = synthetic_audio.sine(440)
    path = synthetic_audio.write(tmp_path / "tone.wav", samples, subtype=subtype)
    np.testing.assert_allclose(decode(path, RATE).samples, samples, atol=tolerance)


def test_two_channels_become_their_mean(tmp_path):
    left, right = synthetic_audio.sine(440), synthetic_audio.noise()
    path = synthetic_audio.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    audio = decode(path, RATE)
    assert audio.source_channels == 2
    np.testing.assert_allclose(audio.samples, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("rate_hz", [RATE, 192_000])
def test_eight_channels_become_their_mean(tmp_path, rate_hz):
    channels = np.stack([synthetic_audio.sine(220 * k, 1.0, rate_hz, 0.1 * k) for k in range(1, 9)], axis=1)
    path = synthetic_audio.write(tmp_path / "eight.wav", channels, rate_hz, subtype="FLOAT")
    audio = decode(path, RATE)
    assert audio.source_channels == 8
    expected = np.mean([synthetic_audio.sine(220 * k, 1.0, RATE, 0.1 * k) for k in range(1, 9)], axis=0)
    np.testing.assert_allclose(audio.samples[500:-500], expected[500:-500], atol=2e-4)


def test_the_content_and_not_the_name_determines_the_format(tmp_path):
    path = synthetic_audio.write(tmp_path / "tone.opus", synthetic_audio.sine(440, 1.0, 48_000), 48_000).rename(
        tmp_path / "tone.m4a"
    )
    assert synthetic_audio.loudest_hz(decode(path, RATE).samples) == pytest.approx(440, abs=1)


@pytest.mark.parametrize(
    "name",
    [
        "with space.wav",
        "quote'and\"quote.wav",
        "-y.wav",
        "new\nline.wav",
        "percent%03d.wav",
        "co:lon.wav",
        "ünï 音.wav",
        "$(touch x).wav",
        "back\\slash.wav",
    ],
)
def test_every_file_name_is_taken_literally(tmp_path, monkeypatch, name):
    plain = synthetic_audio.write(tmp_path / "plain.wav", synthetic_audio.sine(440))
    plain.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(decode(Path(name), RATE).samples) == RATE


def test_a_name_that_is_not_utf8_is_rejected_by_ffmpeg(tmp_path, monkeypatch):
    path = synthetic_audio.write(tmp_path / "plain.wav", synthetic_audio.sine(440)).rename(
        tmp_path / os.fsdecode(b"latin\xe9.wav")
    )
    assert len(decode(path, RATE).samples) == RATE  # libsndfile gets an open file and no name
    _use_decoders(monkeypatch)
    rejection = _rejection(path)
    assert rejection.reason == "unreadable"
    assert "rename" in rejection.detail
    rejection.detail.encode()


@pytest.mark.parametrize("content", [PNG, b"", b"no audio here\n" * 100, b"RIFF\x00\x00\x00\x00WAVE", bytes(10_000)])
def test_a_file_that_is_not_audio_is_rejected(tmp_path, content):
    path = tmp_path / "not.wav"
    path.write_bytes(content)
    rejection = _rejection(path)
    assert rejection.reason in ("unreadable", "no_audio")
    assert rejection.detail


def test_a_film_without_sound_has_no_audio(tmp_path):
    command = [ffmpeg.executable(), "-v", "error", "-f", "lavfi", "-i", "testsrc=d=0.2:s=64x64", "-c:v", "mpeg4"]
    subprocess.run([*command, tmp_path / "x.mp4"], check=True)
    rejection = _rejection(tmp_path / "x.mp4")
    assert (rejection.reason, rejection.detail) == ("no_audio", f"{ffmpeg.version()}: no audio stream")


def test_an_empty_file_is_reported_as_empty(tmp_path):
    (tmp_path / "x.mp3").touch()
    assert _rejection(tmp_path / "x.mp3").detail == "the file is empty"


def test_a_file_without_samples_has_no_audio(tmp_path):
    path = synthetic_audio.write(tmp_path / "empty.wav", np.zeros(0, np.float32))
    assert _rejection(path).reason == "no_audio"


@pytest.mark.parametrize("suffix", [".m4a", ".flac", ".ogg", ".mp3", ".wav"])
def test_a_truncated_file_is_rejected_or_gives_its_remaining_samples(tmp_path, suffix):
    path = synthetic_audio.write(tmp_path / f"long{suffix}", synthetic_audio.chords(6.0, 48_000), 48_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reason, samples = _reason_or_samples(path)
    assert reason == "unreadable" or 0 < samples < 5 * RATE


def test_a_path_that_is_not_a_regular_file_is_missing(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("none.wav", "", "pipe.wav"):
        assert _rejection(tmp_path / name).reason == "missing"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_rejected(tmp_path, bad):
    samples = synthetic_audio.sine(440)
    samples[777] = bad
    path = synthetic_audio.write(tmp_path / "bad.wav", samples, subtype="FLOAT")
    rejection = _rejection(path)
    assert rejection.reason == "not_finite"
    assert rejection.detail.startswith("1 samples")


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile secret.flac\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.flac\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash"></MPD>',
    ],
)
def test_a_playlist_that_names_other_files_is_rejected(tmp_path, playlist):
    synthetic_audio.write(tmp_path / "secret.flac", synthetic_audio.sine(440))
    path = tmp_path / "harmless.wav"
    path.write_text(playlist)
    assert _rejection(path).reason == "unreadable"


def test_audio_over_the_limit_is_rejected_and_at_the_limit_accepted(tmp_path):
    path = synthetic_audio.write(tmp_path / "two.wav", synthetic_audio.sine(440, 2.0))
    assert len(decode(path, RATE, max_seconds=2.0).samples) == 2 * RATE
    rejection = _rejection(path, max_seconds=1.9)
    assert rejection.reason == "too_long"
    assert "raise --max-seconds" in rejection.detail


@pytest.mark.parametrize("rate_hz", [1, 7, 4_294_967_295, 2_147_483_647, 3_000_000])
def test_a_header_with_an_absurd_rate_takes_little_time_and_memory(tmp_path, rate_hz):
    path = synthetic_audio.write(tmp_path / "absurd.wav", synthetic_audio.noise(2.0))
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate_hz)
    path.write_bytes(content)
    start = time.perf_counter()
    reason, samples = _reason_or_samples(path, max_seconds=60)
    assert reason in ("", "too_long", "unreadable", "no_audio")
    assert samples <= 60 * RATE
    assert time.perf_counter() - start < 5


def test_a_decoder_with_long_messages_does_not_hang(tmp_path, fake_ffmpeg):
    path = synthetic_audio.write(tmp_path / "tone.wav", synthetic_audio.sine(440))
    fake_ffmpeg("sys.stderr.write('x' * 262144 + 'last words'); sys.exit(1)")
    rejection = _rejection(path, timeout_seconds=20)
    assert rejection.reason == "unreadable"
    assert rejection.detail.endswith("last words")
    assert len(rejection.detail) <= 2048 + len("ffmpeg 12.34.56: ")


def test_a_decoder_without_messages_is_reported_by_its_status(tmp_path, fake_ffmpeg):
    path = synthetic_audio.write(tmp_path / "tone.wav", synthetic_audio.sine(440))
    fake_ffmpeg("sys.exit(3)")
    assert _rejection(path).detail == f"{ffmpeg.version()}: ended with status 3"


def test_the_order_of_messages_from_threads_does_not_matter(tmp_path, fake_ffmpeg):
    path = synthetic_audio.write(tmp_path / "tone.wav", synthetic_audio.sine(440))
    messages = ["[dec @ 0x7f3a] no frame", "[mux @ 0x55] nothing written", "    Last message repeated 2 times"]
    details = set()
    for lines in (messages, messages[::-1], [messages[1], *messages]):
        fake_ffmpeg(f"sys.stderr.write({chr(10).join(lines)!r}); sys.exit(1)")
        details.add(_rejection(path).detail)
    assert details == {f"{ffmpeg.version()}: [dec] no frame\n[mux] nothing written"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    ["pass", "os.write(1, header[:10])", "os.write(1, header + bytes(4000))", "os.write(1, header + bytes(3 << 20))"],
)
def test_a_decoder_that_sleeps_is_killed_in_time(tmp_path, fake_ffmpeg, before):
    path = synthetic_audio.write(tmp_path / "tone.wav", synthetic_audio.sine(440))
    pid = fake_ffmpeg(f"{before}\ntime.sleep(60)")
    start = time.perf_counter()
    rejection = _rejection(path, timeout_seconds=0.7)
    assert rejection.reason == "timeout"
    assert "over 0.7 s" in rejection.detail
    assert time.perf_counter() - start < 10
    assert not _is_running(pid)


def test_children_of_a_decoder_are_killed_with_it(tmp_path, fake_ffmpeg):
    path = synthetic_audio.write(tmp_path / "tone.wav", synthetic_audio.sine(440))
    child = tmp_path / "child"
    fake_ffmpeg(f"if os.fork() == 0: open({str(child)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    assert _rejection(path, timeout_seconds=0.7).reason == "timeout"
    time.sleep(0.1)
    assert not _is_running(child)


def test_a_rejection_half_way_ends_the_decoder_at_once(tmp_path, fake_ffmpeg):
    path = synthetic_audio.write(tmp_path / "tone.wav", synthetic_audio.sine(440))
    pid = fake_ffmpeg("os.write(1, header)\nwhile True: os.write(1, bytes(1 << 16))")
    with pytest.raises(DecodeError, match="too_long") as raised:
        decode(path, RATE, max_seconds=1.0, timeout_seconds=30)
    assert raised.value.reason == "too_long"
    assert not _is_running(pid)


@pytest.mark.parametrize("output", ["b'.snd'", "header[:23]", "b'RIFF' + bytes(100)", "header[:16] + bytes(100)"])
def test_output_that_is_not_an_audio_stream_is_rejected(tmp_path, fake_ffmpeg, output):
    path = synthetic_audio.write(tmp_path / "tone.wav", synthetic_audio.sine(440))
    fake_ffmpeg(f"os.write(1, {output})")
    assert "is not a float AU stream" in _rejection(path).detail


def test_a_warning_of_a_decoder_that_continued_is_kept(tmp_path, fake_ffmpeg):
    path = tmp_path / "tone.bin"
    path.write_bytes(b"no header that states a length")
    fake_ffmpeg("os.write(1, header + bytes(8000)); sys.stderr.write('bad packet')")
    audio = decode(path, RATE)
    assert (audio.warnings, len(audio.samples)) == (("damaged",), 2000)
    assert audio.decoder_warnings == "bad packet; 0.12 s are stored"


def test_decoding_needs_no_ffmpeg_on_the_path(tmp_path):
    path = synthetic_audio.write(tmp_path / "tone.m4a", synthetic_audio.sine(440))
    code = (
        "import sys; from pathlib import Path; from pipeline.audio.decode import decode;"
        "print(len(decode(Path(sys.argv[1]), 16000).samples))"
    )
    environment = {"PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(decoding.__file__).parents[2],
    )
    assert int(done.stdout) == pytest.approx(RATE, abs=2048)


def test_the_digest_of_a_file_depends_on_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")
    (tmp_path / "c").write_bytes(b"other")
    assert file_digest(tmp_path / "a") == file_digest(tmp_path / "b") != file_digest(tmp_path / "c")
    assert len(file_digest(tmp_path / "a")) == 32
    with pytest.raises(DecodeError, match="missing"):
        file_digest(tmp_path / "none")


def test_preprocessing_names_decoders_downmix_and_resampler():
    settings = preprocessing()
    assert set(settings) == {"decoders", "downmix", "resampler", "revision"}
    for version, name in zip(settings["decoders"], ("libavcodec ", "libsndfile ", "ffmpeg "), strict=True):
        assert version.startswith(name)
        assert version[len(name)].isdigit()
    assert json.loads(json.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("suffix", "better", "tolerance"),
    [(".wav", sndfile, 0), (".flac", dr_flac, 0), (".aiff", sndfile, 0), (".au", sndfile, 0), (".mp3", sndfile, 2e-6),
     (".ogg", libav, 2e-6), (".opus", libav, 2e-6)],
)  # fmt: skip
def test_decoders_agree_on_every_sample(tmp_path, monkeypatch, suffix, better, tolerance):
    rate_hz = 48_000 if suffix == ".opus" else 44_100
    stereo = np.stack([synthetic_audio.chords(3.0, rate_hz), synthetic_audio.noise(3.0, rate_hz)], axis=1)
    path = synthetic_audio.write(tmp_path / f"x{suffix}", stereo, rate_hz)
    ours = decode(path, RATE)
    _use_decoders(monkeypatch)
    other = decode(path, RATE)
    assert (ours.decoder, other.decoder) == (better.version(), ffmpeg.version())
    assert (ours.source_rate_hz, ours.source_channels) == (other.source_rate_hz, other.source_channels) == (rate_hz, 2)
    np.testing.assert_allclose(ours.samples, other.samples, atol=tolerance)


def test_both_decoders_of_vorbis_agree_on_every_sample(tmp_path, monkeypatch):
    path = synthetic_audio.write(tmp_path / "x.ogg", synthetic_audio.chords(3.0, 44_100), 44_100)
    ours = decode(path, RATE)
    _use_decoders(monkeypatch, sndfile)
    other = decode(path, RATE)
    assert (ours.decoder, other.decoder) == (libav.version(), sndfile.version())
    np.testing.assert_allclose(ours.samples, other.samples, atol=2e-6)


@pytest.mark.parametrize(("suffix", "decoder"), [(".wav", sndfile), (".ogg", libav)])
def test_mono_samples_outlive_the_next_block(tmp_path, monkeypatch, suffix, decoder):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.noise(2.0))
    whole = decode(path, RATE).samples
    monkeypatch.setattr(decoder, "BLOCK_SAMPLES", 5_000)
    np.testing.assert_array_equal(decode(path, RATE).samples, whole)


def test_the_mean_of_two_channels_has_no_seams():
    block = np.random.default_rng(0).normal(size=(150_001, 2)).astype(np.float32)
    for ordered in (block, np.asfortranarray(block)):
        np.testing.assert_allclose(attempt.mean_of_channels(ordered), block.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("samples", [pytest.param(1, marks=pytest.mark.slow), 2_000, 50_000])
def test_vorbis_is_the_same_in_blocks_of_any_size(tmp_path, monkeypatch, samples):
    path = synthetic_audio.write(tmp_path / "x.ogg", synthetic_audio.chords(3.0, 44_100), 44_100)
    whole = decode(path, RATE).samples
    monkeypatch.setattr(libav, "BLOCK_SAMPLES", samples)
    np.testing.assert_allclose(decode(path, RATE).samples, whole, atol=1e-6)


@pytest.mark.parametrize("options", [("-b:a", "24k"), ("-q:a", "7"), ("-b:a", "128k")])
@pytest.mark.parametrize("block_samples", [1 << 14, 1 << 18])
def test_an_mp3_is_the_same_in_blocks_and_as_a_whole(tmp_path, monkeypatch, options, block_samples):
    """At low bit rates, frames borrow bits from earlier frames, even from those of the previous block."""
    loud = synthetic_audio.chords(30.0, 22_050) + synthetic_audio.noise(30.0, 22_050, amplitude=0.1)
    source = synthetic_audio.write(tmp_path / "x.wav", loud, 22_050)
    command = [ffmpeg.executable(), "-nostdin", "-v", "error", "-i", source, "-c:a", "libmp3lame", *options]
    subprocess.run([*command, tmp_path / "x.mp3"], check=True)
    monkeypatch.setattr(sndfile, "BLOCK_SAMPLES", block_samples)
    ours = decode(tmp_path / "x.mp3", 22_050)
    whole, _ = soundfile.read(tmp_path / "x.mp3", dtype="float32")
    np.testing.assert_allclose(ours.samples, whole, atol=2e-7)
    assert ours.decoder == sndfile.version()
    _use_decoders(monkeypatch)
    np.testing.assert_allclose(ours.samples, decode(tmp_path / "x.mp3", 22_050).samples, atol=2e-6)


@pytest.mark.parametrize("suffix", [".m4a", ".webm", ".mka", ".wma"])
def test_ffmpeg_decodes_formats_that_no_other_decoder_supports(tmp_path, suffix):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.sine(440, 1.0, 48_000), 48_000)
    assert decode(path, RATE).decoder == ffmpeg.version()


def test_a_file_that_a_decoder_cannot_open_is_read_by_the_next_without_a_warning(tmp_path, monkeypatch):
    path = synthetic_audio.write(tmp_path / "x.webm", synthetic_audio.sine(440, 1.0, 48_000), 48_000)
    _use_decoders(monkeypatch, sndfile)
    audio = decode(path, RATE)
    assert audio.decoder == ffmpeg.version()
    assert (audio.warnings, audio.decoder_warnings) == ((), "")


def test_a_file_that_no_decoder_reads_is_rejected_with_all_messages(tmp_path):
    path = tmp_path / "x.flac"
    path.write_bytes(b"fLaC" + bytes(2_000))
    rejection = _rejection(path)
    assert rejection.reason in ("unreadable", "no_audio")
    assert sndfile.version() in rejection.detail
    assert ffmpeg.version() in rejection.detail


@pytest.mark.parametrize("rate_hz", [RATE, 44_100])
@pytest.mark.parametrize(("suffix", "seconds"), [(".wav", 80.0), (".ogg", 20.0), (".mp3", 80.0), (".m4a", 80.0)])
def test_the_beginning_of_a_file_is_decoded_without_the_rest(tmp_path, monkeypatch, suffix, seconds, rate_hz):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.noise(seconds, rate_hz), rate_hz)
    whole, runs, run = decode(path, RATE), [], attempt.run  # blocks have up to 65 seconds
    monkeypatch.setattr(attempt, "run", lambda *arguments: runs.append(run(*arguments)) or runs[-1])
    beginning = decode_beginning(path, 2.0, StreamSettings(RATE, 60.0), Deadline(60.0))
    np.testing.assert_array_equal(beginning, whole.samples[: 2 * RATE])
    assert [one.seconds < 0.9 * seconds for one in runs] == [True]


def test_the_beginning_of_a_shorter_file_is_all_of_it(tmp_path):
    path = synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.noise(1.0))
    assert len(decode_beginning(path, 2.0, StreamSettings(RATE, 60.0), Deadline(60.0))) == RATE
    with pytest.raises(DecodeError, match="regular file"):
        decode_beginning(tmp_path / "none.wav", 2.0, StreamSettings(RATE, 60.0), Deadline(60.0))


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
def test_decoding_in_this_process_stops_at_the_timeout(tmp_path, suffix):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.noise(5.0))
    assert _rejection(path, timeout_seconds=1e-9).reason == "timeout"
