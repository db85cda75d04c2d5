"""The pipeline's mel of real recordings equals an independent mel by libsndfile, soxr and nnAudio.

The tests are skipped unless MYNA_TEST_RECORDINGS names a folder of music, for example Debian's `wesnoth-1.16-music`.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from nnAudio.features.mel import MelSpectrogram

from pipeline import ingest
from pipeline.audio.decode import decode
from stores.mel_store import MelStore

RECORDINGS = os.environ.get("MYNA_TEST_RECORDINGS")
# Half a step of the quantizer is 0.0207 decades. The rest allows for two Vorbis decoders that differ by 3e-7, and for
# an FFT in place of a conv1d.
TOLERANCE_DECADES = 0.0217


def independent_samples(path: Path) -> np.ndarray:
    """Return the samples `[T]` of a recording at 16 kHz, decoded by libsndfile and resampled by soxr."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate_hz, 16_000, quality="HQ")


def independent_mel(samples: np.ndarray) -> np.ndarray:
    """Return nnAudio's mel `[128, frames]` of samples at 16 kHz."""
    transform = MelSpectrogram(sr=16_000, n_fft=2048, hop_length=512, n_mels=128, verbose=False)
    with torch.inference_mode():
        return transform(torch.from_numpy(samples)[None])[0].numpy()


@pytest.mark.slow
@pytest.mark.skipif(not RECORDINGS, reason="MYNA_TEST_RECORDINGS does not name a folder of recordings")
def test_stored_mel_equals_nnaudio_of_independently_decoded_recordings(tmp_path: Path) -> None:
    assert RECORDINGS
    path = tmp_path / "real.zarr"
    assert ingest.main(["folder", "--root", RECORDINGS, "--store", str(path), "--scheduler", "threads"]) == 0
    store = MelStore.open(path)
    compared = 0
    for row in [row for row in store.rows if row.state == "written"]:
        path = Path(RECORDINGS) / row.source
        samples = independent_samples(path)
        if len(samples) != decode(path, 16_000).total_samples:
            print(f"{row.id}: skipped, because libav and libsndfile place the start of this OGG 128 samples apart")
            continue
        expected = independent_mel(samples)
        stored = store.clip(row.index)
        is_audible = expected > 1e-4
        difference = np.abs(np.log10(np.maximum(stored, 1e-7)) - np.log10(np.maximum(expected, 1e-7)))[is_audible]
        print(f"{row.id}: {is_audible.mean():.3f} of cells compared, largest difference {difference.max():.4f} decades")
        assert difference.max() < TOLERANCE_DECADES
        compared += 1
        if compared == 3:
            return
    pytest.fail(f"only {compared} recordings could be compared")


@pytest.mark.slow
@pytest.mark.skipif(not RECORDINGS, reason="MYNA_TEST_RECORDINGS does not name a folder of recordings")
def test_an_ogg_that_ffmpeg_cannot_decode_is_decoded_by_libsndfile() -> None:
    assert RECORDINGS
    paths = sorted(Path(RECORDINGS).rglob("hr-savino-caribbean.ogg"))
    if not paths:
        pytest.skip("the recordings do not contain hr-savino-caribbean.ogg of Debian's hyperrogue-music")
    audio = decode(paths[0], 16_000)
    assert audio.decoder.startswith("libsndfile")
    assert len(audio.samples) == pytest.approx(62.3 * 16_000, rel=0.01)
