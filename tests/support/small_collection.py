"""A small folder of synthesized music with copies, and its mel store and embeddings by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import synthetic_audio

from pipeline.ingest import main as ingest
from stores.features import FeatureStore, Spans
from stores.mel_store import MelStore

SECONDS = 16
NAMES = ("a/one.wav", "a/two.wav", "a/three.wav", "b/four.wav", "b/five.wav", "b/six.wav")


def song(number):
    """Return a song whose tempo and length depend on its number, `[T]` float32."""
    return synthetic_audio.chords(SECONDS + number, seed=number, chord_seconds=0.37 + 0.06 * number)


def write_music(folder):
    """Write two albums of three songs, and a shorter, quieter MP3 of the first song in a third folder."""
    for number, name in enumerate(NAMES):
        synthetic_audio.write(folder / name, song(number))
    copy = 0.4 * song(0)[int(3.03 * synthetic_audio.RATE_HZ) :]
    synthetic_audio.write(folder / "copies" / "eins.mp3", copy)
    return folder


def ingest_music(folder, store):
    """Ingest the folder into the mel store at `store`, and return it."""
    words = ["--root", str(folder), "--store", str(store), "--scheduler", "threads", "--workers", "1"]
    assert ingest(["folder", *words]) == 0
    return MelStore.open(store)


def features(store, path, windows=1, width=6, seed=0):
    """Write random embeddings of the clips of a store, a few for each clip, and return them."""
    rows = list(store.rows.select(state="written"))
    rng = np.random.default_rng(seed)
    clip = np.repeat(np.arange(len(rows)), windows)
    starts = np.tile(3.0 * np.arange(windows), len(rows))
    ones = np.ones(len(clip), np.int64)
    spans = Spans(clip, starts, ones, ones < 0)
    embeddings = rng.normal(size=(len(rows), width))[clip] + 0.1 * rng.normal(size=(len(clip), width))
    provenance = {"store_digest": store.digest(), "digest": "d"}
    made = FeatureStore(embeddings.astype(np.float32), [rows[i] for i in clip], provenance, spans, store.path)
    made.write(path)
    return replace(made)
