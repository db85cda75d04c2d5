"""The Python interface embeds files and samples, with models from files, folders and the hub."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import synthetic_audio
import tiny
import torch
from engine_contract import encoder_of

import model
from model.encoder import hub
from model.encoder.hub import PretrainedFolder
from model.inference.myna import Myna
from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from stores.errors import CorruptArtifact, DecodeError, InvalidInput, MissingArtifact
from stores.mel_spec import MelSpec

SPEC = MelSpec()


@pytest.fixture(scope="module")
def encoder():
    return encoder_of(tiny.encoder_config("hybrid"))


@pytest.fixture(scope="module")
def myna(encoder):
    return Myna(encoder, precision="fp32")


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """A song of 10 s as an MP3 of 44.1 kHz."""
    return synthetic_audio.write(
        tmp_path_factory.mktemp("songs") / "song.mp3", synthetic_audio.chords(10, 44_100), 44_100
    )


def _embed_windows(encoder, samples, starts):
    mel = torch.from_numpy(mel_power(samples, SPEC))
    with torch.inference_mode():
        return torch.cat([encoder(mel[None, :, start : start + 96]) for start in starts]).numpy()


def test_a_file_is_decoded_cut_embedded_and_averaged(myna, encoder, song):
    samples = decode(song, SPEC.sample_rate_hz).samples
    last = SPEC.frames_for(len(samples)) - 96
    expected = _embed_windows(encoder, samples, [0, 96, 192, last])
    np.testing.assert_allclose(myna.embed(song), expected.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(myna.embed(str(song), pool="none"), expected, atol=1e-5)
    np.testing.assert_allclose(myna.embed(song, tail="drop", pool="none"), expected[:-1], atol=1e-5)
    assert myna.embed(song, hop_frames=48, pool="none").shape == (6, 64)
    assert myna.embed(song).dtype == np.float32
    assert myna.width == 64


def test_windows_can_have_another_length_and_their_hop_follows(myna, encoder, song):
    mel = torch.from_numpy(mel_power(decode(song, SPEC.sample_rate_hz).samples, SPEC))
    with torch.inference_mode():
        expected = torch.cat([encoder(mel[None, :, start : start + 192]) for start in (0, mel.shape[1] - 192)]).numpy()
    np.testing.assert_allclose(myna.embed(song, window_frames=192, pool="none"), expected, atol=1e-5)
    assert myna.embed(song, window_frames=48, pool="none").shape == (7, 64)
    with pytest.raises(InvalidInput, match="window_frames a multiple of 16"):
        myna.embed(song, window_frames=100)


def test_the_same_file_gives_the_same_bits(myna, song):
    np.testing.assert_array_equal(myna.embed(song), myna.embed(song))


def test_samples_at_any_rate_give_the_embedding_of_their_file(myna, tmp_path):
    stereo = np.stack([synthetic_audio.chords(5, 44_100, seed=seed) for seed in (0, 1)], axis=1)
    path = synthetic_audio.write(tmp_path / "song.wav", stereo, 44_100, subtype="FLOAT")
    np.testing.assert_allclose(myna.embed(stereo, sample_rate_hz=44_100), myna.embed(path), atol=1e-4)
    loud = (0.25 * stereo * 2**15).astype(np.int16)
    as_floats = loud.astype(np.float32) / 2**15
    np.testing.assert_allclose(myna.embed(loud, 44_100), myna.embed(as_floats, 44_100), atol=1e-6)


def test_a_clip_shorter_than_a_window_is_padded_with_silence(myna, encoder):
    samples = synthetic_audio.chords(1.0)
    mel = np.pad(mel_power(samples, SPEC), ((0, 0), (0, 96 - SPEC.frames_for(len(samples)))))
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(mel)[None])[0].numpy()
    np.testing.assert_allclose(myna.embed(samples, 16_000), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("audio", "rate_hz", "message"),
    [
        (
            np.zeros(20_000),
            None,
            r"\(got None\), for example embed\(samples, sample_rate_hz=44100\)",
        ),
        (np.zeros(20_000), 0, r"positive sample_rate_hz, .* \(got 0\)"),
        ("song.mp3", 44_100, "must be left out for the file song.mp3"),
        (np.zeros((2, 20_000)), 16_000, r"\[T, channels\] \(got \[2, 20000\]\); transpose"),
        (np.zeros((2, 3, 4)), 16_000, r"got \[2, 3, 4\]"),
        (np.zeros(20_000, np.uint8), 16_000, "signed integers .got uint8"),
        (np.zeros(0), 16_000, r"got \[0\]"),
    ],
)
def test_audio_with_a_wrong_rate_shape_or_type_is_rejected(myna, audio, rate_hz, message):
    with pytest.raises(InvalidInput, match=message):
        myna.embed(audio, rate_hz)


def test_audio_that_cannot_become_a_mel_is_an_error_with_the_reason(myna, tmp_path):
    (tmp_path / "x.mp3").write_bytes(b"no music")
    with pytest.raises(DecodeError, match="unreadable"):
        myna.embed(tmp_path / "x.mp3")
    with pytest.raises(DecodeError, match="missing"):
        myna.embed("none.mp3")
    with pytest.raises(DecodeError, match="too_short"):
        myna.embed(np.zeros(100), 16_000)
    with pytest.raises(DecodeError, match="not_finite"):
        myna.embed(np.full(20_000, np.nan), 16_000)


@pytest.mark.parametrize(("dtype", "factor"), [(np.int16, "32768"), (np.int8, "128"), (np.int32, "2147483648")])
@pytest.mark.parametrize("channels", [1, 2])
def test_integers_as_floats_are_rejected_with_the_factor_to_divide_by(myna, dtype, factor, channels):
    integers = (0.9 * np.iinfo(dtype).max * synthetic_audio.chords(1.0)).astype(dtype)
    samples = np.stack([integers] * channels, axis=1)
    with pytest.raises(DecodeError, match=rf"out_of_scale: .*full scale is 1; divide the samples by {factor}$"):
        myna.embed(samples.astype(np.float32), 16_000)
    divided = samples.astype(np.float32) / float(factor)
    np.testing.assert_allclose(myna.embed(samples, 16_000), myna.embed(divided, 16_000), atol=1e-5)
    assert np.isfinite(myna.embed(1.4 * divided / np.abs(divided).max(), 16_000)).all()


def test_a_checkpoint_of_this_project_is_loaded(tmp_path, song):
    path = tiny.write_run(tmp_path / "run", tiny.train_config("hybrid"))
    loaded = model.Myna.from_pretrained(path, precision="fp32")
    assert loaded.engine.settings.precision == "fp32"
    expected = Myna(model.load_encoder(path), precision="fp32").embed(song)
    np.testing.assert_array_equal(loaded.embed(song), expected)


def test_a_saved_folder_is_loaded_unchanged(myna, tmp_path, song):
    myna.save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    loaded = Myna.from_pretrained(tmp_path / "saved", precision="fp32")
    np.testing.assert_array_equal(loaded.embed(song), myna.embed(song))
    assert model.load_encoder(tmp_path / "saved").config == myna.encoder.config


def test_a_path_that_is_not_an_id_is_an_error_without_a_request_to_the_hub():
    with pytest.raises(MissingArtifact, match="not a model of the hub: use OWNER/NAME, or one of myna-base"):
        Myna.from_pretrained("runs/none/encoder.safetensors")


def test_the_model_card_has_metadata_and_usage(myna, tmp_path):
    hub.write(tmp_path, PretrainedFolder(myna.encoder, {"mel_spec": SPEC.to_dict()}, {"step": 3}))
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: myna\n")
    assert "license: mit" in card
    assert "Myna.from_pretrained" in card
    assert "input_scale` is\n`log1p`" in card
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["encoder"] == myna.encoder.config.to_dict()
    assert config["mel"]["mel_spec"]["sample_rate_hz"] == 16_000
    assert config["origin"] == {"step": 3}


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: (folder / "config.json").write_text("[]"),
        lambda folder: (folder / "config.json").write_text("[" * 100_000),
        lambda folder: (folder / "config.json").write_text('{"format": "other"}'),
        lambda folder: (folder / "config.json").write_text('{"format": "myna-encoder-1", "encoder": {"width": 1}}'),
        lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"),
    ],
)
def test_a_folder_that_is_damaged_is_corruption(myna, tmp_path, damage):
    hub.write(tmp_path / "m", PretrainedFolder(myna.encoder))
    damage(tmp_path / "m")
    with pytest.raises(CorruptArtifact):
        Myna.from_pretrained(tmp_path / "m")
    shutil.rmtree(tmp_path / "m")
    (tmp_path / "m").mkdir()
    with pytest.raises(MissingArtifact, match=r"has no config\.json"):
        Myna.from_pretrained(tmp_path / "m")
