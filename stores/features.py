"""The feature store: one embedding per clip, whose they are and what made them.

DATASET.RUN.features.zarr/
  zarr.json            attributes "myna": format_version, dataset, encoder, mel store and settings by digest
  embeddings/          float32 [clips, width]
  clips.parquet        one manifest row per embedding, in the same order
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from stores import manifest
from stores.errors import CorruptArtefact, InvalidInput, MissingArtefact
from stores.manifest import ClipRow

FORMAT_VERSION = 1
_CLIPS = "clips.parquet"


@dataclass(frozen=True)
class FeatureStore:
    """Embeddings in memory, as read from or written to disk."""

    embeddings: NDArray[np.float32]
    """`[clips, width]`, finite."""
    rows: Sequence[ClipRow]
    """The clip of each embedding."""
    provenance: Mapping[str, Any]
    """Digests and settings of encoder and mel store, JSON."""

    def __post_init__(self) -> None:
        if not self.rows:
            raise InvalidInput("features of 0 clips are of no use; ingest or label some that can be embedded")
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.rows):
            raise InvalidInput(f"{self.embeddings.shape} embeddings for {len(self.rows)} clips; one row each is needed")
        if not np.isfinite(self.embeddings).all():
            bad = int(np.flatnonzero(~np.isfinite(self.embeddings).all(axis=1))[0])
            raise InvalidInput(f"the embedding of clip {self.rows[bad].id!r} is not finite; check the checkpoint")

    def write(self, path: Path) -> None:
        """Write to `path`, replacing what is there; built beside it and renamed, so never half visible."""
        building = path.with_name(f".{path.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        attributes = {"format_version": FORMAT_VERSION, **self.provenance}
        group = zarr.open_group(building, mode="w", zarr_format=3, attributes={"myna": attributes})
        group.create_array(
            "embeddings", data=self.embeddings, chunks=(min(4096, len(self.rows)), self.embeddings.shape[1])
        )
        manifest.write(building / _CLIPS, self.rows)
        shutil.rmtree(path, ignore_errors=True)
        building.rename(path)

    @classmethod
    def read(cls, path: Path) -> FeatureStore:
        """Read a feature store.

        Raises:
            MissingArtefact: nothing there.
            CorruptArtefact: it is damaged, or not a feature store of this version.
        """
        if not (path / _CLIPS).is_file():
            raise MissingArtefact(f"no features at {path}; make them with `python -m model.extract DATASET`")
        try:
            group = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
            attributes, embeddings = group.attrs.get("myna"), group.get("embeddings")
        except (TypeError, ValueError, FileNotFoundError) as error:  # TypeError: JSON, but no object
            raise CorruptArtefact(f"{path} is damaged: {error}; extract again") from error
        if not isinstance(attributes, dict) or attributes.get("format_version") != FORMAT_VERSION:
            raise CorruptArtefact(f"{path} is not a feature store that this version reads; extract again")
        if not isinstance(embeddings, zarr.Array):
            raise CorruptArtefact(f"{path} has no embeddings; extract again")
        return cls(np.asarray(embeddings[:], dtype=np.float32), manifest.read(path / _CLIPS), attributes)
