"""The mel of an ingest: its defaults are those of the paper, and its loudest sound fits into the stored range."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_audio

from pipeline.audio.mel import mel_power, peak_decades
from pipeline.ingestion import mel_definition
from pipeline.ingestion.config import MelSettings
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer


def test_the_defaults_are_those_of_the_specification_and_the_quantizer():
    assert mel_definition.mel_spec(MelSettings()) == MelSpec()
    for dtype in ("uint8", "uint16", "float32"):
        assert mel_definition.quantizer(dtype, MelSpec()) == Quantizer.from_dtype(dtype)


@pytest.mark.parametrize(
    ("spec", "high_decades"),
    [
        (MelSpec(), 4.5),
        (MelSpec(n_fft=1024, hop_samples=160, fmin_hz=60.0, fmax_hz=7_800.0), 4.5),
        (MelSpec(n_fft=4096), 5.5),
        (MelSpec(n_fft=4096, n_mels=256), 5.5),
        (MelSpec(44_100, 8192, 1024, 256, 20.0, 20_000.0), 6.0),
    ],
)
def test_the_loudest_sound_is_within_the_stored_range(spec, high_decades):
    quantizer = mel_definition.quantizer("uint8", spec)
    assert quantizer.high_decades == high_decades
    loudest = max(
        mel_power(synthetic_audio.square(hz, 1.0, spec.sample_rate_hz), spec).max()
        for hz in np.geomspace(80, spec.fmax_hz / 3, 40)
    )
    assert peak_decades(spec) - 0.15 < np.log10(loudest) < quantizer.high_decades
