"""Where AudioSet's own lists lie, and what to tell those who lack them or the audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.audioset import inventory, ontology, segments
from pipeline.datasets.audioset.inventory import Inventory
from stores.errors import MissingArtifact

SEGMENTS_ADVICE = (
    f"looked for {', '.join(segments.FILE_NAMES)}. Download them from "
    f"https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/ and put them there, or name them, or their "
    f"folder, with --segments"
)
ONTOLOGY_ADVICE = (
    f"looked for {ontology.FILE_NAME}. Download it from https://github.com/audioset/ontology and put it there, or name "
    f"it with --ontology"
)
AUDIO_ADVICE = (
    "looked for audio files named by YouTube id (ID.flac, YID.wav, ID_30.0-40.0.ogg, ID_30000.mp3 and the like), for "
    "members of .tar files named so, and for .parquet files with columns video_id and audio. Get audio from the "
    "Hugging Face datasets agkphysics/AudioSet or confit/audioset-16khz-wds, or with the PyPI package "
    "audioset-download, and name its folder with --root"
)


@dataclass(frozen=True)
class PublishedLists:
    """The lists to go by."""

    segments: Sequence[Path]
    """CSVs in the official format."""
    ontology: Path
    """The classes."""
    absent: Sequence[str] = ()
    """Official CSVs that were looked for and are not there, while others are."""


def find(
    root: Path, there: Inventory | None, given_segments: Path | Sequence[Path] | None, given_ontology: Path | None
) -> PublishedLists:
    """The lists that were given, else those that lie below `root`.

    Args:
        root: folder of the audio, for the message.
        there: what lies in it; None if it is not a folder.
        given_segments: CSVs, or a folder with official ones, which may hold the ontology too.
        given_ontology: the ontology's file.

    Raises:
        MissingArtifact: for all that is not there, in one message: what was looked for, where, how people get it.
    """
    places = [(root, there)] if there else []
    if isinstance(given_segments, Path) and given_segments.is_dir():
        places.insert(0, (given_segments, inventory.take(given_segments)))
        given_segments = None
    searched = " and ".join(f"{folder} and its subfolders" for folder, _ in places) or f"{root}, which is not a folder"
    csvs = _as_list(given_segments) or _one_of_each_name([path for _, found in places for path in found.segments])
    classes = _as_list(given_ontology) or [Path(path) for _, found in places for path in found.ontologies]
    complaints = [f"{path} is not a file" for path in (*csvs, *classes) if not path.is_file()]
    if not csvs:
        complaints.append(f"no AudioSet segments in {searched}: {SEGMENTS_ADVICE}")
    if not classes:
        complaints.append(f"no AudioSet ontology in {searched}: {ONTOLOGY_ADVICE}")
    if there is None or not (there.audio or there.tars or there.parquets):
        complaints.append(_no_audio(root, there))
    if complaints:
        raise MissingArtifact("\n".join(complaints))
    names = {path.name for path in csvs}
    return PublishedLists(
        csvs, classes[0], () if given_segments else tuple(n for n in segments.FILE_NAMES if n not in names)
    )


def _no_audio(root: Path, there: Inventory | None) -> str:
    if there is None:
        return f"no AudioSet audio: {root} is not a folder; {AUDIO_ADVICE}"
    packed = f"; {len(there.packed)} compressed archives must be unpacked first" if there.packed else ""
    return f"no AudioSet audio in {root} and its subfolders: {AUDIO_ADVICE}{packed}"


def _as_list(given: Path | Sequence[Path] | None) -> list[Path]:
    if given is None:
        return []
    return [given] if isinstance(given, Path) else list(given)


def _one_of_each_name(paths: Sequence[str]) -> list[Path]:
    """Of copies of a CSV the one nearest to the top: repositories of audio ship the same files again."""
    nearest_last = sorted(map(Path, paths), key=lambda path: (-len(path.parts), path))
    return list({path.name: path for path in nearest_last}.values())
