"""A folder of synthesized songs in albums of four, and a table of their moods: calm sines, and bright squares."""

from __future__ import annotations

import numpy as np
import synthetic_audio

MOODS = ("calm", "bright")


def mood(song):
    """Return the mood of a song by its number."""
    return MOODS[song % 2]


def name(song):
    """Return the path of a song by its number, without spaces."""
    return f"album-{song // 4}/{song:02}.wav"


def write(folder, songs=40, names=name):
    """Write songs of seven seconds below `folder`, and return the path of each song by its number."""
    paths = [names(song) for song in range(songs)]
    for song, path in enumerate(paths):
        synthetic_audio.write(folder / path, _melody(song))
    return paths


def write_labels(path, paths, splits=()):
    """Write the table of moods, with a column `split` if `splits` has one for each song, and return its lines."""
    head = ["path,split,mood"] if splits else ["path,mood"]
    rows = [
        ",".join(filter(None, (name, splits[song] if splits else "", mood(song)))) for song, name in enumerate(paths)
    ]
    path.write_text("\n".join([*head, *rows]) + "\n")
    return [*head, *rows]


def _melody(song):
    notes = np.random.default_rng(song).integers(0, 12, 14)
    if mood(song) == "calm":
        return np.concatenate([synthetic_audio.sine(220 * 2 ** (note / 12), 0.5) for note in notes])
    return np.concatenate([0.3 * synthetic_audio.square(700 + note) for note in notes])
