"""What a trained encoder has to beat: features that nobody had to learn.

untrained      the same encoder as it was initialised
mean-log-mel   mean over time of log1p of the mel power [128]
mean-chroma    mean chroma [12], from the audio itself
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.audio.chroma import mean_chroma
from pipeline.audio.decode import decode
from stores.errors import MissingArtefact
from stores.manifest import ClipRow
from stores.mel_store import MelStore


def mean_log_mel(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Mean over frames of log1p of mel power, `[clips, 128]`."""
    table = np.log1p(store.quantizer.table())
    means = [table[store.codes(row.index)].mean(axis=1) for row in tqdm(rows, desc="mean log-mel", unit="clip")]
    return np.stack(means).astype(np.float32)


def mean_chroma_of_audio(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Mean chroma `[clips, 12]` of the recordings that the store was made from; decodes them again.

    Raises:
        MissingArtefact: if the audio is not where it was.
    """
    root = Path(store.attributes["root"])
    missing = next((row.source for row in rows if not (root / row.source).is_file()), None)
    if missing is not None:
        raise MissingArtefact(f"{root / missing} is not there any more; chroma needs the audio that was ingested")

    def one(row: ClipRow) -> NDArray[np.float32]:
        return mean_chroma(decode(root / row.source, store.spec.sample_rate_hz).samples, store.spec.sample_rate_hz)

    with ThreadPoolExecutor() as pool:  # the work is in ffmpeg's processes and in code that releases the GIL
        return np.stack(list(tqdm(pool.map(one, rows), total=len(rows), desc="mean chroma", unit="clip")))
