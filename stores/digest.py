"""Digests of settings and of stored codes. Two artifacts with the same digest of settings may be mixed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput
from stores.mel_flags import describe_differences, ingest_flags
from stores.quantize import Quantizer


def diff_settings(
    previous: Mapping[str, Any],
    current: Mapping[str, Any],
    names: tuple[str, str] = ("the artifact", "the current data"),
) -> list[str]:
    """Return one line for each setting in which two mels differ, where both have the same mel specification.

    A current quantizer that is finer is not reported, because its values lie closer to the same power.

    Args:
        previous: `mel_spec`, `quantizer` and `preprocessing` of the mel that an artifact was made with. It is empty if
            they are unknown, and then no difference is reported.
        current: the same settings of the current mel.
        names: names of the artifact and of the current data in the error.

    Raises:
        DigestMismatch: the mel specifications differ, so the two mels must never be mixed. The error states the flags
            of `pipeline.ingest` that give the mels that the artifact was made with.
    """
    if previous and previous["mel_spec"] != current["mel_spec"]:
        raise DigestMismatch(
            f"{names[0]} was made with another mel than {names[1]} "
            f"({describe_differences(previous['mel_spec'], current['mel_spec'])}), and mels are never mixed; ingest "
            f"the recordings again, into another --store, with {' '.join(ingest_flags(previous['mel_spec']))}"
        )
    differing = [
        key
        for key in previous
        if previous[key] != current[key] and not (key == "quantizer" and _is_finer(previous[key], current[key]))
    ]
    return [f"{key}: made with {_format(previous[key])}, now {_format(current[key])}" for key in differing]


def _is_finer(previous_settings: Any, current_settings: Any) -> bool:
    """Return whether the current quantizer has more bits, and either the same range or no range (float32)."""
    try:
        previous, current = Quantizer.from_dict(previous_settings), Quantizer.from_dict(current_settings)
    except (CorruptArtifact, InvalidInput):
        return False
    same_range = (previous.low_decades, previous.high_decades) == (current.low_decades, current.high_decades)
    return current.bits > previous.bits and (same_range or current.bits == 32)


def _format(setting: Any) -> str:
    """Return a setting as text, such as `log10-uint8, low_decades -6.0`, with commas between the items of a list."""
    if isinstance(setting, Mapping):
        items = setting.items()
        return ", ".join(_format(value) if key == "kind" else f"{key} {_format(value)}" for key, value in items)
    return ", ".join(map(_format, setting)) if isinstance(setting, list | tuple) else str(setting)


def digest(settings: Mapping[str, Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of `settings` as canonical JSON (sorted keys, no spaces).

    Raises:
        TypeError: a value is not JSON.
    """
    return hashlib.sha256(_canonical(settings)).hexdigest()[:16]


def digest_with_clips(settings: Mapping[str, Any], batches: Iterable[Sequence[Any]]) -> str:
    """Return `digest({"clips": [all clips of all batches], "settings": settings})`, with one batch in memory at a time.

    Raises:
        TypeError: a value is not JSON.
    """
    hasher, separator = hashlib.sha256(b'{"clips":['), b""
    for batch in batches:
        if batch:
            hasher.update(separator + _canonical(batch)[1:-1])
            separator = b","
    hasher.update(b'],"settings":' + _canonical(settings) + b"}")
    return hasher.hexdigest()[:16]


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def codes_digest(codes: NDArray[Any]) -> str:
    """Return the BLAKE2b-128 of the codes of a clip `[n_mels, frames]`, one mel bin after another, in hex."""
    return hashlib.blake2b(np.ascontiguousarray(codes).data, digest_size=16).hexdigest()
