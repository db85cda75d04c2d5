"""A trained alignment and its file `runs/NAME/alignment.safetensors`.

The file is a safetensors file with the weights of both adapters. Its header holds JSON: the settings, the provenance of
the features and of the texts, and the path of the features. Nothing is pickled. When the alignment meets features or
texts again, they must come from the same encoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from model.alignment.adapters import AUDIO, TEXT, Adapter, Adapters, build_adapters
from model.alignment.config import AdapterConfig
from model.encoder import tensor_file
from model.probes.feature_match import require_match
from stores import locations
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.feature_array import MAX_WIDTH
from stores.features import FeatureStore

FORMAT = "myna-alignment-1"
FILE = "alignment.safetensors"
_COMMAND = "python -m model.align --audio FEATURES --text FILE"


@dataclass(frozen=True)
class Alignment:
    """Two adapters with the settings and the provenance that belong to them."""

    adapters: Adapters
    """Adapters of both modalities."""
    config: AdapterConfig
    """Settings of the training."""
    audio: Mapping[str, Any]
    """Provenance of the features that the alignment was trained on."""
    text: Mapping[str, Any]
    """Provenance of the texts that the alignment was trained on."""
    features: str
    """Path of these features, as the command line stated it."""
    digests: Mapping[str, str]
    """Digests of the embeddings of the pairs, by modality."""

    @property
    def text_encoder(self) -> str:
        """Name of the encoder of the texts; empty if it is not one of this project."""
        return str(self.text.get("text_encoder", ""))

    def project_audio(self, features: FeatureStore, path: Path) -> FeatureStore:
        """Return features in the common space.

        Args:
            features: embeddings of clips or of windows.
            path: their path, for messages.

        Raises:
            DigestMismatch: they come from another encoder, layer or mel than those of the training.
            InvalidInput: they have another width.
        """
        require_match(features.provenance, self.audio, path)
        return replace(features, embeddings=self._project(AUDIO, features.embeddings, str(path)))

    def project_text(
        self, embeddings: NDArray[np.float32], what: str, encoder_digest: str | None = None
    ) -> NDArray[np.float32]:
        """Return the unit vectors of texts in the common space, `[N, W]`.

        Args:
            embeddings: embeddings of the texts, `[N, D]`.
            what: name of the embeddings, for messages.
            encoder_digest: digest of the encoder that made them; None if it is not known.

        Raises:
            DigestMismatch: another encoder made them than those of the training.
            InvalidInput: they have another width.
        """
        trained = self.text.get("text_encoder_digest")
        if None not in (encoder_digest, trained) and encoder_digest != trained:
            raise DigestMismatch(
                f"{what} was embedded by another text encoder ({encoder_digest}) than the texts of the alignment "
                f"({trained}); train the alignment again with {_COMMAND}"
            )
        return self._project(TEXT, embeddings, what)

    def _project(self, modality: str, embeddings: NDArray[np.float32], what: str) -> NDArray[np.float32]:
        adapter: Adapter = getattr(self.adapters, modality)
        width = len(adapter.mean)
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise InvalidInput(
                f"{what} has embeddings of the shape {list(embeddings.shape)}, and the {modality} adapter reads "
                f"{width} numbers; use embeddings of the encoder that the alignment was trained with"
            )
        return adapter.project(embeddings)

    def write(self, path: Path) -> None:
        """Write the alignment to `path`, atomically."""
        content = {
            "config": self.config.to_dict(),
            "audio": dict(self.audio),
            "text": dict(self.text),
            "features": self.features,
            "digests": dict(self.digests),
        }
        tensor_file.write(path, FORMAT, self.adapters.state_dict(), content)

    @classmethod
    def read(cls, path: Path) -> Alignment:
        """Return the alignment in the file `path`, which `write` has written.

        Raises:
            MissingArtifact: there is no such file.
            CorruptArtifact: the file is not an alignment of this format, or its tensors do not fit together.
        """
        if not path.is_file():
            raise MissingArtifact(f"no alignment at {path}; train one with `{_COMMAND}`")
        try:
            tensors, content = tensor_file.read(path, FORMAT)
            config = AdapterConfig.from_dict(content["config"], "config")
            audio, text, digests, features = (content[key] for key in ("audio", "text", "digests", "features"))
            if not all(isinstance(each, dict) for each in (audio, text, digests)) or not isinstance(features, str):
                raise ValueError("its provenance is not an object")
            return cls(_adapters(tensors, config), config, audio, text, features, digests)
        except (CorruptArtifact, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, InvalidInput) as error:
            raise CorruptArtifact(f"{path} is not an alignment that this version reads: {error}") from error


def find_alignment(word: str | None) -> Path:
    """Return the path of the file of an alignment: that of a file, of a name under runs/, or the only one.

    Raises:
        MissingArtifact: there is none.
        InvalidInput: none is stated, and there are several.
    """
    if word is not None:
        path = Path(word)
        return path if path.is_file() else locations.run(word) / FILE
    paths = sorted(locations.RUNS.glob(f"*/{FILE}"))
    if len(paths) > 1:
        names = ", ".join(path.parent.name for path in paths[: locations.MAX_LISTED_RUNS])
        raise InvalidInput(f"there are {len(paths)} alignments ({names}); state one with --alignment")
    if not paths:
        raise MissingArtifact(f"no alignment under {locations.RUNS}/; train one with `{_COMMAND}`")
    return paths[0]


def _adapters(tensors: dict[str, Tensor], config: AdapterConfig) -> Adapters:
    """Return the adapters with the tensors of a file. Nothing is allocated before their shapes are checked."""
    if any(tensor.dtype != torch.float32 or not tensor.isfinite().all() for tensor in tensors.values()):
        raise ValueError("a tensor is not float32 or has values that are not finite")
    widths = [tensors[f"{modality}.mean"].numel() for modality in (AUDIO, TEXT)]
    if not all(1 <= width <= MAX_WIDTH for width in (*widths, config.width, config.hidden or 1)):
        raise ValueError(f"its widths must be from 1 to {MAX_WIDTH}")
    with torch.device("meta"):
        adapters = build_adapters(widths[0], widths[1], config.hidden, config.width, config.seed)
    adapters.load_state_dict(tensors, assign=True)  # raises RuntimeError about shapes that do not fit
    if any(bool((tensors[f"{modality}.deviation"] <= 0).any()) for modality in (AUDIO, TEXT)):
        raise ValueError("a deviation is not positive")
    adapters.requires_grad_(False)
    return adapters
