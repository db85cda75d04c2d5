"""Uploads are decoded in other processes, which a hostile file can only end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import hostile_files
import numpy as np
import pytest
import soundfile
import synthetic_audio

from dags.service import isolated_decoder
from dags.service.isolated_decoder import DecodingLimits, IsolatedDecoder
from pipeline.audio.decode import decode
from stores.errors import DecodeError

LIMITS = DecodingLimits(max_seconds=60.0, decode_seconds=20.0)


@pytest.fixture(scope="module")
def shared():
    decoder = IsolatedDecoder(LIMITS, 2)
    yield decoder
    decoder.close()


def _decoder_that(code, monkeypatch, **limits):
    """Return a decoder whose children run `code` instead of decoding."""
    host = f"import os, signal, time\nfrom dags.service import decoding_host\n{code}\ndecoding_host.main()"
    monkeypatch.setattr(isolated_decoder, "_HOST_CODE", host)
    return IsolatedDecoder(DecodingLimits(**{**vars(LIMITS), **limits}), 1)


def _reason(decoder, file):
    with pytest.raises(DecodeError) as error:
        decoder.decode(file, 16_000, "soxr")
    return error.value.reason


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".ogg", ".m4a"])
def test_samples_are_those_of_an_ingest_whatever_the_file_is_called(shared, tmp_path, suffix):
    path = synthetic_audio.write(tmp_path / f"x{suffix}", synthetic_audio.chords(3, 44_100), 44_100)
    expected = decode(path, 16_000)
    upload = shared.decode(path.rename(tmp_path / "upload"), 16_000, "soxr")
    np.testing.assert_array_equal(upload.samples, expected.samples)
    assert (upload.source_rate_hz, upload.source_channels, upload.decoder) == (44_100, 1, expected.decoder)


def test_several_uploads_are_decoded_together(shared, tmp_path):
    paths = [synthetic_audio.write(tmp_path / f"{i}.wav", synthetic_audio.chords(1 + i)) for i in range(6)]
    lengths = {}

    def decode_one(i):
        lengths[i] = len(shared.decode(paths[i], 16_000, "soxr").samples)

    threads = [threading.Thread(target=decode_one, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == {i: 16_000 * (1 + i) for i in range(6)}


def _write_wav(path, samples, rate_hz=16_000):
    soundfile.write(path, samples, rate_hz, format="WAV", subtype="FLOAT")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("empty", {"unreadable"}),
        ("text", {"unreadable"}),
        ("playlist", {"unreadable"}),
        ("concat", {"unreadable"}),
        ("sdp", {"unreadable"}),
        ("hls", {"unreadable"}),
        ("dash", {"unreadable"}),
        ("not finite", {"not_finite"}),
        ("long", {"too_long"}),
        ("no samples", {"no_audio", "unreadable"}),
    ],
)
def test_a_file_that_is_no_music_is_rejected_with_a_reason(shared, tmp_path, name, reasons):
    wav = synthetic_audio.write(tmp_path / "secret.wav", synthetic_audio.chords(2))
    contents = {
        "empty": b"",
        "text": b"hello" * 1000,
        "playlist": f"#EXTM3U\n#EXTINF:2,\nfile://{wav}\n".encode(),
        "concat": f"ffconcat version 1.0\nfile '{wav}'\n".encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{wav}\n#EXT-X-ENDLIST\n".encode(),
        "dash": f"<?xml version='1.0'?><MPD><Period><BaseURL>{wav}</BaseURL></Period></MPD>".encode(),
        "not finite": _write_wav(tmp_path / "a", np.full(20_000, np.nan, np.float32)),
        "long": _write_wav(tmp_path / "b", np.zeros(61 * 8_000, np.float32), 8_000),
        "no samples": _write_wav(tmp_path / "c", np.zeros(0, np.float32)),
    }
    (tmp_path / "upload").write_bytes(contents[name])
    assert _reason(shared, tmp_path / "upload") in reasons


@pytest.mark.slow
def test_damaged_files_are_decoded_or_rejected(shared, tmp_path):
    for number, content in enumerate(hostile_files.truncations(hostile_files.originals(tmp_path)).values()):
        (tmp_path / str(number)).write_bytes(content)
        try:
            samples, reason = shared.decode(tmp_path / str(number), 16_000, "soxr").samples, ""
        except DecodeError as error:
            samples, reason = np.zeros(0), error.reason
        assert np.isfinite(samples).all()
        assert reason != "crashed"


@pytest.mark.parametrize(
    ("code", "limits", "reason"),
    [
        ("decoding_host.decode = lambda *a, **k: os.abort()", {}, "crashed"),
        ("decoding_host.decode = lambda *a, **k: 1 / 0", {}, "crashed"),
        ("decoding_host.decode = lambda *a, **k: bytearray(1 << 40)", {}, "crashed"),
        ("decoding_host.GRACE_SECONDS = 0.2\ndecoding_host.decode = lambda *a, **k: time.sleep(99)", {}, "timeout"),
        ("decoding_host._decode = lambda job: open(job['samples'], 'wb').write(b'0' * 70_000_000)", {}, "too_long"),
        ("decoding_host._status_of_child = lambda job: os.kill(os.getpid(), signal.SIGKILL)", {}, "crashed"),
    ],
)
def test_a_decoder_that_misbehaves_ends_alone(monkeypatch, tmp_path, code, limits, reason):
    decoder = _decoder_that(code, monkeypatch, decode_seconds=0.3, **limits)
    (tmp_path / "upload").write_bytes(b"x")
    start = time.monotonic()
    assert _reason(decoder, tmp_path / "upload") == reason
    assert time.monotonic() - start < 15
    decoder.close()


def test_after_a_crash_the_next_upload_is_decoded(tmp_path):
    decoder = IsolatedDecoder(LIMITS, 1)
    path = synthetic_audio.write(tmp_path / "x.wav", synthetic_audio.chords(1))
    assert len(decoder.decode(path, 16_000, "soxr").samples) == 16_000
    os.kill(decoder._hosts[0]._process.pid, signal.SIGKILL)
    assert _reason(decoder, path) == "crashed"
    assert len(decoder.decode(path, 16_000, "soxr").samples) == 16_000
    decoder.close()


@pytest.mark.parametrize(
    "description",
    [
        b"",
        b"[]",
        b"{}",
        b'{"samples": 3}',
        b'{"samples": 2, "source_rate_hz": "x"}',
        b'{"reason": 1, "detail": "x"}',
        b"[" * 100_000,
        b'{"samples": 2, "source_rate_hz": 1, "source_channels": 1, "decoder": "x", "warnings": 5, "warning_text": ""}',
    ],
)
def test_a_result_that_a_hostile_file_has_written_is_an_error(tmp_path, description):
    (tmp_path / "s").write_bytes(np.zeros(2, "<f4").tobytes())
    (tmp_path / "d").write_bytes(description)
    with pytest.raises(DecodeError, match="crashed"):
        isolated_decoder._read(tmp_path / "s", tmp_path / "d", 1_000)


def test_samples_that_are_too_many_or_not_finite_are_an_error(tmp_path):
    values = {"source_rate_hz": 1, "source_channels": 1, "decoder": "x", "warnings": [], "warning_text": ""}
    for samples in (np.zeros(1_000), np.array([np.inf, 0])):
        (tmp_path / "s").write_bytes(samples.astype("<f4").tobytes())
        (tmp_path / "d").write_text(json.dumps({**values, "samples": len(samples)}))
        with pytest.raises(DecodeError, match="crashed: the decoder has left no usable result"):
            isolated_decoder._read(tmp_path / "s", tmp_path / "d", 1_000)
