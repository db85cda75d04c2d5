"""A model that embeds audio files and samples by a graph of `model.export onnx --from samples`, without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.inference.pretrained import Pretrained
from model.inference.samples import require_rate, resample, to_mono
from model.inference.samples_graph.description import (
    DESCRIPTION,
    EMBEDDING,
    GRAPH,
    INPUT,
    PROBABILITIES,
    WINDOWS,
    GraphDescription,
)
from model.inference.samples_graph.runtime import open_session
from pipeline.audio import levels
from pipeline.audio.decode import decode
from stores import locations
from stores.errors import CorruptArtifact, DecodeError, InvalidInput, MissingArtifact

_GRAPH_FOLDER = "onnx-samples"


class OnnxMyna(Pretrained):
    """A graph in memory.

    Args:
        folder: folder of the graph.
        threads: threads of a product (default: as many as ONNX Runtime chooses).

    Attributes:
        about: description of the graph.

    Raises:
        MissingArtifact, CorruptArtifact, DigestMismatch: see `GraphDescription.read` and `open_session`.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.about = GraphDescription.read(folder)
        self._session = open_session(folder / GRAPH, threads)
        self.about.require_metadata(self._session.get_modelmeta().custom_metadata_map, folder)

    @property
    def width(self) -> int:
        """Length D of an embedding."""
        return int(self.about.outputs[0].shape[-1])

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the outputs of the probe, in their order; empty without a probe."""
        return self.about.probe.labels if self.about.probe else ()

    @classmethod
    def from_pretrained(cls, *name: str | Path, threads: int | None = None, **options: Any) -> Self:
        """Open the graph in a folder, or the one that was exported from a checkpoint or a run.

        Raises:
            MissingArtifact: there is no graph. The error names the command that makes it.
            InvalidInput: no name or another option was stated.
        """
        if len(name) != 1 or options.pop("engine", "onnx") != "onnx" or options:
            raise InvalidInput(
                f"engine='onnx' takes the path of a graph, a checkpoint or a run, and threads (got {[*name, *options]})"
            )
        return cls(_graph_folder(Path(name[0])), threads)

    def embed(
        self, audio: str | Path | ArrayLike, sample_rate_hz: int | None = None, pool: str = "mean"
    ) -> NDArray[np.float32]:
        """Embed one recording with the windows of the graph.

        Args:
            audio: path of an audio file; or samples `[T]` or `[T, channels]`, as floats of full scale 1 or as integers.
            sample_rate_hz: sample rate of samples; must be None for a file, which states its rate.
            pool: `mean` averages all windows; `none` keeps them.

        Returns:
            float32 `[D]`, or `[windows, D]` if `pool` is `none`.

        Raises:
            DecodeError: the audio cannot be decoded, is too short, or has samples that are not finite or too large.
            InvalidInput: samples have no rate or a wrong shape or type, or the pooling is unknown.
        """
        if pool not in ("mean", "none"):
            raise InvalidInput(f"pool must be mean or none for engine onnx (got {pool!r})")
        name = EMBEDDING if pool == "mean" else WINDOWS
        embedding: NDArray[np.float32] = self._run(audio, sample_rate_hz, name)[0]
        return embedding

    def predict(self, audio: str | Path | ArrayLike, sample_rate_hz: int | None = None) -> dict[str, float]:
        """Return the probability of each label, or each number, of the probe for one recording, see `embed`.

        Raises:
            InvalidInput: the graph has no probe.
            CorruptArtifact: the graph has another number of outputs than labels.
        """
        if self.about.probe is None:
            raise InvalidInput("the graph has no probe; export it with --with-probe FILE")
        outputs = self._run(audio, sample_rate_hz, PROBABILITIES)[0]
        if len(outputs) != len(self.labels):
            counts = f"{len(outputs)} outputs and {len(self.labels)} labels"
            raise CorruptArtifact(f"the graph has {counts}; export it again")
        return dict(zip(self.labels, map(float, outputs), strict=True))

    def _run(self, audio: str | Path | ArrayLike, rate_hz: int | None, name: str) -> NDArray[Any]:
        samples = self._samples(audio, rate_hz)
        if len(samples) < self.about.input.min_samples:
            raise DecodeError(
                "too_short", f"{len(samples)} samples; at least {self.about.input.min_samples} are needed"
            )
        outputs: NDArray[Any] = self._session.run([name], {INPUT: samples[None]})[0]
        return outputs

    def _samples(self, audio: str | Path | ArrayLike, rate_hz: int | None) -> NDArray[np.float32]:
        needed, resampler = self.about.input.sample_rate_hz, self.about.input.resampler
        if isinstance(audio, str | Path):
            if rate_hz is not None:
                raise InvalidInput(f"sample_rate_hz must be left out for the file {audio}, which states its own rate")
            return decode(Path(audio), needed, resampler=resampler).samples
        rate_hz = require_rate(rate_hz)
        samples = to_mono(np.asarray(audio))
        levels.require_in_scale(samples)
        return resample(samples, rate_hz, needed, resampler)


def _graph_folder(path: Path) -> Path:
    """Return the folder of a graph at `path`, beside the checkpoint at `path`, or of the run called `path`."""
    run = locations.RUNS / path / locations.ENCODER_FILE
    checkpoints = [path / locations.ENCODER_FILE, path] if path.exists() else [run]
    folders = [path, *(checkpoint.with_suffix(".engines") / _GRAPH_FOLDER for checkpoint in checkpoints)]
    found = next((folder for folder in folders if (folder / DESCRIPTION).is_file()), None)
    if found is None:
        raise MissingArtifact(
            f"no graph at {path}; make one with `python -m model.export onnx --from samples --checkpoint {path}`"
        )
    return found
