"""The Python interface: a model from a checkpoint or from the hub, which embeds audio files and samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from huggingface_hub import ModelHubMixin
from numpy.typing import ArrayLike, NDArray

from model import shipped
from model.encoder import hub, hub_models
from model.encoder.device import fastest_device
from model.encoder.hub import PretrainedFolder
from model.encoder.known_models import KNOWN_MODELS
from model.encoder.vit import Encoder
from model.encoder.window_size import resize_window
from model.inference import checkpoints
from model.inference.engines.eager import Eager
from model.inference.engines.engine import Engine
from model.inference.extraction import mean_over_windows
from model.inference.layers import Layer
from model.inference.pretrained import Pretrained
from model.inference.samples import require_rate, resample, to_mono
from model.inference.windows import Windowing
from pipeline.audio import levels
from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from stores.errors import DecodeError, InvalidInput, MissingArtifact
from stores.mel_flags import ResamplerName, resampler_name
from stores.mel_spec import MelSpec

_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token")


class Myna(ModelHubMixin, Pretrained, library_name="myna", repo_url="", tags=["audio", "music"]):
    """An encoder that embeds audio files and samples.

    Args:
        encoder: encoder in evaluation mode.
        engine: inference engine (default: eager at `precision`).
        precision: precision of the eager engine: fp32, bf16, or auto, which is bf16 where that is faster.
        mel: settings of the mels that the encoder was trained on (default: the definition of the paper).
        origin: how the encoder was made.

    Attributes:
        encoder: the encoder.
        engine: the inference engine.
        mel_spec: specification of the mel that the encoder gets.
        resampler: name of the resampler of the training data, which also converts what is embedded.

    Raises:
        InvalidInput: the mel has another number of bins than the encoder reads.
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
        self._engines: dict[tuple[int, Layer, bool], Engine] = {
            (encoder.config.window_frames, None, False): self.engine
        }
        self._pretrained = PretrainedFolder(encoder, mel or {}, origin or {})
        self.mel_spec = MelSpec.from_dict(mel["mel_spec"]) if mel else MelSpec()
        self.resampler = resampler_name((mel or {}).get("preprocessing", {}))
        if self.mel_spec.n_mels != encoder.config.n_mels:
            raise InvalidInput(
                f"the encoder reads {encoder.config.n_mels} mel bins, but its mel has {self.mel_spec.n_mels}; pass the "
                "mel settings of its training data as mel"
            )

    @property
    def width(self) -> int:
        """Length D of an embedding."""
        return self.encoder.config.embedding_width

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the name has its name in ModelHubMixin
        cls, pretrained_model_name_or_path: str | Path = shipped.NAME, **options: Any
    ) -> Self:
        """Load a checkpoint of this project, a published `.pth`, a folder of `save_pretrained`, or a model of the hub.

        Args:
            pretrained_model_name_or_path: a path, an id such as `oriyonay/myna-hybrid` or `oriyonay/myna-hybrid@main`,
                or the name of a known model, such as `myna-hybrid` (default: the encoder that ships with this package).
            options: `precision` (default: auto), and `patches` and `input_scale` as for `model.load_encoder`. For the
                hub also `revision`, `token`, `cache_dir` and `local_files_only`.

        Raises:
            MissingArtifact: there is no checkpoint at the path, and the hub does not return a model with this id. The
                message says whether there is no network, no such model, no permission, or no weights.
            CorruptArtifact, InvalidInput: see `model.load_encoder`.
        """
        path = Path(pretrained_model_name_or_path)
        if path.exists():
            return cls._load(path, options)
        if str(path) == shipped.NAME:
            return cls._load(shipped.FOLDER, options)
        known = hub_models.parse_id(str(pretrained_model_name_or_path))
        if known is None:
            raise MissingArtifact(
                f"no checkpoint at {path}, and this is not a model of the hub: use OWNER/NAME, or one of "
                f"{', '.join(KNOWN_MODELS)}"
            )
        repository, revision = known
        hub_options = {name: options.pop(name) for name in _HUB_OPTIONS if name in options}
        revision = options.pop("revision", None) or revision
        return cls._load(hub_models.download(repository, revision, **hub_options), options)

    def embed(
        self,
        audio: str | Path | ArrayLike,
        sample_rate_hz: int | None = None,
        hop_frames: int | None = None,
        tail: str = "right",
        pool: str = "mean",
        window_frames: int | None = None,
        compat: str | None = None,
        layer: Layer = None,
    ) -> NDArray[np.float32]:
        """Embed one recording.

        Args:
            audio: path of an audio file; or samples `[T]` or `[T, channels]`, as floats of full scale 1 or as integers.
            sample_rate_hz: sample rate of samples; must be None for a file, which states its rate.
            hop_frames: distance between the starts of two windows in frames, 32 ms each at the default mel (default:
                the length of a window).
            tail: `right` adds a window that is aligned to the end; `drop` leaves the frames of the tail out.
            pool: `mean` averages all windows; `none` keeps them; `tokens` keeps them and their tokens.
            window_frames: length of a window in frames (default: that of the encoder). The engine eager takes any
                multiple of the frames of a patch, and other engines take the length that they were exported for.
            compat: `public` for the rule of the public code: resampling as torchaudio does, whole windows one after
                another, and the error `too_short` for less than a window.
            layer: block from 1, `all`, `mean` or a range such as `3-8` (default: the encoder's embedding). Layers and
                tokens need the engine eager.

        Returns:
            float32 `[D]`, or `[windows, D]` if `pool` is `none`, or `[windows, tokens, D]`. With all layers,
            `[layers, D]` or `[windows, layers, D]`.

        Raises:
            DecodeError: the audio cannot be decoded, is shorter than half a window of the mel (65 ms at
                the default mel), or has samples that are not finite, or that have an RMS over sqrt(2), where 1 is full
                scale. The last error states what to divide by: 32768 for 16-bit integers as floats.
            InvalidInput: samples have no rate or a wrong shape or type, a file was passed with a rate, or the window
                does not divide into patches.
        """
        window = self.encoder.config.window_frames if window_frames is None else window_frames
        if compat not in (None, "public"):
            raise InvalidInput(f"compat must be None or 'public' (got {compat!r})")
        tail = "drop" if compat else tail
        windowing = Windowing(window if hop_frames is None else hop_frames, tail, pool, window)
        resampler: ResamplerName = "torchaudio" if compat else self.resampler
        mel = mel_power(self._samples(audio, sample_rate_hz, resampler), self.mel_spec)
        if compat and mel.shape[1] < window:
            raise DecodeError("too_short", f"{mel.shape[1]} frames, and a window has {window}")
        missing_frames = max(0, windowing.window_frames - mel.shape[1])
        padded = np.pad(mel, ((0, 0), (0, missing_frames)))
        starts = windowing.starts(mel.shape[1])
        windows = np.stack([padded[:, start : start + windowing.window_frames] for start in starts])
        embeddings = self._engine_for(window, layer, pool == "tokens").with_batch_for(len(windows))(windows)
        return embeddings if pool != "mean" else mean_over_windows(embeddings, [len(windows)])[0]

    def _engine_for(self, window_frames: int, layer: Layer, keeps_tokens: bool) -> Engine:
        key = (window_frames, layer, keeps_tokens)
        if key not in self._engines:
            if not isinstance(self.engine, Eager):
                raise InvalidInput(
                    f"the engine {self.engine.settings.name} was exported for windows of "
                    f"{self.encoder.config.window_frames} frames and the mean over the tokens of the last layer (got "
                    f"window_frames={window_frames}, layer={layer!r}, {'tokens' if keeps_tokens else 'no tokens'}); "
                    "use the engine eager, or export with --window-frames"
                )
            encoder = resize_window(self.encoder, window_frames)
            self._engines[key] = Eager(encoder, self.engine.settings.precision, layer, keeps_tokens=keeps_tokens)
        return self._engines[key]

    def _samples(
        self, audio: str | Path | ArrayLike, rate_hz: int | None, resampler: ResamplerName
    ) -> NDArray[np.float32]:
        if isinstance(audio, str | Path):
            if rate_hz is not None:
                raise InvalidInput(f"sample_rate_hz must be left out for the file {audio}, which states its own rate")
            return decode(Path(audio), self.mel_spec.sample_rate_hz, resampler=resampler).samples
        rate_hz = require_rate(rate_hz)
        samples = to_mono(np.asarray(audio))
        levels.require_in_scale(samples)
        return resample(samples, rate_hz, self.mel_spec.sample_rate_hz, resampler)

    def _save_pretrained(self, save_directory: Path) -> None:
        hub.write(save_directory, self._pretrained)

    @classmethod
    def _load(cls, path: Path, options: dict[str, Any]) -> Self:
        loaded = checkpoints.load(path, options.get("patches", "auto"), options.get("input_scale"))
        precision = options.get("precision", "auto")
        encoder = loaded.encoder.to(fastest_device())
        return cls(encoder, precision=precision, mel=dict(loaded.mel), origin=dict(loaded.origin))
