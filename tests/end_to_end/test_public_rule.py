"""`--compat public` compared with the parts of the public code: vit-pytorch, nnAudio and the formula of torchaudio.

All recordings are decoded by this project, because the public code leaves the choice of a decoder to torchaudio.
"""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import synthetic_audio
import torch
import torchaudio_formula
from nnAudio.features import MelSpectrogram
from published_vit import simple_vit_module
from pyarrow import parquet

import model
from dags import embed
from model import extract
from pipeline import ingest
from pipeline.audio.decode import decode
from stores.errors import DecodeError
from stores.features import FeatureStore

SHAPES = {"square": (16, 16), "vertical": (128, 2)}


def _vit(kind, frames):
    torch.manual_seed(0)
    sizes = {"dim": 64, "depth": 2, "heads": 2, "mlp_dim": 96, "channels": 1, "num_classes": 1}
    vit = simple_vit_module().SimpleViT(image_size=(128, frames), patch_size=SHAPES[kind], **sizes)
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return vit.eval()


def _public_embeddings(vit, path, frames):
    """Return the embeddings `[windows, D]` of a file as the public code computes them."""
    rate_hz = soundfile.info(str(path)).samplerate
    samples = torchaudio_formula.resample(decode(path, rate_hz).samples, rate_hz, 16_000).astype(np.float32)
    mel = MelSpectrogram(sr=16_000, verbose=False)(torch.from_numpy(samples)[None])[0]
    vit.linear_head = torch.nn.Identity()
    windows = [mel[None, None, :, i * frames : (i + 1) * frames] for i in range(mel.shape[1] // frames)]
    with torch.inference_mode():
        return torch.cat([vit(window) for window in windows]).numpy()


def _assert_close(actual, expected):
    assert actual.shape == expected.shape
    errors = np.linalg.norm(actual - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert errors.max() < 1e-4


@pytest.fixture(params=[("square", 96), ("vertical", 98)], ids=["square", "vertical"])
def published(request, tmp_path, monkeypatch):
    """The public model, and a file of its weights."""
    monkeypatch.chdir(tmp_path)
    kind, frames = request.param
    vit = _vit(kind, frames)
    path = tmp_path / f"myna-{'base' if kind == 'square' else kind}.pth"
    torch.save(vit.state_dict(), path)
    return vit, path, frames


def _recordings(folder, formats, rates):
    for suffix in formats:
        for seed, rate_hz in enumerate(rates):
            stereo = np.stack([synthetic_audio.chords(7.0, rate_hz, seed=seed + n) for n in (0, 10)], axis=1)
            yield synthetic_audio.write(folder / f"{rate_hz}.{suffix}", stereo, rate_hz)


@pytest.mark.slow
def test_embeddings_in_python_are_those_of_the_public_code(published, tmp_path):
    vit, path, frames = published
    myna = model.Myna.from_pretrained(path, precision="fp32")
    for recording in _recordings(tmp_path / "music", ["wav", "mp3"], [16_000, 22_050, 44_100]):
        expected = _public_embeddings(vit, recording, frames)
        _assert_close(myna.embed(recording, compat="public", pool="none"), expected)
        _assert_close(myna.embed(recording, compat="public"), expected.mean(axis=0))
    short = synthetic_audio.write(tmp_path / "short.wav", synthetic_audio.chords(2.0))
    with pytest.raises(DecodeError, match="a window has"):
        myna.embed(short, compat="public")


@pytest.mark.slow
def test_embeddings_of_a_folder_of_36_files_are_those_of_the_public_code(published, tmp_path):
    vit, path, frames = published
    rates = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
    files = list(_recordings(tmp_path / "music", ["wav", "flac", "aiff", "w64"], rates))
    synthetic_audio.write(tmp_path / "music" / "short.wav", synthetic_audio.chords(2.0))
    words = ["music", "--out", "e.parquet", "--checkpoint", str(path), "--compat", "public", "--precision", "fp32"]
    assert embed.main([*words, "--pool", "none", "--workers", "2"]) == 0
    table = parquet.read_table(tmp_path / "e.parquet")
    ids, embeddings = np.array(table["id"].to_pylist()), np.array(table["embedding"].to_pylist(), np.float32)
    assert len(files) == 36
    for recording in files:
        _assert_close(embeddings[ids == recording.name], _public_embeddings(vit, recording, frames))


def test_a_store_that_was_resampled_otherwise_is_refused_and_short_clips_are_counted(published, tmp_path, capsys):
    vit, path, frames = published
    (recording,) = _recordings(tmp_path / "music", ["wav"], [44_100])
    synthetic_audio.write(tmp_path / "music" / "short.wav", synthetic_audio.chords(2.0))
    for name, flags in {"soxr": [], "public": ["--compat", "public"]}.items():
        words = ["folder", "--root", "music", "--store", f"stores/{name}.zarr", "--dtype", "float32"]
        assert ingest.main([*words, *flags, "--scheduler", "threads", "--workers", "1"]) == 0
    options = ["--checkpoint", str(path), "--compat", "public", "--precision", "fp32", "--pool", "none"]
    assert extract.main(["soxr", *options]) == 2
    assert "--compat public needs the default mel with the resampler torchaudio" in capsys.readouterr().err
    assert extract.main(["public", *options, "--out", "f.zarr"]) == 0
    assert "1 clip shorter than a window left out (--compat public)" in capsys.readouterr().out
    _assert_close(FeatureStore.read(tmp_path / "f.zarr").embeddings, _public_embeddings(vit, recording, frames))
