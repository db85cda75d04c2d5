"""The description of a graph, `model.json`: everything that a program in another language must know to use it.

    FOLDER/
      model.onnx     samples to embeddings and probabilities; its metadata hold the description under `myna`
      model.json     the description, with the digest of the graph and the result of its validation

Nothing here imports torch, so that a graph can be opened without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stores.commit import write_json
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.json_codec import JsonSettings, from_json, parse_json, read_json
from stores.mel_flags import ResamplerName

FORMAT = "myna-graph-1"
GRAPH, DESCRIPTION = "model.onnx", "model.json"
METADATA_KEY = "myna"
"""Key of the description among the metadata of the graph."""
MAX_BYTES = 4 << 20
"""Largest description that is read. That of a probe with 50 tags has about 5 kB."""
INPUT = "samples"
EMBEDDING, WINDOWS, PROBABILITIES, WINDOW_PROBABILITIES = "embedding", "windows", "outputs", "window_outputs"
TOP_LABEL = "top_label"
PERCENTILE, UNLIKE, WINDOW_PERCENTILES = "distance_percentile", "unlike_training", "window_distance_percentiles"


@dataclass(frozen=True, kw_only=True)
class GraphInput(JsonSettings):
    """The input of a graph."""

    name: str
    """Name of the input."""
    type: str
    """Type of its values."""
    shape: tuple[int | str, ...]
    """Its shape, where a name stands for any size."""
    sample_rate_hz: int
    """Sample rate. Other rates must be converted first."""
    channels: str
    """Number of channels, and how several become one."""
    full_scale: float
    """Value of full scale."""
    min_samples: int
    """Smallest number of samples."""
    resampler: ResamplerName
    """Resampler of the training data, which converts other rates."""


@dataclass(frozen=True, kw_only=True)
class GraphOutput(JsonSettings):
    """An output of a graph."""

    name: str
    """Name of the output."""
    shape: tuple[int | str, ...]
    """Its shape, where a name stands for any size."""
    meaning: str
    """Meaning of its values."""


@dataclass(frozen=True, kw_only=True)
class GraphWindows(JsonSettings):
    """The windows of a recording, which the graph cuts."""

    window_frames: int
    """Length of a window in frames of the mel."""
    hop_frames: int
    """Distance between the starts of two windows in frames."""
    window_seconds: float
    """Length of a window in seconds."""
    hop_seconds: float
    """Distance between the starts of two windows in seconds."""
    tail: str
    """right if a last window ends with the recording, drop if the frames after the last whole hop are left out."""
    pooling: str
    """How the embeddings of windows become one."""


@dataclass(frozen=True, kw_only=True)
class GraphProbe(JsonSettings):
    """The probe in a graph."""

    task: str
    """Name of the task."""
    kind: str
    """classes, key, tags or numbers."""
    labels: tuple[str, ...]
    """Names of the outputs, in their order."""
    aggregation: str
    """How the answer for a recording is made from its windows."""
    temperature: float
    """Temperature of the probabilities, which the graph has applied; 1 if the probe was not calibrated."""
    song_vote: str
    """Song-level aggregation of the probe: over the windows in the graph if it reads windows, else over several clips
    of a song, which is left to the program. Empty if there is none."""
    sha256: str
    """SHA-256 of the file of the probe."""
    pool: str = "mean"
    """mean if the probe reads the mean of the embeddings of the windows, none if it reads each window."""
    unlike_remark: str = ""
    """Words for a recording with `unlike_training`; empty if the probe cannot tell."""


@dataclass(frozen=True, kw_only=True)
class GraphDescription(JsonSettings):
    """The content of `model.json`."""

    format: str = FORMAT
    """Format of the description."""
    input: GraphInput
    """Input of the graph."""
    outputs: tuple[GraphOutput, ...]
    """Outputs of the graph, in order."""
    mel: dict[str, Any]
    """Specification of the mel, which is computed in the graph."""
    windows: GraphWindows
    """Windows, which are cut in the graph."""
    encoder: dict[str, Any]
    """Configuration of the encoder."""
    checkpoint: str
    """Name of the checkpoint."""
    weights: str
    """Digest of the weights of the encoder."""
    precision: str
    """fp32, or int8 for weights that are quantized."""
    probe: GraphProbe | None = None
    """Probe; None for a graph of embeddings alone."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the packages that made the graph."""
    license: str | None = None
    """License of the weights; None if it is unknown."""
    sha256: str = ""
    """SHA-256 of the graph. Empty in the metadata of the graph itself."""
    validation: dict[str, Any] = field(default_factory=dict)
    """Result of the comparison with eager in fp32. Empty in the metadata of the graph itself."""

    def write(self, folder: Path) -> None:
        """Write the description into the folder of its graph, atomically."""
        write_json(folder / DESCRIPTION, self.to_dict())

    @classmethod
    def read(cls, folder: Path) -> GraphDescription:
        """Return the description in a folder, whose graph must be the one that it describes.

        Raises:
            MissingArtifact: there is no graph.
            CorruptArtifact: the description is not one of this version.
            DigestMismatch: the graph is another one.
        """
        for name in (DESCRIPTION, GRAPH):
            if not (folder / name).is_file():
                raise MissingArtifact(
                    f"no {name} in {folder}; make a graph with `python -m model.export onnx --from samples`"
                )
        try:
            description = from_json(cls, read_json(folder / DESCRIPTION, MAX_BYTES), str(folder / DESCRIPTION))
        except (InvalidInput, OSError) as error:
            raise CorruptArtifact(f"{error}; export the graph again") from error
        if description.format != FORMAT:
            raise CorruptArtifact(f"{folder} has the format {description.format!r}; this version reads {FORMAT!r}")
        if (digest := file_sha256(folder / GRAPH)) != description.sha256:
            raise DigestMismatch(
                f"{folder / GRAPH} is not the graph that {DESCRIPTION} describes: its SHA-256 is {digest}, and "
                f"{description.sha256[:64]} is needed; copy both files of one export"
            )
        return description

    def require_metadata(self, entries: Mapping[str, str], folder: Path) -> None:
        """Check that the metadata of the graph say the same, which its digest protects.

        Args:
            entries: the metadata of the graph.
            folder: folder of the graph, for messages.

        Raises:
            CorruptArtifact: the graph has no description of this version.
            DigestMismatch: `model.json` says something else. The error names what.
        """
        try:
            stated = from_json(type(self), parse_json(entries[METADATA_KEY]), f"the metadata of {folder / GRAPH}")
        except (KeyError, ValueError, InvalidInput) as error:
            raise CorruptArtifact(f"{folder / GRAPH} lacks its description: {error}; export the graph again") from error
        if differing := [key for key, value in self.metadata().items() if stated.metadata()[key] != value]:
            raise DigestMismatch(
                f"{folder / DESCRIPTION} does not describe its graph: {', '.join(differing)} differ from the metadata "
                f"of {GRAPH}; copy both files of one export"
            )

    def metadata(self) -> Mapping[str, Any]:
        """Return what the metadata of the graph hold, without its digest and its validation."""
        return {key: value for key, value in self.to_dict().items() if key not in ("sha256", "validation")}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
