"""An encoder as a representation: which engine, which windows; here or on a Dask cluster, resumable at whole parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.encoder import weights
from model.inference import cluster, extraction_task
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.engines.engine import Engine
from model.inference.extraction import PART_WINDOWS, Extraction, ExtractionConfig
from model.inference.extraction_task import ExtractionTask
from model.inference.representation import Representation
from model.inference.windows import Windowing
from stores import digest
from stores.feature_parts import FeatureParts
from stores.features import FeatureStore
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.quantize import Quantizer


@dataclass(frozen=True)
class WorkerSettings:
    """Where the parts are computed, if not here."""

    scheduler: str
    """`processes`, `threads`, or the address of a running Dask scheduler."""
    count: int | None = None
    """Processes to start; all cores if None; not used with an address."""


@dataclass(frozen=True)
class ExtractionParts:
    """The clips of an extraction, cut into parts."""

    clips: Sequence[Sequence[ClipRow]]
    """Of each part."""
    windows: Sequence[int]
    """Of each part."""

    @classmethod
    def of(cls, rows: Sequence[ClipRow], windowing: Windowing) -> ExtractionParts:
        """Cut `rows`, in order."""
        clips = [[rows[i] for i in part] for part in windowing.parts([row.frames for row in rows], PART_WINDOWS)]
        return cls(clips, [windowing.count(row.frames for row in part) for part in clips])


@dataclass(frozen=True)
class EncoderRepresentation(Representation):
    """An encoder's features."""

    loaded: LoadedCheckpoint = field(kw_only=True)
    """The encoder."""
    asked: ExtractionConfig = field(kw_only=True)
    """How it is run."""
    workers: WorkerSettings | None = field(default=None, kw_only=True)
    """Where; here if None."""
    _engines: dict[Quantizer, Engine] = field(default_factory=dict, kw_only=True, compare=False)

    @classmethod
    def of(
        cls, loaded: LoadedCheckpoint, asked: ExtractionConfig | None = None, workers: WorkerSettings | None = None
    ) -> EncoderRepresentation:
        """The features of an encoder, named for it and for what is unusual about them."""
        asked = asked or ExtractionConfig()
        asked = replace(asked, windowing=replace(asked.windowing, window_frames=loaded.encoder.config.window_frames))
        settings = {
            "encoder": dict(loaded.origin),
            "weights": weights.digest(loaded.encoder),
            **asked.windowing.to_dict(),
        }

        def features(store: MelStore, rows: Sequence[ClipRow]) -> NDArray[np.float32]:
            """Of some clips, in one part."""
            return next(Extraction(made.engine(store, rows), asked.windowing).parts(store, [rows]))

        made = cls(
            loaded.name + asked.suffix, settings, features, loaded.mel, loaded=loaded, asked=asked, workers=workers
        )
        return made

    def engine(self, store: MelStore, rows: Sequence[ClipRow]) -> Engine:
        """The engine at the batch shape that these rows are embedded with; `auto` says what it chose, once."""
        if store.quantizer not in self._engines:
            self._engines[store.quantizer], told = self.asked.open(self.loaded, store.quantizer)
            print(*told, sep="\n", end="\n" * bool(told))
        return self._engines[store.quantizer].shaped(max(ExtractionParts.of(rows, self.asked.windowing).windows))

    def provenance(self, store: MelStore) -> dict[str, Any]:
        """What the features are made of: store, encoder, engine and windows; and its digest.

        Raises:
            InvalidInput: the store has no clip with a mel.
        """
        engine = self.engine(store, self.rows(store))
        facts = {key: value for key, value in super().provenance(store).items() if key != "digest"}
        ran = {"engine": engine.facts.to_dict(), "precision": engine.facts.precision}
        facts |= {**ran, "batch_windows": engine.batch_windows}
        return {**facts, "digest": digest.digest(facts)}

    def make(self, store: MelStore, rows: Sequence[ClipRow], path: Path, provenance: Mapping[str, Any]) -> FeatureStore:
        """The features of `rows`, part by part; goes on with what an earlier, killed extraction left."""
        engine, windowing, parts = (
            self.engine(store, rows),
            self.asked.windowing,
            ExtractionParts.of(rows, self.asked.windowing),
        )
        sizes = tuple(windowing.rows_of([row.frames for row in part]) for part in parts.clips)
        files = FeatureParts(path, sizes, engine.config.embedding_width)
        todo = [(number, parts.clips[number]) for number in files.begin(provenance)]
        left = sum(parts.windows[number] for number, _ in todo)
        with tqdm(total=sum(parts.windows), initial=sum(parts.windows) - left, desc="embed", unit="window") as bar:
            if self.workers is None:
                made = Extraction(engine, windowing, bar.update).parts(store, [clips for _, clips in todo])
                for (number, _), embeddings in zip(todo, made, strict=True):
                    files.write(number, embeddings)
            else:
                for windows in self._spread(self.workers, store, engine, files, provenance, todo):
                    bar.update(windows)
        spans = windowing.spans([row.frames for row in rows], store.spec.seconds_for(1))
        return files.finish(rows, spans, provenance)

    def _spread(
        self,
        workers: WorkerSettings,
        store: MelStore,
        engine: Engine,
        files: FeatureParts,
        provenance: Mapping[str, Any],
        todo: Sequence[tuple[int, Sequence[ClipRow]]],
    ) -> Iterator[int]:
        shared = ExtractionTask(
            store.path.absolute(),
            self.loaded.path.absolute(),
            replace(self.asked, engine=engine.facts.name, precision=engine.facts.precision),
            engine.batch_windows,
            dict(provenance),
            replace(files, path=files.path.absolute()),
        )
        with cluster.connect(workers.scheduler, workers.count) as client:
            yield from cluster.run_all(
                client, extraction_task.work, ((shared, number, tuple(clips)) for number, clips in todo)
            )
