"""Encoders for windows of another length. No weight depends on the length, because positions are a formula."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from model.encoder.published import build_encoder
from model.encoder.vit import Encoder


def resize_window(encoder: Encoder, window_frames: int) -> Encoder:
    """Return an encoder with the same weights for windows of `window_frames` frames, or `encoder` if it has them.

    Raises:
        InvalidInput: the window does not divide into patches, or has too many of them.
    """
    if window_frames == encoder.config.window_frames:
        return encoder
    config = replace(encoder.config, window_frames=window_frames)
    device = next(encoder.parameters()).device
    return build_encoder(config, encoder.state_dict(), Path(config.name)).to(device)
