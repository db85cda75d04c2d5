"""Real recordings, decoded twice: by the pipeline, and independently by libsndfile, soxr and nnAudio.

Skips unless MYNA_TEST_RECORDINGS names a folder of real music, e.g. Debian's `wesnoth-1.16-music`, unpacked.
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
# Half a step of the quantizer is 0.0207 decades. The rest: two Vorbis decoders differ by 3e-7, and FFT from conv1d.
TOLERANCE_DECADES = 0.0217


def independent_samples(path: Path) -> np.ndarray:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate_hz, 16_000, quality="HQ")


def independent_mel(samples: np.ndarray) -> np.ndarray:
    transform = MelSpectrogram(sr=16_000, n_fft=2048, hop_length=512, n_mels=128, verbose=False)
    with torch.inference_mode():
        return transform(torch.from_numpy(samples)[None])[0].numpy()


@pytest.mark.slow
@pytest.mark.skipif(not RECORDINGS, reason="MYNA_TEST_RECORDINGS names no folder of real recordings")
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
            print(f"{row.id}: passed over, libav and libsndfile disagree on where this OGG starts, by 128 samples")
            continue
        expected = independent_mel(samples)
        stored = store.clip(row.index)
        heard = expected > 1e-4
        difference = np.abs(np.log10(np.maximum(stored, 1e-7)) - np.log10(np.maximum(expected, 1e-7)))[heard]
        print(f"{row.id}: {heard.mean():.3f} of cells compared, largest difference {difference.max():.4f} decades")
        assert difference.max() < TOLERANCE_DECADES
        compared += 1
        if compared == 3:
            return
    pytest.fail(f"only {compared} recordings could be compared")


@pytest.mark.slow
@pytest.mark.skipif(not RECORDINGS, reason="MYNA_TEST_RECORDINGS names no folder of real recordings")
def test_an_ogg_that_ffmpeg_refuses_is_read_by_libsndfile() -> None:
    assert RECORDINGS
    found = sorted(Path(RECORDINGS).rglob("hr-savino-caribbean.ogg"))
    if not found:
        pytest.skip("the recordings do not hold hr-savino-caribbean.ogg of Debian's hyperrogue-music")
    audio = decode(found[0], 16_000)
    assert audio.decoder.startswith("libsndfile")
    assert len(audio.samples) == pytest.approx(62.3 * 16_000, rel=0.01)
