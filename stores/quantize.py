"""Quantization of mel power to 8-bit or 16-bit codes of log10 power, or storage of the power itself.

Code 0 stands for exactly 0. The other codes are even steps of log10 power from `low_decades` to `high_decades`. With
the default range, a step of 8 bits is 0.0413 decades, so a decoded power is within 4.9 % of the encoded power. With 16
bits, a step is 1.6e-4 decades, and a decoded power is within 0.02 %.

The range follows from these numbers: a full-scale square wave peaks near 10^4.25 in a mel bin, the rounding noise of
16-bit audio lies below 10^-7, and powers under 10^-4 have almost no effect on `log1p`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stores.errors import CorruptArtifact, InvalidInput

Codes = NDArray[Any]
"""Stored values: uint8 or uint16 codes, or float32 power."""


class CodeSlices(Protocol):
    """Codes that need not be in memory as a whole, such as those of a long clip. An array has these members as well."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of mel bins and of frames."""

    def __getitem__(self, key: tuple[slice, slice], /) -> Codes:
        """Return the codes `[n_mels, stop - start]` of `codes[:, start:stop]`."""


_DTYPES = {8: "uint8", 16: "uint16", 32: "float32"}
_KINDS = {8: "log10-uint8", 16: "log10-uint16", 32: "float32"}


@dataclass(frozen=True)
class Quantizer:
    """The mapping between mel power and stored codes."""

    low_decades: float = -6.0
    """log10 of the power of code 1."""
    high_decades: float = 4.5
    """log10 of the power of the last code, to which larger powers are clipped."""
    bits: int = 8
    """Bits per value: 8 or 16 for codes of log10 power, or 32 for float32 power, where the range has no effect."""

    def __post_init__(self) -> None:
        if self.bits not in _DTYPES:
            raise InvalidInput(f"{self}: bits must be one of {sorted(_DTYPES)}")
        if not -30 < self.low_decades < self.high_decades < 30:
            raise InvalidInput(f"{self}: -30 < low_decades < high_decades < 30 must hold")

    @classmethod
    def from_dtype(cls, dtype: str) -> Quantizer:
        """Return the quantizer with the default range that stores `uint8`, `uint16` or `float32`.

        Raises:
            InvalidInput: for any other type.
        """
        for bits, name in _DTYPES.items():
            if name == dtype:
                return cls(bits=bits)
        raise InvalidInput(f"dtype {dtype!r} cannot be stored; use one of {', '.join(_DTYPES.values())}")

    @property
    def dtype(self) -> str:
        """NumPy name of the stored type."""
        return _DTYPES[self.bits]

    @property
    def max_code(self) -> int:
        """Largest code."""
        return (1 << self.bits) - 1

    @property
    def step_decades(self) -> float:
        """Distance between two codes in log10 power."""
        return (self.high_decades - self.low_decades) / (self.max_code - 1)

    def encode(self, power: NDArray[np.float32]) -> Codes:
        """Return the stored values of non-negative `power`, any shape.

        Powers more than half a step below the range become 0.
        """
        if self.bits == 32:
            return np.asarray(power, np.float32)
        with np.errstate(divide="ignore"):
            decades = np.log10(power)
        codes = np.rint((decades - np.float32(self.low_decades)) / np.float32(self.step_decades)) + 1
        clipped: Codes = np.clip(codes, 0, self.max_code).astype(self.dtype)
        return clipped

    def decode(self, codes: Codes) -> NDArray[np.float32]:
        """Return the power of `codes` as float32, any shape."""
        if self.bits == 32:
            return np.asarray(codes, np.float32)
        return self.table()[codes]

    def table(self) -> NDArray[np.float32]:
        """Return the power of each code as a read-only float32 array `[max_code + 1]`.

        Raises:
            InvalidInput: the quantizer stores float32 power and has no codes.
        """
        if self.bits == 32:
            raise InvalidInput(f"{self} stores float32 power and has no table of codes")
        return _table(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        kind = {"kind": _KINDS[self.bits]}
        return kind if self.bits == 32 else {**kind, "low_decades": self.low_decades, "high_decades": self.high_decades}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Quantizer:
        """Build the quantizer from the result of `to_dict`.

        Raises:
            CorruptArtifact: `settings` do not describe a quantizer of this version.
        """
        rest = dict(settings) if isinstance(settings, Mapping) else {}
        bits = {kind: bits for bits, kind in _KINDS.items()}.get(rest.pop("kind", None), 0)
        if not bits or set(rest) != (set() if bits == 32 else {"low_decades", "high_decades"}):
            raise CorruptArtifact(f"quantizer {settings!r} is unknown; this version supports {sorted(_KINDS.values())}")
        try:
            return cls(**rest, bits=bits)
        except TypeError as error:
            raise CorruptArtifact(f"quantizer {settings!r} cannot be used: {error}") from error


@cache
def _table(quantizer: Quantizer) -> NDArray[np.float32]:
    decades = quantizer.low_decades + quantizer.step_decades * np.arange(quantizer.max_code, dtype=np.float64)
    table = np.concatenate([[0.0], 10.0**decades]).astype(np.float32)
    table.flags.writeable = False
    return table
