"""AudioSet (Gemmeke et al. 2017): the official CSVs, the ontology, and the audio that exists on this machine.

Audio is found by YouTube id in any folder layout: as files, members of archives, rows of Parquet files, or a mixture.
Videos disappear from YouTube, so no collection is complete. Missing clips are counted and are never an error. Listing
reads only names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.datasets.audioset import inventory
from pipeline.datasets.audioset.copies import ClipCopy, find_copies
from pipeline.datasets.audioset.ontology import MUSIC
from pipeline.datasets.audioset.ontology import read as read_ontology
from pipeline.datasets.audioset.published_lists import AUDIO_ADVICE, find_lists
from pipeline.datasets.audioset.segments import Segment
from pipeline.datasets.audioset.segments import read as read_segments
from pipeline.datasets.audioset.selection import SelectedCopies, select_copies
from pipeline.datasets.listing import Listing
from pipeline.datasets.track import CUT_SLACK_SECONDS, Track
from stores.errors import InvalidInput, MissingArtifact

SUBSETS = ("music", "all")

MAX_DAMAGED_SHOWN = 20
"""Number of damaged containers, and of HDF5 files, that are named. Further ones are only counted."""


def tracks(
    root: Path,
    *,
    segments: Path | Sequence[Path] | None = None,
    ontology: Path | None = None,
    subset: str = "music",
) -> Listing:
    """Return the clips of AudioSet below `root`, compared with the published numbers.

    A file may be the segment or the whole video, and only its length tells which: a recording that is at most a second
    longer than its segment is taken as it is, and a longer one is cut by the segment's start and end. This holds for a
    name that states the start too, because downloaders give such a name to the whole video if they cannot cut it.

    Tracks are sorted: audio files by path, then members of containers by path of the container, in file order. Id and
    group are the YouTube id. The label `tags` consists of display names. Clips of the evaluation CSV are `test`, and
    all others are `train`.

    Args:
        root: folder of the audio, which is also searched for the CSVs and the ontology.
        segments: CSVs in the official format, or a folder that holds the official ones.
        ontology: the official `ontology.json`.
        subset: `music` for segments labeled Music or a class below it, `all` for every segment.

    Raises:
        MissingArtifact: if the CSVs, the ontology or any audio of the subset is missing. The message says what was
            expected and where to get it.
        InvalidInput: if a file is not in the published format (the message names the line), or for another subset.
    """
    if subset not in SUBSETS:
        raise InvalidInput(f"the subset must be one of {SUBSETS} (got {subset!r})")
    contents = inventory.scan(root) if root.is_dir() else None
    lists = find_lists(root, contents, segments, ontology)
    assert contents is not None, "find_lists raises an error if the root is not a folder"
    classes = read_ontology(lists.ontology)
    listed = read_segments(lists.segments, classes.names, classes.below(MUSIC) if subset == "music" else None)
    selected = select_copies(find_copies(contents), listed)
    counts = {**selected.counts, **_damage_lines(root, selected)}
    if not selected.copies:
        nonzero = "; ".join(f"{description}: {count}" for description, count in counts.items() if count)
        raise MissingArtifact(
            f"no audio of AudioSet's subset {subset!r} below {root}: {AUDIO_ADVICE}. Counts: {nonzero}"
        )
    counts |= {f"official CSV not found: {name}": 1 for name in lists.missing}
    published = Counter(segment.split for segment in listed.selected.values())
    counts |= _hdf5_lines(root, contents.hdf5)
    tracks = _tracks(selected.copies, listed.selected)
    return Listing(tracks, dict(sorted(published.items())), counts, passed_over=contents.passed_over)


def _tracks(copies: Sequence[ClipCopy], segments: Mapping[str, Segment]) -> list[Track]:
    # Tracks share paths and labels where possible: separate ones for two million tracks would take 1 GB.
    labels = {segment.tags: {"tags": segment.tags} for segment in segments.values()}
    containers = {path: Path(path) for path in {copy.path for copy in copies if copy.member}}
    return [_track(copy, segments[copy.name.youtube_id], labels, containers) for copy in copies]


def _track(
    copy: ClipCopy, segment: Segment, labels: Mapping[str, Mapping[str, str]], containers: Mapping[str, Path]
) -> Track:
    seconds = segment.end_seconds - segment.start_seconds
    return Track(
        id=copy.name.youtube_id,
        path=containers.get(copy.path) or Path(copy.path),
        group=copy.name.youtube_id,
        split=segment.split,
        labels=labels[segment.tags],
        member=copy.member,
        cut_start_seconds=segment.start_seconds,
        cut_seconds=seconds,
        bound_seconds=seconds + CUT_SLACK_SECONDS["audioset"],
    )


def _damage_lines(root: Path, selected: SelectedCopies) -> dict[str, int]:
    shown = selected.damaged[:MAX_DAMAGED_SHOWN]
    return {f"damaged: {Path(item.path).relative_to(root)} ({item.detail})": 1 for item in shown}


def _hdf5_lines(root: Path, paths: Sequence[str]) -> dict[str, int]:
    return {f"HDF5 file not read: {Path(path).relative_to(root)}": 1 for path in paths[:MAX_DAMAGED_SHOWN]}
