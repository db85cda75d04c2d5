"""The comparison of the features that a probe is applied to with those that it was trained on.

A probe reads the numbers of one representation. Applied to those of another layer, of other weights or of other
windows, it answers without an error, and its answers mean nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.inference.representations import BASELINES
from stores.errors import DigestMismatch

_WINDOWING = ("pool", "window_frames", "hop_frames", "tail")


def require_match(provenance: Mapping[str, Any], expected: Mapping[str, Any], path: Path) -> None:
    """Check that features come from the same encoder, layer, windows and mel as those that a probe was trained on.

    The digest of the weights decides about the encoder, whatever its file is called. Features that do not say how they
    were made are accepted with a note. Another quantizer or another decoder is only noted.

    Args:
        provenance: provenance of the features.
        expected: provenance of the features that the probe was trained on.
        path: path of the features, for messages.

    Raises:
        DigestMismatch: they differ. The message names each difference with both values.
    """
    stated, needed = _decisive_settings(provenance), _decisive_settings(expected)
    shared = [key for key in needed if key in stated]
    if "weights" in shared:
        shared = [key for key in shared if key != "encoder"]
    if not shared:
        print(f"note: {path} does not say how its embeddings were made; they are used without a check", file=sys.stderr)
    if differing := [key for key in shared if stated[key] != needed[key]]:
        values = "; ".join(f"{key}: {_short(stated[key])}, the probe needs {_short(needed[key])}" for key in differing)
        raise DigestMismatch(
            f"{path} was made with another {' and '.join(differing)} than the features that the probe was trained on "
            f"({values}); extract features as for the probe, or train a probe on these features"
        )
    for key in ("quantizer", "preprocessing"):
        if (before := _mel(expected).get(key)) != (after := _mel(provenance).get(key)) and before and after:
            print(f"note: {path} was made from mels with another {key} than the probe's", file=sys.stderr)


def _decisive_settings(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide the meaning of the numbers, as far as they are stated."""
    settings = {key: provenance[key] for key in ("encoder", "weights", *_WINDOWING) if key in provenance}
    if isinstance(name := provenance.get("representation"), str):
        settings["representation"] = name if name in BASELINES and "weights" not in provenance else "an encoder"
    engine = provenance.get("engine")
    if isinstance(engine, Mapping) and "layer" in engine:
        settings["layer"] = engine["layer"] or "the last"
    if (patches := _patches(provenance.get("encoder"))) is not None:
        settings["patches"] = patches
    if "mel_spec" in (mel := _mel(provenance)):
        settings["mel"] = mel["mel_spec"]
    return settings


def _mel(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    mel = provenance.get("mel")
    return mel if isinstance(mel, Mapping) else {}


def _patches(origin: object) -> object:
    """Return the kind of patches in the origin of an encoder, the outermost one, or None if it is not stated."""
    if not isinstance(origin, Mapping):
        return None
    if "patches" in origin:
        return origin["patches"]
    return next((patches for value in origin.values() if (patches := _patches(value)) is not None), None)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
