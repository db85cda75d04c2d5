"""The steps that render clips with varied instruments, soundfonts, tempo, room and noise into a mel store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pipeline.ingest
from dags.workflow import Step
from stores import locations
from stores.errors import InvalidInput


def rendering(
    name: str, soundfonts: Sequence[Path], clips: int, root: Path | None = None, *, as_written: bool = False
) -> Step:
    """Return the step `render-NAME`, which makes the mel store NAME.

    Args:
        name: name of the mel store.
        soundfonts: SF2 files, one of which is drawn for each clip (empty: the one of pretty_midi).
        clips: number of clips of 10 s.
        root: folder for the audio (default: that of the demo corpora).
        as_written: one clip of each piece instead of twelve transpositions, so that there are as many pieces as clips.
    """
    fonts = [word for path in soundfonts for word in ("--soundfont", str(path))]
    folder = ("--root", str(root)) if root else ()
    choice = ("--as-written",) if as_written else ()
    store = ("--store", str(locations.mel_store(name)))
    words = ("demo", "--programs", "any", *fonts, "--clips", str(clips), *choice, *folder, *store)
    return Step(f"render-{name}", pipeline.ingest.main, words)


def require_soundfont(path: Path, flag: str) -> None:
    """Check that a soundfont exists.

    Raises:
        InvalidInput: it does not. The message names Debian's package of the default one.
    """
    if not path.is_file():
        raise InvalidInput(
            f"{path} does not exist; install Debian's package fluid-soundfont-gm, or name another General MIDI "
            f"soundfont with {flag}"
        )
