"""`python -m model.export WHAT`: convert an encoder to an inference engine, or to a folder for the Hugging Face hub."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.inference.config import ExportSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: ExportSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.inference.export import export
        from model.inference.samples_graph.export import export_graph

        export_graph(settings) if settings.from_ == "samples" else export(settings)

    return run_command(ExportSettings, arguments, "model.export", run)


if __name__ == "__main__":
    sys.exit(main())
