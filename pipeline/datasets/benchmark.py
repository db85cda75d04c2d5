"""A benchmark set: the clips that a published split names, and the audio of them that is there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.datasets import audio_files, jukemir
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.listing import Listing
from pipeline.datasets.track import Track
from stores.errors import MissingArtifact


@dataclass(frozen=True)
class BenchmarkClip:
    """One clip as the published split states it."""

    id: str
    """Unique within the set."""
    recording: str
    """What its audio file is recognised by; empty where none was ever published."""
    group: str
    """What the bootstrap resamples as one and no two splits share."""
    split: str
    """`train`, `valid` or `test`; empty where the split does not use the clip."""
    labels: Mapping[str, str]
    """Task to label."""
    cut_start_seconds: float = 0.0
    """Where in its recording it starts."""
    cut_seconds: float = 0.0
    """Its length; 0 for the whole recording."""


@dataclass(frozen=True)
class BenchmarkSet:
    """What is known of a set without its split."""

    title: str
    """Its name in messages."""
    looked_for: str
    """Names of its files, for messages."""
    advice: str
    """Where people get the audio, one or more sentences."""
    suffixes: Sequence[str]
    """Of the audio as published; where a recording lies twice, these are taken first, in this order."""
    broken: frozenset[str] = frozenset()
    """Ids of clips whose audio is damaged in copies that people have."""

    def files(self, root: Path) -> AudioFiles:
        """The audio below `root`; folders that are links are entered, once each.

        Raises:
            MissingArtifact: if there is none, before the split is read or fetched.
        """
        found = audio_files.find(root, follow_links=True)
        if not found.names:
            raise self._absent(found)
        return found

    def listing(self, files: AudioFiles, clips: Sequence[BenchmarkClip], recording_of: Callable[[str], str]) -> Listing:
        """The clips of the split whose audio is there, sorted by recording, then by where they start in it.

        The order is that of the set's own names, so it is the same for every layout and on every machine.

        Args:
            files: what lies below the root.
            clips: everything that the metadata names.
            recording_of: name of a file, below the root with `/`, to the recording that it holds; empty for a file
                that is not of the set.

        Raises:
            MissingArtifact: if no clip of the split is there.
        """
        copies: dict[str, list[str]] = defaultdict(list)
        for name in files.names:
            copies[recording_of(name)].append(name)
        others = len(copies.pop("", []))
        used = sorted((clip for clip in clips if clip.split), key=lambda clip: (clip.recording, clip.cut_start_seconds))
        paths = {recording: files.path(min(names, key=self._rank)) for recording, names in copies.items()}
        tracks = [_track(clip, paths[clip.recording]) for clip in used if clip.recording in paths]
        if not tracks:
            raise self._absent(files)
        counts = _counts(clips, copies) | self._broken(clips, copies) | {"not of the set": others, **files.counts}
        published = Counter(clip.split for clip in used)
        return Listing(tracks, {split: published[split] for split in jukemir.SPLITS}, counts, keeps_silence=True)

    def _rank(self, name: str) -> tuple[int, str]:
        suffix = PurePosixPath(name).suffix.lower()
        return self.suffixes.index(suffix) if suffix in self.suffixes else len(self.suffixes), name

    def _broken(self, clips: Sequence[BenchmarkClip], copies: Mapping[str, object]) -> dict[str, int]:
        found = sorted(clip.id for clip in clips if clip.id in self.broken and clip.recording in copies)
        return {f"known to be damaged in some copies ({', '.join(found)})": len(found)} if found else {}

    def _absent(self, files: AudioFiles) -> MissingArtifact:
        there = ", ".join(f"{what}: {count}" for what, count in files.counts.items())
        found = f"{len(files.names)} audio files of other names" + (f" ({there})" if there else "")
        found = found if files.root.is_dir() else "no such folder"
        return MissingArtifact(
            f"no audio of {self.title} below {files.root}: looked for {self.looked_for}; found {found}. {self.advice} "
            f"Give its folder with --root"
        )


def _counts(clips: Sequence[BenchmarkClip], copies: Mapping[str, Sequence[str]]) -> dict[str, int]:
    used = [clip for clip in clips if clip.split]
    absent = [clip for clip in used if clip.recording not in copies]
    recordings = {clip.recording for clip in absent}
    told_if_any = {
        "recordings missing": len(recordings) if len(recordings) < len(absent) else 0,
        "published clips without a split": len(clips) - len(used),
        "second copies not used": sum(len(names) - 1 for names in copies.values()),
    }
    left_out = copies.keys() - {clip.recording for clip in used}
    return (
        {"clips missing": len(absent)}
        | {what: count for what, count in told_if_any.items() if count}
        | {"recordings left out by the split": len(left_out)}
    )


def _track(clip: BenchmarkClip, path: Path) -> Track:
    return Track(
        id=clip.id,
        path=path,
        group=clip.group,
        split=clip.split,
        labels=clip.labels,
        cut_start_seconds=clip.cut_start_seconds,
        cut_seconds=clip.cut_seconds,
    )
