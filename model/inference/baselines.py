"""What a trained encoder has to beat: features that nobody had to learn.

untrained      the same encoder as it was initialised
mean-log-mel   mean over time of log1p of the mel power [128]
mean-chroma    mean chroma [12], from the audio itself
mfcc           mean and deviation over time of 20 cepstral coefficients, their first and second differences [120]
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.audio import source
from pipeline.audio.chroma import mean_chroma
from pipeline.audio.cut import cut
from pipeline.audio.decode import decode
from stores import manifest
from stores.errors import MissingArtifact
from stores.manifest import ClipRow
from stores.mel_store import MelStore

CEPSTRAL_COEFFICIENTS = 20
_LEAST_POWER = 1e-10  # -100 dB, as librosa cuts off what is near silence
_DYNAMIC_RANGE_DB = 80.0


def mfcc(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Mel-frequency cepstral coefficients of each clip, over time, `[clips, 120]`: JukeMIR's MFCC features.

    Davis and Mermelstein 1980: the orthonormal DCT-II of the mel power in decibels. As in librosa, decibels more than
    80 below the clip's loudest cell are raised to that.
    """
    found = [_cepstrum(store.clip(row.index)) for row in tqdm(rows, desc="mfcc", unit="clip")]
    return np.stack(found).astype(np.float32)


def _cepstrum(power: NDArray[np.float32]) -> NDArray[np.float64]:
    """Summary `[120]` of one clip's mel power `[128, frames]`; differences of a clip that is too short are zeros."""
    decibels = 10 * np.log10(np.maximum(power.astype(np.float64), _LEAST_POWER))
    decibels = np.maximum(decibels, decibels.max() - _DYNAMIC_RANGE_DB)
    cepstrum = scipy.fft.dct(decibels, axis=0, norm="ortho")[:CEPSTRAL_COEFFICIENTS]
    frames = cepstrum.shape[1]
    orders = [np.diff(cepstrum, n=order) if frames > order else np.zeros((len(cepstrum), 1)) for order in range(3)]
    return np.concatenate([summary(one, axis=1) for one in orders for summary in (np.mean, np.std)])


def mean_log_mel(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Mean over frames of log1p of mel power, `[clips, 128]`."""
    means = [np.log1p(store.clip(row.index)).mean(axis=1) for row in tqdm(rows, desc="mean log-mel", unit="clip")]
    return np.stack(means).astype(np.float32)


def mean_chroma_of_audio(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Mean chroma `[clips, 12]` of the recordings that the store was made from; decodes them again.

    Raises:
        MissingArtifact: if the audio is not where it was.
    """
    root, rate_hz = Path(store.attributes["root"]), store.spec.sample_rate_hz
    missing = next((row.source for row in rows if not (root / row.source).is_file()), None)
    if missing is not None:
        raise MissingArtifact(f"{root / missing} is not there any more; chroma needs the audio that was ingested")

    def one(clips: Sequence[ClipRow]) -> list[NDArray[np.float32]]:
        """Mean chroma `[12]` of each clip of one recording."""
        with source.opened(root / clips[0].source, clips[0].member) as path:
            samples = decode(path, rate_hz).samples
        parts = (cut(samples, rate_hz, row.cut_start_seconds, row.cut_seconds) for row in clips)
        return [mean_chroma(part, rate_hz) for part in parts]

    recordings = list(manifest.recordings(rows))
    with ThreadPoolExecutor() as pool:  # the work is in code that releases the GIL
        found = list(tqdm(pool.map(one, recordings), total=len(recordings), desc="mean chroma", unit="recording"))
    return np.stack([chroma for clips in found for chroma in clips])
