"""The four tasks of the paper on their real splits: counts as published, features made up, every number there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import synthetic_splits
import tiny
import torch

from model.probes import musical_keys
from model.probes.results.averages import averages
from model.probes.results.scores import TRAINED, Scores, evaluate_representations, score_representations
from model.probes.results.text_table import table
from model.probes.task import Task, task_names
from model.probes.training.grid_search import GridSearch
from pipeline.datasets import emomusic, giantsteps, gtzan, jukemir, magnatagatune
from stores.features import FeatureStore
from stores.labels import split_tags
from stores.manifest import ClipRow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WIDTH = 768
NAMES = {
    "gtzan": ("gtzan_ff", lambda entry: f"{entry.text('extra', 'id')}.wav"),
    "giantsteps": ("giantsteps_clips", lambda entry: f"{entry.text('clip', 'audio_uid')}.LOFI.mp3"),
    "magnatagatune": ("magnatagatune", lambda entry: entry.text("extra", "mp3_path")),
    "emomusic": ("emomusic", lambda entry: f"clips_45seconds/{int(entry.uid)}.mp3"),
}
TASKS = {
    # task, clips, songs, test groups, classes
    "gtzan": ("genre", (443, 197, 290), (), 290, 10),
    "giantsteps": ("key", (3_687, 942, 2_406), (942, 604), 604, 24),
    "magnatagatune": ("tags", (18_706, 1_825, 5_329), (), None, 50),
    "emomusic": ("emotion", (504, 115, 125), (), 125, 2),
}


def _rows(name, folder):
    """Manifest rows of a set whose audio is all there, and empty."""
    metadata, path = NAMES[name]
    splits = synthetic_splits.published()
    synthetic_splits.touch(folder, *{path(entry) for entry in jukemir.entries(metadata, splits) if entry.split})
    module = {"gtzan": gtzan, "giantsteps": giantsteps, "magnatagatune": magnatagatune, "emomusic": emomusic}[name]
    tracks = module.tracks(folder, splits).tracks
    return [
        ClipRow(i, t.id, str(Path(t.path).relative_to(folder)), t.group, t.split, dict(t.labels), state="written")
        for i, t in enumerate(tracks)
    ]


def _features(rows, seed=0, noise=3.0):
    """Embeddings that know something of the labels."""
    rng = np.random.default_rng(seed)
    known = sorted({part for row in rows for part in _parts(row)})
    place = {one: rng.normal(size=WIDTH) for one in known}
    embeddings = noise * rng.standard_normal((len(rows), WIDTH), dtype=np.float32)
    for i, row in enumerate(rows):
        for part, weight in _parts(row).items():
            embeddings[i] += np.float32(weight) * place[part].astype(np.float32)
    return FeatureStore(embeddings, rows, {"digest": f"made-{seed}"})


def _parts(row):
    labels = row.labels
    if "tags" in labels:
        return dict.fromkeys(split_tags(labels["tags"]), 1.0)
    if "arousal" in labels:
        return {name: float(labels[name]) for name in ("arousal", "valence")}
    return {next(iter(labels.values())): 1.0}


@pytest.fixture(scope="module", params=TASKS)
def scored(request, tmp_path_factory):
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    rows = _rows(name, folder / "audio")
    features = {TRAINED: _features(rows), "noise": _features(rows, seed=1, noise=1e4)}
    grid = tiny.grid((0, 512), patience=4, batch=256, learning_rate=1e-3)
    task = TASKS[name][0]
    found = evaluate_representations(task, features, grid, lambda _: GridSearch(torch.device("cpu"), torch.float32))
    made = score_representations(task, name, "made", features, grid, found)
    made.write(folder / "scores.json")
    return name, features[TRAINED], made, folder


def test_counts_are_as_published(scored):
    name, features, made, _ = scored
    task, clips, songs, groups, classes = TASKS[name]
    assert task_names(features.rows) == [task]
    assert tuple(made.clips.values()) == clips
    assert len(made.classes) == classes
    if songs:
        assert made.songs["test"] == songs[1]
    if groups:
        assert made.test_groups == groups
    if name == "giantsteps":
        assert made.rows[0].vote
        assert sum(made.rows[0].details["relations"].values()) == 604
        assert all(musical_keys.parse_key(one) for one in made.classes)
        assert max(Counter(Task.of(features, task).splits["test"].songs.tolist()).values()) > 1


def test_what_knows_the_labels_is_ahead_of_noise_and_every_number_is_there(scored):
    _, _, made, folder = scored
    trained, noise = made.rows
    for metric, one in trained.metrics.items():
        assert made.chance[metric] < one.interval.low <= one.value <= one.interval.high
        assert noise.metrics[metric].lead.low > 0
        assert len(one.seeds) == 2
        assert one.neighbours is not None
    assert trained.efficiency[0]["clips"] < trained.efficiency[-1]["clips"] == made.clips["train"]
    assert Scores.read(folder / "scores.json") == made
    text = table(made)
    print(text)
    print(averages([made]))
    assert all(metric in text for metric in trained.metrics)
