"""`python -m model.predict SOURCE --probe FILE`: predict the labels of clips with a winning probe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.probes.config import PredictSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: PredictSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.probes.predict import predict

        predict(settings)

    return run_command(PredictSettings, arguments, "model.predict", run)


if __name__ == "__main__":
    sys.exit(main())
