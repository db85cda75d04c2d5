"""The batched mel is compared with the mel of an ingest for each recording, on a GPU if there is one."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio
import torch

from model.inference.batched_mel import BatchMel
from pipeline.audio.mel import mel_power
from stores.errors import InvalidInput
from stores.mel_spec import MelSpec

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SPECS = [MelSpec(), MelSpec(hop_samples=160), MelSpec(22_050, 1024, 256, 64, 20.0, 11_025.0)]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("samples", [20_011, 1_025])
def test_it_is_the_mel_of_an_ingest(spec, samples):
    sounds = [
        synthetic_audio.chords(3.0),
        synthetic_audio.noise(2.0),
        synthetic_audio.chirp(20, 7900, 2.0),
        1e-3 * synthetic_audio.chords(2.0, seed=1),
    ]
    batch = np.stack([sound[:samples] for sound in sounds]).astype(np.float32)
    mels = BatchMel(spec, DEVICE)(torch.from_numpy(batch).to(DEVICE)).cpu().numpy()
    assert mels.shape == (len(sounds), spec.n_mels, spec.frames_for(samples))
    for mel, sound in zip(mels, batch, strict=True):
        expected = mel_power(sound, spec)
        assert np.abs(mel - expected).max() <= 1e-5 * expected.max()
        loud = expected > 1e-6 * expected.max()
        np.testing.assert_allclose(mel[loud], expected[loud], rtol=1e-4)


def test_autocast_does_not_change_it():
    batch = torch.from_numpy(synthetic_audio.noise(1.0)[None]).to(DEVICE)
    batch_mel = BatchMel(MelSpec(), DEVICE)
    with torch.autocast(DEVICE.type, torch.bfloat16):
        inside = batch_mel(batch)
    assert torch.equal(inside, batch_mel(batch))


@pytest.mark.parametrize("samples", [torch.zeros(1, 1_024), torch.zeros(1, 4_096, dtype=torch.float64)])
def test_samples_that_are_too_few_or_of_another_type_are_rejected(samples):
    with pytest.raises(InvalidInput, match=r"a mel needs at least 1025 samples of float32"):
        BatchMel(MelSpec(), torch.device("cpu"))(samples)
