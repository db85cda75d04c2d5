"""The table of the tokens of a window: the kind of patch, the span in time and the range of mel bins of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.encoder.config import EncoderConfig
from pipeline.audio.mel import filter_edges_hz
from stores.mel_spec import MelSpec


def token_table(config: EncoderConfig, spec: MelSpec) -> dict[str, list[Any]]:
    """Return one list for each of `stores.feature_axes.TOKEN_COLUMNS`, as JSON values.

    Tokens are numbered by rows of the mel and then by time, as patches are. Times are in seconds from the start of the
    window. A hybrid has its square and then its vertical patches.

    Args:
        config: configuration of the encoder, with the length of its windows.
        spec: specification of the mel.
    """
    edges_hz, columns = filter_edges_hz(spec), list[dict[str, list[Any]]]()
    for kind, (mels, frames) in config.patch_shapes.items():
        low, start = np.mgrid[0 : config.n_mels : mels, 0 : config.window_frames : frames].reshape(2, -1)
        columns.append(
            {
                "patches": [kind] * len(low),
                "start_seconds": (start * spec.seconds_for(1)).tolist(),
                "end_seconds": ((start + frames) * spec.seconds_for(1)).tolist(),
                "low_mel": low.tolist(),
                "high_mel": (low + mels).tolist(),
                "low_hz": edges_hz[low].round(3).tolist(),
                "high_hz": edges_hz[low + mels + 1].round(3).tolist(),
            }
        )
    return {name: [value for table in columns for value in table[name]] for name in columns[0]}
