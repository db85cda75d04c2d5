"""`python -m dags.serve --embeddings STORE --probe FILE`: a local HTTP service for embeddings, labels and neighbors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dags.config import ServeSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: ServeSettings) -> None:
        """Import the service when there is something to do, so that `--help` is fast."""
        from dags.service.start import serve

        serve(settings)

    return run_command(ServeSettings, arguments, "dags.serve", run)


if __name__ == "__main__":
    sys.exit(main())
