"""Settings of an ingest. None of these imports Dask, so that `--help` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from tyro.conf import Positional, UseAppendAction

from pipeline.cluster.config import ClusterSettings
from stores.command_line import CheckedSettings, CommandSettings, shown
from stores.errors import InvalidInput
from stores.mel_flags import DEFAULT_RESAMPLER, ResamplerName

DatasetName = Literal[
    "audioset",
    "gtzan",
    "magnatagatune",
    "giantsteps",
    "giantsteps_key",
    "giantsteps_mtg",
    "emomusic",
    "mtg_jamendo",
    "fma",
    "mirdata",
    "folder",
    "demo",
]
StoredType = Literal["uint8", "uint16", "float32"]


@dataclass(frozen=True, kw_only=True)
class Limits(CheckedSettings):
    """Limits of time and memory for decoding one recording."""

    max_seconds: Annotated[float, Gt(0)] = 86_400.0
    """Longest recording that is accepted, in seconds of audio."""
    decode_seconds: Annotated[float, Gt(0)] = 300.0
    """Longest time that decoding one recording may take, in seconds of wall clock."""


@dataclass(frozen=True, kw_only=True)
class MelSettings(CheckedSettings):
    """Mel spectrogram. The defaults are those of the paper. A store has one mel, and mels are never mixed.

    Raises:
        InvalidInput: a value is out of its range, or two values contradict each other.
    """

    n_fft_samples: Annotated[int, Ge(2), Le(65_536)] = 2048
    """Length of the window and of the FFT, in samples. It must be even."""
    hop_samples: Annotated[int, Ge(1)] = 512
    """Distance between two frames, in samples."""
    n_mels: Annotated[int, Ge(1), Le(4096)] = 128
    """Number of mel bins."""
    fmin_hz: Annotated[float, Ge(0)] = 0.0
    """Lower edge of the first mel bin, in Hz."""
    fmax_hz: Annotated[float, Gt(0)] = 8_000.0
    """Upper edge of the last mel bin, in Hz, at most half of --sample-rate-hz."""
    sample_rate_hz: Annotated[int, Ge(1_000), Le(384_000)] = 16_000
    """Sample rate to which recordings are converted, in Hz."""
    resampler: ResamplerName = DEFAULT_RESAMPLER
    """Conversion of the sample rate: soxr HQ, or torchaudio's Resample with its defaults, which the published models
    were trained with."""
    compat: Annotated[Literal["public"] | None, shown("{public}", "none")] = None
    """public makes the mels of the public code: the default mel with the resampler torchaudio."""

    @property
    def resampler_name(self) -> ResamplerName:
        """Name of the resampler, which `compat` decides before `resampler`."""
        return "torchaudio" if self.compat else self.resampler

    def __post_init__(self) -> None:
        super().__post_init__()
        others = [field for field in fields(self) if field.name not in ("compat", "resampler")]
        if self.compat is not None and any(getattr(self, field.name) != field.default for field in others):
            raise InvalidInput("--compat public uses the default mel; leave out the other flags of the mel")
        if self.n_fft_samples % 2:
            raise InvalidInput(f"--n-fft-samples must be even (got {self.n_fft_samples})")
        if self.fmin_hz >= self.fmax_hz:
            raise InvalidInput(f"--fmin-hz must be less than --fmax-hz {self.fmax_hz:g} (got {self.fmin_hz:g})")
        if self.fmax_hz > self.sample_rate_hz / 2:
            raise InvalidInput(
                f"--fmax-hz must be at most {self.sample_rate_hz / 2:g}, which is half of --sample-rate-hz "
                f"{self.sample_rate_hz} (got {self.fmax_hz:g})"
            )


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
class BenchmarkSetSettings(CheckedSettings):
    """Only for gtzan, magnatagatune, giantsteps, and emomusic."""

    splits: Annotated[Path | None, shown("FOLDER", "downloaded and checked by digest")] = None
    """Folder with the split files of JukeMIR."""


@dataclass(frozen=True, kw_only=True)
class FolderSettings(CheckedSettings):
    """Only for folder."""

    labels: Annotated[Path | None, shown("FILE", "no labels")] = None
    """CSV file with the columns path, split, and group. All other columns are labels."""
    id_column: Annotated[str, shown("NAME", "the first column of unique ids")] = ""
    """Column of ids in Parquet files of audio, as the Hugging Face hub stores them."""


@dataclass(frozen=True, kw_only=True)
class MetadataSettings(CheckedSettings):
    """Only for mtg_jamendo, fma, giantsteps_key, and giantsteps_mtg."""

    metadata: Annotated[Path | None, shown("FOLDER", "searched below --root")] = None
    """Folder with the published tables: the splits of MTG-Jamendo, tracks.csv of FMA, or a clone of GiantSteps or
    GiantSteps-MTG."""
    split_number: Annotated[int, Ge(0), Le(4)] = 0
    """Number of the split of MTG-Jamendo."""


@dataclass(frozen=True, kw_only=True)
class MirdataSettings(CheckedSettings):
    """Only for mirdata."""

    dataset: Annotated[str, shown("NAME", "none")] = ""
    """Name of the dataset in mirdata, for example giantsteps_key. The store and the default folder share its name."""


@dataclass(frozen=True, kw_only=True)
class DemoCorpusSettings(CheckedSettings):
    """Only for demo. The demo corpus is rendered below --root first."""

    clips: Annotated[int, Ge(1)] = 1200
    """Number of clips to render, 10 s each."""
    programs: Literal["any"] | tuple[Annotated[int, Ge(0), Le(127)], ...] = (0,)
    """General MIDI programs, 0 to 127. Program 0 is the piano. any draws a performance for each clip: programs, a
    soundfont, a tempo, a level, and mostly a room or noise."""
    soundfont: Annotated[UseAppendAction[tuple[Path, ...]], shown("FILE", "TimGM6mb.sf2 of pretty_midi")] = ()
    """SF2 file with the sounds. It can be repeated with --programs any, which draws one for each clip."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the choice of pieces and excerpts."""
    as_written: bool = False
    """Render one clip of each piece, in the key in which it is written, and not all twelve transpositions."""


@dataclass(frozen=True, kw_only=True)
class IngestSettings(CommandSettings):
    """Decode audio files to a mel store. A command that was interrupted goes on where it stopped."""

    dataset: Positional[DatasetName]
    """Dataset to read. The supported layouts are described in docs/datasets.md."""
    root: Annotated[str | None, shown("FOLDER", "$MYNA_DATA/DATASET, or data/DATASET if MYNA_DATA is not set")] = None
    """Folder with the audio, or its URL on remote storage, for example s3://BUCKET/FOLDER."""
    store: Annotated[str | None, shown("STORE", "stores/DATASET.zarr")] = None
    """Mel store to create or to continue. With a URL, such as s3://BUCKET/NAME.zarr, the ingest writes stores/NAME.zarr
    first and then copies it to the URL."""
    limit: Annotated[Annotated[int, Ge(1)] | None, shown("N", "all clips")] = None
    """Number of clips to read, from the first. A later run adds the rest."""
    transpose: Annotated[int, Ge(1), Le(12), shown("N")] = 1
    """Number of transpositions of each training recording. 12 adds eleven copies of each, from 5 semitones down to
    6 up, with the same group and split. Labels of keys move along."""
    transpose_all: bool = False
    """Transpose the recordings of all splits, as model.predict --average-transpositions needs them."""
    dtype: StoredType = "uint8"
    """Stored values: 8-bit or 16-bit codes of log power, or power as float32."""
    retry_refused: bool = False
    """Retry rejected clips, for example after their files were fixed."""
    prune: bool = False
    """Remove clips that are no longer listed from the store. The other clips are numbered again, so that shards and
    features are made again."""
    dry_run: bool = False
    """Print the plan and its resource estimate, then exit."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    mel: MelSettings = field(default_factory=MelSettings)
    limits: Limits = field(default_factory=Limits)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    audioset: AudiosetSettings = field(default_factory=AudiosetSettings)
    benchmark: BenchmarkSetSettings = field(default_factory=BenchmarkSetSettings)
    metadata: MetadataSettings = field(default_factory=MetadataSettings)
    mirdata: MirdataSettings = field(default_factory=MirdataSettings)
    folder: FolderSettings = field(default_factory=FolderSettings)
    demo: DemoCorpusSettings = field(default_factory=DemoCorpusSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.transpose_all and self.transpose == 1:
            raise InvalidInput("--transpose-all needs --transpose N with the number of transpositions, for example 12")
        if (self.dataset == "mirdata") != bool(self.mirdata.dataset):
            raise InvalidInput(
                f"the dataset mirdata needs --dataset with one of mirdata's names, for example giantsteps_key, and no "
                f"other dataset accepts --dataset (got {self.dataset!r} and --dataset {self.mirdata.dataset!r})"
            )

    @property
    def collection(self) -> str:
        """Name of the collection in default paths and in the store: the dataset, or its name in mirdata."""
        return self.mirdata.dataset or self.dataset
