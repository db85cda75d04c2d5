"""Mel power <-> what is stored of it: 8-bit or 16-bit codes of log10 power, or the power itself.

Code 0 is exactly 0; the other codes are even steps of log10 power from `low_decades` to `high_decades`. With the
defaults a step is 0.0413 decades in 8 bits, so a decoded power is within 4.9 % of the encoded one inside the range, and
1.6e-4 decades in 16 bits, within 0.02 %.

The range: a full-scale square wave peaks near 10^4.25 in a mel bin; the rounding noise of 16-bit audio lies below
10^-7, and `log1p` sees nothing of powers under 10^-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores.errors import CorruptArtifact, InvalidInput

Codes = NDArray[Any]
"""Stored values: uint8 or uint16 codes, or float32 power."""
_DTYPES = {8: "uint8", 16: "uint16", 32: "float32"}
_KINDS = {8: "log10-uint8", 16: "log10-uint16", 32: "float32"}


@dataclass(frozen=True)
class Quantizer:
    """How mel power is stored."""

    low_decades: float = -6.0
    """log10 of the power of code 1."""
    high_decades: float = 4.5
    """log10 of the power of the last code; larger powers are clipped to it."""
    bits: int = 8
    """8 or 16: codes of log10 power; 32: float32 power as it is, and the range means nothing."""

    def __post_init__(self) -> None:
        if self.bits not in _DTYPES:
            raise InvalidInput(f"{self}: bits must be one of {sorted(_DTYPES)}")
        if not -30 < self.low_decades < self.high_decades < 30:
            raise InvalidInput(f"{self}: needs -30 < low_decades < high_decades < 30")

    @classmethod
    def of_dtype(cls, dtype: str) -> Quantizer:
        """The default quantiser that stores `uint8`, `uint16` or `float32`.

        Raises:
            InvalidInput: for any other type.
        """
        for bits, name in _DTYPES.items():
            if name == dtype:
                return cls(bits=bits)
        raise InvalidInput(f"dtype {dtype!r} cannot be stored; use one of {', '.join(_DTYPES.values())}")

    @property
    def dtype(self) -> str:
        """NumPy's name of the stored type."""
        return _DTYPES[self.bits]

    @property
    def largest_code(self) -> int:
        """The last code."""
        return (1 << self.bits) - 1

    @property
    def step_decades(self) -> float:
        """Distance of two codes in log10 power."""
        return (self.high_decades - self.low_decades) / (self.largest_code - 1)

    def encode(self, power: NDArray[np.float32]) -> Codes:
        """What is stored of non-negative `power`, any shape; powers more than half a step below the range become 0."""
        if self.bits == 32:
            return np.asarray(power, np.float32)
        with np.errstate(divide="ignore"):
            decades = np.log10(power)
        codes = np.rint((decades - np.float32(self.low_decades)) / np.float32(self.step_decades)) + 1
        clipped: Codes = np.clip(codes, 0, self.largest_code).astype(self.dtype)
        return clipped

    def decode(self, codes: Codes) -> NDArray[np.float32]:
        """Power of `codes`, any shape, float32."""
        if self.bits == 32:
            return np.asarray(codes, np.float32)
        return self.table()[codes]

    def table(self) -> NDArray[np.float32]:
        """Power of each code, float32 `[largest_code + 1]`, read-only.

        Raises:
            InvalidInput: if there are no codes.
        """
        if self.bits == 32:
            raise InvalidInput(f"{self} stores power itself, there is no table of codes")
        return _table(self)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        kind = {"kind": _KINDS[self.bits]}
        return kind if self.bits == 32 else {**kind, "low_decades": self.low_decades, "high_decades": self.high_decades}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Quantizer:
        """Rebuild from `to_dict`.

        Raises:
            CorruptArtifact: if it is not a quantiser of this version.
        """
        rest = dict(settings) if isinstance(settings, Mapping) else {}
        bits = {kind: bits for bits, kind in _KINDS.items()}.get(rest.pop("kind", None), 0)
        if not bits or set(rest) != (set() if bits == 32 else {"low_decades", "high_decades"}):
            raise CorruptArtifact(f"quantiser {settings!r} is unknown; this version reads {sorted(_KINDS.values())}")
        try:
            return cls(**rest, bits=bits)
        except TypeError as error:
            raise CorruptArtifact(f"quantiser {settings!r} cannot be used: {error}") from error


@cache
def _table(quantizer: Quantizer) -> NDArray[np.float32]:
    decades = quantizer.low_decades + quantizer.step_decades * np.arange(quantizer.largest_code, dtype=np.float64)
    table = np.concatenate([[0.0], 10.0**decades]).astype(np.float32)
    table.flags.writeable = False
    return table
