"""`python -m dags.train_key giantsteps`: train a probe of keys with a wide head and transposed copies, and score it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import TrainKeySettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: TrainKeySettings) -> None:
        """Import the workflow when there is something to do, so that `--help` is fast."""
        from dags.workflows.train_key import train_key

        train_key(settings)

    return run_command(TrainKeySettings, arguments, "dags.train_key", run)


if __name__ == "__main__":
    sys.exit(main())
