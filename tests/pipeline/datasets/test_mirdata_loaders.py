"""Datasets of mirdata in miniatures of their layouts: GiantSteps' keys, and IRMAS, which has splits of its own."""

from __future__ import annotations

import json
import sys

import pytest
import synthetic_audio

from pipeline.datasets import mirdata_loaders
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

TITLES = {
    "1004923 Kaiserdisco - Carachillo (Original Mix)": ("D minor", ["Kaiserdisco"]),
    "10089 Jason Sparks - Close My Eyes feat. J. Little (Original Mix)": ("D major", ["Jason Sparks", "J. Little"]),
}
IRMAS = ("IRMAS-TrainingData/cel/[cel][cla]0001__1.wav", "IRMAS-TrainingData/cel/[cel][cla]0001__2.wav")


@pytest.fixture(scope="module")
def mirdata():
    """The package, if it is installed, with the indexes that its wheel holds."""
    package = pytest.importorskip("mirdata", reason="mirdata is not installed (it is the extra `mirdata`)")
    try:
        _ = package.initialize("giantsteps_key", data_home="none")._index
    except FileNotFoundError:
        pytest.skip("the index of giantsteps_key is not installed; mirdata 0.3.8's wheel holds it")
    return package


@pytest.fixture
def giantsteps(tmp_path, mirdata):
    for title, (key, artists) in TITLES.items():
        synthetic_audio.write(tmp_path / "audio" / f"{title}.mp3", synthetic_audio.chords(1.0))
        meta = {"artists": [{"name": name} for name in artists], "genres": [{"name": "House"}], "sub_genres": []}
        synthetic_audio.write_text(tmp_path / "meta" / f"{title}.json", json.dumps({**meta, "bpm": 126}))
        synthetic_audio.write_text(tmp_path / "keys_gs+" / f"{title}.txt", f"{key}\n")
    return tmp_path


def test_tracks_have_the_labels_and_groups_of_the_loader(giantsteps):
    listing = mirdata_loaders.tracks(giantsteps, "giantsteps_key")
    assert [(track.path.stem, dict(track.labels), track.group, track.split) for track in listing.tracks] == [
        (title, {"genres": "House", "key": key, "tempo": "126"}, "|".join(artists), "")
        for title, (key, artists) in sorted(TITLES.items())
    ]
    assert (listing.published, listing.counts) == ({}, {"clips missing": 598})


def test_an_annotation_that_is_missing_is_no_label_and_a_damaged_one_is_an_error(giantsteps):
    title = min(TITLES)
    (giantsteps / "keys_gs+" / f"{title}.txt").unlink()
    assert "key" not in mirdata_loaders.tracks(giantsteps, "giantsteps_key").tracks[0].labels
    (giantsteps / "meta" / f"{title}.json").write_text("{")
    with pytest.raises(CorruptArtifact, match="cannot be read by mirdata"):
        mirdata_loaders.tracks(giantsteps, "giantsteps_key")


def test_the_splits_of_a_loader_are_used(tmp_path, mirdata):
    index = mirdata.initialize("irmas", data_home=str(tmp_path))._index["tracks"]
    tested = next(files["audio"][0] for files in index.values() if "Testing" in files["audio"][0])
    for number, name in enumerate((*IRMAS, tested)):
        synthetic_audio.write(tmp_path / name, synthetic_audio.chords(1.0, seed=number))
    (tmp_path / tested).with_suffix(".txt").write_text("cel\t\nflu\t\n")
    listing = mirdata_loaders.tracks(tmp_path, "irmas")
    assert listing.published == {"train": 6660, "test": 2874}
    by_name = {track.path.relative_to(tmp_path).as_posix(): track for track in listing.tracks}
    assert {name: track.split for name, track in by_name.items()} == {
        **dict.fromkeys(IRMAS, "train"),
        tested: "test",
    }
    assert by_name[IRMAS[0]].labels["instrument"] == "cel"
    assert by_name[tested].labels["instrument"] == "cel|flu"


def test_unknown_names_and_missing_audio_are_errors(tmp_path, mirdata):
    with pytest.raises(InvalidInput, match=r"'nonesuch' is not known to mirdata; it has .*giantsteps_key"):
        mirdata_loaders.tracks(tmp_path, "nonesuch")
    with pytest.raises(MissingArtifact, match=r"no audio of giantsteps_key below .*: expected files such as audio/"):
        mirdata_loaders.tracks(tmp_path, "giantsteps_key")
    with pytest.raises(InvalidInput, match="mirdata lists no audio for cipi"):
        mirdata_loaders.tracks(tmp_path, "cipi")


def test_a_missing_index_is_an_error_that_says_how_to_get_it(tmp_path, mirdata):
    with pytest.raises(MissingArtifact, match=r"mirdata.initialize\('acousticbrainz_genre'\).download\(\['index'\]\)"):
        mirdata_loaders.tracks(tmp_path, "acousticbrainz_genre")


def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mirdata", None)
    with pytest.raises(InvalidInput, match=r"pip install 'myna\[mirdata\]'"):
        mirdata_loaders.tracks(tmp_path, "giantsteps_key")


def test_stems_of_one_song_are_one_group_and_parts_that_are_no_split_are_left_out(tmp_path, mirdata):
    names = ("train/Track00001/stems/S00", "train/Track00001/stems/S01", "omitted/Track02100/stems/S06")
    for name in names:
        synthetic_audio.write_text(tmp_path / "slakh2100_flac_redux" / f"{name}.flac", "")
    listing = mirdata_loaders.tracks(tmp_path, "slakh")
    assert [(track.id, track.group, track.split) for track in listing.tracks] == [
        ("Track00001-S00", "Track00001", "train"),
        ("Track00001-S01", "Track00001", "train"),
    ]
    assert listing.counts["clips left out by the split"] == 1
    assert listing.counts["clips without instrument, because its file is missing"] == 2


def test_other_audio_files_of_a_track_are_counted(tmp_path, mirdata):
    for folder, name in (("audio_mono-pickup_mix", "mix"), ("audio_mono-mic", "mic")):
        synthetic_audio.write_text(tmp_path / folder / f"00_BN1-129-Eb_comp_{name}.wav", "")
    listing = mirdata_loaders.tracks(tmp_path, "guitarset")
    assert [track.path.parent.name for track in listing.tracks] == ["audio_mono-pickup_mix"]
    assert listing.counts["further audio files of these clips, not used"] == 1
