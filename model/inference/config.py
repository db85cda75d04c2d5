"""Settings of the commands `model.extract` and `model.export`. Nothing here imports torch, so that `--help` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge
from tyro.conf import Positional

from model.encoder.config import InputScale
from model.inference.layers import parse_layer
from pipeline.cluster.config import OptionalClusterSettings
from stores.command_line import CheckedSettings, CommandSettings, shown
from stores.errors import InvalidInput

EngineName = Literal["eager", "compiled", "onnx", "tensorrt", "tensorrt-rtx"]
EnginePrecision = Literal["auto", "fp32", "bf16"]
Tail = Literal["right", "drop"]
Pool = Literal["mean", "none", "tokens"]
PatchChoice = Literal["auto", "square", "vertical", "hybrid"]
TableKind = Literal["parquet", "csv", "npz"]
EngineInput = Literal["power", "codes"]


@dataclass(frozen=True, kw_only=True)
class WindowSettings(CheckedSettings):
    """Windows, usually of 96 frames (3.07 s at the default mel).

    A clip that is shorter than a window is padded with silence and marked.
    """

    window_frames: Annotated[Annotated[int, Ge(1)] | None, shown("N", "the windows of the encoder")] = None
    """Length of a window in frames, a multiple of the frames of a patch: 16, or 2 for vertical patches alone."""
    window_samples: Annotated[Annotated[int, Ge(1)] | None, shown("N", "the windows of the encoder")] = None
    """Length of a window in samples, as in the public code: 50000 gives 96 frames, or 98 for vertical patches."""
    hop: Annotated[Annotated[int, Ge(1)] | None, shown("N", "the length of a window")] = None
    """Distance between the starts of two windows, in frames (32 ms each at the default mel)."""
    tail: Tail = "right"
    """Frames after the last whole hop: right adds a window that ends with the clip, drop leaves them out."""
    pool: Pool = "mean"
    """Rows of features: mean writes one row for each clip, none writes one row for each window, and tokens writes one
    row for each window that keeps its tokens apart, only with the engine eager."""
    compat: Annotated[Literal["public"] | None, shown("{public}", "none")] = None
    """public follows the rule of the public code: mels that were resampled as torchaudio does, whole windows one after
    another, and no embedding for a recording that is shorter than a window."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window_frames is not None and self.window_samples is not None:
            raise InvalidInput(
                "--window-frames and --window-samples both state the length of a window; use one of them"
            )
        if self.compat is not None and self.hop is not None:
            raise InvalidInput("--compat public places windows one after another; leave out --hop")


@dataclass(frozen=True, kw_only=True)
class EngineChoice(CheckedSettings):
    """Inference engine, which computes the embeddings.

    model.export makes all engines except eager. tensorrt and tensorrt-rtx have not been executed yet.
    """

    engine: EngineName | Literal["auto"] = "eager"
    """Name of the engine. auto selects compiled, onnx or eager, whichever suits the machine and was exported."""
    precision: EnginePrecision = "auto"
    """Precision of matrix products: auto is bf16 where that is faster, otherwise fp32."""
    layer: Annotated[str | None, shown("{N,N-M,mean,all}", "the embedding after the last block")] = None
    """Block after which the tokens are averaged, counted from 1; a range such as 3-8, or mean for all blocks, averages
    the embeddings of several blocks; all keeps those of every block. Only for the engine eager."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_layer(self.layer)


@dataclass(frozen=True, kw_only=True)
class PublishedSettings(CheckedSettings):
    """Settings that a published .pth file does not contain."""

    patches: PatchChoice = "auto"
    """Kind of patches; auto reads it from the checkpoint or its file name. For a hybrid, one kind can be selected."""
    input_scale: Annotated[InputScale | None, shown("{power,log1p,log1p1000,log}", "power")] = None
    """Function that was applied to the mel power in training."""


@dataclass(frozen=True, kw_only=True)
class ExtractSettings(CommandSettings):
    """Embed the clips of a mel store with an encoder, and write the embeddings to a feature store.

    A command that was interrupted continues where it stopped.
    """

    dataset: Annotated[Positional[str], shown("DATASET")]
    """Mel store: its name under stores/, for example demo or gtzan, or its path."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the only finished run, or the encoder that ships")] = None
    """Checkpoint or run: the path of a file or a folder, or the name of a run."""
    out: Annotated[Path | None, shown("STORE", "stores/DATASET.RUN.features.zarr")] = None
    """Feature store to write."""
    to: Annotated[TableKind | None, shown("{parquet,csv,npz}", "no file")] = None
    """Format of a single file that is written beside the feature store with the same content."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    windows: WindowSettings = field(default_factory=WindowSettings)
    engine: EngineChoice = field(default_factory=EngineChoice)
    cluster: OptionalClusterSettings = field(default_factory=OptionalClusterSettings)
    published: PublishedSettings = field(default_factory=PublishedSettings)


@dataclass(frozen=True, kw_only=True)
class ModelsSettings(CommandSettings):
    """List the published models that every --checkpoint accepts by name, and which of them are on this disk."""

    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True, kw_only=True)
class ExportSettings(CommandSettings):
    """Convert an encoder to the files of an inference engine, or to a folder for the Hugging Face hub.

    An engine is compared with the engine eager in a new process, and is published only if it is as accurate. The
    engines tensorrt and tensorrt-rtx have not been executed yet. The last line that is printed is JSON, and with
    --json nothing else is printed on standard output.
    """

    what: Positional[Literal["compiled", "onnx", "tensorrt", "tensorrt-rtx", "hub", "check"]]
    """Engine to make; or hub, for a folder in the hub's layout; or check, to compare an existing engine with eager."""
    checkpoint: Annotated[
        str | None,
        shown("CHECKPOINT", "the encoder of the only finished run; for check, the checkpoint beside --out"),
    ] = None
    """Checkpoint or run: the path of a file or a folder, or the name of a run."""
    out: Annotated[Path | None, shown("FOLDER", "CHECKPOINT.engines/WHAT-PRECISION; required for hub and check")] = None
    """Folder to write, or for check the folder of the engine."""
    store: Annotated[str | None, shown("STORE", "synthesized music")] = None
    """Mel store with the music of the comparison, as a path or as a name under stores/."""
    precision: EnginePrecision = "auto"
    """Precision of matrix products: auto is bf16 where that is faster, otherwise fp32."""
    input: Annotated[EngineInput | None, shown("{power,codes}", "codes for tensorrt, otherwise power")] = None
    """Input of the engine: mel power, or the stored codes of --store."""
    window_frames: Annotated[Annotated[int, Ge(1)] | None, shown("N", "the windows of the encoder")] = None
    """Length of a window in frames, a multiple of the frames of a patch: 16, or 2 for vertical patches alone."""
    from_: Annotated[Literal["mel", "samples"], shown("{mel,samples}", "mel", "from")] = "mel"
    """Start of an ONNX graph: mel is an engine of this project, and samples is a graph from mono samples to embeddings,
    with its description in model.json, for programs without this package."""
    with_probe: Annotated[Path | None, shown("FILE", "none")] = None
    """File of a probe whose probabilities a graph from samples computes too."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    int8: bool = False
    """Quantize the weights of the encoder in a graph from samples."""
    largest: Annotated[int, Ge(1)] = 1024
    """Maximum batch of the engine, in windows."""
    usual: Annotated[int, Ge(1)] = 64
    """Batch for which kernels are chosen, in windows. It is more than 1 and less than --largest."""
    published: PublishedSettings = field(default_factory=PublishedSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.from_ == "samples" and (self.what != "onnx" or self.input or self.precision == "bf16"):
            raise InvalidInput("--from samples makes a graph of onnx in fp32; use `model.export onnx` without --input")
        if self.from_ == "mel" and (self.with_probe or self.int8):
            raise InvalidInput("--with-probe and --int8 belong to graphs from samples; add --from samples")
