"""GTZAN: ten genres of a hundred 30-second clips (Tzanetakis and Cook 2002), in the layouts that people have.

`genres/GENRE/GENRE.NNNNN.wav` and `.au`, `genres_original/...`, or all files flat. Known faults are known by name; the
fault-filtered split (Sturm 2013, as JukeMIR uses it) is not read yet, so tracks carry no split.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.datasets.track import Track
from stores.errors import MissingArtefact

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
_NAME = re.compile(rf"({'|'.join(GENRES)})\.(\d{{5}})\.(wav|au|mp3|flac|ogg)")


def tracks(root: Path) -> list[Track]:
    """Every GTZAN clip below `root`, sorted by id such as `jazz.00054`, labelled with its genre.

    Raises:
        MissingArtefact: if there is none, with what was looked for and where people get it.
    """
    found = {path.stem: path for path in sorted(root.rglob("*")) if _NAME.fullmatch(path.name) and path.is_file()}
    if not found:
        raise MissingArtefact(
            f"no GTZAN audio below {root}: looked for GENRE.NNNNN.wav or .au, e.g. genres/jazz/jazz.00054.wav. "
            f"The original site is gone; copies of `genres.tar.gz` are mirrored on the Hugging Face hub and Kaggle. "
            f"Give its folder with --root"
        )
    return [
        Track(id=name, path=path, group=name, labels={"genre": name.split(".")[0]})
        for name, path in sorted(found.items())
    ]
