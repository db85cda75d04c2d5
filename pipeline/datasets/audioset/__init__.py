"""AudioSet (Gemmeke et al. 2017) as people really have it: official CSVs, ontology, and what audio could be had.

Audio is found by YouTube id, whatever folders it lies in: files, members of plain tars, rows of Parquet files, mixed.
Videos vanish, so no collection is complete: what is missing is counted, never an error. Only names are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.datasets.audioset import inventory
from pipeline.datasets.audioset.copies import ClipCopy, copies_in
from pipeline.datasets.audioset.ontology import MUSIC
from pipeline.datasets.audioset.ontology import read as read_ontology
from pipeline.datasets.audioset.published_lists import AUDIO_ADVICE, find
from pipeline.datasets.audioset.segments import Segment
from pipeline.datasets.audioset.segments import read as read_segments
from pipeline.datasets.audioset.selection import SelectedCopies, select_copies
from pipeline.datasets.listing import Listing
from pipeline.datasets.track import Track
from stores.errors import InvalidInput, MissingArtifact

SUBSETS = ("music", "all")

# Codecs pad by up to 0.1 s (MP3 1,105 and AAC 2,112 samples, then the rest of a packet), and tools that cut without
# encoding again cut between packets; half a second holds both and adds 5 % to the frames that are planned.
CUT_SLACK_SECONDS = 0.5

DAMAGED_TOLD = 20
"""So many damaged containers are told by name; more are only counted."""


def tracks(
    root: Path,
    *,
    segments: Path | Sequence[Path] | None = None,
    ontology: Path | None = None,
    subset: str = "music",
) -> Listing:
    """The clips of AudioSet that lie below `root`, compared with what was published.

    Tracks are audio files by path, then members of containers by path, in file order. Id and group are the YouTube
    id, the label `tags` holds display names; clips of the evaluation CSV are `test`, others `train`.

    Args:
        root: folder of the audio; the CSVs and the ontology are looked for there too.
        segments: CSVs in the official format, or a folder that holds the official ones.
        ontology: the official `ontology.json`.
        subset: `music` for segments labelled Music or a class below it, `all` for every segment.

    Raises:
        MissingArtifact: without CSVs, ontology or any audio of the subset: what was looked for, where to get it.
        InvalidInput: for a file that is not as published, with its line; or for another subset.
    """
    if subset not in SUBSETS:
        raise InvalidInput(f"subset is {subset!r}; use one of {SUBSETS}")
    there = inventory.take(root) if root.is_dir() else None
    sources = find(root, there, segments, ontology)
    assert there is not None, "find refuses a root that is not a folder"
    classes = read_ontology(sources.ontology)
    listed = read_segments(sources.segments, classes.names, classes.below(MUSIC) if subset == "music" else None)
    choice = select_copies(copies_in(there), listed)
    counts = {**choice.counts, **_named_damage(root, choice)}
    if not choice.copies:
        found = "; ".join(f"{what}: {number}" for what, number in counts.items() if number)
        raise MissingArtifact(f"no audio of AudioSet's subset {subset!r} below {root}: {AUDIO_ADVICE}. Found {found}")
    counts |= {f"official CSV not found: {name}": 1 for name in sources.absent}
    published = Counter(segment.split for segment in listed.wanted.values())
    return Listing(_tracks(choice.copies, listed.wanted), dict(sorted(published.items())), counts)


def _tracks(chosen: Sequence[ClipCopy], segments: Mapping[str, Segment]) -> list[Track]:
    # Clips share what they can: of two million, a path and labels for each would take 1 GB.
    labels = {segment.tags: {"tags": segment.tags} for segment in segments.values()}
    containers = {path: Path(path) for path in {copy.path for copy in chosen if copy.member}}
    return [_track(copy, segments[copy.name.youtube_id], labels, containers) for copy in chosen]


def _track(
    copy: ClipCopy, segment: Segment, labels: Mapping[str, Mapping[str, str]], containers: Mapping[str, Path]
) -> Track:
    return Track(
        id=copy.name.youtube_id,
        path=containers.get(copy.path) or Path(copy.path),
        group=copy.name.youtube_id,
        split=segment.split,
        labels=labels[segment.tags],
        member=copy.member,
        bound_seconds=segment.end_seconds - segment.start_seconds + CUT_SLACK_SECONDS,
    )


def _named_damage(root: Path, choice: SelectedCopies) -> dict[str, int]:
    told = choice.damaged[:DAMAGED_TOLD]
    return {f"damaged: {Path(item.path).relative_to(root)} ({item.detail})": 1 for item in told}
