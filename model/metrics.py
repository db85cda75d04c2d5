"""`python -m model.metrics RUN --to tensorboard`: convert the metrics of runs for TensorBoard or a spreadsheet."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.training.metrics_export import MetricsSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: MetricsSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.training.metrics_export import export_metrics

        export_metrics(settings)

    return run_command(MetricsSettings, arguments, "model.metrics", run)


if __name__ == "__main__":
    sys.exit(main())
