"""The list of the pieces in each collection, and the parser of their scores.

Listing reads only file names, and the contents of ABC books, and takes 50 ms.

| genre    | contents                                          | pieces |
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
_SUFFIXES = (".mxl", ".xml", ".krn", ".abc")  # in order of preference, for pieces with several files


@dataclass(frozen=True)
class Piece:
    """One composition, or one movement of it."""

    genre: str
    """One of `GENRES`."""
    slug: str
    """Short name of lower-case ASCII letters, digits and `-`. It is unique within the genre."""
    path: Path
    """File with the score in the installed music21 package."""
    tune: int = 0
    """The `X:` number within an ABC file of many tunes, or 0 if the file holds only this piece."""

    @property
    def name(self) -> str:
        """Name that is unique in the corpus, such as `chorale/bwv66-6`."""
        return f"{self.genre}/{self.slug}"

    @property
    def modal(self) -> bool:
        """True if the piece is older than major and minor keys.

        A "major" in the file of such a piece is the default of the notation program.
        """
        return self.genre in _MODAL_GENRES


def list_pieces(genre: str) -> list[Piece]:
    """Return every piece of a collection once, sorted by slug."""
    corpus = Path(common.getCorpusFilePath())
    by_slug: dict[str, Piece] = {}
    for piece in _pieces(genre, corpus):
        by_slug.setdefault(piece.slug, piece)
    return [by_slug[slug] for slug in sorted(by_slug)]


def open_score(piece: Piece) -> stream.Score:
    """Parse one piece, which takes 20 to 1500 ms. The pickle caches of music21 are neither read nor written."""
    with warnings.catch_warnings():
        # Some files have bars with too many beats. music21 corrects them and warns.
        warnings.simplefilter("ignore", MusicXMLWarning)
        number = piece.tune or None  # with a number, only the lines of this tune are parsed
        return converter.parse(piece.path, number=number, forceSource=True, storePickle=False)


def _pieces(genre: str, corpus: Path) -> Iterator[Piece]:
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
    """Return the score files, with the preferred notation of each piece first.

    Analyses in Roman text are not scores and are left out.
    """
    paths = [path for path in folder.iterdir() if path.suffix in _SUFFIXES]
    return sorted(paths, key=lambda path: (path.stem, _SUFFIXES.index(path.suffix)))


def _tunes(folder: Path) -> Iterator[Piece]:
    """Yield O'Neill's tunes, named by his numbers. Some tunes are in two files, and the first file comes first."""
    for path in _scores(folder):
        numbers = re.findall(r"^X:\s*(\d+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        yield from (Piece("irish", f"{int(number):04d}", path, int(number)) for number in numbers if int(number))


def _quartets(corpus: Path) -> Iterator[Piece]:
    """Yield single movements of quartets.

    Files of whole quartets, which take seconds to parse, are left out. So is K. 545, which is a piano sonata.
    """
    for composer in ("beethoven", "haydn", "mozart"):
        for work in sorted(path for path in (corpus / composer).iterdir() if path.is_dir() and path.name != "k545"):
            for path in _scores(work):
                yield Piece("quartet", _slug(f"{composer}-{work.name}-{path.stem}"), path)


def _slug(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
