"""What a mel spectrogram is, in numbers: the settings that change its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from stores.digest import digest
from stores.errors import CorruptArtifact, InvalidInput


@dataclass(frozen=True)
class MelSpec:
    """Power mel spectrogram as `nnAudio.features.MelSpectrogram` defines it; the defaults are the paper's.

    Centred frames with reflected edges, periodic Hann window, Slaney mel scale, filters normalised by their width.
    """

    sample_rate_hz: int = 16_000
    """Rate of the mono samples that go in."""
    n_fft: int = 2048
    """Window length and FFT length, samples."""
    hop_samples: int = 512
    """Distance of two frames, samples (32 ms at 16 kHz)."""
    n_mels: int = 128
    """Mel bins."""
    fmin_hz: float = 0.0
    """Lower edge of the first filter."""
    fmax_hz: float = 8_000.0
    """Upper edge of the last filter, at most half the sample rate."""

    def __post_init__(self) -> None:
        if min(self.sample_rate_hz, self.n_fft, self.hop_samples, self.n_mels) <= 0:
            raise InvalidInput(f"{self}: sample rate, n_fft, hop and n_mels must be positive")
        if self.n_fft % 2:
            raise InvalidInput(f"{self}: n_fft must be even, or centred frames are one fewer than one per hop")
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise InvalidInput(f"{self}: needs 0 <= fmin_hz < fmax_hz <= {self.sample_rate_hz / 2} (half the rate)")

    @property
    def min_samples(self) -> int:
        """Fewest samples that reflection can pad: one more than half a window."""
        return self.n_fft // 2 + 1

    def frames_for(self, samples: int) -> int:
        """Frames that `samples` samples give: one per hop, and one more (centred)."""
        return 1 + samples // self.hop_samples

    def seconds_for(self, frames: int) -> float:
        """Seconds that `frames` frames span."""
        return frames * self.hop_samples / self.sample_rate_hz

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> MelSpec:
        """Rebuild from `to_dict`.

        Raises:
            CorruptArtifact: if the keys are not exactly the fields, or a value is no number.
        """
        needed = {field.name for field in fields(cls)}
        if not isinstance(settings, Mapping) or set(settings) != needed:
            raise CorruptArtifact(f"mel settings {settings!r} are not those of this version, {sorted(needed)}")
        try:
            return cls(**settings)
        except TypeError as error:
            raise CorruptArtifact(f"mel settings {dict(settings)!r} cannot be used: {error}") from error

    def digest(self) -> str:
        """Fingerprint of the settings."""
        return digest(self.to_dict())
