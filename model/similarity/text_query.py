"""The vector of a text, and the collection in the common space of an alignment, in which it is searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.alignment.alignment import Alignment, find_alignment
from model.alignment.text_encoders import text_encoder
from model.similarity.collection import Collection
from model.similarity.config import SearchSettings
from model.similarity.query import Query
from stores import npy
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

MAX_VECTOR_BYTES = 1 << 20
"""Largest file of a text embedding that is read."""


def resolve_text(settings: SearchSettings) -> tuple[Collection, Query]:
    """Return the collection in the common space of the alignment, and the text as a query in it.

    Raises:
        MissingArtifact: there is no such alignment, collection, file or encoder of text.
        InvalidInput: a width does not fit, or the encoder of the alignment's texts is not known.
        DigestMismatch: the collection or the text comes from another encoder than those of the alignment.
        CorruptArtifact: a file is damaged.
    """
    alignment = Alignment.read(find_alignment(settings.alignment))
    collection = Collection.open(alignment.features if settings.is_sentence else settings.embeddings)
    projected = replace(collection, features=alignment.project_audio(collection.features, collection.path))
    if settings.text_embedding is not None:
        rows = read_vector(settings.text_embedding)
        vector = alignment.project_text(rows[None], str(settings.text_embedding))[0]
        return projected, Query(str(settings.text_embedding), vector, None, None, False)
    words = settings.text or settings.embeddings
    return projected, Query(f'"{words}"', _embed(words, alignment), None, None, False)


def read_vector(path: Path) -> NDArray[np.float32]:
    """Return the vector `[D]` in a .npy file.

    Raises:
        MissingArtifact: there is no such file.
        CorruptArtifact: it is too large, or holds no finite vector of floats.
    """
    if not path.is_file():
        raise MissingArtifact(f"no text embedding at {path}; write a vector with numpy.save")
    size = path.stat().st_size
    try:
        if size > MAX_VECTOR_BYTES:
            raise ValueError(f"it has {size} bytes, and at most {MAX_VECTOR_BYTES} are accepted")
        with path.open("rb") as file:
            values = npy.read(file, size)
        if values.dtype.kind != "f" or values.size == 0 or values.size != values.shape[-1]:
            raise ValueError(f"it holds {values.dtype} {values.shape}, and one vector of floats is needed")
        vector: NDArray[np.float32] = np.array(values.reshape(-1), np.float32)
        if not np.isfinite(vector).all():
            raise ValueError("its numbers are not finite in float32")
    except (ValueError, IndexError, EOFError) as error:
        raise CorruptArtifact(f"{path} is not a vector: {error}; write one with numpy.save") from error
    return vector


def _embed(words: str, alignment: Alignment) -> NDArray[np.float32]:
    """Return the unit vector of words in the common space, by the encoder that embedded the alignment's texts."""
    if not alignment.text_encoder:
        raise InvalidInput(
            "the texts of the alignment were embedded by an encoder that is not known here; embed the words with it, "
            "and pass the vector by --text-embedding FILE.npy"
        )
    encoder = text_encoder(alignment.text_encoder)
    vector: NDArray[np.float32] = alignment.project_text(encoder.embed([words]), f'"{words}"', encoder.digest)[0]
    return vector
