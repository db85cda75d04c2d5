"""`python -m model.probe DATASET`: features become scores, beside what any encoder has to beat."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from model.encoder.device import fastest_device, fastest_precision
from model.inference import external_embeddings, representations
from model.inference.representations import BASELINES, Representation
from model.probes.config import GRIDS, Grid
from model.probes.evaluation.evaluate import Evaluation
from model.probes.few_shot import FewShot
from model.probes.results import scores
from model.probes.results.text_table import table
from model.probes.results.winning_probe import keep, probe_path
from model.probes.task import Task, task_names
from model.probes.training.grid_search import GridSearch
from stores import locations
from stores.errors import DigestMismatch, InvalidInput, MissingArtifact, exit_status
from stores.features import FeatureStore
from stores.mel_store import MelStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model.probe", description="Probes on the features of a dataset, chosen on validation."
    )
    parser.add_argument("dataset", help="name of a store under stores/, e.g. demo")
    parser.add_argument("--task", action="append", help="what to predict, e.g. key; may be repeated (default: all)")
    parser.add_argument(
        "--features",
        action="append",
        type=Path,
        default=[],
        help="embeddings of another model beside ours, named for their file: a feature store, .npz or .parquet; may be "
        "repeated",
    )
    parser.add_argument("--grid", choices=GRIDS, default="quick", help="probes to try; full is the paper's (quick)")
    parser.add_argument("--train-groups", type=int, help="label only so many training pieces (default: all); not kept")
    parser.add_argument("--draws", type=int, default=5, help="mean of so many draws of those pieces (5)")
    parser.add_argument(
        "--checkpoint",
        type=locations.checkpoint_path,
        help="encoder or run (default: that of the run that finished last)",
    )
    options = parser.parse_args(arguments)
    return exit_status(lambda: _probe(options))


def _probe(options: argparse.Namespace) -> None:
    store = MelStore.open(locations.mel_store(options.dataset))
    tasks = options.task or _tasks(store, options.dataset)
    path = options.checkpoint or locations.latest_finished_encoder()
    trained = representations.of_checkpoint(path)
    print(f"encoder: {path}")
    ours = _extracted(trained, store, options.dataset, path)
    others = _given(options.features, ours)
    for task in options.task or tasks[:1]:  # baselines take minutes: what cannot be probed is refused before them
        Task.of(ours, task)
    features = {scores.TRAINED: ours}
    for name in BASELINES:
        chosen = representations.baseline(name, path)
        features[name] = chosen.extract(store, chosen.path(options.dataset))
    features |= others
    for task in tasks:
        for remark in Task.of(ours, task).remarks():
            print(f"note: {remark}", file=sys.stderr)
        if options.train_groups is None:
            _score(task, options.dataset, trained.name, features, GRIDS[options.grid])
        else:
            few = FewShot(options.train_groups, options.draws)
            print(table(few.score(task, options.dataset, trained.name, features)))


def _score(task: str, dataset: str, run: str, features: Mapping[str, FeatureStore], grid: Grid) -> None:
    device = fastest_device()
    precision = torch.bfloat16 if fastest_precision() == "bf16" else torch.float32
    folder = locations.run(run) / "probes" / "stacks"

    def search(name: str) -> GridSearch:
        """How the probes of one representation are trained."""
        return GridSearch(device, precision, folder, f"{task}: {name}")

    found = scores.evaluate_each(task, features, grid, search)
    made = scores.score(task, dataset, run, features, grid, found)
    for row in made.rows:
        _keep(made, row.representation, found[row.representation], features[row.representation])
    made.write(locations.scores(run, dataset, task))
    print(table(made))
    print(f"  probes: {probe_path(run, dataset, task, scores.TRAINED)} and {len(made.rows) - 1} others there")


def _keep(made: scores.Scores, name: str, found: Evaluation, features: FeatureStore) -> None:
    path = probe_path(made.run, made.dataset, made.task, name)
    keep(path, found, features.provenance, {"dataset": made.dataset, "grid": made.grid, "clips": made.clips})


def _given(paths: Sequence[Path], ours: FeatureStore) -> dict[str, FeatureStore]:
    """Embeddings of other models for our clips, by the names of their files."""
    found: dict[str, FeatureStore] = {}
    for path in paths:
        name = locations.validate_name(path.stem.removesuffix(".features").replace(".", "-"))
        if name in (*found, scores.TRAINED, *BASELINES):
            raise InvalidInput(f"{path} would be called {name!r}, as another representation is; rename the file")
        found[name] = external_embeddings.read(path).of(ours.rows, path)
    return found


def _extracted(trained: Representation, store: MelStore, dataset: str, checkpoint_path: Path) -> FeatureStore:
    path, command = trained.path(dataset), f"python -m model.extract {dataset} --checkpoint {checkpoint_path}"
    if not path.exists():
        raise MissingArtifact(f"no features at {path}; make them with `{command}`")
    features, wanted = FeatureStore.read(path), trained.provenance(store)
    # not the whole digest: features that another machine extracted in another precision may be probed here
    if differing := [key for key in ("store_digest", "encoder") if features.provenance.get(key) != wanted[key]]:
        raise DigestMismatch(f"{path} was made with another {' and '.join(differing)}; run `{command}` again")
    return features


def _tasks(store: MelStore, dataset: str) -> list[str]:
    names = task_names(row for row in store.rows if row.state == "written")
    if not names:
        raise InvalidInput(f"the clips of {dataset!r} carry no labels; a probe needs some to predict")
    return names


if __name__ == "__main__":
    sys.exit(main())
