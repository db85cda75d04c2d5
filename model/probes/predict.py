"""The work of `python -m model.predict`: predict the labels of clips with a winning probe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.inference import external_embeddings
from model.inference.layers import ALL, MIX, Layer, blocks_of, parse_layer, suffix_of
from model.inference.representations import BASELINES
from model.probes import sequential_head
from model.probes.config import PredictSettings
from model.probes.feature_match import require_match
from model.probes.probe import Probe
from model.probes.results.predictions import PredictionFile, prediction_table
from stores import feature_tables, locations, manifest
from stores.errors import InvalidInput, MissingArtifact
from stores.feature_layers import join_layers, select_layers
from stores.features import CLIPS, FeatureStore, read_provenance
from stores.json_output import print_json


def predict(settings: PredictSettings) -> None:
    """Write the predictions for the clips of a dataset or of a file of embeddings.

    Raises:
        MissingArtifact: there is no such probe, or there are no such features.
        CorruptArtifact: the probe or the embeddings are damaged.
        DigestMismatch: the embeddings were made otherwise than those that the probe was trained on.
        InvalidInput: the embeddings have another width, or the name of the output file has another suffix.
    """
    is_published = settings.probe.suffix in sequential_head.SUFFIXES
    probe = sequential_head.read(settings.probe) if is_published else Probe.read(settings.probe)
    clips = _clips(settings.source, probe)
    stem = Path(settings.source).stem.removesuffix(".features")
    output = PredictionFile(settings.out or Path(f"{stem}.{probe.metadata['task']}.csv"))
    averaged = _require_copies(clips.semitones, settings.source) if settings.average_transpositions else None
    table = prediction_table(probe, clips.ids, clips.embeddings, clips.songs(averaged is None), averaged)
    for position, (name, seconds) in enumerate(clips.times.items(), 1):
        table = table.add_column(position, name, [seconds])
    if averaged is not None:
        table = table.filter(pa.array([step == 0 for step in averaged]))
    output.write(table)
    print(f"{output.path}: {probe.metadata['task']} of {table.num_rows} clips")
    if settings.json:
        print_json({"predictions": str(output.path), **_summary(table, probe)})


def _summary(table: pa.Table, probe: Probe) -> dict[str, Any]:
    """Return the number of clips, that of each predicted label, and that of clips unlike all training clips."""
    labels = Counter(table.column("prediction").to_pylist()) if probe.metadata["kind"] != "numbers" else {}
    unlike = sum(remark != "" for remark in table.column("remark").to_pylist()) if probe.reference else None
    counts = dict(sorted(labels.items()))
    return {"task": probe.metadata["task"], "clips": table.num_rows, "labels": counts, "unlike_training_clips": unlike}


@dataclass(frozen=True)
class _Clips:
    """The clips or windows that are predicted."""

    ids: Sequence[str]
    """Id of each."""
    embeddings: NDArray[np.float32]
    """Embeddings `[clips, width]`."""
    recordings: Sequence[str]
    """Recording of each."""
    semitones: Sequence[int]
    """Transposition of each."""
    times: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Start and end in seconds, by column, if they are windows."""

    def songs(self, separates_copies: bool) -> Sequence[str]:
        """Return the recording of each clip, or the transposed copy if copies are predicted by themselves."""
        if not separates_copies:
            return self.recordings
        return [f"{name}\0{step}" for name, step in zip(self.recordings, self.semitones, strict=True)]


def _require_copies(semitones: Sequence[int], source: str) -> Sequence[int]:
    if not any(semitones):
        raise InvalidInput(
            f"{source} has no transposed copies to average; make them with `python -m pipeline.ingest ... "
            "--transpose 12 --transpose-all` and extract again, or leave out --average-transpositions"
        )
    return semitones


def _clips(source: str, probe: Probe) -> _Clips:
    path = Path(source)
    if path.is_dir() and not (path / CLIPS).is_file() and not _is_dataset(source):
        raise InvalidInput(
            f"{source} is a folder, and a probe reads embeddings; make them with `python -m dags.embed {source} "
            f"--checkpoint {_checkpoint(probe)} --out X.parquet` and predict from X.parquet"
        )
    if path.suffix in (".parquet", ".npz"):
        external = external_embeddings.read(path)
        require_match(external.provenance, probe.metadata["features"], path)
        return _Clips(external.ids, external.embeddings, external.ids, [0] * len(external.ids))
    if path.suffix != ".zarr":
        path = _feature_store(source, probe)
    store = _read_features(path, probe)
    require_match(store.provenance, probe.metadata["features"], path)
    ids, sources, members, semitones = (
        manifest.values_of(store.rows, name) for name in ("id", "source", "member", "semitones")
    )
    recordings = [f"{source}\0{member}" for source, member in zip(sources, members, strict=True)]
    times = feature_tables.times(store) if len(store.clips) < len(store.rows) else {}
    return _Clips(ids, store.embeddings, recordings, semitones, times)


def _is_dataset(source: str) -> bool:
    """Return whether a word that is also a folder is a dataset with features, as after `dags.explore music`."""
    return source.replace("-", "").replace("_", "").isalnum() and any(
        locations.STORES.glob(f"{source}.*.features.zarr")
    )


def _feature_store(dataset: str, probe: Probe) -> Path:
    """Return the path of a dataset's features, by the representation that the probe was trained on."""
    name = str(probe.metadata["features"].get("representation", ""))
    if not name:
        raise InvalidInput(
            "the probe was trained on embeddings of another model; give a .parquet or .npz file with embeddings of "
            "that model"
        )
    path = _existing(dataset, name, _layer(probe))
    if not path.exists() and name.startswith(BASELINES):
        raise MissingArtifact(
            f"the probe reads {name}, a baseline that only `model.probe {dataset}` makes; predict with the probe of an "
            "encoder, whose features can be extracted for any dataset"
        )
    if not path.exists():
        needed = ALL if _layer(probe) == MIX else _layer(probe)
        layer = "" if needed is None else f" --layer {needed}"
        raise MissingArtifact(
            f"no features at {path}; make them with `python -m model.extract {dataset} --checkpoint "
            f"{_checkpoint(probe)}{layer}`, after `python -m pipeline.ingest` if {dataset!r} has no mel store yet"
        )
    return path


def _existing(dataset: str, name: str, layer: Layer) -> Path:
    """Return the path of the features of a layer, or of all layers if only they were extracted."""
    path = locations.feature_store(dataset, name)
    if layer is None or path.exists() or not name.endswith(suffix := f"-{suffix_of(layer)}"):
        return path
    all_layers = locations.feature_store(dataset, f"{name.removesuffix(suffix)}-{suffix_of(ALL)}")
    return all_layers if all_layers.exists() else path


def _layer(probe: Probe) -> Layer:
    """Return the layer whose embeddings the probe reads. The file of a probe may come from anywhere."""
    engine = probe.metadata["features"].get("engine")
    layer = engine.get("layer") if isinstance(engine, dict) else None
    return None if layer in (None, ALL) else parse_layer(str(layer), accepts_mix=True)


def _read_features(path: Path, probe: Probe) -> FeatureStore:
    """Return the features at `path`; of features of all layers, those of the layer that the probe reads."""
    layer = _layer(probe)
    if layer is None or "layers" not in read_provenance(path):
        return FeatureStore.read(path)
    store = FeatureStore.read(path, any_axis=True)
    blocks = blocks_of(layer, max(store.provenance["layers"]))
    select = join_layers if layer == MIX else select_layers
    return select(store, blocks, layer, str(probe.metadata["features"].get("representation", "")))


def _checkpoint(probe: Probe) -> str:
    name = locations.validate_name(str(probe.metadata["features"].get("representation", "NAME")))
    return f"runs/{name.removesuffix(f'-{suffix_of(_layer(probe))}')}/encoder.safetensors"
