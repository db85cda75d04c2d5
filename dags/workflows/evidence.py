"""The workflow of `python -m dags.evidence`: free recordings, an encoder trained on them, and comparisons.

    DATA/packages/                the .deb files, downloaded by apt-get or put there by hand
    DATA/ROLE/PACKAGE/            the recordings
    DATA/judge-mp3/, ...          changed copies for the measures of robustness
    stores/open-ROLE.zarr         their mels, and open-ROLE-mp3.zarr, ...
    stores/open-rendered.zarr     rendered clips with key and genre, if a soundfont is named
    runs/myna-tiny-open/          the run of the study `train`

The study `choice` compares encoders on the packages for choices, and `judge` on the packages that judge. Everything is
kept, so an interrupted command continues. A finished comparison is one JSON file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import model.train
import pipeline.ingest
from dags.config import EvidenceSettings
from dags.workflow import Step, print_graph, run
from dags.workflows.varied_corpus import rendering, require_soundfont
from model import shipped
from model.encoder import weights
from model.evidence import shipping
from model.evidence.compared_representations import (
    ComparedRepresentation,
    baselines,
    of_encoder,
    of_encoder_with_deviation,
)
from model.evidence.comparison import Comparison, report
from model.evidence.shipping import TrainingPackage
from model.inference import checkpoints, representations
from model.inference.checkpoints import LoadedCheckpoint
from model.training import metrics_log
from pipeline.open_music.changed_copies import CHANGES, write_copies
from pipeline.open_music.package_table import Role, packages
from pipeline.open_music.unpack import fetch, unpack
from stores import locations
from stores.commit import write_json
from stores.errors import MissingArtifact
from stores.json_codec import read_json
from stores.json_output import print_json
from stores.mel_store import MelStore
from stores.terminal import print_progress
from stores.terminal_table import terminal_table

DATASET = "open_music"
MAX_SCORES_BYTES = 1 << 24
RUN, RENDERED = "myna-tiny-open", "open-rendered"
RECIPE = (
    *("--preset", "tiny-hybrid", "--input-scale", "log1p1000", "--batch", "128", "--max-frame-distance", "312"),
    *("--learning-rate", "2e-3", "--schedule", "cosine", "--warmup-steps", "100"),
)
"""Words of `model.train` for the encoder that ships; the number of steps and the seed are settings."""


def evidence(settings: EvidenceSettings) -> None:
    """Run a study, or print its graph.

    Raises:
        StepFailed: a step ended with an error, which it has printed.
        MissingArtifact: there is no such encoder.
        InvalidInput: the soundfont is not there.
    """
    chain = steps(settings)
    if settings.draw:
        print_graph(chain, settings.json)
        return
    if settings.soundfont is not None:
        require_soundfont(settings.soundfont, "--soundfont")
    results = run(chain, settings.json)
    if settings.json:
        print_json({"steps": results})


def steps(settings: EvidenceSettings) -> list[Step]:
    """Return the steps in order."""
    data = settings.root or locations.data_root(DATASET)
    if settings.study == "train":
        roles: tuple[Role, ...] = ("train", "choice")
        stores = [word for role in roles for word in ("--store", str(_store(role)))]
        length = ("--steps", str(settings.train_steps), "--seed", str(settings.seed))
        words = (*stores, "--name", settings.name, *RECIPE, *length)
        prepared = [step for role in roles for step in _prepare(role, data)]
        return [*prepared, Step("train", model.train.main, words, tuple(f"ingest-{role}" for role in roles))]
    if settings.study == "ship":
        return [Step("ship", _shipping(settings), ())]
    role: Role = settings.study
    copied = [step for change in CHANGES for step in _copy(role, change, data)]
    preparation = [*_prepare(role, data), *copied, *_rendered(settings)]
    store_steps = tuple(step.name for step in preparation if step.name.startswith(("ingest-", "render-")))
    return [*preparation, Step("compare", _comparing(settings, role), (), store_steps)]


def _rendered(settings: EvidenceSettings) -> list[Step]:
    if settings.soundfont is None:
        return []
    return [rendering(RENDERED, [settings.soundfont], settings.rendered_clips, as_written=True)]


def _store(name: str) -> Path:
    return locations.mel_store(f"open-{name}")


def _prepare(role: Role, data: Path) -> list[Step]:
    """Return the steps that make the mel store of the packages with a role."""

    def unpack_all(_words: Sequence[str]) -> int:
        """Fetch and unpack every package with the role."""
        for package in packages(role):
            count = unpack(package, fetch(package, data / "packages"), data / role)
            print(f"  {package.name} {package.version}: {count} recordings, {package.license}")
        return 0

    return [Step(f"unpack-{role}", unpack_all, ()), _ingest(role, data / role, f"unpack-{role}")]


def _copy(role: Role, change: str, data: Path) -> list[Step]:
    """Return the steps that make the mel store of changed copies."""
    name = f"{role}-{change}"

    def copy(_words: Sequence[str]) -> int:
        """Write the changed copies of the recordings."""
        print(f"  {write_copies(data / role, change, data / name)} copies")
        return 0

    return [Step(f"copy-{name}", copy, (), (f"unpack-{role}",)), _ingest(name, data / name, f"copy-{name}")]


def _ingest(name: str, folder: Path, after: str) -> Step:
    words = ("folder", "--root", str(folder), "--store", str(_store(name)))
    return Step(f"ingest-{name}", pipeline.ingest.main, words, (after,))


def _comparing(settings: EvidenceSettings, role: Role) -> Callable[[Sequence[str]], int]:
    def compare(_words: Sequence[str]) -> int:
        """Compare all representations and write the result."""
        start = time.perf_counter()
        names = settings.checkpoint or (settings.name,)
        encoders = [checkpoints.load(locations.find_checkpoint(name).path) for name in names]
        copies = {change: MelStore.open(_store(f"{role}-{change}")) for change in CHANGES}
        rendered = MelStore.open(locations.mel_store(RENDERED)) if settings.soundfont else None
        comparison = Comparison(MelStore.open(_store(role)), copies, rendered)
        measured = {}
        for name, representation in _representations(encoders).items():
            print_progress(f"  {name}")
            measured[name] = comparison.measure(representation)
        digests = {"weights": {encoder.name: weights.digest(encoder.encoder) for encoder in encoders}}
        result = {**_header(role, comparison), **digests, **report(measured, next(iter(measured)))}
        out = settings.out or _scores(role)
        write_json(out, {**result, "minutes": round((time.perf_counter() - start) / 60, 1)})
        print("\n".join([*table(result), f"{out}"]))
        if settings.json:
            print_json({"scores": str(out), **result})
        return 0

    return compare


def _shipping(settings: EvidenceSettings) -> Callable[[Sequence[str]], int]:
    def ship(_words: Sequence[str]) -> int:
        """Write the folder of the encoder."""
        loaded = checkpoints.load(locations.find_checkpoint(settings.name).path)
        comparison = read_json(_scores("judge"), MAX_SCORES_BYTES)
        used = [TrainingPackage(p.name, p.version, p.license) for p in packages() if p.role != "judge"]
        folder = settings.out or shipped.FOLDER
        shipping.write(folder, loaded, used, comparison, _training_minutes(loaded.path))
        print(f"{folder}")
        return 0

    return ship


def _training_minutes(encoder: Path) -> float:
    times = [float(row["unix_seconds"]) for row in metrics_log.read(encoder.parent)]
    return (max(times) - min(times)) / 60


def _scores(study: str) -> Path:
    return locations.REPORTS / f"evidence-{study}.json"


def _representations(loaded: Sequence[LoadedCheckpoint]) -> Mapping[str, ComparedRepresentation]:
    """Return the encoders, the first of them untrained, and the baselines."""
    compared = {encoder.name: of_encoder(encoder) for encoder in loaded}
    compared |= {f"{encoder.name}-deviation": of_encoder_with_deviation(encoder) for encoder in loaded}
    try:
        compared["untrained"] = of_encoder(representations.baseline("untrained", loaded[0].path).loaded)  # type: ignore[attr-defined]
    except MissingArtifact:
        print("  no untrained encoder, because its settings are not in the checkpoint")
    return {**compared, **baselines()}


def _header(role: Role, comparison: Comparison) -> dict[str, Any]:
    names = comparison.album_names.tolist()
    counts = [int((comparison.albums == album).sum()) for album in range(len(names))]
    return {
        "study": role,
        "packages": {package.name: package.version for package in packages(role)},
        "recordings": dict(zip(names, counts, strict=True)),
        "passages": len(comparison.passages),
        "rendered_clips": comparison.rendered_count,
    }


def table(result: Mapping[str, Any]) -> list[str]:
    """Return the scores as lines, one for each representation.

    `*` follows a score that the first representation significantly exceeds, and `!` one that exceeds the first.
    """
    scores, differences = result["scores"], result["differences"]
    measures = list(scores[result["subject"]])
    rows = []
    for name, values in scores.items():
        marks = {m: shipping.mark(differences[name][m]).strip() if name in differences else "" for m in measures}
        rows.append([name, *(_cell(values[m]) + (marks[m] or " ") for m in measures)])
    return terminal_table(("", *measures), rows)


def _cell(values: Sequence[float]) -> str:
    return "{:.3f} ({:.3f}-{:.3f})".format(*values)
