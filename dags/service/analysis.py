"""The answer for an upload: its embedding, the answers of probes with times, and its neighbors in a collection.

Axes: W window, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dags.service.catalog import Catalog
from dags.service.isolated_decoder import DecodedUpload
from model.encoder import weights
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.extraction import mean_over_windows
from model.inference.myna import Myna
from model.inference.windows import Windowing
from model.probes.probe import Probe
from model.probes.recording_answer import ProbeAnswer, answer
from model.similarity.query import mean_direction


@dataclass(frozen=True)
class ServedProbe:
    """A probe with the windows that it reads."""

    path: Path
    """File of the probe."""
    probe: Probe
    """The probe."""
    windowing: Windowing
    """Windows that it was trained on."""
    sha256: str
    """SHA-256 of the file."""

    @property
    def name(self) -> str:
        """Dataset and task, by which its answer is listed."""
        dataset = str(self.probe.metadata.get("dataset", ""))[:100]
        return f"{dataset}/{self.probe.metadata['task']}" if dataset else str(self.probe.metadata["task"])


@dataclass(frozen=True)
class Analysis:
    """The encoder, the probes and the collection of a service. One thread at a time uses them."""

    loaded: LoadedCheckpoint
    """The encoder with its name and its mel."""
    myna: Myna
    """The encoder with an engine."""
    windowing: Windowing
    """Windows of the embedding of an answer, which are those of the collection if there is one."""
    compat: str | None
    """`public` if the collection follows the rule of the public code, else None."""
    probes: Sequence[ServedProbe] = ()
    """The probes, each with another name."""
    catalog: Catalog | None = None
    """Collection with neighbors; None if there is none, or another encoder made it."""
    weights: str = field(default="")
    """Digest of the weights of the encoder."""

    @classmethod
    def of(
        cls,
        loaded: LoadedCheckpoint,
        myna: Myna,
        windowing: Windowing,
        compat: str | None,
        probes: Sequence[ServedProbe],
        catalog: Catalog | None,
    ) -> Analysis:
        """Return the analysis, with the digest of the encoder."""
        return cls(loaded, myna, windowing, compat, probes, catalog, weights.digest(myna.encoder))

    @property
    def rate_hz(self) -> int:
        """Sample rate of the mel in Hz."""
        return self.myna.mel_spec.sample_rate_hz

    def answer(self, upload: DecodedUpload, neighbors: int, with_windows: bool) -> dict[str, Any]:
        """Return what is known of an upload, as JSON values.

        Args:
            upload: the samples.
            neighbors: number of neighbors.
            with_windows: add the embedding and the answers of each window.

        Raises:
            DecodeError: the recording is too short, silent in a way that cannot be embedded, or out of scale.
            Failure: the collection has changed.
        """
        embeddings: dict[Windowing, NDArray[np.float32]] = {}

        def embed(windowing: Windowing) -> NDArray[np.float32]:
            """Return the embeddings of the windows, which are computed once."""
            if windowing not in embeddings:
                embeddings[windowing] = self._embed(upload.samples, windowing)
            return embeddings[windowing]

        windows = embed(self.windowing)
        return {
            "seconds": round(len(upload.samples) / self.rate_hz, 3),
            "source": {"rate_hz": upload.source_rate_hz, "channels": upload.source_channels, "decoder": upload.decoder},
            "warnings": list(upload.warnings),
            "embedding": mean_over_windows(windows, [len(windows)])[0].tolist(),
            **({"windows": self._windows(upload, self.windowing, windows)} if with_windows else {}),
            "labels": {
                served.name: self._labels(served, upload, embed(served.windowing), with_windows)
                for served in self.probes
            },
            "neighbors": self._neighbors(windows, neighbors),
        }

    def _embed(self, samples: NDArray[np.float32], windowing: Windowing) -> NDArray[np.float32]:
        return self.myna.embed(
            samples,
            self.rate_hz,
            hop_frames=windowing.hop_frames,
            tail=windowing.tail,
            pool="none",
            window_frames=windowing.window_frames,
            compat=self.compat,
        )

    def _neighbors(self, windows: NDArray[np.float32], count: int) -> list[dict[str, Any]] | None:
        if self.catalog is None:
            return None
        rows = windows if self.catalog.collection.has_windows else mean_over_windows(windows, [len(windows)])
        return self.catalog.neighbors(mean_direction(rows), count)

    def _windows(
        self, upload: DecodedUpload, windowing: Windowing, windows: NDArray[np.float32]
    ) -> list[dict[str, Any]]:
        times = self._times(len(upload.samples), windowing)
        return [{**time, "embedding": row.tolist()} for time, row in zip(times, windows, strict=True)]

    def _labels(
        self, served: ServedProbe, upload: DecodedUpload, windows: NDArray[np.float32], with_windows: bool
    ) -> dict[str, Any]:
        whole, per_window = answer(served.probe, windows)
        if not with_windows:
            return {"kind": served.probe.metadata["kind"], **whole.to_dict()}
        times = self._times(len(upload.samples), served.windowing)
        rows = [_with_time(time, one) for time, one in zip(times, per_window, strict=True)]
        return {"kind": served.probe.metadata["kind"], **whole.to_dict(), "windows": rows}

    def _times(self, samples: int, windowing: Windowing) -> list[dict[str, float]]:
        """Return the start and the end of each window in seconds. A window ends with the recording at the latest."""
        spec, length = self.myna.mel_spec, samples / self.rate_hz
        window_seconds = spec.seconds_for(windowing.window_frames)
        starts = [spec.seconds_for(start) for start in windowing.starts(spec.frames_for(samples))]
        return [
            {"start_seconds": round(start, 3), "end_seconds": round(min(start + window_seconds, length), 3)}
            for start in starts
        ]


def _with_time(time: Mapping[str, float], row: ProbeAnswer) -> dict[str, Any]:
    return {**time, **row.to_dict()}
