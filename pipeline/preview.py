"""`python -m pipeline.preview STORE`: draw the mels of some clips of a store to a PNG file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.verification.config import PreviewSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: PreviewSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from pipeline.verification.preview import preview

        preview(settings)

    return run_command(PreviewSettings, arguments, "pipeline.preview", run)


if __name__ == "__main__":
    sys.exit(main())
