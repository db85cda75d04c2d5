"""Settings of `python -m model.search`. Nothing here imports torch, so that `--help` is fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from tyro.conf import Positional

from stores.command_line import CommandSettings, shown
from stores.errors import InvalidInput

MAX_EXACT_CLIPS = 200_000
"""Clips up to which every query is compared with all clips. Above, an index is used if there is one."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings(CommandSettings):
    """Find recordings that sound alike in a store of embeddings: neighbors, a path between two, or near-duplicates."""

    embeddings: Annotated[Positional[str], shown("EMBEDDINGS")]
    """Feature store, .parquet or .npz file, or the name of a dataset with a single feature store under stores/. A
    sentence alone, such as "slow piano in a minor key", is searched in the features of the alignment."""
    query: Annotated[Positional[tuple[str, ...]], shown("QUERY", "none")] = ()
    """Recording to find neighbors of: an audio file, or the id or file name of a clip."""
    at: Annotated[str | None, shown("TIME", "the whole recording")] = None
    """Moment in the recording, for example 1:23 or 83 (seconds). It is compared with moments if the store has them
    (model.extract --pool none), and otherwise with whole recordings."""
    between: Annotated[tuple[str, str] | None, shown("FROM TO", "none")] = None
    """Two recordings, between which a path of similar recordings is found."""
    text: Annotated[str | None, shown("TEXT", "none")] = None
    """Words to find recordings by, for example "slow piano in a minor key". It needs an alignment (model.align) and
    the encoder of its texts."""
    text_embedding: Annotated[Path | None, shown("FILE", "none")] = None
    """Embedding of words to find recordings by, as a vector in a .npy file, of the encoder of the alignment's texts."""
    alignment: Annotated[str | None, shown("NAME", "the only alignment under runs/")] = None
    """Alignment of model.align for --text and --text-embedding: its name under runs/, or its file."""
    duplicates: bool = False
    """Find recordings that are the same in another encoding, cut or level. It needs the mel store of the embeddings."""
    count: Annotated[int, Ge(1)] = 10
    """Number of recordings to list."""
    exclude_same_album: bool = False
    """Leave out recordings of the album of the query: those with its group, or else those in its folder."""
    playlist: Annotated[Path | None, shown("FILE", "none")] = None
    """Playlist to write: NAME.m3u8 for players, or NAME.json."""
    index: bool = False
    """Build an index of the clips beside the embeddings, for more than 200,000 clips. It needs the extra `search`."""
    checkpoint: Annotated[str | None, shown("CHECKPOINT", "the encoder of the embeddings, by the name of its run")] = (
        None
    )
    """Encoder for a query that is not in the store: a checkpoint or a run."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.query) > 1:
            raise InvalidInput(f"one QUERY is accepted (got {', '.join(self.query)}); quote names that contain spaces")
        texts = [self.text is not None, self.text_embedding is not None]
        asked = [bool(self.query), self.between is not None, self.duplicates, self.index, *texts]
        if sum(asked) != 1 and not (sum(asked) == 0 and self.is_sentence):
            raise InvalidInput(
                "state one of QUERY, --between FROM TO, --text, --text-embedding, --duplicates, and --index"
            )
        if self.alignment is not None and not (any(texts) or self.is_sentence):
            raise InvalidInput("--alignment is for --text, --text-embedding, or a sentence alone")
        if self.at is not None and not self.query:
            raise InvalidInput("--at is a moment of QUERY; state a QUERY")
        if self.playlist is not None and self.playlist.suffix not in (".m3u8", ".json"):
            raise InvalidInput(f"--playlist must end in .m3u8 or .json (got {self.playlist})")

    @property
    def is_sentence(self) -> bool:
        """True if the first word is a sentence to search for, and not a path or a dataset."""
        asked = self.query or self.between or self.text is not None or self.text_embedding or self.duplicates
        return not (asked or self.index) and " " in self.embeddings.strip() and not Path(self.embeddings).exists()
