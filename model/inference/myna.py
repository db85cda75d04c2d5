"""Myna from Python: a checkpoint or a model of the hub, and `embed` for files and samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import soxr
from huggingface_hub import ModelHubMixin, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError
from numpy.typing import ArrayLike, NDArray

from model.encoder import hub
from model.encoder.device import fastest_device
from model.encoder.hub import PretrainedFolder
from model.encoder.vit import Encoder
from model.inference import checkpoints
from model.inference.engines.eager import Eager
from model.inference.engines.engine import Engine
from model.inference.extraction import mean_of
from model.inference.windows import Windowing
from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from stores.errors import InvalidInput, MissingArtifact
from stores.mel_spec import MelSpec


class Myna(ModelHubMixin, library_name="myna", repo_url="", tags=["audio", "music"]):
    """An encoder with what it takes to go from audio to embeddings.

    Args:
        encoder: in evaluation mode.
        engine: what computes; eager at `precision` if None.
        precision: of eager: fp32, bf16, or auto, which is bf16 where that is faster.
        mel: how what the encoder heard became mel; the paper's definition where that is empty.
        origin: how the encoder came about.

    Attributes:
        encoder: the module.
        engine: what computes.
        mel_spec: the mel it is fed.
    """

    def __init__(
        self,
        encoder: Encoder,
        engine: Engine | None = None,
        precision: str = "auto",
        mel: dict[str, Any] | None = None,
        origin: dict[str, Any] | None = None,
    ) -> None:
        self.encoder = encoder
        self.engine = engine or Eager(encoder, precision)
        self._pretrained = PretrainedFolder(encoder, mel or {}, origin or {})
        self.mel_spec = MelSpec.from_dict(mel["mel_spec"]) if mel else MelSpec()

    @property
    def width(self) -> int:
        """Numbers D of an embedding."""
        return self.encoder.config.embedding_width

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Self:
        """A checkpoint of ours, a published `.pth`, a folder that `save_pretrained` wrote, or a model of the hub.

        Args:
            pretrained_model_name_or_path: a path, or an id such as `someone/myna-hybrid`.
            options: `precision` (auto), `patches` and `input_scale` as for `model.load_encoder`; for the hub also
                `revision`, `token`, `cache_dir`, `local_files_only`.

        Raises:
            MissingArtifact, CorruptArtifact, InvalidInput: as `model.load_encoder`; the first also where the hub does
                not give it, be it for want of a network (after its own tries, 23 s), a model, or the right to read it.
        """
        path = Path(pretrained_model_name_or_path)
        if path.exists():
            return cls._of(path, options)
        if len(path.parts) > 2 or path.suffix in (".safetensors", *checkpoints.PUBLISHED_SUFFIXES):
            raise MissingArtifact(f"no checkpoint at {path}, and it is no hub id (NAME or OWNER/NAME)")
        try:
            return super().from_pretrained(str(path), **options)
        except (HfHubHTTPError, EntryNotFoundError, HFValidationError) as error:
            raise MissingArtifact(
                f"nothing lies at {path}, and the hub gives no model of that id ({type(error).__name__}: {error}); "
                "give the path of a checkpoint or a folder; where there is a network, `hf download "
                f"{path}` fetches it"
            ) from error

    def embed(
        self,
        audio: str | Path | ArrayLike,
        sample_rate_hz: int | None = None,
        hop_frames: int = 96,
        tail: str = "right",
        pool: str = "mean",
    ) -> NDArray[np.float32]:
        """Embed one recording.

        Args:
            audio: an audio file; or samples `[T]` or `[T, channels]`: floats of full scale 1, or integers.
            sample_rate_hz: of samples, which must say it; not given for a file, which knows it.
            hop_frames: frames of 32 ms between two windows.
            tail: `right`: one more window at the end; `drop`: what is left over is left out.
            pool: `mean` over all windows, or `none`.

        Returns:
            float32 `[D]`; with `none` `[windows, D]`.

        Raises:
            DecodeError: it cannot be decoded, is too short (65 ms) or holds what are no numbers.
            InvalidInput: samples without a rate, a file with one, or samples of another shape.
        """
        windowing = Windowing(hop_frames, tail, pool, self.encoder.config.window_frames)
        mel = mel_power(self._samples(audio, sample_rate_hz), self.mel_spec)
        missing = max(0, windowing.window_frames - mel.shape[1])
        padded = np.pad(mel, ((0, 0), (0, missing)))
        starts = windowing.starts(mel.shape[1])
        windows = np.stack([padded[:, start : start + windowing.window_frames] for start in starts])
        embedded = self.engine.shaped(len(windows))(windows)
        return embedded if pool == "none" else mean_of(embedded, [len(windows)])[0]

    def _samples(self, audio: str | Path | ArrayLike, rate_hz: int | None) -> NDArray[np.float32]:
        if isinstance(audio, str | Path):
            if rate_hz is not None:
                raise InvalidInput(f"{audio} says its own sample rate; leave sample_rate_hz out")
            return decode(Path(audio), self.mel_spec.sample_rate_hz).samples
        if rate_hz is None or rate_hz <= 0:
            raise InvalidInput(f"samples came with the rate {rate_hz}; say it: embed(samples, sample_rate_hz=44100)")
        return resampled(mono(np.asarray(audio)), rate_hz, self.mel_spec.sample_rate_hz)

    def _save_pretrained(self, save_directory: Path) -> None:
        hub.write(save_directory, self._pretrained)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **options: Any,
    ) -> Self:
        got = [
            hf_hub_download(
                model_id,
                name,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
            for name in (hub.CONFIG, hub.WEIGHTS)
        ]
        return cls._of(Path(got[0]).parent, options)

    @classmethod
    def _of(cls, path: Path, options: dict[str, Any]) -> Self:
        found = checkpoints.load(path, options.get("patches", "auto"), options.get("input_scale"))
        precision = options.get("precision", "auto")
        encoder = found.encoder.to(fastest_device())
        return cls(encoder, precision=precision, mel=dict(found.mel), origin=dict(found.origin))


def mono(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Mono `[T]` float32 of `[T]` or `[T, channels]` samples: the mean of the channels, integers by their full scale.

    Raises:
        InvalidInput: another shape or type, or more channels than samples, which would be `[channels, T]`.
    """
    if samples.ndim not in (1, 2) or not samples.size or (samples.ndim == 2 and samples.shape[1] > samples.shape[0]):
        raise InvalidInput(f"samples have shape {list(samples.shape)}; needed are [T] or [T, channels]: transpose them")
    if not (np.issubdtype(samples.dtype, np.floating) or np.issubdtype(samples.dtype, np.signedinteger)):
        raise InvalidInput(f"samples are {samples.dtype}; needed are floats of full scale 1 or signed integers")
    scale = -float(np.iinfo(samples.dtype).min) if np.issubdtype(samples.dtype, np.integer) else 1.0
    mixed = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float64)
    return (mixed / scale).astype(np.float32)


def resampled(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Mono samples `[T]` at another rate, by the resampler that files go through (soxr HQ)."""
    if from_hz == to_hz:
        return samples
    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    made: NDArray[np.float32] = stream.resample_chunk(samples, last=True)
    return made
