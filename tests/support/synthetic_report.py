"""Working directories for reports: a run with one task, and a run with everything that a page can show.

Names that come from users are hostile: they look like markup.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import tiny

from model.objectives.config import preset
from model.probes.evaluation.bootstrap import Interval
from model.probes.results.scores import TRAINED, Metric, RepresentationScores, Scores
from stores import locations, sweep_file
from stores.commit import write_bytes, write_json
from stores.features import FeatureStore
from stores.manifest import ClipRow
from stores.sweep_file import Sweep, SweepPoint, SweepScore

HOSTILE = "<script>alert(1)</script>\"'&"
TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
KEYS = tuple(f"{tonic} {mode}" for tonic in TONICS for mode in ("major", "minor"))
METRICS = {
    "classes": ("accuracy",),
    "key": ("weighted score", "accuracy"),
    "tags": ("ROC-AUC", "average precision"),
    "numbers": ("R² arousal", "R² valence"),
}
PAPER = {
    ("magnatagatune", "tags"): ("tags", (*(f"tag {i}" for i in range(11)), HOSTILE)),
    ("gtzan", "genre"): ("classes", ("blues", "jazz", "</script>", HOSTILE)),
    ("giantsteps", "key"): ("key", KEYS),
    ("emomusic", "emotion"): ("numbers", ("arousal", "valence")),
}
SWEEPS = {"masking_ratio": (0.5, 0.75, 0.9), "batch": (64, 128, 256), "schedule": ("constant", HOSTILE)}
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)


def scores(
    dataset="made", task="genre", kind="classes", classes=("one", "two", "three"), run="first", seed=0, **changed
):
    """Return scores of the trained representation and three others, one of them with a hostile name."""
    rng = np.random.default_rng(seed)
    names = (TRAINED, "untrained", "mean-log-mel", HOSTILE)
    rows = tuple(_row(name, kind, classes, 0.8 - 0.15 * index, rng) for index, name in enumerate(names))
    baseline = dict.fromkeys(METRICS[kind], 0.0 if kind == "numbers" else 0.25)
    settings = {
        "grid": "quick",
        "probes": 6,
        "clips": {"train": 120, "valid": 40, "test": 60},
        "songs": {},
        "test_groups": 20,
        "chance": baseline,
        "majority": baseline,
        "provenance": dict.fromkeys(names, "now"),
    }
    return Scores(dataset=dataset, run=run, task=task, kind=kind, classes=classes, rows=rows, **settings | changed)


def _row(name, kind, classes, value, rng):
    difference = None if name == TRAINED else Interval(*((0.1, 0.2) if value < 0.6 else (-0.1, 0.1)))
    metrics = {}
    for index, metric in enumerate(METRICS[kind]):
        score = value - 0.2 * index
        seeds = (score, score - 0.02, score + 0.02)
        metrics[metric] = Metric(score, Interval(score - 0.1, score + 0.05), difference, seeds, score - 0.05)
    means = {metric: estimate.value for metric, estimate in metrics.items()}
    efficiency = tuple(_with_share(means, share) for share in (0.1, 0.25, 1.0))
    return RepresentationScores(
        name, 32, "", {}, "", means, metrics, {"patience": 6}, efficiency, _details(kind, classes, rng)
    )


def _with_share(means, share):
    values = {name: value * (0.5 + share / 2) for name, value in means.items()}
    intervals = {name: {"low": value - 0.1, "high": value + 0.1} for name, value in values.items()}
    return {"share": share, "clips": int(120 * share), "draws": 3, "metrics": values, "intervals": intervals}


def _details(kind, classes, rng):
    if kind == "tags":
        return {"tags": [_tag(name, rng) for name in classes]}
    if kind == "numbers":
        return {"numbers": [{"name": name, "correlation": 0.7} for name in classes]}
    count = len(classes)
    confusions = (rng.integers(0, 3, (count, count)) + 9 * np.eye(count, dtype=int)).tolist()
    relations = {"relations": {"same": 40, "fifth": 8, "relative": 6, "parallel": 2, "other": 4}}
    return {"confusions": confusions, **(relations if kind == "key" else {})}


def _tag(name, rng):
    area = None if name == "tag 3" else float(rng.uniform(0.6, 1))
    return {"name": name, "clips": int(rng.integers(1, 50)), "ROC-AUC": area, "average precision": area and area / 2}


def features(labels, clips=36, digest="now", ids="clip-{}"):
    """Return embeddings of clips. `labels` is a function of the index, and the splits come in turn."""
    rng, splits = np.random.default_rng(0), ("train", "valid", "test")
    rows = [
        ClipRow(i, ids.format(i), f"{i}.wav", f"group-{i // 2}", splits[i % 3], labels(i), state="written")
        for i in range(clips)
    ]
    provenance = {
        "digest": digest,
        "store_digest": "store",
        "weights": "weights",
        "engine": {"name": "eager", "device": "cpu", "versions": {"torch": "2"}},
    }
    return FeatureStore(rng.normal(size=(clips, 8)).astype(np.float32), rows, provenance)


def run(name="first", objective="infonce", lines=8, **changed):
    """Write a finished run as `model.train` leaves it, with metrics of every kind, and return its settings."""
    config = tiny.train_config(objective=preset(objective), **changed)
    folder = locations.run(name)
    tiny.write_run(folder, config)
    write_json(folder / "config.json", {**config.to_dict(), "store": "made"})
    rows = [
        {
            "step": step,
            "loss": 2.0 - step / 10,
            "alignment": 0.5,
            "uniformity": -1 - step / 10,
            "windows_per_second": 100.0 + step,
            "unix_seconds": 1000.0 + 30 * step,
            **({"neighbours": 0.3 + step / 100} if step % 4 == 0 else {}),
        }
        for step in range(lines)
    ]
    write_bytes(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    return config


def one_task(make_store, clips=36):
    """Write the run `first` with one task on the dataset `made` into the working directory, and return its scores."""
    locations.STORES.mkdir(exist_ok=True)
    store = make_store([100] * clips, "stores/made.zarr")
    labeled = features(_genre, clips)
    described = zip(store.rows, labeled.rows, strict=True)
    store.update([replace(row, labels=clip.labels, group=clip.group, split=clip.split) for row, clip in described])
    provenance = {**labeled.provenance, "store_digest": store.digest()}
    FeatureStore(labeled.embeddings, store.rows, provenance).write(locations.feature_store("made", "first"))
    genre_scores = scores()
    genre_scores.write(locations.scores("first", "made", "genre"))
    run()
    return genre_scores


def everything(make_store):
    """Write `one_task` with the paper's four tasks, sweeps, another objective, and pictures."""
    one_task(make_store)
    for index, ((dataset, task), (kind, classes)) in enumerate(PAPER.items()):
        scores(dataset, task, kind, classes, seed=index).write(locations.scores("first", dataset, task))
        features(lambda i, task=task: {task: "x"}).write(locations.feature_store(dataset, "first"))
    run("other", "sogclr", seed=4)
    scores(run="other", seed=9).write(locations.scores("other", "made", "genre"))
    shutil.copytree(locations.feature_store("made", "first"), locations.feature_store("made", "other"))
    write_bytes(locations.run("first") / "reconstructions.png", PIXEL)
    for over, values in SWEEPS.items():
        sweep(f"made-{over}", over, values)


def _genre(index):
    return {"genre": ("one", "two", "three")[index % 3]}


def sweep(name, over, values):
    """Write a sweep file as `dags.sweep` does. The last of its runs is `first`."""
    runs = [*(f"{name}-{index}" for index in range(len(values) - 1)), "first"]
    points = [
        _point(value, run_name, 0.5 + index / 10)
        for index, (value, run_name) in enumerate(zip(values, runs, strict=True))
    ]
    written = Sweep(
        name=name,
        command=f"python -m dags.sweep --over {over} {HOSTILE}",
        store="made",
        over=over,
        fair=f"every run sees as many clips {HOSTILE}",
        clips_seen=6400,
        points=tuple(points),
    )
    sweep_file.write(locations.sweep(name), written)


def _point(value, run_name, score):
    values = {TRAINED: score, "untrained": 0.3}
    scores = [
        SweepScore("made", "genre", representation, "accuracy", value, score - 0.1, score + 0.1)
        for representation, value in values.items()
    ]
    return SweepPoint(
        value=value,
        run=run_name,
        config_digest="c",
        store_digests={"made": "s"},
        batch=64,
        steps=100,
        masking_ratio=0.9,
        seconds_per_step=0.1,
        loss=2.0,
        neighbours=None,
        scores=tuple(scores),
    )
