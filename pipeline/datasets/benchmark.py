"""A benchmark set: the clips that a published split names, matched with the audio files on this machine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.audio.remote import AudioPath
from pipeline.datasets import audio_files, jukemir
from pipeline.datasets.audio_files import AudioFiles
from pipeline.datasets.listing import Listing
from pipeline.datasets.track import Track
from stores.errors import MissingArtifact


@dataclass(frozen=True)
class BenchmarkClip:
    """One clip of the published metadata."""

    id: str
    """Name that is unique within the set."""
    recording: str
    """Name by which the audio file is recognized. Empty if no audio was ever published."""
    group: str
    """Name shared by clips that are in one split and that the bootstrap resamples together."""
    split: str
    """`train`, `valid` or `test`. Empty if the split does not use the clip."""
    labels: Mapping[str, str]
    """Labels by task."""
    cut_start_seconds: float = 0.0
    """Start of the clip in its recording."""
    cut_seconds: float = 0.0
    """Length of the clip, or 0 for the whole recording."""
    bound_seconds: float = 0.0
    """Upper bound of the length of the recording, or 0 if the metadata does not state it."""


@dataclass(frozen=True)
class BenchmarkSet:
    """The properties of a set that do not depend on its split."""

    title: str
    """Name of the set in messages."""
    file_names: str
    """Description of the names of its audio files, for messages."""
    advice: str
    """The place to get the audio, in one or more sentences, for messages."""
    suffixes: Sequence[str]
    """Suffixes of the published audio. Of several copies of a recording, these are preferred, in this order."""
    lesser_ending: str = ""
    """Ending of the stems of copies in lower quality, such as `.low`. They are used only if there are no others."""
    damaged_ids: frozenset[str] = frozenset()
    """Ids of clips with damaged audio in some copies."""

    def files(self, root: AudioPath) -> AudioFiles:
        """Return the audio files below `root`. Linked folders are searched too, each folder once.

        Raises:
            MissingArtifact: if there is no audio. It is raised before the split is read or downloaded.
        """
        files = audio_files.find(root, follow_links=True)
        if not files.names:
            raise self._no_audio(files)
        return files

    def listing(self, files: AudioFiles, clips: Sequence[BenchmarkClip], recording_of: Callable[[str], str]) -> Listing:
        """Return the clips of the split that have audio, sorted by recording and then by their start in it.

        Recordings are sorted by their names in the metadata, so the order is the same for every folder layout and on
        every machine.

        Args:
            files: audio files below the root.
            clips: all clips of the metadata.
            recording_of: function from the name of a file (below the root, with `/`) to the name of its recording.
                It returns an empty string for a file that is not part of the set.

        Raises:
            MissingArtifact: if no clip of the split has audio.
        """
        copies: dict[str, list[str]] = defaultdict(list)
        for name in files.names:
            copies[recording_of(name)].append(name)
        other_files = len(copies.pop("", []))
        used = sorted((clip for clip in clips if clip.split), key=lambda clip: (clip.recording, clip.cut_start_seconds))
        names = {recording: self._best(files, names) for recording, names in copies.items()}
        tracks = [_track(clip, files, names[clip.recording]) for clip in used if clip.recording in names]
        if not tracks:
            raise self._no_audio(files)
        counts = _counts(clips, copies) | self._damaged_count(clips, copies) | _shared_groups(used)
        counts |= {"not of the set": other_files, **files.counts}
        published = Counter(clip.split for clip in used)
        by_split = {split: published[split] for split in jukemir.SPLITS}
        return Listing(tracks, by_split, counts, keeps_silence=True, passed_over=files.passed_over)

    def _best(self, files: AudioFiles, names: Sequence[str]) -> str:
        """Return the copy to read. The sizes of files are read only if there are several copies."""
        if len(names) == 1:
            return names[0]
        return min(names, key=lambda name: (files.is_empty(name), self._preference(name)))

    def _preference(self, name: str) -> tuple[int, bool, str]:
        path = PurePosixPath(name)
        suffix = path.suffix.lower()
        is_lesser = bool(self.lesser_ending) and path.stem.lower().endswith(self.lesser_ending)
        return self.suffixes.index(suffix) if suffix in self.suffixes else len(self.suffixes), is_lesser, name

    def _damaged_count(self, clips: Sequence[BenchmarkClip], copies: Mapping[str, object]) -> dict[str, int]:
        ids = sorted(clip.id for clip in clips if clip.id in self.damaged_ids and clip.recording in copies)
        return {f"known to be damaged in some copies ({', '.join(ids)})": len(ids)} if ids else {}

    def _no_audio(self, files: AudioFiles) -> MissingArtifact:
        skipped = files.skipped_text()
        contents = f"{len(files.names)} audio files with other names" + (f" ({skipped})" if skipped else "")
        contents = contents if files.root.is_dir() else "no such folder"
        return MissingArtifact(
            f"no audio of {self.title} below {files.root}: expected {self.file_names}; found {contents}. {self.advice} "
            f"Then use --root with the folder of the audio"
        )


def _counts(clips: Sequence[BenchmarkClip], copies: Mapping[str, Sequence[str]]) -> dict[str, int]:
    used = [clip for clip in clips if clip.split]
    missing_clips = [clip for clip in used if clip.recording not in copies]
    missing_recordings = {clip.recording for clip in missing_clips}
    shown_if_nonzero = {
        "recordings missing": len(missing_recordings) if len(missing_recordings) < len(missing_clips) else 0,
        "published clips without a split": len(clips) - len(used),
        "second copies not used": sum(len(names) - 1 for names in copies.values()),
    }
    left_out = copies.keys() - {clip.recording for clip in used}
    return (
        {"clips missing": len(missing_clips)}
        | {description: count for description, count in shown_if_nonzero.items() if count}
        | {"recordings left out by the split": len(left_out)}
    )


def _shared_groups(clips: Sequence[BenchmarkClip]) -> dict[str, int]:
    """Count the groups whose clips are in several splits. Probes are then too good on the test set."""
    splits: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        splits[clip.group].add(clip.split)
    count = sum(len(names) > 1 for names in splits.values())
    return {"groups in several splits": count} if count else {}


def _track(clip: BenchmarkClip, files: AudioFiles, name: str) -> Track:
    return Track(
        id=clip.id,
        path=files.path(name),
        member=files.member(name),
        bound_seconds=0.0 if clip.cut_seconds else clip.bound_seconds or files.bound_seconds(name),
        group=clip.group,
        split=clip.split,
        labels=clip.labels,
        cut_start_seconds=clip.cut_start_seconds,
        cut_seconds=clip.cut_seconds,
    )
