"""Baseline features that need no training, which a trained encoder is compared with.

mean-log-mel   mean over time of log1p of the mel power [n_mels]
mean-chroma    mean chroma [12], computed from the audio
mfcc           mean and standard deviation over time of 20 cepstral coefficients and of their first and second
               differences [120]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from model.inference.window_reader import read_clips
from pipeline.audio import source
from pipeline.audio.chroma import mean_chroma
from pipeline.audio.cut import cut
from pipeline.audio.decode import decode
from pipeline.audio.remote import audio_path
from stores import manifest, mapped_array
from stores.errors import MissingArtifact
from stores.manifest import ClipRow
from stores.mel_flags import resampler_name
from stores.mel_store import MelStore
from stores.progress import Progress

CEPSTRAL_COEFFICIENTS = 20
_MIN_POWER = 1e-10  # -100 dB, the limit that librosa uses for near silence
_DYNAMIC_RANGE_DB = 80.0


def mfcc(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Return the MFCC features of JukeMIR `[clips, 120]`: statistics over time of cepstral coefficients.

    The coefficients are the orthonormal DCT-II of the mel power in decibels (Davis and Mermelstein 1980). As in
    librosa, decibels that lie more than 80 below the loudest cell of the clip are raised to that level. Mels with fewer
    bins than coefficients give as many coefficients as bins.
    """
    return np.stack([_summarize_cepstrum(power).astype(np.float32) for power in _powers(store, rows, "mfcc")])


def _summarize_cepstrum(power: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the features `[120]` of mel power `[n_mels, frames]`; differences of a clip that is too short are zero."""
    decibels = 10 * np.log10(np.maximum(power.astype(np.float64), _MIN_POWER))
    decibels = np.maximum(decibels, decibels.max() - _DYNAMIC_RANGE_DB)
    cepstrum = scipy.fft.dct(decibels, axis=0, norm="ortho")[:CEPSTRAL_COEFFICIENTS]
    frames = cepstrum.shape[1]
    differences = [np.diff(cepstrum, n=order) if frames > order else np.zeros((len(cepstrum), 1)) for order in range(3)]
    return np.concatenate([statistic(values, axis=1) for values in differences for statistic in (np.mean, np.std)])


def mean_log_mel(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Return the mean over frames of log1p of mel power, `[clips, n_mels]`."""
    means: NDArray[np.float32] = mapped_array.empty((len(rows), store.spec.n_mels))
    for place, power in enumerate(_powers(store, rows, "mean log-mel")):
        means[place] = np.log1p(power).mean(axis=1)
    return means


def _powers(store: MelStore, rows: Sequence[ClipRow], name: str) -> Iterator[NDArray[np.float32]]:
    """Yield the mel power `[n_mels, frames]` of each clip, with a progress bar."""
    with Progress(total=len(rows), desc=name, unit="clip") as bar:
        for _, codes in read_clips(store, rows):
            yield store.quantizer.decode(codes)
            bar.update(1)


def mean_chroma_of_audio(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Return the mean chroma `[clips, 12]` of the store's recordings, which are decoded again.

    Raises:
        MissingArtifact: a recording is not at the path from which it was ingested.
    """
    root, rate_hz = audio_path(store.attributes["root"]), store.spec.sample_rate_hz
    resampler = resampler_name(store.attributes["preprocessing"])
    missing = next((row.source for row in rows if not (root / row.source).is_file()), None)
    if missing is not None:
        raise MissingArtifact(
            f"{root / missing} does not exist; chroma needs the audio that was ingested, so restore it"
        )

    def chroma_of_recording(clips: Sequence[ClipRow]) -> list[NDArray[np.float32]]:
        """Return the mean chroma `[12]` of each clip of one recording."""
        with source.open_audio(root / clips[0].source, clips[0].member) as path:
            samples = {
                semitones: decode(path, rate_hz, resampler=resampler, semitones=semitones).samples
                for semitones in {row.semitones for row in clips}
            }
        excerpts = (cut(samples[row.semitones], rate_hz, row.cut_start_seconds, row.cut_seconds) for row in clips)
        return [mean_chroma(excerpt, rate_hz) for excerpt in excerpts]

    recordings = list(manifest.group_by_recording(rows))
    with ThreadPoolExecutor() as pool:  # the libraries that do the work release the GIL
        results = pool.map(chroma_of_recording, recordings)
        chromas = list(Progress(results, total=len(recordings), desc="mean chroma", unit="recording"))
    return np.stack([chroma for clips in chromas for chroma in clips])
