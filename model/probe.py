"""`python -m model.probe DATASET`: score the features of an encoder and of baselines by training probes on them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.probes.config import ProbeSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: ProbeSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        if settings.cluster.scheduler is not None:
            from model.probes.probe_on_cluster import probe_on_cluster

            probe_on_cluster(settings)
            return
        from model.probes.probe_dataset import probe_dataset

        probe_dataset(settings)

    return run_command(ProbeSettings, arguments, "model.probe", run)


if __name__ == "__main__":
    sys.exit(main())
