"""`python -m pipeline.ingest DATASET`: decode audio files to a mel store."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.ingestion.config import IngestSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: IngestSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from pipeline.ingestion.ingest import ingest

        ingest(settings)

    return run_command(IngestSettings, arguments, "pipeline.ingest", run)


if __name__ == "__main__":
    sys.exit(main())
