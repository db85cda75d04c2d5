"""Unfinished feature stores: parts that are written atomically, so that a killed extraction can continue.

.DATASET.RUN.features.zarr.parts/
  plan.json            what is being made: provenance with its digest, rows of each part
  part-00000012.npy    float32 [rows of part 12, width], written atomically

Several processes may write parts, each part in one process. The complete set of parts becomes the feature store.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores import npy
from stores.commit import atomic_write, remove_temporary_files, write_json
from stores.errors import CorruptArtifact, DigestMismatch
from stores.features import FeatureStore, FeatureWriter, Spans
from stores.json_codec import parse_json
from stores.manifest import ClipRow

_PLAN = "plan.json"


@dataclass(frozen=True)
class FeatureParts:
    """The parts of one extraction, which become the feature store at `path`."""

    path: Path
    """Path of the future feature store."""
    sizes: tuple[int, ...]
    """Rows of each part, in order."""
    width: int
    """Numbers in an embedding."""
    vectors: int | None = None
    """Layers or tokens of a row; None if a row is one embedding."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row: the width, or layers or tokens and the width."""
        return (self.width,) if self.vectors is None else (self.vectors, self.width)

    @property
    def folder(self) -> Path:
        """Folder of the parts."""
        return self.path.with_name(f".{self.path.name}.parts")

    def begin(self, provenance: Mapping[str, Any]) -> list[int]:
        """Start or continue the extraction, and return the numbers of the parts that are missing.

        Raises:
            DigestMismatch: the existing parts come from other settings, another engine or another store.
        """
        plan = {"provenance": dict(provenance), "sizes": self.sizes, "width": self.width}
        plan |= {} if self.vectors is None else {"vectors": self.vectors}
        plan = parse_json(json.dumps(plan))  # as it will be read, with lists instead of tuples
        try:
            existing = parse_json((self.folder / _PLAN).read_text("utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(self.folder, ignore_errors=True)
            write_json(self.folder / _PLAN, plan)
            existing = plan
        if existing != plan:
            raise DigestMismatch(
                f"{self.path} was started with different settings ({_differences(existing, plan)}); continue with the "
                f"same settings, or remove {self.folder} to start again"
            )
        remove_temporary_files(self.folder, recursive=False)
        return [part for part in range(len(self.sizes)) if not self._part(part).is_file()]

    def write(self, part: int, embeddings: NDArray[np.float32]) -> None:
        """Write the embeddings `[rows, width]` of a part, whose rows have `row_shape`.

        Writing it twice leaves the same bytes.
        """
        if embeddings.shape != (planned := (self.sizes[part], *self.row_shape)):
            raise AssertionError(f"part {part} is {embeddings.shape}, planned as {planned}")
        with atomic_write(self._part(part)) as temporary, temporary.open("wb") as file:
            npy.write(file, embeddings.astype("<f4", copy=False))

    def finish(
        self, clips: Sequence[ClipRow], spans: Spans, provenance: Mapping[str, Any], mel_store: Path | None = None
    ) -> FeatureStore:
        """Join all parts to the feature store at `path`, which replaces an existing one, and return it.

        Raises:
            CorruptArtifact: a part is damaged.
        """
        writer = FeatureWriter(self.path, (len(spans), *self.row_shape))
        for part in range(len(self.sizes)):
            writer.append(self._read(part))
        writer.publish(clips, spans, provenance, mel_store)
        shutil.rmtree(self.folder, ignore_errors=True)
        return FeatureStore.read(self.path, any_axis=True)

    def _part(self, part: int) -> Path:
        return self.folder / f"part-{part:08d}.npy"

    def _read(self, part: int) -> NDArray[np.float32]:
        path, needed = self._part(part), (self.sizes[part], *self.row_shape)
        try:
            with path.open("rb") as file:
                dtype, shape = npy.read_header(file, path.stat().st_size)
                if shape != needed or dtype != np.dtype("<f4"):
                    raise ValueError(f"it is {dtype} {shape}, and float32 {needed} is needed")
                return np.fromfile(file, dtype).reshape(shape)
        except (OSError, ValueError, EOFError) as error:
            raise CorruptArtifact(f"{path} cannot be read: {error}; remove it and start again") from error


def _differences(existing: Any, plan: Mapping[str, Any]) -> str:
    """Return the settings that differ between two plans, each with both values."""
    previous = existing.get("provenance") if isinstance(existing, dict) else None
    current = plan["provenance"]
    if not isinstance(previous, dict) or previous == current:
        return "its parts have other sizes"
    keys = [key for key in sorted({*previous, *current}) if key != "digest" and previous.get(key) != current.get(key)]
    return "; ".join(f"{key}: started with {previous.get(key)}, now {current.get(key)}" for key in keys)
