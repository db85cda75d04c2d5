"""The four tasks of the paper on their published splits with synthetic features, from the splits to the scores."""

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
    """Return the manifest rows of a benchmark set all of whose audio files exist and are empty."""
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
    """Return embeddings that contain a vector for each label, plus noise."""
    rng = np.random.default_rng(seed)
    names = sorted({name for row in rows for name in _label_weights(row)})
    directions = {name: rng.normal(size=WIDTH) for name in names}
    embeddings = noise * rng.standard_normal((len(rows), WIDTH), dtype=np.float32)
    for i, row in enumerate(rows):
        for name, weight in _label_weights(row).items():
            embeddings[i] += np.float32(weight) * directions[name].astype(np.float32)
    return FeatureStore(embeddings, rows, {"digest": f"made-{seed}"})


def _label_weights(row):
    """Return the weight of each label of a clip, which is 1 or its arousal or valence."""
    labels = row.labels
    if "tags" in labels:
        return dict.fromkeys(split_tags(labels["tags"]), 1.0)
    if "arousal" in labels:
        return {name: float(labels[name]) for name in ("arousal", "valence")}
    return {next(iter(labels.values())): 1.0}


@pytest.fixture(scope="module", params=TASKS)
def scored(request, tmp_path_factory):
    """Return a set's name, the features that contain the labels, the scores, and the folder of the scores."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    rows = _rows(name, folder / "audio")
    features = {TRAINED: _features(rows), "noise": _features(rows, seed=1, noise=1e4)}
    grid = tiny.grid((0, 512), patience=4, batch=256, learning_rate=1e-3)
    task = TASKS[name][0]
    results = evaluate_representations(task, features, grid, lambda _: GridSearch(torch.device("cpu"), torch.float32))
    scores = score_representations(task, name, "made", features, grid, results)
    scores.write(folder / "scores.json")
    return name, features[TRAINED], scores, folder


def test_counts_equal_the_published_counts(scored):
    name, features, scores, _ = scored
    task, clips, songs, groups, classes = TASKS[name]
    assert task_names(features.rows) == [task]
    assert tuple(scores.clips.values()) == clips
    assert len(scores.classes) == classes
    if songs:
        assert scores.songs["test"] == songs[1]
    if groups:
        assert scores.test_groups == groups
    if name == "giantsteps":
        assert scores.rows[0].vote
        assert sum(scores.rows[0].details["relations"].values()) == 604
        assert all(musical_keys.parse_key(key) for key in scores.classes)
        assert max(Counter(Task.of(features, task).splits["test"].songs.tolist()).values()) > 1


def test_features_with_the_labels_beat_noise_and_every_score_is_complete(scored):
    _, _, scores, folder = scored
    trained, noise = scores.rows
    for metric, score in trained.metrics.items():
        assert scores.chance[metric] < score.interval.low <= score.value <= score.interval.high
        assert noise.metrics[metric].lead.low > 0
        assert len(score.seeds) == 2
        assert score.neighbours is not None
    assert trained.efficiency[0]["clips"] < trained.efficiency[-1]["clips"] == scores.clips["train"]
    assert Scores.read(folder / "scores.json") == scores
    text = table(scores)
    print(text)
    print(averages([scores]))
    assert all(metric in text for metric in trained.metrics)
