"""Workplaces that a report is made of, out of nothing: a run with one task, and one with everything, names hostile."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import tiny

from model.objectives.config import preset
from model.probes.evaluation.bootstrap import Interval
from model.probes.results.scores import TRAINED, Metric, RepresentationScores, Scores
from stores import locations
from stores.commit import write_bytes, write_json
from stores.features import FeatureStore
from stores.manifest import ClipRow

EVIL = "<script>alert(1)</script>\"'&"
TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
KEYS = tuple(f"{tonic} {mode}" for tonic in TONICS for mode in ("major", "minor"))
METRICS = {
    "classes": ("accuracy",),
    "key": ("weighted score", "accuracy"),
    "tags": ("ROC-AUC", "average precision"),
    "numbers": ("R² arousal", "R² valence"),
}
PAPER = {
    ("magnatagatune", "tags"): ("tags", (*(f"tag {i}" for i in range(11)), EVIL)),
    ("gtzan", "genre"): ("classes", ("blues", "jazz", "</script>", EVIL)),
    ("giantsteps", "key"): ("key", KEYS),
    ("emomusic", "emotion"): ("numbers", ("arousal", "valence")),
}
SWEEPS = {"masking_ratio": (0.5, 0.75, 0.9), "batch": (64, 128, 256), "schedule": ("constant", EVIL)}
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)


def scores(dataset="made", task="genre", kind="classes", classes=("one", "two", "three"), run="first", seed=0, **more):
    """Scores as `model.probe` writes them: the trained one, three others, one of them hostile."""
    rng = np.random.default_rng(seed)
    names = (TRAINED, "untrained", "mean-log-mel", EVIL)
    rows = tuple(_row(name, kind, classes, 0.8 - 0.15 * place, rng) for place, name in enumerate(names))
    guess = dict.fromkeys(METRICS[kind], 0.0 if kind == "numbers" else 0.25)
    settings = {
        "grid": "quick",
        "probes": 6,
        "clips": {"train": 120, "valid": 40, "test": 60},
        "songs": {},
        "test_groups": 20,
        "chance": guess,
        "majority": guess,
        "provenance": dict.fromkeys(names, "now"),
    }
    return Scores(dataset=dataset, run=run, task=task, kind=kind, classes=classes, rows=rows, **settings | more)


def _row(name, kind, classes, value, rng):
    lead = None if name == TRAINED else Interval(*((0.1, 0.2) if value < 0.6 else (-0.1, 0.1)))
    metrics = {}
    for place, metric in enumerate(METRICS[kind]):
        at = value - 0.2 * place
        metrics[metric] = Metric(at, Interval(at - 0.1, at + 0.05), lead, (at, at - 0.02, at + 0.02), at - 0.05)
    means = {metric: one.value for metric, one in metrics.items()}
    efficiency = tuple(_with_fewer(means, share) for share in (0.1, 0.25, 1.0))
    return RepresentationScores(
        name, 32, "", {}, "", means, metrics, {"patience": 6}, efficiency, _details(kind, classes, rng)
    )


def _with_fewer(means, share):
    found = {name: value * (0.5 + share / 2) for name, value in means.items()}
    intervals = {name: {"low": value - 0.1, "high": value + 0.1} for name, value in found.items()}
    return {"share": share, "clips": int(120 * share), "draws": 3, "metrics": found, "intervals": intervals}


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
    """Embeddings of clips with `labels`, a function of a clip's place; every third clip stands in each split."""
    rng, splits = np.random.default_rng(0), ("train", "valid", "test")
    rows = [
        ClipRow(i, ids.format(i), f"{i}.wav", f"group-{i // 2}", splits[i % 3], labels(i), state="written")
        for i in range(clips)
    ]
    facts = {"digest": digest, "store_digest": "store", "weights": "weights"}
    engine = {"name": "eager", "device": "cpu", "versions": {"torch": "2"}}
    return FeatureStore(rng.normal(size=(clips, 8)).astype(np.float32), rows, {**facts, "engine": engine})


def run(name="first", objective="infonce", lines=8, **changed):
    """A finished run as `model.train` leaves it, with metrics of every kind."""
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
    """The run `first` with one task on the data set `made`; the working directory is the place."""
    locations.STORES.mkdir(exist_ok=True)
    make_store([100] * clips, "stores/made.zarr")
    features(lambda i: {"genre": ("one", "two", "three")[i % 3]}, clips).write(locations.feature_store("made", "first"))
    found = scores()
    found.write(locations.scores("first", "made", "genre"))
    run()
    return found


def everything(make_store):
    """The same with the paper's four tasks, sweeps, other objectives, pictures and a data set of its own."""
    one_task(make_store)
    for place, ((dataset, task), (kind, classes)) in enumerate(PAPER.items()):
        scores(dataset, task, kind, classes, seed=place).write(locations.scores("first", dataset, task))
        features(lambda i, task=task: {task: "x"}).write(locations.feature_store(dataset, "first"))
    run("other", "sogclr", seed=4)
    scores(run="other", seed=9).write(locations.scores("other", "made", "genre"))
    features(lambda i: {"genre": ("one", "two", "three")[i % 3]}).write(locations.feature_store("made", "other"))
    write_bytes(locations.run("first") / "reconstructions.png", PIXEL)
    for over, values in SWEEPS.items():
        sweep(f"made-{over}", over, values)


def sweep(name, over, values):
    """A file as `dags.sweep` writes it; the last of its runs is `first`."""
    points = []
    for place, value in enumerate(values):
        at = 0.5 + place / 10
        who = {"dataset": "made", "task": "genre", "metric": "accuracy", "value": at, "low": at - 0.1, "high": at + 0.1}
        points.append(
            {
                "value": value,
                "run": "first" if place == len(values) - 1 else f"{name}-{place}",
                "config_digest": "c",
                "store_digests": {"made": "s"},
                "batch": 64,
                "steps": 100,
                "masking_ratio": 0.9,
                "seconds_per_step": 0.1,
                "loss": 2.0,
                "neighbours": None,
                "scores": [{**who, "representation": TRAINED}, {**who, "representation": "untrained", "value": 0.3}],
            }
        )
    facts = {
        "format_version": 1,
        "name": name,
        "command": f"python -m dags.sweep --over {over} {EVIL}",
        "store": "made",
    }
    more = {"over": over, "fair": f"every run sees as many clips {EVIL}", "clips_seen": 6400}
    write_json(locations.sweep(name), {**facts, **more, "points": points})


def with_scores(found, **changed):
    """The same scores with other rows or facts."""
    return replace(found, **changed)
