"""FLAC by dr_flac: the samples of libsndfile, and whatever it does not decode well goes to the next decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import synthetic_audio

from pipeline.audio import dr_flac
from pipeline.audio.deadline import Deadline
from pipeline.audio.decode import decode
from stores.errors import DecodeError

RATE = 44_100


def _write(path, channels=2, subtype="PCM_16", seconds=3.0):
    sound = [synthetic_audio.noise(seconds, RATE, number, amplitude=0.9) for number in range(channels)]
    soundfile.write(path, np.stack(sound, axis=1), RATE, subtype=subtype)
    return path


def _decode_by_others(path, monkeypatch):
    with monkeypatch.context() as patches:
        patches.setattr(dr_flac, "supports", lambda _: False)
        return decode(path, RATE)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("block_samples", [None, 1 << 17])
def test_samples_are_bit_for_bit_those_of_libsndfile(tmp_path, channels, block_samples):
    path = _write(tmp_path / "a.flac", channels, seconds=7.0)
    decoder = dr_flac.FileDecoder(path, Deadline(60.0), path.read_bytes()[:64], block_samples)
    blocks = [block.copy() for block in decoder.blocks()]
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert np.array_equal(np.concatenate(blocks), expected)
    assert (decoder.rate_hz, decoder.channels) == (RATE, channels)
    assert len(blocks) == -(-7 * RATE * channels // (block_samples or 1 << 20))


@pytest.mark.parametrize(
    ("channels", "subtype", "name"),
    [(2, "PCM_16", "miniaudio "), (3, "PCM_16", "libsndfile "), (2, "PCM_24", "libsndfile ")],
)
def test_the_common_kind_of_flac_is_decoded_by_dr_flac(tmp_path, channels, subtype, name):
    assert decode(_write(tmp_path / "a.flac", channels, subtype), RATE).decoder.startswith(name)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_damaged_frame_is_stored_as_other_decoders_store_it(tmp_path, monkeypatch, share):
    path = _write(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    place = int(share * len(content))
    content[place : place + 40] = bytes(40)
    path.write_bytes(content)
    actual, expected = decode(path, RATE), _decode_by_others(path, monkeypatch)
    assert np.array_equal(actual.samples, expected.samples)
    assert actual.decoder_warnings == expected.decoder_warnings != ""


def test_a_cut_file_is_stored_as_other_decoders_store_it(tmp_path, monkeypatch):
    path = _write(tmp_path / "a.flac")
    path.write_bytes(path.read_bytes()[:200_000])
    actual, expected = decode(path, RATE), _decode_by_others(path, monkeypatch)
    assert np.array_equal(actual.samples, expected.samples)
    assert actual.warnings == expected.warnings
    assert "short" in actual.warnings


def test_a_sound_file_that_dr_flac_cannot_decode_is_stored_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(dr_flac, "_read", lambda *_: iter(()))
    audio = decode(_write(tmp_path / "a.flac"), RATE)
    assert (audio.total_samples, audio.decoder[:11], audio.warnings) == (3 * RATE, "libsndfile ", ())


def test_a_file_that_is_no_flac_after_its_header_is_unreadable(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(_write(tmp_path / "b.flac").read_bytes()[:30])
    decoder = dr_flac.FileDecoder(path, Deadline(60.0), path.read_bytes())
    with pytest.raises(DecodeError, match="miniaudio"):
        list(decoder.blocks())
    assert not decoder.rate_hz


@pytest.mark.parametrize("head", [b"", b"fLaC", b"fLaC" + bytes(17), b"fLaC\x01" + bytes(40), b"RIFF" + bytes(40)])
def test_short_and_other_heads_are_not_supported(head):
    assert not dr_flac.supports(head)


def test_names_that_are_not_utf8_are_decoded(tmp_path):
    path = _write(tmp_path / "a.flac").rename(tmp_path / "\udcff.flac")
    assert decode(path, RATE).total_samples == 3 * RATE


@pytest.mark.parametrize(("stated", "actual"), [(1, 2), (2, 1)])
def test_a_file_whose_channels_have_changed_since_its_header_was_read_is_unreadable(tmp_path, stated, actual):
    head = _write(tmp_path / "a.flac", stated).read_bytes()[:64]
    decoder = dr_flac.FileDecoder(_write(tmp_path / "b.flac", actual), Deadline(60.0), head)
    with pytest.raises(DecodeError, match=f"{actual} channels"):
        list(decoder.blocks())
    assert not decoder.rate_hz


def test_a_decoder_that_is_not_read_to_its_end_closes_its_file(tmp_path):
    decoder = dr_flac.FileDecoder(path := _write(tmp_path / "a.flac", seconds=7.0), Deadline(60.0), path.read_bytes())
    blocks = decoder.blocks()
    next(blocks)
    assert _is_open(path)
    blocks.close()
    assert not _is_open(path)


def _is_open(path):
    return any(link.readlink() == path for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
