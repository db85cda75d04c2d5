"""Settings of an ingest. None of these imports Dask, so that `--help` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from tyro.conf import Positional

from pipeline.cluster.config import ClusterSettings
from stores.command_line import CheckedSettings, CommandSettings, shown

DatasetName = Literal["audioset", "gtzan", "magnatagatune", "giantsteps", "emomusic", "folder", "demo"]
StoredType = Literal["uint8", "uint16", "float32"]


@dataclass(frozen=True, kw_only=True)
class Limits(CheckedSettings):
    """What decoding one recording may cost."""

    max_seconds: Annotated[float, Gt(0)] = 3_600.0
    """Longest recording that is accepted, in seconds of audio."""
    decode_seconds: Annotated[float, Gt(0)] = 300.0
    """Longest time that decoding one recording may take, in seconds of wall clock."""


@dataclass(frozen=True, kw_only=True)
class AudiosetSettings(CheckedSettings):
    """Only for audioset."""

    segments: Annotated[tuple[Path, ...] | None, shown("PATH", "searched below --root")] = None
    """Official segment lists: CSV files, or the folder that holds them."""
    ontology: Annotated[Path | None, shown("FILE", "searched below --root")] = None
    """The file ontology.json of AudioSet."""
    subset: Literal["music", "all"] = "music"
    """Segments to read: those with a music label, or all of them."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(CheckedSettings):
    """Only for gtzan, magnatagatune, giantsteps, and emomusic."""

    splits: Annotated[Path | None, shown("FOLDER", "downloaded and checked by digest")] = None
    """Folder with the split files of JukeMIR."""


@dataclass(frozen=True, kw_only=True)
class FolderSettings(CheckedSettings):
    """Only for folder."""

    labels: Annotated[Path | None, shown("FILE", "no labels")] = None
    """CSV file with the columns path, split, and group. All other columns are labels."""


@dataclass(frozen=True, kw_only=True)
class DemoSettings(CheckedSettings):
    """Only for demo. The demo corpus is rendered below --root first."""

    clips: Annotated[int, Ge(1)] = 1200
    """Number of clips to render, 10 s each."""
    programs: tuple[Annotated[int, Ge(0), Le(127)], ...] = (0,)
    """General MIDI programs, 0 to 127. Program 0 is the piano."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the choice of pieces and excerpts."""


@dataclass(frozen=True, kw_only=True)
class IngestSettings(CommandSettings):
    """Decode audio files to a mel store. A command that was interrupted goes on where it stopped."""

    dataset: Positional[DatasetName]
    """What to read. The layouts that are understood are described in docs/datasets.md."""
    root: Annotated[Path | None, shown("FOLDER", "$MYNA_DATA/DATASET, or data/DATASET if MYNA_DATA is not set")] = None
    """Folder with the audio."""
    store: Annotated[Path | None, shown("STORE", "stores/DATASET.zarr")] = None
    """Mel store to create or to continue."""
    limit: Annotated[Annotated[int, Ge(1)] | None, shown("N", "all clips")] = None
    """Number of clips to read, from the first. A later run adds the rest."""
    dtype: StoredType = "uint8"
    """Stored values: 8-bit or 16-bit codes of log power, or power as float32."""
    retry_refused: bool = False
    """Retry rejected clips, for example after their files were fixed."""
    dry_run: bool = False
    """Print the plan and its resource estimate, then exit."""
    limits: Limits = field(default_factory=Limits)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    audioset: AudiosetSettings = field(default_factory=AudiosetSettings)
    benchmark: BenchmarkSettings = field(default_factory=BenchmarkSettings)
    folder: FolderSettings = field(default_factory=FolderSettings)
    demo: DemoSettings = field(default_factory=DemoSettings)
