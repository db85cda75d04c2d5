"""Settings of the workflows. None of this imports Dask or torch, so that `--help` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Gt, Le
from tyro.conf import Positional, UseAppendAction

from model.inference.config import EngineChoice, PublishedSettings, WindowSettings
from model.probes.config import GridName
from pipeline.cluster.config import OptionalClusterSettings
from pipeline.ingestion.config import Limits, StoredType
from stores.command_line import CommandSettings, shown
from stores.key_names import KeyFormat

BenchmarkName = Literal["magnatagatune", "gtzan", "giantsteps", "emomusic"]
"""Benchmark sets of the paper, in its order."""
BENCHMARKS: tuple[BenchmarkName, ...] = get_args(BenchmarkName)


@dataclass(frozen=True, kw_only=True)
class WorkflowSettings(CommandSettings):
    """The settings that every workflow has."""

    draw: bool = False
    """Print the graph of the workflow as a Mermaid flow chart and exit."""
    json: bool = False
    """Print one JSON object on standard output, with the objects of all steps, and all else on standard error."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(WorkflowSettings):
    """Score an encoder on the benchmark sets: ingest, extract, and probe each set, then compare and make a page."""

    datasets: Positional[tuple[BenchmarkName, ...]] = BENCHMARKS
    """Benchmark sets."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the only finished run, or the encoder that ships")] = None
    """Checkpoint or run."""
    grid: GridName = "full"
    """Probes to try: the 216 of the paper, or 6 of them."""
    splits: Annotated[Path | None, shown("FOLDER", "downloaded and checked by digest")] = None
    """Folder with the split files of JukeMIR."""
    root: Annotated[Path | None, shown("FOLDER", "$MYNA_DATA, or data if MYNA_DATA is not set")] = None
    """Folder that holds the audio of each set in a folder of its name."""
    features: Annotated[Path | None, shown("FOLDER", "none")] = None
    """Folder with embeddings of other models, which are scored as well: DATASET.MODEL.npz or DATASET.MODEL.parquet."""


@dataclass(frozen=True, kw_only=True)
class DemoSettings(WorkflowSettings):
    """Run everything on the demo corpus: render music, train a tiny encoder, probe it, and make a page of scores."""

    clips: Annotated[int, Ge(1)] = 1200
    """Size of the corpus, in clips of 10 s."""
    train_steps: Annotated[int, Ge(1)] = 300
    """Training steps."""
    batch: Annotated[int, Ge(2)] = 512
    """Clips in a training step."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the training run."""
    name: Annotated[str, shown("NAME")] = ""
    """Name of the run. If it is empty, demo-tiny-SEED. Other settings need another name."""
    grid: GridName = "quick"
    """Probes to try: 6 of the paper's grid, or all 216."""


@dataclass(frozen=True, kw_only=True)
class EmbedSettings(WorkflowSettings):
    """Embed a folder of audio files into one file: a Parquet or CSV table, or an npz file of NumPy arrays.

    The mel spectrograms and features in between are kept in .OUT.work beside --out until the file is written, so that
    an interrupted command continues where it stopped.
    """

    folder: Annotated[Positional[Path], shown("FOLDER")]
    """Folder with the audio files."""
    out: Annotated[Path, shown("FILE")]
    """File to write: NAME.parquet, NAME.csv or NAME.npz."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the only finished run, or the encoder that ships")] = None
    """Checkpoint or run: the path of a file or a folder, or the name of a run."""
    dtype: StoredType = "float32"
    """Stored values of the mel in between. float32 is exact and takes 57.6 MB for each hour before compression."""
    workers: Annotated[Annotated[int, Ge(1)] | None, shown("N", "one for each core")] = None
    """Processes that decode."""
    labels: Annotated[Path | None, shown("FILE", "no labels")] = None
    """CSV file with the columns path, split, and group. All other columns are labels, which become columns of --out."""
    limits: Limits = field(default_factory=Limits)
    windows: WindowSettings = field(default_factory=WindowSettings)
    engine: EngineChoice = field(default_factory=EngineChoice)
    published: PublishedSettings = field(default_factory=PublishedSettings)


@dataclass(frozen=True, kw_only=True)
class DoctorSettings(CommandSettings):
    """Print versions, devices, decoders, disk use, and what is missing for which command."""

    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True, kw_only=True)
class KeySettings(WorkflowSettings):
    """Write a table with the musical key of every recording of a folder, and how probable it is.

    Everything in between is kept in .OUT.work beside --out until the table is written, so that an interrupted command
    continues where it stopped.
    """

    folder: Annotated[Positional[Path], shown("FOLDER")]
    """Folder with the audio files."""
    probe: Annotated[Path, shown("FILE")]
    """Probe of keys that model.probe has written, or a published key head, .pth."""
    out: Annotated[Path, shown("FILE")] = Path("keys.csv")
    """Table to write, .csv or .parquet, with the columns path, key and probability."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the only finished run, or the encoder that ships")] = None
    """Checkpoint or run whose embeddings the probe reads: the path of a file or a folder, or the name of a run."""
    key_format: KeyFormat = "flats"
    """Spelling of the keys: Db minor, C# minor, C#m, 12A, or 5m."""
    average_transpositions: bool = False
    """Average over twelve transpositions of each recording, which takes twelve times as long."""
    pool: Annotated[Literal["mean", "none"], shown("{mean,none}")] = "mean"
    """Features as the probe was trained on: mean of the windows of a recording, or none for each window."""
    window_frames: Annotated[Annotated[int, Ge(1)] | None, shown("N", "the windows of the encoder")] = None
    """Length of a window in frames."""
    hop: Annotated[Annotated[int, Ge(1)] | None, shown("N", "the length of a window")] = None
    """Distance between the starts of two windows, in frames."""
    workers: Annotated[Annotated[int, Ge(1)] | None, shown("N", "one for each core")] = None
    """Processes that decode."""


@dataclass(frozen=True, kw_only=True)
class TrainKeySettings(WorkflowSettings):
    """Train a probe of musical keys with a wide head and transposed copies, and score each step of this recipe.

    giantsteps trains on GiantSteps-MTG, and tests on GiantSteps. demo trains and tests on the demo corpus. A linear
    probe is scored first, and every step has a paired interval of its lead over it.
    """

    data: Positional[Literal["giantsteps", "demo"]]
    """Recordings to train and to test on."""
    root: Annotated[Path | None, shown("FOLDER", "$MYNA_DATA, or data if MYNA_DATA is not set")] = None
    """Folder that holds the clones of both repositories with their audio as giantsteps_mtg and giantsteps_key, or the
    demo corpus as demo."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the only finished run, or the encoder that ships")] = None
    """Checkpoint or run: the path of a file or a folder, or the name of a run."""
    head: Annotated[str, shown("WIDTHS")] = "2048"
    """Hidden layers of the wide head, for example 2048 or 4096,4096."""
    clips: Annotated[int, Ge(1)] = 1200
    """Size of the demo corpus, in pieces of 10 s, each of which is rendered as written and then transposed."""
    out: Annotated[Path | None, shown("FILE", "reports/keys-DATA.json")] = None
    """JSON file for the scores."""
    workers: Annotated[Annotated[int, Ge(1)] | None, shown("N", "one for each core")] = None
    """Processes that decode."""


@dataclass(frozen=True, kw_only=True)
class ExploreSettings(WorkflowSettings):
    """Show a folder of music on one page: a map, sound, neighbors and near-duplicates, without labels or training.

    Everything is kept in stores/ and reports/. Started again, it takes only files that are new or have changed.
    """

    folder: Annotated[Positional[Path], shown("FOLDER")]
    """Folder with the audio files."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the only finished run, or the encoder that ships")] = None
    """Checkpoint or run: a path, the name of a run, or a published model such as myna-hybrid."""
    labels: Annotated[Path | None, shown("FILE", "no labels")] = None
    """CSV file with the column path. Other columns are labels, which color the map and are scored. Columns split and
    group are optional."""
    split: Annotated[str, shown("TRAIN/VALID/TEST")] = "60/10/30"
    """Percent of the files in each split, if --labels has no splits. Albums, artists or folders stay whole."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of these splits."""
    audio: Annotated[int, Ge(0)] = 200
    """Number of recordings with sound on the page, 40 kB each."""
    name: Annotated[str, shown("NAME")] = ""
    """Name of the results. If it is empty, that of the folder."""
    workers: Annotated[Annotated[int, Ge(1)] | None, shown("N", "one for each core")] = None
    """Processes that decode."""


@dataclass(frozen=True, kw_only=True)
class EvidenceSettings(WorkflowSettings):
    """Train an encoder on free recordings from Debian's packages, or compare encoders on packages never trained on."""

    study: Positional[Literal["train", "choice", "judge", "ship"]]
    """train trains the encoder that ships, on the packages for training and choices. choice and judge compare encoders
    and baselines on the packages for choices, and on the packages that judge. ship writes the folder of the encoder,
    with the scores of judge on its card."""
    root: Annotated[Path | None, shown("FOLDER", "$MYNA_DATA/open_music, or data/open_music")] = None
    """Folder for the packages and their recordings. Packages that are not there are downloaded by apt-get."""
    checkpoint: Annotated[tuple[str, ...], shown("CHECKPOINT", "the run --name")] = ()
    """Encoders to compare: checkpoints or runs. Differences are those of the first one to all others."""
    soundfont: Annotated[Path | None, shown("FILE", "no rendered clips are compared")] = None
    """SF2 file of General MIDI instruments. choice and judge then also compare linear probes of key and genre on clips
    that it renders, which needs `myna[demo]`."""
    rendered_clips: Annotated[int, Ge(1)] = 1_200
    """Number of rendered clips of 10 s, one of each piece."""
    name: Annotated[str, shown("NAME")] = "myna-tiny-open"
    """Name of the run that is trained."""
    train_steps: Annotated[int, Ge(1)] = 6000
    """Training steps."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the training run."""
    out: Annotated[Path | None, shown("PATH", "reports/evidence-STUDY.json, or the folder in the package")] = None
    """JSON file for the scores with intervals and paired differences, or folder for the encoder of the study ship."""


@dataclass(frozen=True, kw_only=True)
class FindingsSettings(WorkflowSettings):
    """Train small encoders in many ways on the demo corpus, and see which findings of the paper hold for them.

    Each configuration is trained with each seed, and its probes of key and genre are scored on soundfonts that no
    encoder has heard. Every finished run is one JSON file, so the study continues where it was stopped.
    """

    soundfont: Annotated[UseAppendAction[tuple[Path, ...]], shown("FILE", "TimGM6mb.sf2 of pretty_midi")] = ()
    """SF2 file for the clips that encoders are trained on. It can be repeated."""
    test_soundfont: Annotated[Path, shown("FILE")] = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
    """SF2 file for the clips of the probes. Debian's package fluid-soundfont-gm has the default one."""
    root: Annotated[Path | None, shown("FOLDER", "$MYNA_DATA/demo, or data/demo if MYNA_DATA is not set")] = None
    """Folder for the rendered clips."""
    clips: Annotated[int, Ge(1)] = 2_400
    """Size of the corpus for training, in clips of 10 s. The corpus for the probes has half as many clips, one of each
    piece."""
    clips_seen: Annotated[int, Ge(1)] = 38_400
    """Clips that a run sees, counted once per step."""
    seeds: Annotated[int, Ge(1)] = 3
    """Seeds of each configuration: 0, 1, and so on."""
    minutes: Annotated[Annotated[float, Gt(0)] | None, shown("MINUTES", "no limit")] = None
    """Time after which no further run is started."""
    out: Annotated[Path | None, shown("FOLDER", "reports/findings")] = None
    """Folder for a JSON file of each run, the page (findings.html), the table (findings.md) and the figure of the
    masking ratio (masking.png)."""


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(WorkflowSettings):
    """Train an encoder on a collection of recordings: ingest, shard, train."""

    dataset: Annotated[Positional[str], shown("DATASET")] = "audioset"
    """Collection that pipeline.ingest reads."""


@dataclass(frozen=True, kw_only=True)
class ServeSettings(CommandSettings):
    """Answer requests over HTTP: embeddings, labels and neighbors of uploads, and similar tracks of a collection.

    It needs the extra `serve`. The page at its address describes the interface.
    """

    embeddings: Annotated[str | None, shown("EMBEDDINGS", "no neighbors")] = None
    """Collection to search: a feature store, .parquet or .npz file, or the name of a dataset under stores/."""
    probe: Annotated[UseAppendAction[tuple[Path, ...]], shown("FILE", "no labels")] = ()
    """Probe that model.probe has written, whose answers uploads get. It can be repeated."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the encoder of the collection, or the usual one")] = None
    """Checkpoint or run that embeds uploads. Its digest must be that of the collection and of the probes."""
    tracks: Annotated[Path | None, shown("FILE", "ids and labels of the collection")] = None
    """CSV file with the columns path and item_id, and optionally title, author, album and album_artist: the tracks as a
    music server knows them."""
    host: Annotated[str, shown("ADDRESS")] = "127.0.0.1"
    """Address to listen on. Other machines can ask only if it is another one than the default."""
    port: Annotated[int, Ge(0), Le(65_535)] = 8000
    """Port to listen on. 0 takes a free one."""
    token: Annotated[Path | None, shown("FILE", "no token")] = None
    """File with a token, at least 16 characters, that every request must state in the header Authorization."""
    allow_host: Annotated[UseAppendAction[tuple[str, ...]], shown("NAME", "IP addresses and localhost")] = ()
    """Further name by which the service may be asked. It can be repeated."""
    allow_origin: Annotated[UseAppendAction[tuple[str, ...]], shown("ORIGIN", "none")] = ()
    """Origin whose pages may ask, for example https://music.example. It can be repeated."""
    max_megabytes: Annotated[float, Gt(0), Le(10_000)] = 200.0
    """Largest upload, in megabytes."""
    max_seconds: Annotated[float, Gt(0), Le(86_400)] = 1_800.0
    """Longest recording, in seconds of audio."""
    upload_seconds: Annotated[float, Gt(0)] = 60.0
    """Longest time in which an upload must arrive, in seconds."""
    decode_seconds: Annotated[float, Gt(0)] = 60.0
    """Longest time that decoding an upload may take, in seconds."""
    workers: Annotated[Annotated[int, Ge(1)] | None, shown("N", "one for each core")] = None
    """Uploads that are decoded at the same time."""
    queue: Annotated[int, Ge(0)] = 32
    """Further uploads that may wait. One more is answered with 503."""


@dataclass(frozen=True, kw_only=True)
class SweepSettings(WorkflowSettings):
    """Train and probe runs that differ in one setting. Every run sees the same number of clips."""

    store: Annotated[str, shown("STORE")]
    """Mel store to train on, as a path or as a name under stores/."""
    over: Annotated[tuple[str, ...], shown("FLAG VALUE")]
    """Flag of model.train, followed by its values, for example: --over masking-ratio 0.5 0.75 0.9."""
    probe: Annotated[tuple[str, ...] | None, shown("DATASET", "the dataset of the store")] = None
    """Datasets to probe."""
    name: Annotated[str | None, shown("NAME", "STORE-FLAG")] = None
    """Name of the sweep. Its runs are called NAME-VALUE."""
    cluster: OptionalClusterSettings = field(default_factory=OptionalClusterSettings)
