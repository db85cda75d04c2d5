"""Transposed copies of recordings, which show a probe of keys every piece in every key.

A copy has the id `ID~+3`, the group and the split of its recording, and the labels of its keys moved along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from pipeline.datasets.track import Track
from stores import key_names
from stores.key_names import Key

TRAINING_SPLITS = ("train", "")
"""Splits whose recordings are trained on. A dataset without splits is for training."""


def steps(count: int) -> tuple[int, ...]:
    """Return the semitones of `count` transpositions without 0: half of them downward, such as -5 to 6 for 12."""
    lowest = -((count - 1) // 2)
    return tuple(semitones for semitones in range(lowest, lowest + count) if semitones)


def with_copies(tracks: Sequence[Track], count: int, all_splits: bool = False) -> list[Track]:
    """Return tracks and, after the tracks of each recording, their transposed copies.

    Args:
        tracks: tracks in which those of one recording are adjacent.
        count: number of transpositions, with the recording itself. 12 adds eleven copies.
        all_splits: copy the recordings of all splits, and not only those that are trained on.
    """
    known = _spellings_by_task(tracks)
    result: list[Track] = []
    for _, recording in groupby(tracks, key=lambda track: (track.path, track.member)):
        clips = list(recording)
        result += clips
        copied = [clip for clip in clips if all_splits or clip.split in TRAINING_SPLITS]
        result += [_transpose(clip, semitones, known) for semitones in steps(count) for clip in copied]
    return result


def base_id(clip: str, semitones: int) -> str:
    """Return the id of the recording of which a clip is a copy, or the id of the clip if it is none."""
    return clip.removesuffix(_suffix(semitones)) if semitones else clip


def _transpose(track: Track, semitones: int, known: Mapping[str, Mapping[Key, str]]) -> Track:
    labels = {
        task: key_names.transpose_label(label, semitones, known[task]) if task in known else label
        for task, label in track.labels.items()
    }
    return replace(track, id=track.id + _suffix(semitones), labels=labels, semitones=semitones)


def _suffix(semitones: int) -> str:
    return f"~{semitones:+d}"


def _spellings_by_task(tracks: Sequence[Track]) -> Mapping[str, Mapping[Key, str]]:
    """Return the spelling of each key in each task whose labels are all keys."""
    labels: dict[str, list[str]] = {}
    for task, label in _labels(tracks):
        labels.setdefault(task, []).append(label)
    return {task: key_names.spellings(words) for task, words in labels.items() if all(map(key_names.parse_key, words))}


def _labels(tracks: Sequence[Track]) -> Iterator[tuple[str, str]]:
    for track in tracks:
        yield from track.labels.items()
