"""The mel specification and the quantizer that the settings of an ingest give."""

from __future__ import annotations

import math
from dataclasses import replace

from pipeline.audio.mel import filter_bank, peak_decades
from pipeline.ingestion.config import MelSettings, StoredType
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer


def mel_spec(settings: MelSettings) -> MelSpec:
    """Return the mel specification that a command line states.

    Raises:
        InvalidInput: a mel bin would be empty. The message names the flags.
    """
    spec = MelSpec(
        sample_rate_hz=settings.sample_rate_hz,
        n_fft=settings.n_fft_samples,
        hop_samples=settings.hop_samples,
        n_mels=settings.n_mels,
        fmin_hz=settings.fmin_hz,
        fmax_hz=settings.fmax_hz,
    )
    filter_bank(spec)  # rejects filters without an FFT bin, before any file is decoded
    return spec


def quantizer(dtype: StoredType, spec: MelSpec) -> Quantizer:
    """Return the quantizer of a stored type. Its range is widened by half decades where the mel reaches beyond it.

    Long FFT windows and narrow filters raise the power of a tone above the range of the default mel.
    """
    default = Quantizer.from_dtype(dtype)
    if default.bits == 32:
        return default
    return replace(default, high_decades=max(default.high_decades, math.ceil(2 * peak_decades(spec)) / 2))
