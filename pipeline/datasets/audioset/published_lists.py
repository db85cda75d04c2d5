"""The location of AudioSet's official lists, and the error messages for missing lists and missing audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.audioset import inventory, ontology, segments
from pipeline.datasets.audioset.inventory import Inventory
from stores.errors import MissingArtifact

SEGMENTS_ADVICE = (
    f"expected {', '.join(segments.FILE_NAMES)}. Download them from "
    f"https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/ into a folder below --root, or use "
    f"--segments with the files or their folder"
)
ONTOLOGY_ADVICE = (
    f"expected {ontology.FILE_NAME}. Download it from https://github.com/audioset/ontology into a folder below --root, "
    f"or use --ontology with the file"
)
AUDIO_ADVICE = (
    "expected audio files named by YouTube id (such as ID.flac, YID.wav, ID_30.0-40.0.ogg, ID_30000.mp3 or Title "
    "[ID].m4a), .tar, .tar.gz or .zip files of members with such names, or .parquet files with columns video_id and "
    "audio. Get audio from the Hugging Face datasets agkphysics/AudioSet or confit/audioset-16khz-wds, or with the "
    "PyPI package audioset-download, and use --root with its folder"
)


@dataclass(frozen=True)
class PublishedLists:
    """Paths of the lists to use."""

    segments: Sequence[Path]
    """CSVs in the official format."""
    ontology: Path
    """File of the classes."""
    missing: Sequence[str] = ()
    """Names of official CSVs that were not found, if others were."""


def find_lists(
    root: Path, contents: Inventory | None, segments_option: Path | Sequence[Path] | None, ontology_option: Path | None
) -> PublishedLists:
    """Return the lists that the options name, or else the lists below `root`.

    Args:
        root: folder of the audio, for messages.
        contents: inventory of `root`, or None if it is not a folder.
        segments_option: CSVs, or a folder with official CSVs that may contain the ontology too.
        ontology_option: file of the ontology.

    Raises:
        MissingArtifact: if anything is missing. One message says for each missing item what was expected, where, and
            how to get it.
    """
    searched = [(root, contents)] if contents else []
    if isinstance(segments_option, Path) and segments_option.is_dir():
        searched.insert(0, (segments_option, inventory.scan(segments_option)))
        segments_option = None
    places = " and ".join(f"{folder} and its subfolders" for folder, _ in searched) or f"{root}, which is not a folder"
    csvs = _as_list(segments_option) or _one_per_name([path for _, below in searched for path in below.segments])
    classes = _as_list(ontology_option) or [Path(path) for _, below in searched for path in below.ontologies]
    problems = [f"{path} is not a file" for path in (*csvs, *classes) if not path.is_file()]
    if not csvs:
        problems.append(f"no AudioSet segments in {places}: {SEGMENTS_ADVICE}")
    if not classes:
        problems.append(f"no AudioSet ontology in {places}: {ONTOLOGY_ADVICE}")
    if contents is None or not (contents.audio or contents.archives or contents.parquets):
        problems.append(_no_audio_message(root, contents))
    if problems:
        raise MissingArtifact("\n".join(problems))
    names = {path.name for path in csvs}
    missing = () if segments_option else tuple(name for name in segments.FILE_NAMES if name not in names)
    return PublishedLists(csvs, classes[0], missing)


def _no_audio_message(root: Path, contents: Inventory | None) -> str:
    if contents is None:
        return f"no AudioSet audio: {root} is not a folder; {AUDIO_ADVICE}"
    count = len(contents.compressed)
    archives = f"; {count} archives (.7z, .rar, .tar.xz and the like) must be unpacked first" if count else ""
    hdf5 = f"; {len(contents.hdf5)} HDF5 files are not read: {', '.join(contents.hdf5[:5])}" if contents.hdf5 else ""
    return f"no AudioSet audio in {root} and its subfolders: {AUDIO_ADVICE}{archives}{hdf5}"


def _as_list(paths: Path | Sequence[Path] | None) -> list[Path]:
    if paths is None:
        return []
    return [paths] if isinstance(paths, Path) else list(paths)


def _one_per_name(paths: Sequence[str]) -> list[Path]:
    """Return one CSV per name, the one nearest to the top, because collections of audio may contain further copies."""
    nearest_last = sorted(map(Path, paths), key=lambda path: (-len(path.parts), path))
    return list({path.name: path for path in nearest_last}.values())
