"""A finer mel from audio to features: ingest, shards, training and extraction follow it, and mixes are errors."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import synthetic_audio
import tiny
import torch
from nnAudio.features.mel import MelSpectrogram

import model
from model import export, extract, train
from model.encoder.config import PRESETS
from model.encoder.vit import Encoder
from pipeline import ingest, preview, shard
from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from stores import locations
from stores.features import FeatureStore
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.shards import ShardSet

FINE = ("--n-fft-samples", "1024", "--hop-samples", "160", "--fmin-hz", "60", "--fmax-hz", "7800")
RATE = ("--sample-rate-hz", "22050")
SPEC = MelSpec(22_050, 1024, 160, 64, 60.0, 7_800.0)
LOCAL = ("--scheduler", "threads", "--workers", "2")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Eight recordings of three rates, with a label table."""
    root = tmp_path_factory.mktemp("audio")
    rows = []
    for i in range(8):
        rate_hz = (16_000, 22_050, 44_100)[i % 3]
        make = synthetic_audio.chords if i % 2 else synthetic_audio.noise
        sound = make(3.5, rate_hz, seed=i)
        synthetic_audio.write(root / f"{i}.wav", sound, rate_hz)
        rows.append((f"{i}.wav", "train" if i < 4 else "valid", "chords" if i % 2 else "noise"))
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "split", "kind"), *rows])
    return root


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder, where presets of minimal size are known."""
    monkeypatch.chdir(tmp_path)
    for patches in ("square", "vertical", "hybrid"):
        monkeypatch.setitem(PRESETS, f"mini-{patches}", tiny.encoder_config(patches, name=f"mini-{patches}"))
    return tmp_path


def _ingest(audio, name, *flags):
    words = ["folder", f"--root={audio}", f"--store=stores/{name}.zarr", "--labels", str(audio / "labels.csv")]
    return ingest.main([*words, *LOCAL, *flags])


def _train(name, preset, *flags):
    words = ["--preset", preset, "--batch", "4", "--steps", "2", "--projection-width", "8", "--precision", "fp32"]
    return train.main(["--store", f"stores/{name}.zarr", "--name", f"{name}-{preset}", *words, *flags])


@pytest.mark.slow
@pytest.mark.parametrize("n_mels", [64, 128])
def test_a_finer_mel_is_followed_from_audio_to_features(workplace, audio, n_mels, capsys):
    assert _ingest(audio, "fine", *FINE, *RATE, "--n-mels", str(n_mels)) == 0
    store = MelStore.open(locations.mel_store("fine"))
    assert store.spec == MelSpec(22_050, 1024, 160, n_mels, 60.0, 7_800.0)
    assert shard.main(["stores/fine.zarr"]) == 0
    assert ShardSet.open(locations.shards(store.path)).spec == store.spec
    for preset in ("mini-square", "mini-vertical"):
        assert _train("fine", preset, "--check-store", "fine", "--check-task", "kind") == 0
        config = json.loads((workplace / "runs" / f"fine-{preset}" / "config.json").read_text())
        assert config["mel"]["mel_spec"] == store.spec.to_dict()
        assert config["encoder"]["n_mels"] == n_mels
        assert extract.main(["fine", "--checkpoint", f"fine-{preset}"]) == 0
        features = FeatureStore.read(locations.feature_store("fine", f"fine-{preset}"))
        assert features.provenance["mel"]["mel_spec"] == store.spec.to_dict()
        assert features.embeddings.shape == (8, 32)
        assert np.isfinite(features.embeddings).all()
    assert "k-NN validation: kind of fine" in capsys.readouterr().out
    assert preview.main(["stores/fine.zarr"]) == 0


def test_the_stored_mel_is_that_of_nnaudio(workplace, audio):
    assert _ingest(audio, "fine", *FINE, *RATE, "--n-mels", "64", "--dtype", "float32") == 0
    store = MelStore.open(locations.mel_store("fine"))
    oracle = MelSpectrogram(22_050, 1024, n_mels=64, hop_length=160, fmin=60, fmax=7_800, verbose=False)
    for row in store.rows:
        samples = decode(audio / row.source, 22_050).samples
        expected = oracle(torch.from_numpy(samples))[0].numpy()
        assert store.clip(row.index).shape == expected.shape == (64, SPEC.frames_for(len(samples)))
        np.testing.assert_allclose(store.clip(row.index), expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize(
    ("flags", "spec"),
    [
        (("--hop-samples", "2048"), MelSpec(hop_samples=2_048)),
        (("--n-fft-samples", "8192", "--hop-samples", "77"), MelSpec(n_fft=8_192, hop_samples=77)),
        (
            ("--sample-rate-hz", "48000", "--fmax-hz", "24000", "--n-mels", "256", "--n-fft-samples", "6000"),
            MelSpec(48_000, 6_000, 512, 256, 0.0, 24_000.0),
        ),
    ],
    ids=["gaps", "dense", "wide"],
)
def test_unusual_mels_are_stored_as_computed_at_once(workplace, audio, flags, spec):
    assert _ingest(audio, "odd", *flags, "--dtype", "float32") == 0
    store = MelStore.open(locations.mel_store("odd"))
    assert store.spec == spec
    for row in store.rows:
        power = mel_power(decode(audio / row.source, spec.sample_rate_hz).samples, spec)
        np.testing.assert_allclose(store.clip(row.index), power, rtol=1e-4, atol=1e-6 * power.max())


def test_a_file_is_embedded_with_the_mel_of_the_training_data(workplace, audio):
    assert _ingest(audio, "fine", *FINE, *RATE, "--n-mels", "64", "--dtype", "float32") == 0
    assert _ingest(audio, "codes", *FINE, *RATE, "--n-mels", "64") == 0
    assert shard.main(["stores/codes.zarr"]) == 0
    assert _train("codes", "mini-vertical") == 0
    assert extract.main(["fine", "--checkpoint", "codes-mini-vertical"]) == 0
    features = FeatureStore.read(locations.feature_store("fine", "codes-mini-vertical"))
    myna = model.Myna.from_pretrained(locations.run("codes-mini-vertical") / locations.ENCODER_FILE)
    assert myna.mel_spec == SPEC
    for row, embedding in zip(features.rows, features.embeddings, strict=True):
        np.testing.assert_allclose(myna.embed(audio / row.source), embedding, atol=1e-4)
    myna.save_pretrained(workplace / "hub")
    assert "0.70 s of music into an embedding" in (workplace / "hub" / "README.md").read_text()
    again = model.Myna.from_pretrained(workplace / "hub")
    assert (again.mel_spec, again.encoder.config) == (SPEC, myna.encoder.config)


def test_the_resampler_is_recorded_and_followed(workplace, audio, capsys):
    assert _ingest(audio, "sinc", "--resampler", "torchaudio", "--dtype", "float32") == 0
    store = MelStore.open(locations.mel_store("sinc"))
    assert store.attributes["preprocessing"]["resampler"].startswith("torchaudio sinc_interp_hann")
    for row in store.rows:
        samples = decode(audio / row.source, 16_000, resampler="torchaudio").samples
        np.testing.assert_allclose(store.clip(row.index), mel_power(samples, store.spec), rtol=1e-4, atol=1e-6)
    assert _ingest(audio, "sinc", "--dtype", "float32") == 2
    assert "state --resampler torchaudio as for this store, or choose another --store" in capsys.readouterr().err
    tiny.write_run(workplace / "runs" / "first", tiny.train_config(mel=store.value_settings()))
    myna = model.Myna.from_pretrained(workplace / "runs" / "first" / locations.ENCODER_FILE)
    assert myna.resampler == "torchaudio"
    assert extract.main(["sinc", "--checkpoint", "first"]) == 0
    features = FeatureStore.read(locations.feature_store("sinc", "first"))
    for row, embedding in zip(features.rows, features.embeddings, strict=True):
        np.testing.assert_allclose(myna.embed(audio / row.source), embedding, atol=1e-4)


@pytest.mark.slow
def test_an_engine_for_another_mel_is_exported_and_used(workplace, audio):
    assert _ingest(audio, "fine", *FINE, *RATE, "--n-mels", "64") == 0
    assert shard.main(["stores/fine.zarr"]) == 0
    assert _train("fine", "mini-square") == 0
    assert export.main(["onnx", "--checkpoint", "fine-mini-square", "--store", "fine"]) == 0
    assert extract.main(["fine", "--checkpoint", "fine-mini-square", "--engine", "onnx"]) == 0


def test_presets_that_need_another_mel_say_which(workplace, audio, capsys):
    assert _ingest(audio, "fine", *FINE, *RATE, "--n-mels", "64") == 0
    assert shard.main(["stores/fine.zarr"]) == 0
    assert _train("fine", "mini-hybrid") == 2
    message = capsys.readouterr().err
    assert "--preset mini-hybrid needs 128 mel bins, but the mels of fine have 64" in message
    assert "24 square patches of 16 by 16 and 48 vertical patches of 64 by 2" in message
    assert "mini-square, mini-vertical" in message
    assert "with --n-mels 128" in message


def test_another_mel_is_never_mixed_in(workplace, audio, capsys):
    """Train on two stores, validate, initialize, extract, export, and continue a store: each with the other mel."""
    assert _ingest(audio, "fine", *FINE) == 0
    assert _ingest(audio, "plain") == 0
    for name in ("fine", "plain"):
        assert shard.main([f"stores/{name}.zarr"]) == 0
    assert _train("fine", "mini-vertical") == 0
    capsys.readouterr()
    fine_flags = "--n-fft-samples 1024 --hop-samples 160 --n-mels 128 --fmin-hz 60 --fmax-hz 7800"
    plain_flags = "--n-fft-samples 2048 --hop-samples 512 --n-mels 128 --fmin-hz 0 --fmax-hz 8000"
    cases = [
        (lambda: _train("fine", "mini-square", "--store", "stores/plain.zarr"), fine_flags),
        (lambda: _train("fine", "mini-square", "--check-store", "plain", "--check-task", "kind"), fine_flags),
        (lambda: _train("plain", "mini-vertical", "--init", "fine-mini-vertical"), fine_flags),
        (lambda: extract.main(["plain", "--checkpoint", "fine-mini-vertical"]), fine_flags),
        (lambda: _ingest(audio, "plain", *FINE), plain_flags),
        (lambda: _ingest(audio, "fine"), fine_flags),
    ]
    for command, flags in cases:
        assert command() == 2
        message = capsys.readouterr().err
        assert flags in message
        assert "hop_samples" in message


def test_a_published_encoder_is_not_used_on_another_mel(workplace, audio, capsys):
    assert _ingest(audio, "fine", *FINE) == 0
    encoder = Encoder(tiny.encoder_config("vertical", input_scale="power", heads=1, head_width=64))
    torch.save(encoder.state_dict(), "myna-vertical.pth")
    assert extract.main(["fine", "--checkpoint", "myna-vertical.pth"]) == 2
    message = "the training data of myna-vertical was made with another mel than stores/fine.zarr"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--n-fft-samples", "1025"), "--n-fft-samples must be even (got 1025)"),
        (
            ("--n-fft-samples", "256", "--hop-samples", "128"),
            "13 of 128 mel filters are empty; raise n_fft (now 256, --n-fft-samples)",
        ),
        (("--sample-rate-hz", "8000"), "--fmax-hz must be at most 4000, which is half of --sample-rate-hz 8000"),
        (("--fmin-hz", "8000"), "--fmin-hz must be less than --fmax-hz 8000 (got 8000)"),
        (("--n-mels", "0"), "--n-mels must be at least 1"),
        (("--hop-samples", "0"), "--hop-samples must be at least 1"),
        (("--hop-samples", "2049"), "the hop of 2049 samples is longer than the window of 2048"),
    ],
)
def test_mels_that_cannot_be_computed_are_rejected_before_anything_is_read(workplace, audio, flags, message, capsys):
    assert _ingest(audio, "none", *flags) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""
    assert not (workplace / "stores" / "none.zarr").exists()
