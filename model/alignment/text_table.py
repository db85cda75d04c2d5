"""The texts of clips: embeddings that another program made, or captions in a CSV table that are embedded here."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np

from model.alignment.text_encoders import text_encoder
from model.inference import external_embeddings
from model.inference.external_embeddings import ExternalEmbeddings
from stores.commit import read_bounded
from stores.errors import CorruptArtifact, MissingArtifact

MAX_CAPTION_BYTES = 1 << 28
"""Largest table of captions that is read."""
ID, CAPTION, MEANING = "id", "caption", "meaning"


def read(path: Path, encoder: str) -> ExternalEmbeddings:
    """Return the embeddings of the texts at `path`, whose provenance says which encoder made them, if that is known.

    Args:
        path: a .parquet or .npz file of embeddings, or a .csv table with the columns `id` and `caption`.
        encoder: name of the encoder of captions.

    Raises:
        MissingArtifact: there is no such file, or the encoder is not installed.
        CorruptArtifact: the file is damaged or too large, or does not hold ids and texts.
        InvalidInput: the file has another format, or a caption is too long.
    """
    if path.suffix != ".csv":
        return external_embeddings.read(path)
    captions = read_captions(path)
    model = text_encoder(encoder)
    digest = hashlib.blake2b("\0".join((*captions, *captions.values())).encode(), digest_size=8).hexdigest()
    provenance = {"digest": digest, "text_encoder": model.name, "text_encoder_digest": model.digest}
    texts = sorted(set(captions.values()))  # equal captions are embedded once, and get equal bits
    rows = dict(zip(texts, model.embed(texts), strict=True))
    return ExternalEmbeddings(tuple(captions), np.stack([rows[text] for text in captions.values()]), provenance)


def read_captions(path: Path) -> dict[str, str]:
    """Return the caption of each clip by its id.

    Raises:
        MissingArtifact: there is no such file.
        CorruptArtifact: it is too large, or no table with one caption for each id.
    """
    return {row[ID]: row[CAPTION] for row in _rows(path)}


def read_meanings(path: Path) -> dict[str, str]:
    """Return the meaning of the text of each clip that states one, by its id. Only tables of captions state meanings.

    Raises:
        MissingArtifact, CorruptArtifact: as `read_captions`.
    """
    rows = _rows(path) if path.suffix == ".csv" else []
    return {row[ID]: row[MEANING] for row in rows if row[MEANING]}


def _rows(path: Path) -> list[dict[str, str]]:
    """Return id, caption and meaning of each row, without spaces around them. A missing meaning is empty."""
    if not path.is_file():
        raise MissingArtifact(f"no captions at {path}; write a CSV table with the columns {ID} and {CAPTION}")
    try:
        table = csv.DictReader(io.StringIO(read_bounded(path, MAX_CAPTION_BYTES).decode("utf-8-sig")))
        rows = [
            {ID: row[ID].strip(), CAPTION: row[CAPTION].strip(), MEANING: (row.get(MEANING) or "").strip()}
            for row in table
        ]
    except (KeyError, AttributeError, ValueError, csv.Error) as error:
        raise CorruptArtifact(
            f"{path} is not a table of captions ({type(error).__name__}: {error}); it must be UTF-8 with the columns "
            f"{ID} and {CAPTION} in every row"
        ) from error
    repeated = [name for name, count in Counter(row[ID] for row in rows).items() if count > 1]
    if repeated or not rows:
        raise CorruptArtifact(f"{path} must have each id once, and has {len(rows)} rows and repeats {repeated[:3]}")
    return rows
