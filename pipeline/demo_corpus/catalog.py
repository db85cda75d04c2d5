"""Which pieces there are in each collection, and how to open one. Listing reads file names only, 50 ms.

| genre    | what                                              | pieces |
|----------|---------------------------------------------------|--------|
| chorale  | Bach's chorales in four and more parts            |  409   |
| mass     | Palestrina's masses, by section                   | 1318   |
| fiddle   | Ryan's Mammoth Collection, Boston 1883            | 1059   |
| irish    | O'Neill's Music of Ireland, Chicago 1903          | 1837   |
| trecento | Italy and Burgundy around 1400                    |  102   |
| quartet  | string quartets by Haydn, Mozart, Beethoven       |   40   |
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from music21 import common, converter, stream
from music21.musicxml.xmlToM21 import MusicXMLWarning

GENRES = ("chorale", "mass", "fiddle", "irish", "trecento", "quartet")
_MODAL_GENRES = ("mass", "trecento")
_SUFFIXES = (".mxl", ".xml", ".krn", ".abc")  # in order of preference, where a piece is there more than once


@dataclass(frozen=True)
class Piece:
    """One composition, or one movement of one."""

    genre: str
    """One of `GENRES`."""
    slug: str
    """Its name in lower-case ASCII letters, digits and `-`; unique within the genre."""
    path: Path
    """Where music21 has the score."""
    tune: int = 0
    """The `X:` number within an ABC file of many tunes; 0 where the file is the piece."""

    @property
    def name(self) -> str:
        """Unique in the corpus, e.g. `chorale/bwv66-6`."""
        return f"{self.genre}/{self.slug}"

    @property
    def modal(self) -> bool:
        """Written before there was major and minor; a "major" in such a file is its notation program's default."""
        return self.genre in _MODAL_GENRES


def pieces(genre: str) -> list[Piece]:
    """Every piece of a collection once, sorted by slug."""
    corpus = Path(common.getCorpusFilePath())
    found: dict[str, Piece] = {}
    for piece in _files(genre, corpus):
        found.setdefault(piece.slug, piece)
    return [found[slug] for slug in sorted(found)]


def open_score(piece: Piece) -> stream.Score:
    """Parse one piece, 20 to 1500 ms; music21's pickle caches are neither read nor written."""
    with warnings.catch_warnings():
        # Some files have bars with too many beats; music21 says so and mends them.
        warnings.simplefilter("ignore", MusicXMLWarning)
        number = piece.tune or None  # one tune of many: only its lines are parsed
        return converter.parse(piece.path, number=number, forceSource=True, storePickle=False)


def _files(genre: str, corpus: Path) -> Iterator[Piece]:
    if genre == "chorale":
        # BWV 846 is a prelude for keyboard
        yield from (Piece(genre, _slug(p.stem), p) for p in _scores(corpus / "bach") if p.stem != "bwv846")
    elif genre == "mass":
        yield from (Piece(genre, _slug(p.stem), p) for p in _scores(corpus / "palestrina"))
    elif genre == "fiddle":
        yield from (Piece(genre, _slug(p.stem), p) for p in _scores(corpus / "ryansMammoth"))
    elif genre == "irish":
        yield from _tunes(corpus / "oneills1850")
    elif genre == "trecento":
        yield from (Piece(genre, _slug(p.stem), p) for p in _scores(corpus / "trecento"))
    else:
        yield from _quartets(corpus)


def _scores(folder: Path) -> list[Path]:
    """Score files, the preferred notation of each piece first; analyses in Roman text are not scores."""
    found = [path for path in folder.iterdir() if path.suffix in _SUFFIXES]
    return sorted(found, key=lambda path: (path.stem, _SUFFIXES.index(path.suffix)))


def _tunes(folder: Path) -> Iterator[Piece]:
    """O'Neill's tunes by his number; some stand in two files, of which the first is taken."""
    for path in _scores(folder):
        numbers = re.findall(r"^X:\s*(\d+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        yield from (Piece("irish", f"{int(number):04d}", path, int(number)) for number in numbers if int(number))


def _quartets(corpus: Path) -> Iterator[Piece]:
    """Single movements only: files of whole quartets take seconds to parse; K. 545 is a piano sonata."""
    for composer in ("beethoven", "haydn", "mozart"):
        for work in sorted(path for path in (corpus / composer).iterdir() if path.is_dir() and path.name != "k545"):
            for path in _scores(work):
                yield Piece("quartet", _slug(f"{composer}-{work.name}-{path.stem}"), path)


def _slug(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
