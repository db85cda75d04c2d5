"""The mel specification: the settings that change the values of a mel spectrogram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput
from stores.json_codec import JsonSettings


@dataclass(frozen=True)
class MelSpec(JsonSettings):
    """A power mel spectrogram as `nnAudio.features.MelSpectrogram` defines it. The defaults are those of the paper.

    Frames are centered with reflected edges, the Hann window is periodic, the mel scale is Slaney's, and each filter is
    normalized by its width.
    """

    sample_rate_hz: int = 16_000
    """Sample rate of the mono input in Hz."""
    n_fft: int = 2048
    """Length of the window and of the FFT in samples."""
    hop_samples: int = 512
    """Distance between two frames in samples (32 ms at 16 kHz)."""
    n_mels: int = 128
    """Number of mel bins."""
    fmin_hz: float = 0.0
    """Lower edge of the first filter in Hz."""
    fmax_hz: float = 8_000.0
    """Upper edge of the last filter in Hz, at most half the sample rate."""

    def __post_init__(self) -> None:
        if min(self.sample_rate_hz, self.n_fft, self.hop_samples, self.n_mels) <= 0:
            raise InvalidInput(f"{self}: sample rate, n_fft, hop and n_mels must be positive")
        if self.n_fft % 2:
            raise InvalidInput(f"{self}: n_fft must be even, because an odd n_fft gives one centered frame too few")
        if self.hop_samples > self.n_fft:
            raise InvalidInput(
                f"{self}: the hop of {self.hop_samples} samples is longer than the window of {self.n_fft}, so samples "
                "between two windows would be lost; use a hop of at most the window"
            )
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise InvalidInput(f"{self}: 0 <= fmin_hz < fmax_hz <= {self.sample_rate_hz / 2} (half the rate) must hold")

    @property
    def min_samples(self) -> int:
        """Smallest number of samples whose edges can be reflected, which is half a window plus one."""
        return self.n_fft // 2 + 1

    def frames_for(self, samples: int) -> int:
        """Return the number of frames of `samples` samples: one per hop and one more, because frames are centered."""
        return 1 + samples // self.hop_samples

    def seconds_for(self, frames: int) -> float:
        """Return the duration of `frames` frames in seconds."""
        return frames * self.hop_samples / self.sample_rate_hz

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], what: str = "mel settings") -> Self:
        """Build the specification from what `to_dict` returned.

        Raises:
            CorruptArtifact: the keys are not exactly the fields, or a value is not accepted.
        """
        try:
            return super().from_dict(values, what)
        except InvalidInput as error:
            raise CorruptArtifact(str(error)) from error

    def digest(self) -> str:
        """Return the digest of the settings."""
        return digest(self.to_dict())
