"""Probing by the workers of a Dask cluster, which is a file of its own because importing Dask takes time."""

from __future__ import annotations

from model.probes.config import ProbeSettings
from model.probes.probe_dataset import probe_dataset
from pipeline.cluster.tasks import task_runner
from stores.errors import InvalidInput


def probe_on_cluster(settings: ProbeSettings) -> None:
    """Do what `probe_dataset` does, where workers of the cluster train the stacks of the grid.

    Raises:
        InvalidInput: layers or few groups are scored, which one process does, or the cluster cannot be used.
        MynaError: see `probe_dataset`.
    """
    if settings.layer is not None or settings.few_shot.train_groups is not None:
        raise InvalidInput("--layer and --train-groups are computed by one process; leave out --scheduler")
    with task_runner(settings.cluster, single_thread=True) as run_tasks:
        probe_dataset(settings, run_tasks)
