"""Mel power <-> stored 8-bit codes.

Code 0 is exactly 0; codes 1 to 255 are even steps of log10 power from `low_decades` to `high_decades`. With the
defaults a step is 0.0413 decades, so a decoded power is within 4.9 % of the encoded one inside the range.

The range: a full-scale square wave peaks near 10^4.25 in a mel bin; the rounding noise of 16-bit audio lies below
10^-7, and `log1p` sees nothing of powers under 10^-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores.errors import CorruptArtefact, InvalidInput

LARGEST_CODE = 255


@dataclass(frozen=True)
class Quantizer:
    """uint8 of log10 power."""

    low_decades: float = -6.0
    """log10 of the power of code 1."""
    high_decades: float = 4.5
    """log10 of the power of code 255; larger powers are clipped to it."""

    def __post_init__(self) -> None:
        if not -30 < self.low_decades < self.high_decades < 30:
            raise InvalidInput(f"{self}: needs -30 < low_decades < high_decades < 30")

    @property
    def step_decades(self) -> float:
        """Distance of two codes in log10 power."""
        return (self.high_decades - self.low_decades) / (LARGEST_CODE - 1)

    def encode(self, power: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Codes of non-negative `power`, any shape; powers more than half a step below the range become 0."""
        with np.errstate(divide="ignore"):
            decades = np.log10(power)
        codes = np.rint((decades - np.float32(self.low_decades)) / np.float32(self.step_decades)) + 1
        clipped: NDArray[np.uint8] = np.clip(codes, 0, LARGEST_CODE).astype(np.uint8)
        return clipped

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Power of `codes`, any shape, float32."""
        return self.table()[codes]

    def table(self) -> NDArray[np.float32]:
        """Power of each of the 256 codes, float32 `[256]`, read-only."""
        return _table(self)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {"kind": "log10-uint8", **asdict(self)}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Quantizer:
        """Rebuild from `to_dict`.

        Raises:
            CorruptArtefact: if it is not a quantiser of this version.
        """
        rest = dict(settings) if isinstance(settings, Mapping) else {}
        if rest.pop("kind", None) != "log10-uint8" or set(rest) != {"low_decades", "high_decades"}:
            raise CorruptArtefact(f"quantiser {settings!r} is unknown; this version reads log10-uint8")
        try:
            return cls(**rest)
        except TypeError as error:
            raise CorruptArtefact(f"quantiser {settings!r} cannot be used: {error}") from error


@cache
def _table(quantizer: Quantizer) -> NDArray[np.float32]:
    decades = quantizer.low_decades + quantizer.step_decades * np.arange(LARGEST_CODE, dtype=np.float64)
    table = np.concatenate([[0.0], 10.0**decades]).astype(np.float32)
    table.flags.writeable = False
    return table
