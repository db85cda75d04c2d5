"""`python -m model.report`: make a self-contained page of a run and its scores, `reports/NAME.html`.

The same charts are written beside it as SVG and PNG (`NAME.figures/`), and the same numbers as JSON and CSV.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.page.config import ReportSettings, complete_words
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    words = complete_words(sys.argv[1:] if arguments is None else arguments)

    def run(settings: ReportSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.page.report import report

        report(settings)

    return run_command(ReportSettings, words, "model.report", run)


if __name__ == "__main__":
    sys.exit(main())
