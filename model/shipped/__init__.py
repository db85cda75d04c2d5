"""The encoder that ships with this package, as a folder in the layout of the Hugging Face hub, with its card.

`python -m dags.evidence train` makes its run, and `python -m dags.evidence ship` writes the folder.
"""

from __future__ import annotations

from pathlib import Path

NAME = "myna-tiny-open"
"""Name of the encoder, which `--checkpoint` accepts."""
FOLDER = Path(__file__).parent / NAME
"""Folder of the encoder."""
