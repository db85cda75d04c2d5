"""The steps of a rehearsal with many clips of 96 frames, each a function that imports what it needs and returns itself.

The order of `STEPS` is that of a collection on its way from a listing to a page.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

FRAMES, VARIANTS, CLASSES, NAME, RUN = 96, 1_000, 4, "many", "mini"
SPLITS = ("train",) * 8 + ("valid", "test")
Action = Callable[[Path, int], None]


def _store(home: Path) -> Path:
    return home / "stores" / f"{NAME}.zarr"


def tracks(root: Path, clips: int, task: str = "genre"):
    """Return the tracks of a collection with names like those of a catalog, as the listing of a folder holds them."""
    from pipeline.datasets.lazy_sequences import LazyTracks, Names
    from pipeline.datasets.track import Track

    def build(name: str) -> Track:
        n = int(name[-13:-5])
        group, split = f"artist-{n // 3:07d}", SPLITS[n // 3 % 10]
        return Track(name, root / name, group, split, {task: f"class-{n % CLASSES}"}, bound_seconds=3.05)

    return LazyTracks(Names(f"part-{n % 1024:04d}/track-{n:08d}.flac" for n in range(clips)), build)


def _build(home: Path):
    from pipeline.ingestion.build import Build

    return Build("folder", home / "audio", _store(home))


def _main(command: str, room: str, *words: str) -> Action:
    """Return a step that is a command, whose room is imported before its time is counted."""
    import importlib

    main = importlib.import_module(command).main
    importlib.import_module(room)
    settled = [word.format(name=NAME, run=RUN) for word in words]

    def run(_home: Path, _clips: int) -> None:
        status = main(["--quiet", *settled])
        if status:
            raise RuntimeError(f"{command} ended with status {status}")

    return run


def plan() -> Action:
    """Return the planning of a listing: rows, regions, estimate and the empty store."""
    from pipeline.cluster.client import connect
    from pipeline.ingestion.resources import estimate_resources

    def run(home: Path, clips: int) -> None:
        build = _build(home)
        with connect("threads", 1) as client:
            rows = build.plan_manifest(tracks(build.root, clips), client)
        estimate_resources(rows, build.spec, build.quantizer, build.grid)
        build.create_or_update(rows)

    return run


def record() -> Action:
    """Return the writing of all regions with frames that compress well, and the merge of their rows."""
    from dataclasses import replace

    import numpy as np

    from stores import manifest
    from stores.digest import codes_digest
    from stores.mel_store import MelStore

    def clip_codes(variant: int):
        levels = np.random.default_rng(variant).integers(1, 256, 128, dtype=np.uint8)
        levels[variant % CLASSES * 32 :][:32] |= 192
        return np.repeat(levels[:, None], FRAMES, axis=1)

    def run(home: Path, _clips: int) -> None:
        codes = [clip_codes(variant) for variant in range(VARIANTS)]
        digests = [codes_digest(one) for one in codes]
        store = MelStore.open(_store(home), complete=False)
        written = {"state": "written", "frames": FRAMES, "source_rate_hz": 44_100, "decoder": "libsndfile 1.2.2"}
        for region in manifest.planned_regions(store.rows):
            rows = []
            for place, row in enumerate(store.rows.take(region.clips)):
                start, variant = region.start_frame + place * FRAMES, row.index % VARIANTS
                digest = f"{row.index:032x}"
                about = {"start_frame": start, "source_digest": digest, "codes_digest": digests[variant]}
                rows.append(replace(row, **written, **about))
            store.write_region(region, np.concatenate([codes[i % VARIANTS] for i in region.clips], axis=1))
            store.finish_region(region, rows)
        store.update(store.merged_rows())

    return run


def relabel() -> Action:
    """Return the listing of the same clips with another label."""
    from pipeline.cluster.client import connect

    def run(home: Path, clips: int) -> None:
        build = _build(home)
        with connect("threads", 1) as client:
            build.create_or_update(build.plan_manifest(tracks(build.root, clips, "style"), client))

    return run


def batches() -> Action:
    """Return the order of one epoch of batches of a sixteenth of the clips, and the windows of two of them."""
    import torch

    from model.training.data_location import open_clips
    from model.training.sources import TrainingShards
    from model.training.stream import WindowStream
    from stores.shards import ShardSet

    def run(home: Path, clips: int) -> None:
        sources = TrainingShards((ShardSet.open(_store(home).with_suffix(".shards")),))
        stream = WindowStream(open_clips(sources, "none", torch.device("cpu")), max(2, clips // 16), FRAMES, 0)
        for step in range(stream.sampler.steps_per_epoch):
            stream.sampler.batch(step)
        stream.batch(0), stream.batch(1)

    return run


def run_of_encoder() -> Action:
    """Return the writing of a finished run with a narrow encoder, which costs the same for any number of clips."""
    import tiny

    from stores import locations

    def run(_home: Path, _clips: int) -> None:
        sizes = {"width": 256, "heads": 1, "head_width": 16, "mlp_width": 16}
        tiny.write_run(locations.run(RUN), tiny.train_config(encoder=tiny.encoder_config("square", **sizes)))

    return run


def _features(home: Path) -> Path:
    return home / "stores" / f"{NAME}.{RUN}.features.zarr"


def probe() -> Action:
    """Return the scoring of the encoder and of one baseline. The others need the audio, or encode the mels again."""
    from unittest import mock

    from model.probes import probe_dataset

    score = _main("model.probe", "model.probes.probe_dataset", "{name}", "--task", "style", "--grid", "quick")

    def run(home: Path, clips: int) -> None:
        with (
            mock.patch.object(probe_dataset, "BASELINES", ("mean-log-mel",)),
            mock.patch("model.probes.results.scores.BASELINES", ("mean-log-mel",), create=True),
        ):
            score(home, clips)

    return run


def map_of_a_sample() -> Action:
    """Return the map of as many clips as a page shows."""
    from model.page.map.section import EmbeddingMap
    from stores import feature_labels
    from stores.features import FeatureStore
    from stores.mel_store import MelStore

    def run(home: Path, _clips: int) -> None:
        store = MelStore.open(_store(home))
        EmbeddingMap.build(feature_labels.join(FeatureStore.read(_features(home)), store, _features(home)), store)

    return run


def _remove_shards() -> Action:
    import shutil

    return lambda home, _clips: shutil.rmtree(_store(home).with_suffix(".shards"))


STEPS: dict[str, Callable[[], Action]] = {
    "plan": plan,
    "record": record,
    "relabel": relabel,
    "verify": lambda: _main(
        "pipeline.verify", "pipeline.verification.verify", "stores/{name}.zarr", "--scheduler", "threads"
    ),
    "shard": lambda: _main("pipeline.shard", "pipeline.sharding.shard", "{name}"),
    "check-shards": lambda: _main("pipeline.verify", "pipeline.verification.verify", "stores/{name}.shards"),
    "batches": batches,
    "encoder": run_of_encoder,
    "free": _remove_shards,
    "extract": lambda: _main("model.extract", "model.inference.extract", "{name}"),
    "probe": probe,
    "predict": lambda: _main(
        "model.predict",
        "model.probes.predict",
        "{name}",
        "--probe",
        "runs/{run}/probes/{name}.style.trained.safetensors",
    ),
    "search": lambda: _main(
        "model.search", "model.similarity.search", "stores/{name}.{run}.features.zarr", "part-0005/track-00000005.flac"
    ),
    "map": map_of_a_sample,
    "report": lambda: _main("model.report", "model.page.report", "--run", "{run}"),
}
