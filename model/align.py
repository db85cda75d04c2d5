"""`python -m model.align --audio FEATURES --text FILE`: align audio with text, in `runs/NAME/`.

On several GPUs or CPUs of a machine: `torchrun --nproc-per-node N -m model.align ...`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.alignment.config import AlignSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: AlignSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.alignment.align import align

        align(settings)

    return run_command(AlignSettings, arguments, "model.align", run)


if __name__ == "__main__":
    sys.exit(main())
