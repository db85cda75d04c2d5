"""Pairs of audio and text with common content: embeddings in memory, or a feature store with a table of texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.alignment.config import AdapterConfig
from model.alignment.pairs import Pairs
from model.objectives.bimodal_config import bimodal_preset
from stores.features import FeatureStore

AUDIO_WIDTH, TEXT_WIDTH = 10, 7


def embeddings(count, noise=0.3, seed=0):
    """Return embeddings of audio and of text, whose rows share five random numbers."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(count, 5))
    maps = rng.normal(size=(5, AUDIO_WIDTH)), rng.normal(size=(5, TEXT_WIDTH))
    return [(content @ each + noise * rng.normal(size=(count, each.shape[1]))).astype(np.float32) for each in maps]


def pairs(count=64, splits=("train", "test"), **changed):
    """Return pairs in memory; two neighboring pairs of a split are a group."""
    audio, text = embeddings(count, **changed)
    ids = tuple(f"clip-{i}" for i in range(count))
    of_clip = tuple(splits[i % len(splits)] for i in range(count))
    groups = tuple(f"group-{i % len(splits)}-{i // (2 * len(splits))}" for i in range(count))
    return Pairs(ids, audio, text, of_clip, groups, {"weights": "w"}, {"text_encoder_digest": "t"})


def config(name="fastclip-v3", **changed):
    """Return the settings of small linear adapters."""
    settings = {"width": 6, "hidden": 0, "batch": 8, "epochs": 6, "learning_rate": 1e-2, "weight_decay": 0.0, "seed": 1}
    return AdapterConfig(objective=bimodal_preset(name), **{**settings, **changed})


def write(make_store, folder, count=48):
    """Write a mel store, a feature store and a Parquet table of texts below `folder`, and return both paths."""
    store = make_store([96] * count, "stores/made.zarr", splits=[("train", "test")[i % 2] for i in range(count)])
    audio, text = embeddings(count)
    rows = list(store.rows.select(state="written"))
    provenance = {"store_digest": store.digest(), "weights": "w", "representation": "first"}
    features = folder / "stores" / "made.first.features.zarr"
    FeatureStore(audio, rows, provenance, mel_store=store.path).write(features)
    write_texts(folder / "texts.parquet", [row.id for row in rows], text)
    return features, folder / "texts.parquet"


def write_texts(path, ids, text):
    """Write embeddings of texts as a Parquet table."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(text.reshape(-1)), text.shape[1])
    pq.write_table(pa.table({"id": ids, "embedding": column}), path)
