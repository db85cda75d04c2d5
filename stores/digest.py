"""Digests of settings: two artefacts with the same digest may be mixed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput
from stores.quantize import Quantizer


def diff_settings(made: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between the mel that something was made with and the mel at hand, a line each, all but the spec.

    A finer quantiser is no difference to tell: what lies closer to the same power is no other mel.

    Args:
        made: `mel_spec`, `quantizer`, `preprocessing` of then; empty where that is unknown, which differs in nothing.
        here: the same of now.

    Raises:
        DigestMismatch: the two are mels of different definitions, which must never be mixed.
    """
    if made and made["mel_spec"] != here["mel_spec"]:
        raise DigestMismatch(
            f"it was made with mel {made['mel_spec']}, here is {here['mel_spec']}; ingest the recordings again as then"
        )
    differing = [key for key in made if made[key] != here[key] and not (key == "quantizer" and _is_finer(made, here))]
    return [f"{key}: then {_told(made[key])}, now {_told(here[key])}" for key in differing]


def _is_finer(made: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether the mel at hand lies at least as close to the power that was measured, over the same range or all."""
    try:
        then, now = Quantizer.from_dict(made["quantizer"]), Quantizer.from_dict(here["quantizer"])
    except (CorruptArtifact, InvalidInput):
        return False
    same_range = (then.low_decades, then.high_decades) == (now.low_decades, now.high_decades)
    return now.bits > then.bits and (same_range or now.bits == 32)


def _told(value: Any) -> str:
    """A setting in words: `log10-uint8, low_decades -6.0`; lists with commas."""
    if isinstance(value, Mapping):
        return ", ".join(_told(one) if key == "kind" else f"{key} {_told(one)}" for key, one in value.items())
    return ", ".join(map(_told, value)) if isinstance(value, list | tuple) else str(value)


def digest(settings: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of `settings` as canonical JSON (sorted keys, no spaces).

    Raises:
        TypeError: if a value is not JSON.
    """
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def codes_digest(codes: NDArray[Any]) -> str:
    """BLAKE2b-128 of the codes of a clip `[128, frames]`, mel after mel, hex."""
    return hashlib.blake2b(np.ascontiguousarray(codes).data, digest_size=16).hexdigest()
