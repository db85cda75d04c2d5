"""The check that a probe reads the embeddings of an encoder, before it is applied to new recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from model.inference.checkpoints import LoadedCheckpoint
from model.inference.encoder_representation import EncoderRepresentation
from model.inference.extraction import ExtractionConfig
from model.inference.windows import Windowing
from model.probes.feature_match import require_match
from model.probes.probe import Probe
from stores.errors import InvalidInput


def features_of(probe: Probe | None) -> dict[str, Any]:
    """Return the provenance of the features that a probe was trained on; empty without a probe."""
    return dict(probe.metadata["features"]) if probe else {}


def window_frames_of(probe: Probe | None) -> int | None:
    """Return the length of the windows that a probe was trained on, or None if it states none."""
    window = features_of(probe).get("window_frames")
    return window if type(window) is int and window > 0 else None


def windowing_of(probe: Probe | None, window_frames: int) -> Windowing:
    """Return the windows that a probe was trained on, as far as it states them.

    Args:
        probe: a probe, or None for the default windows.
        window_frames: length of the windows of the encoder.

    Raises:
        InvalidInput: the probe states impossible windows, or features of another kind than means and windows.
    """
    features = features_of(probe)
    windowing = Windowing(window_frames=window_frames).with_window_of(features)
    pool = features.get("pool", "mean")
    if pool not in ("mean", "none"):
        raise InvalidInput(f"the probe reads features with --pool {str(pool)[:20]}, and only mean and none are served")
    return replace(windowing, pool=pool)


def require_probe_of(loaded: LoadedCheckpoint, windowing: Windowing, probe: Probe, path: Path) -> None:
    """Check that a probe was trained on the embeddings that an encoder computes with these windows.

    Args:
        loaded: the encoder, with the windows of the probe.
        windowing: windows of the embeddings.
        probe: the probe.
        path: its file, for messages.

    Raises:
        DigestMismatch: it was trained on others. The message names each difference.
        InvalidInput: it does not state its encoder, or reads another width.
    """
    features = features_of(probe)
    if "weights" not in features:
        raise InvalidInput(
            f"{path} was not trained on embeddings of an encoder of this project, which are computed here; choose a "
            "probe that `model.probe` has written for the representation `trained`"
        )
    representation = EncoderRepresentation.of(loaded, ExtractionConfig(windowing=windowing))
    stated = {**representation.settings, "engine": {"layer": None}, "mel": {"mel_spec": loaded.mel_spec.to_dict()}}
    require_match({**stated, "representation": representation.name}, features, loaded.path)
    width, (_, stop) = loaded.encoder.config.embedding_width, probe.metadata["columns"]
    if stop > width:
        raise InvalidInput(f"{path} reads {stop} numbers, and the encoder's embeddings have {width}")
