"""`python -m model.probe DATASET`: features become scores, beside what any encoder has to beat."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model.inference import representation
from model.inference.representation import BASELINES, Representation
from model.probes import scores
from model.probes.few_labels import FewLabels
from model.probes.task import task_names
from model.training import checkpoint
from stores import locations
from stores.errors import FingerprintMismatch, InvalidInput, MissingArtefact, exit_status
from stores.features import FeatureStore
from stores.mel_store import MelStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model.probe", description="Linear probes on the features of a dataset, chosen on validation."
    )
    parser.add_argument("dataset", help="name of a store under stores/, e.g. demo")
    parser.add_argument("--task", action="append", help="label to predict, e.g. key; may be repeated (default: all)")
    parser.add_argument("--train-groups", type=int, help="label only so many training pieces (default: all); not kept")
    parser.add_argument("--draws", type=int, default=5, help="mean of so many draws of those pieces (5)")
    parser.add_argument("--checkpoint", type=Path, help="encoder (default: that of the run that finished last)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _probe(options))


def _probe(options: argparse.Namespace) -> None:
    store = MelStore.open(locations.mel_store(options.dataset))
    path = options.checkpoint or checkpoint.newest_finished()
    trained = representation.of_checkpoint(path)
    print(f"encoder: {path}")
    features = {scores.TRAINED: _extracted(trained, store, options.dataset, path)}
    for name in BASELINES:
        chosen = representation.baseline(name, path)
        features[name] = chosen.extract(store, chosen.path(options.dataset))
    few = None if options.train_groups is None else FewLabels(options.train_groups, options.draws)
    for task in options.task or _tasks(features[scores.TRAINED], options.dataset):
        found = scores.score(task, options.dataset, trained.name, features, few)
        if few is None:
            found.write(locations.scores(trained.name, options.dataset, task))
        print(scores.table(found))


def _extracted(trained: Representation, store: MelStore, dataset: str, checkpoint_path: Path) -> FeatureStore:
    path, command = trained.path(dataset), f"python -m model.extract {dataset} --checkpoint {checkpoint_path}"
    if not path.exists():
        raise MissingArtefact(f"no features at {path}; make them with `{command}`")
    features, wanted = FeatureStore.read(path), trained.provenance(store)
    # not the whole digest: features that another machine extracted in another precision may be probed here
    if differing := [key for key in ("store_digest", "encoder") if features.provenance.get(key) != wanted[key]]:
        raise FingerprintMismatch(f"{path} was made with another {' and '.join(differing)}; run `{command}` again")
    return features


def _tasks(features: FeatureStore, dataset: str) -> list[str]:
    names = task_names(features)
    if not names:
        raise InvalidInput(
            f"the clips of {dataset!r} carry no labels that are classes; a probe needs some to predict "
            f"(tags and numbers cannot be probed yet)"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
