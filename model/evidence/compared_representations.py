"""The representations that the comparison knows: encoders, and baselines computed from the mel or the audio.

mean-log-mel            mean over time of log1p of the mel power [n_mels]
log-mel                 mean and standard deviation over time of log1p of the mel power [2 * n_mels]
log-mel-standardized    the same, each value standardized over the passages that are compared
log-mel-whitened        the same, projected on its principal components and scaled to unit variance [32]
mfcc, mfcc-standardized the features of JukeMIR [120], see `model.inference.baselines`
mean-chroma             mean chroma [12]

Standardization and whitening are fitted to the compared recordings themselves, without their labels. This favors the
baselines, because the encoders have seen none of these recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from model.inference.baselines import mean_chroma_of_audio, mean_log_mel, mfcc
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.extraction import Extraction, ExtractionConfig
from model.inference.representation import FeatureFunction
from model.inference.windows import Windowing
from stores.manifest import ClipRow
from stores.mel_store import MelStore

WHITENED_COMPONENTS = 32
"""Number of principal components of log-mel-whitened."""
Transform = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class ComparedRepresentation:
    """Features of the passages, and the transform that is fitted to them."""

    compute: Callable[[MelStore], NDArray[np.float32]]
    """Function from a view of passages to features `[passages, D]`."""
    fit: Callable[[NDArray[np.float32]], Transform] | None = None
    """Function from the features of the passages to a transform of these and other features (default: no transform)."""


def baselines() -> Mapping[str, ComparedRepresentation]:
    """Return the baselines by name."""
    log_mel, cepstrum = _of_rows(mean_and_deviation_log_mel), _of_rows(mfcc)
    return {
        "mean-log-mel": ComparedRepresentation(_of_rows(mean_log_mel)),
        "log-mel": ComparedRepresentation(log_mel),
        "log-mel-standardized": ComparedRepresentation(log_mel, _standardization),
        "log-mel-whitened": ComparedRepresentation(log_mel, _whitening),
        "mfcc": ComparedRepresentation(cepstrum),
        "mfcc-standardized": ComparedRepresentation(cepstrum, _standardization),
        "mean-chroma": ComparedRepresentation(_of_rows(mean_chroma_of_audio)),
    }


def of_encoder(loaded: LoadedCheckpoint) -> ComparedRepresentation:
    """Return the embeddings of an encoder: the mean over the windows of a passage, without a transform."""

    def embed(store: MelStore) -> NDArray[np.float32]:
        """Return the embeddings `[passages, D]` of the clips of a store."""
        windowing = Windowing(window_frames=loaded.encoder.config.window_frames)
        engine, _ = ExtractionConfig(engine="eager", windowing=windowing).open_engine(loaded, store.quantizer)
        [embeddings] = Extraction(engine, windowing).compute_parts(store, [list(store.rows)])
        return embeddings

    return ComparedRepresentation(embed)


def of_encoder_with_deviation(loaded: LoadedCheckpoint) -> ComparedRepresentation:
    """Return mean and standard deviation over all tokens of the windows of a passage, without a transform.

    Instruments and production show in the deviation too, as the baseline `log-mel` shows for the mel itself.
    """

    def embed(store: MelStore) -> NDArray[np.float32]:
        """Return features `[passages, 2 * D]` of the clips of a store."""
        windowing = Windowing(window_frames=loaded.encoder.config.window_frames, pool="tokens")
        engine, _ = ExtractionConfig(engine="eager", windowing=windowing).open_engine(loaded, store.quantizer)
        parts = Extraction(engine, windowing).compute_parts(store, [[row] for row in store.rows])
        return np.stack([np.concatenate([tokens.mean((0, 1)), tokens.std((0, 1))]) for tokens in parts])

    return ComparedRepresentation(embed)


def mean_and_deviation_log_mel(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
    """Return mean and standard deviation over frames of log1p of mel power, `[clips, D]` with D of 2 * n_mels."""
    mels = (np.log1p(store.clip(row.index)) for row in rows)
    return np.stack([np.concatenate([mel.mean(axis=1), mel.std(axis=1)]) for mel in mels]).astype(np.float32)


def _of_rows(function: FeatureFunction) -> Callable[[MelStore], NDArray[np.float32]]:
    return lambda store: function(store, list(store.rows))


def _standardization(features: NDArray[np.float32]) -> Transform:
    return _as_float32(StandardScaler().fit(features).transform)


def _whitening(features: NDArray[np.float32]) -> Transform:
    components = min(WHITENED_COMPONENTS, len(features) - 1, features.shape[1])
    return _as_float32(PCA(components, whiten=True, svd_solver="full").fit(features).transform)


def _as_float32(function: Callable[[NDArray[np.float32]], NDArray[np.float64]]) -> Transform:
    return lambda features: np.asarray(function(features), np.float32)
