"""Features under way: parts that are there whole or not at all, so that a killed extraction goes on where it stopped.

.DATASET.RUN.features.zarr.parts/
  plan.json            what is being made: provenance with its digest, rows of each part
  part-00000012.npy    float32 [rows of part 12, width]; written beside and renamed

Parts may be written by several processes, each its own. When all are there, they become the feature store.
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

from stores import features
from stores.commit import atomic_write, write_json
from stores.errors import CorruptArtifact, DigestMismatch
from stores.features import FeatureStore, Spans
from stores.manifest import ClipRow

_PLAN = "plan.json"


@dataclass(frozen=True)
class FeatureParts:
    """One extraction, on its way to becoming the feature store at `path`."""

    path: Path
    """Where the feature store will lie."""
    sizes: tuple[int, ...]
    """Rows of each part, in order."""
    width: int
    """Of an embedding."""

    @property
    def folder(self) -> Path:
        """Where the parts lie."""
        return self.path.with_name(f".{self.path.name}.parts")

    def begin(self, provenance: Mapping[str, Any]) -> list[int]:
        """Start, or go on with what is there; the parts that are still to be made.

        Raises:
            DigestMismatch: what is there was begun with other settings, another engine or of another store.
        """
        plan = {"provenance": dict(provenance), "sizes": self.sizes, "width": self.width}
        plan = json.loads(json.dumps(plan))  # as it will be read: lists for tuples
        try:
            begun = json.loads((self.folder / _PLAN).read_text("utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(self.folder, ignore_errors=True)
            write_json(self.folder / _PLAN, plan)
            begun = plan
        if begun != plan:
            raise DigestMismatch(
                f"{self.path} was begun otherwise, and one feature store never mixes two: {_differing(begun, plan)}; "
                f"go on as it was begun, or remove {self.folder} to start anew"
            )
        return [part for part in range(len(self.sizes)) if not self._part(part).is_file()]

    def write(self, part: int, embeddings: NDArray[np.float32]) -> None:
        """Write the embeddings `[rows, width]` of one part; twice leaves the same bytes."""
        if embeddings.shape != (self.sizes[part], self.width):
            raise AssertionError(f"part {part} is {embeddings.shape}, planned as {(self.sizes[part], self.width)}")
        with atomic_write(self._part(part)) as temporary, temporary.open("wb") as file:
            np.save(file, embeddings.astype(np.float32, copy=False), allow_pickle=False)

    def finish(self, clips: Sequence[ClipRow], spans: Spans, provenance: Mapping[str, Any]) -> FeatureStore:
        """Make the feature store of all parts, replacing what was there; and read it.

        Raises:
            CorruptArtifact: a part is damaged.
        """
        building = self.path.with_name(f".{self.path.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        array = features.create(building, (len(spans), self.width), provenance)
        held, start = np.zeros((0, self.width), np.float32), 0
        for part in range(len(self.sizes)):  # whole chunks at a time: each is compressed once
            held = np.concatenate((held, self._read(part)))
            whole = len(held) - len(held) % features.CHUNK_ROWS
            array[start : start + whole], held, start = held[:whole], held[whole:], start + whole
        if len(held):
            array[start:] = held
        features.publish(building, self.path, clips, spans)
        shutil.rmtree(self.folder, ignore_errors=True)
        return FeatureStore.read(self.path)

    def _part(self, part: int) -> Path:
        return self.folder / f"part-{part:08d}.npy"

    def _read(self, part: int) -> NDArray[np.float32]:
        path = self._part(part)
        try:
            found: NDArray[np.float32] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CorruptArtifact(f"{path} cannot be read: {error}; remove it and start again") from error
        if found.shape != (self.sizes[part], self.width):
            raise CorruptArtifact(f"{path} holds {found.shape}; remove it and start again")
        return found


def _differing(begun: Any, plan: Mapping[str, Any]) -> str:
    """Which settings differ, as `key: then, now`."""
    then = begun.get("provenance") if isinstance(begun, dict) else None
    now = plan["provenance"]
    if not isinstance(then, dict) or then == now:
        return "its parts are cut in another way"
    keys = [key for key in sorted({*then, *now}) if key != "digest" and then.get(key) != now.get(key)]
    return "; ".join(f"{key}: begun with {then.get(key)}, now {now.get(key)}" for key in keys)
