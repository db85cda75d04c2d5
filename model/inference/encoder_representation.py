"""The embeddings of an encoder as a representation, computed in this process or on a Dask cluster.

An extraction is saved part by part. If it is interrupted, the same command computes the missing parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.encoder import weights
from model.encoder.config import EncoderConfig
from model.inference import extraction_task
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.engines.engine import Engine
from model.inference.extraction import PART_WINDOWS, Extraction, ExtractionConfig
from model.inference.extraction_task import ExtractionTask
from model.inference.layers import ALL, blocks_of
from model.inference.representation import Representation
from model.inference.reuse import ReusableEmbeddings
from model.inference.token_table import token_table
from model.inference.windows import Windowing
from pipeline.cluster.client import connect
from pipeline.cluster.config import OptionalClusterSettings
from pipeline.cluster.tasks import run_all
from stores import digest, manifest
from stores.errors import DigestMismatch, InvalidInput
from stores.feature_array import MAX_BYTES, is_accepted_shape
from stores.feature_parts import FeatureParts
from stores.features import FeatureStore
from stores.manifest import ClipRow
from stores.mel_flags import resampler_name
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.progress import Progress
from stores.quantize import Quantizer


@dataclass(frozen=True)
class ExtractionParts:
    """The clips of an extraction, divided into parts."""

    clips: Sequence[Sequence[ClipRow]]
    """Clips of each part."""
    windows: Sequence[int]
    """Number of windows of each part."""
    sizes: Sequence[int]
    """Number of rows of features of each part."""

    @classmethod
    def of(cls, rows: Sequence[ClipRow], windowing: Windowing) -> ExtractionParts:
        """Divide `rows` into parts without changing their order."""
        frames = manifest.values_of(rows, "frames")
        parts = [slice(part[0], part[-1] + 1) for part in windowing.parts(frames, PART_WINDOWS)]
        windows = [windowing.count_windows(frames[part]) for part in parts]
        return cls([rows[part] for part in parts], windows, [windowing.count_rows(frames[part]) for part in parts])


@dataclass(frozen=True)
class EncoderRepresentation(Representation):
    """A representation that consists of the embeddings of an encoder."""

    loaded: LoadedCheckpoint = field(kw_only=True)
    """The encoder."""
    config: ExtractionConfig = field(kw_only=True)
    """Engine and windows of the extraction."""
    cluster_settings: OptionalClusterSettings = field(kw_only=True)
    """Dask cluster that computes the parts; without a scheduler, this process computes them."""
    _engines: dict[Quantizer, Engine] = field(default_factory=dict, kw_only=True, compare=False)

    @classmethod
    def of(
        cls,
        loaded: LoadedCheckpoint,
        config: ExtractionConfig | None = None,
        cluster_settings: OptionalClusterSettings | None = None,
    ) -> EncoderRepresentation:
        """Return the representation of an encoder; its name states the encoder and the options that are not default."""
        config = config or ExtractionConfig()
        windowing = config.windowing.with_window(loaded.encoder.config.window_frames)
        config = replace(config, windowing=windowing)
        settings = {"encoder": dict(loaded.origin), "weights": weights.digest(loaded.encoder), **windowing.to_dict()}
        if config.compat is not None:
            settings["compat"] = config.compat
        settings |= _axis(loaded, config)
        cluster_settings = cluster_settings or OptionalClusterSettings()
        return cls(
            loaded.name + config.suffix,
            settings,
            trained_on=loaded.mel,
            loaded=loaded,
            config=config,
            cluster_settings=cluster_settings,
        )

    def rows(self, store: MelStore) -> Sequence[ClipRow]:
        """Return the clips that have a mel, and with `compat` those that have a whole window.

        Raises:
            InvalidInput: there is no such clip.
            DigestMismatch: the mels are not those of the public code, which `compat` needs.
        """
        rows = super().rows(store)
        if self.config.compat is None:
            return rows
        _require_public_mel(store)
        window = self.config.windowing.window_frames
        if not (whole := [row for row in rows if row.frames >= window]):
            raise InvalidInput(f"no clip of {store.path} has a whole window of {window} frames; leave out --compat")
        return whole

    def engine(self, store: MelStore, rows: Sequence[ClipRow]) -> Engine:
        """Return the engine at the batch shape for `rows`. Automatic selection prints its choice once.

        Raises:
            DigestMismatch: the encoder was trained on another mel specification, or reads another number of bins.
        """
        _require_same_mel(self.loaded, store)
        if store.quantizer not in self._engines:
            self._engines[store.quantizer], messages = self.config.open_engine(self.loaded, store.quantizer)
            for message in messages:
                print(message)
        windows = max(ExtractionParts.of(rows, self.config.windowing).windows)
        return self._engines[store.quantizer].with_batch_for(windows)

    def provenance(self, store: MelStore) -> dict[str, Any]:
        """Return the settings of store, encoder, engine and windows, with their digest.

        Raises:
            InvalidInput: the store has no clip with a mel.
        """
        engine = self.engine(store, self.rows(store))
        settings = {key: value for key, value in super().provenance(store).items() if key != "digest"}
        settings |= {"engine": engine.settings.to_dict(), "precision": engine.settings.precision}
        settings |= {"batch_windows": engine.batch_windows}
        return {**settings, "digest": digest.digest(settings)}

    def compute(
        self, store: MelStore, rows: Sequence[ClipRow], path: Path, provenance: Mapping[str, Any]
    ) -> FeatureStore:
        """Compute and write the features of `rows` part by part; parts of an interrupted extraction are kept.

        Clips that have not changed since an earlier extraction to `path` are not computed again.
        """
        engine, windowing = self.engine(store, rows), self.config.windowing
        parts = ExtractionParts.of(rows, windowing)
        files = _parts(path, tuple(parts.sizes), engine.config, self.config)
        missing = [(number, parts.clips[number]) for number in files.begin(provenance)]
        finished_windows = sum(parts.windows) - sum(parts.windows[number] for number, _ in missing)
        scheduler = self.cluster_settings.scheduler
        with Progress(total=sum(parts.windows), initial=finished_windows, desc="embed", unit="window") as bar:
            if scheduler is None:
                reusable = ReusableEmbeddings.read(path, provenance)
                self._compute_here(Extraction(engine, windowing, bar.update), store, files, missing, reusable)
            else:
                for windows in self._compute_on_cluster(scheduler, store, engine, files, provenance, missing):
                    bar.update(windows)
        spans = windowing.spans(manifest.values_of(rows, "frames"), store.spec.seconds_for(1))
        return files.finish(rows, spans, provenance, store.path)

    def _compute_here(
        self,
        extraction: Extraction,
        store: MelStore,
        files: FeatureParts,
        parts: Sequence[tuple[int, Sequence[ClipRow]]],
        reusable: ReusableEmbeddings,
    ) -> None:
        """Compute the clips of each part that cannot be reused, and write the parts."""
        windowing = extraction.windowing
        new = [reusable.missing(clips) for _, clips in parts]
        computed = extraction.compute_parts(store, [clips for clips in new if clips])
        for (number, clips), clips_to_compute in zip(parts, new, strict=True):
            embeddings = next(computed) if clips_to_compute else None
            counts = [windowing.count_rows([row.frames]) for row in clips]
            files.write(number, reusable.splice(clips, embeddings, counts))
            new_windows = windowing.count_windows(row.frames for row in clips_to_compute)
            extraction.report_progress(windowing.count_windows(row.frames for row in clips) - new_windows)

    def _compute_on_cluster(
        self,
        scheduler: str,
        store: MelStore,
        engine: Engine,
        files: FeatureParts,
        provenance: Mapping[str, Any],
        parts: Sequence[tuple[int, Sequence[ClipRow]]],
    ) -> Iterator[int]:
        """Yield the number of windows of each part when a worker has written it."""
        task = ExtractionTask(
            store.path.absolute(),
            self.loaded.path.absolute(),
            replace(self.config, engine=engine.settings.name, precision=engine.settings.precision),
            engine.batch_windows,
            dict(provenance),
            replace(files, path=files.path.absolute()),
        )
        arguments = ((task, number, tuple(clips)) for number, clips in parts)
        settings = self.cluster_settings
        with connect(scheduler, settings.workers, tls=settings.tls, single_thread=True) as client:
            yield from run_all(client, extraction_task.compute_part, arguments)


def _axis(loaded: LoadedCheckpoint, config: ExtractionConfig) -> dict[str, Any]:
    """Return the description of the layers or tokens of a row, which becomes part of the provenance."""
    if config.keeps_tokens:
        return {"tokens": token_table(loaded.encoder.config, loaded.mel_spec)}
    if config.layer == ALL:
        return {"layers": blocks_of(ALL, loaded.encoder.config.depth)}
    return {}


def _parts(path: Path, sizes: tuple[int, ...], encoder: EncoderConfig, config: ExtractionConfig) -> FeatureParts:
    """Return the files of the parts, after a check that the features are not too large to be read again."""
    width = encoder.width if config.keeps_tokens else encoder.embedding_width
    files = FeatureParts(path, sizes, width, config.vectors(encoder))
    if not is_accepted_shape(shape := (sum(sizes), *files.row_shape)):
        raise InvalidInput(
            f"features of shape {' x '.join(map(str, shape))} are too large: at most {MAX_BYTES:,} bytes are read; "
            "use --pool mean, a larger --hop, or fewer clips"
        )
    return files


def _require_public_mel(store: MelStore) -> None:
    resampler = resampler_name(store.attributes["preprocessing"])
    if store.spec != MelSpec() or resampler != "torchaudio":
        raise DigestMismatch(
            f"--compat public needs the default mel with the resampler torchaudio, but {store.path} has {store.spec} "
            f"with the resampler {resampler}; ingest the recordings into another --store with --compat public"
        )


def _require_same_mel(loaded: LoadedCheckpoint, store: MelStore) -> None:
    names = (f"the training data of {loaded.name}", str(store.path))
    digest.diff_settings(loaded.mel, store.value_settings(), names)
    n_mels = loaded.encoder.config.n_mels
    if store.spec.n_mels != n_mels:
        raise DigestMismatch(
            f"{loaded.name} reads {n_mels} mel bins, but the mels of {store.path} have {store.spec.n_mels}; ingest the "
            f"recordings again, into another --store, with --n-mels {n_mels}, and with the same mel flags as its "
            "training data"
        )
