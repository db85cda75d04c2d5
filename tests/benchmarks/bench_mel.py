"""Mel of a 10 s clip on one core: ours by FFT against nnAudio's conv1d, which defines the mel."""

import numpy as np
import torch
from nnAudio.features.mel import MelSpectrogram
from ratio import compare

from pipeline.audio.mel import mel_power
from stores.mel_spec import MelSpec

torch.set_num_threads(1)
SPEC = MelSpec()
samples = np.random.default_rng(0).standard_normal(10 * SPEC.sample_rate_hz).astype(np.float32) * 0.1
reference = MelSpectrogram(sr=SPEC.sample_rate_hz, verbose=False)


def nnaudio() -> torch.Tensor:
    """Return nnAudio's mel of the samples."""
    with torch.inference_mode():
        return reference(torch.from_numpy(samples)[None])


compare("mel of 10 s", lambda: mel_power(samples, SPEC), nnaudio)
