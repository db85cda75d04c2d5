"""`python -m model.train --store stores/NAME.zarr`: train an encoder on a mel store, in `runs/NAME/`.

On several GPUs or CPUs of a machine: `torchrun --nproc-per-node N -m model.train --store stores/NAME.zarr`. A run may
be continued with another N.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from model.training.config import TrainSettings
from stores.command_line import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""

    def run(settings: TrainSettings) -> None:
        """Import the room when there is something to do, so that `--help` is fast."""
        from model.training.train import train

        train(settings)

    epilog = "Recipes with their times and scores are in docs/training.md."
    return run_command(TrainSettings, arguments, "model.train", run, epilog)


if __name__ == "__main__":
    sys.exit(main())
