"""The work of `python -m model.models`: a table of the published models and of what the hub's cache holds of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from model.encoder.hub import CONFIG
from model.encoder.known_models import KNOWN_MODELS, TASKS, PublishedModel
from model.encoder.published_folder import WEIGHT_FILES
from model.inference.config import ModelsSettings
from stores.json_output import print_json
from stores.mel_spec import MelSpec

_COLUMNS = ("model", "width", "patches", "window", "license", *TASKS, "average", "on disk")


_FOOTER = """
Scores are percentages of the paper's Table 1 (Yonay, Hammond, Yang 2025). Use a name with --checkpoint, for example
`python -m dags.embed MUSIC --checkpoint myna-hybrid --out music.parquet`. The first use downloads the model from
https://huggingface.co/oriyonay."""


def print_models(settings: ModelsSettings) -> None:
    """Print the published models, with the scores that the paper reports, in percent."""
    rows = [_row(model) for model in KNOWN_MODELS.values()]
    if settings.json:
        print_json({"models": rows})
        return
    lines = [_COLUMNS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print("\nScores are percentages of the paper's Table 1 (Yonay, Hammond, Yang 2025). Use a name with --checkpoint,")
    print(
        "for example `python -m dags.embed MUSIC --checkpoint myna-hybrid --out music.parquet`. The first use downloads"
    )
    print("the model from https://huggingface.co/oriyonay.")


def cached_folder(repository: str) -> Path | None:
    """Return the folder of a complete model in the hub's cache, or None."""
    config, *weights = (try_to_load_from_cache(repository, name) for name in (CONFIG, *WEIGHT_FILES))
    if isinstance(config, str) and any(isinstance(path, str) for path in weights):
        return Path(config).parent
    return None


def _row(model: PublishedModel) -> dict[str, Any]:
    folder = cached_folder(model.repository)
    return {**asdict(model), "on_disk": str(folder) if folder else None}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    scores = row["scores"]
    shown = (*scores, sum(scores) / len(scores)) if scores else ()
    seconds = MelSpec().seconds_for(row["window_frames"])
    return (
        row["name"],
        str(row["embedding_width"]),
        row["patches"],
        f"{row['window_frames']} frames ({seconds:.2f} s)",
        row["license"],
        *(f"{score:.1f}" for score in shown),
        *["-"] * (len(TASKS) + 1 - len(shown)),
        "yes" if row["on_disk"] else "no",
    )
