"""Settings of `python -m model.report`. None of this imports what draws the page, so that `--help` is fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from tyro.conf import Positional

from stores.command_line import CommandSettings, shown
from stores.errors import InvalidInput

DEFAULT_AUDIO_CLIPS = 200
"""Clips with sound if `--audio` has no number."""


@dataclass(frozen=True, kw_only=True)
class ReportSettings(CommandSettings):
    """Make a self-contained page of a run and its scores, with its charts and numbers as files beside it."""

    datasets: Annotated[Positional[tuple[str, ...]], shown("DATASET", "all that the run has scores of")] = ()
    """Datasets with scores to show."""
    run: Annotated[str | None, shown("RUN", "the only finished run")] = None
    """Name of the run."""
    name: Annotated[str | None, shown("NAME", "DATASET-RUN, or RUN for several datasets")] = None
    """Name of the page, which is written to reports/NAME.html."""
    map: Annotated[str | None, shown("DATASET", "the first one, and no map if its mel store is missing")] = None
    """Dataset of the clips on the map. It must be one of those with scores."""
    store: Annotated[str | None, shown("STORE", "the one that the features record, or the one named DATASET")] = None
    """Mel store of that dataset, as a path or as a name under stores/. The map shows its mels, labels and splits."""
    audio: Annotated[int, Ge(0), shown("[CLIPS]")] = 0
    """Number of clips on the map with sound, 40 kB each. --audio without a number stands for 200 clips. The audio must
    still be where it was ingested from."""
    features: Annotated[Path | None, shown("FEATURES", "none")] = None
    """Feature store to show without a run: a map, near-duplicates, and scores of labels. No DATASET is stated then."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""
    quoted: Annotated[Path | None, shown("FILE", "none")] = None
    """CSV file of published scores to show beside ours, with the columns row,column,value,source (docs/report.md)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        of_run = [flag for flag in ("run", "map", "store", "quoted") if getattr(self, flag) is not None]
        if self.features is not None and (self.datasets or of_run):
            words = [*self.datasets, *(f"--{flag}" for flag in of_run)]
            raise InvalidInput(f"--features makes a page without a run; leave out {', '.join(words)}")


def complete_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with a number after each `--audio` that has none."""
    complete = []
    for word, following in zip_longest(words, words[1:], fillvalue="--"):
        complete.append(word)
        if word == "--audio" and following.startswith("--"):
            complete.append(str(DEFAULT_AUDIO_CLIPS))
    return complete
