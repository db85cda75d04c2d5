"""The work of `python -m model.extract`: embed a mel store with an encoder, and write a feature store."""

from __future__ import annotations

from pathlib import Path

from model.encoder import hub_models
from model.inference import checkpoints
from model.inference.config import ExtractSettings, TableKind
from model.inference.encoder_representation import EncoderRepresentation
from model.inference.extraction import ExtractionConfig
from model.inference.layers import parse_layer
from model.inference.windows import Windowing
from stores import feature_tables, locations, remote_link
from stores.features import FeatureStore
from stores.json_output import print_json
from stores.labels import count_noun
from stores.mel_store import MelStore


def extract(settings: ExtractSettings) -> None:
    """Compute the features of a mel store, unless they are stored already, and print a summary.

    Raises:
        MynaError: the store, the encoder or the engine cannot be used, or features with other options are stored.
    """
    store = MelStore.open(remote_link.store_path(settings.dataset))
    checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    print(f"encoder: {checkpoint}")
    representation = _representation(settings, checkpoint.path)
    provenance = representation.provenance(store)
    print(f"engine: {provenance['engine']['name']} in {provenance['precision']} on {provenance['engine']['device']}")
    path = settings.out or representation.path(locations.dataset_of(store.path))
    features = representation.extract(store, path, replaces=False)
    print(f"{path}: {_summary(features)}{_left_out(store, features)}")
    if settings.to:
        _write_table(path, features, settings.to)
    if settings.json:
        shape = {"rows": len(features.embeddings), "width": features.embeddings.shape[-1], "clips": len(features.clips)}
        print_json(
            {"features": str(path), **shape, "engine": provenance["engine"], "precision": provenance["precision"]}
        )


def _representation(settings: ExtractSettings, path: Path) -> EncoderRepresentation:
    engine, published = settings.engine, settings.published
    loaded = checkpoints.load(path, published.patches, published.input_scale)
    windowing = Windowing.of(settings.windows, loaded.encoder.config, loaded.mel_spec)
    options = (published.patches, published.input_scale, settings.windows.compat)
    config = ExtractionConfig(engine.engine, engine.precision, parse_layer(engine.layer), windowing, *options)
    return EncoderRepresentation.of(loaded.with_window(windowing.window_frames), config, settings.cluster)


def _summary(features: FeatureStore) -> str:
    rows, *_, width = features.embeddings.shape
    padded = features.spans.padded.sum()
    vectors = f", {features.embeddings.shape[1]} {features.axis} each," if features.axis else ""
    return f"{count_noun(rows, 'embedding')}{vectors} of width {width}" + (
        f", {padded} of clips shorter than a window" if padded else ""
    )


def _left_out(store: MelStore, features: FeatureStore) -> str:
    count = int(store.rows.in_state("written").sum()) - len(features.clips)
    return f"; {count_noun(count, 'clip')} shorter than a window left out (--compat public)" if count else ""


def _write_table(path: Path, features: FeatureStore, kind: TableKind) -> None:
    table = path.with_name(path.name.removesuffix(".zarr").removesuffix(".features") + f".{kind}")
    feature_tables.write(table, features, kind)
    print(f"{table}: {count_noun(len(features.embeddings), 'row')}")
