"""Tests of AudioSet with official lists and audio in all usual layouts."""

from __future__ import annotations

import pytest
from audioset_on_disk import (
    LAYOUTS,
    MUSIC_IDS,
    ROWS,
    SEGMENTS,
    write_file,
    write_lists,
    write_parquet,
    write_tar,
)

from pipeline.datasets import audioset
from pipeline.datasets.audioset import selection
from pipeline.datasets.audioset.copies import DAMAGED, HDF5
from pipeline.datasets.track import CUT_SLACK_SECONDS
from stores.errors import InvalidInput, MissingArtifact
from stores.labels import split_tags

EVAL_IDS = {row[0] for row in SEGMENTS["eval"]}


def _metadata(listing):
    return {track.id: (track.group, track.split, dict(track.labels), track.bound_seconds) for track in listing.tracks}


def _nonzero_counts(listing):
    return {description: count for description, count in listing.counts.items() if count}


@pytest.mark.parametrize("subset", audioset.SUBSETS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_ids_splits_and_labels(tmp_path, layout, subset):
    write_lists(tmp_path / "first")
    LAYOUTS["files"](tmp_path / "first", list(ROWS))
    write_lists(tmp_path / "second" / "csv")
    LAYOUTS[layout](tmp_path / "second", list(ROWS))
    listing = audioset.tracks(tmp_path / "second", subset=subset)
    assert _metadata(listing) == _metadata(audioset.tracks(tmp_path / "first", subset=subset))
    assert {track.id for track in listing.tracks} == (MUSIC_IDS if subset == "music" else set(ROWS))
    assert (
        listing.counts[selection.MISSING]
        == listing.counts[selection.EXTRA]
        == listing.counts[selection.OTHER_SEGMENT]
        == 0
    )
    assert all(track.path.is_file() for track in listing.tracks)


@pytest.fixture
def root(tmp_path):
    return write_lists(tmp_path / "root")


def test_tracks_have_the_metadata_of_the_lists(root):
    LAYOUTS["files"](root, list(ROWS))
    listing = audioset.tracks(root)
    by_id = {track.id: track for track in listing.tracks}
    short = by_id["_______0123"]
    assert (short.group, short.split, short.member) == ("_______0123", "train", "")
    assert split_tags(short.labels["tags"]) == ["Music", "Rock, and roll"]
    assert short.bound_seconds == pytest.approx(5.12 + CUT_SLACK_SECONDS["audioset"])
    assert (short.cut_start_seconds, short.cut_seconds) == (0, pytest.approx(5.12))
    assert {i for i, track in by_id.items() if track.split == "test"} == EVAL_IDS & MUSIC_IDS
    assert listing.published == {"test": 2, "train": 5}
    assert not listing.keeps_silence


def test_clips_of_a_container_are_adjacent_and_in_file_order(root):
    ids = [i for i in ROWS if i in MUSIC_IDS]
    write_tar(root / "b.tar", [f"{i}.flac" for i in (ids[3], ids[1])])
    write_parquet(root / "a.parquet", [ids[2], "abcdefghijk", ids[0]])
    for i in (ids[5], ids[4]):
        write_file(root / f"{i}.wav")
    tracks = audioset.tracks(root).tracks
    assert [(track.path.name, track.member) for track in tracks] == [
        *[(f"{i}.wav", "") for i in sorted((ids[4], ids[5]))],
        ("a.parquet", "0"),
        ("a.parquet", "2"),
        ("b.tar", f"{ids[3]}.flac"),
        ("b.tar", f"{ids[1]}.flac"),
    ]


def test_missing_extra_and_excluded_clips_are_counted(root):
    write_file(root / "Yfirstisa_Y.wav", 10)
    write_file(root / "Music" / "Yfirstisa_Y_0.0-10.0.ogg", 20)
    write_file(root / "zyxwvutsrqp_60000.wav")
    write_file(root / "abcdefghijk.wav")
    write_file(root / "kjihgfedcba.wav")
    listing = audioset.tracks(root)
    assert [track.path.name for track in listing.tracks] == ["Yfirstisa_Y_0.0-10.0.ogg"]
    assert _nonzero_counts(listing) == {
        selection.MISSING: len(MUSIC_IDS) - 1,
        selection.EXTRA: 1,
        selection.EXCLUDED: 1,
        selection.OTHER_SEGMENT: 1,
        selection.DUPLICATE: 1,
    }
    assert listing.lines()[:2] == ["  test: 0 of 2 clips", "  train: 1 of 5 clips"]


def test_damaged_containers_are_named_and_their_intact_clips_are_listed(root):
    LAYOUTS["files"](root, list(ROWS)[:3])
    path = write_tar(root / "data" / "bal00.tar", [f"{i}.flac" for i in list(ROWS)[3:]])
    path.write_bytes(path.read_bytes()[:1700])
    write_file(root / "data" / "bad.parquet")
    listing = audioset.tracks(root)
    assert [track.id for track in listing.tracks] == ["YYtwo_ys_30", "Yfirstisa_Y", "-minus_id_x", "_______0123"]
    assert listing.counts[DAMAGED] == 2
    named = [description for description in listing.counts if description.startswith("damaged: ")]
    assert named[0].startswith("damaged: data/bad.parquet (")
    assert named[1].startswith("damaged: data/bal00.tar (unexpected end of data, after 2 members")


def test_only_some_of_many_damaged_containers_are_named(root):
    LAYOUTS["files"](root, list(ROWS))
    for number in range(audioset.MAX_DAMAGED_SHOWN + 5):
        write_file(root / f"{number}.tar")
    counts = audioset.tracks(root).counts
    assert counts[DAMAGED] == audioset.MAX_DAMAGED_SHOWN + 5
    assert sum(description.startswith("damaged: ") for description in counts) == audioset.MAX_DAMAGED_SHOWN


def test_a_missing_list_is_counted_and_is_no_error(root):
    LAYOUTS["files"](root, list(ROWS))
    (root / "unbalanced_train_segments.csv").unlink()
    listing = audioset.tracks(root)
    assert listing.counts["official CSV not found: unbalanced_train_segments.csv"] == 1
    assert listing.counts[selection.EXTRA] == 4


def test_lists_may_be_in_another_folder(root, tmp_path):
    LAYOUTS["PANNs"](tmp_path / "audio", list(ROWS))
    complete = audioset.tracks(tmp_path / "audio", segments=root, ontology=root / "ontology.json")
    assert {track.id for track in complete.tracks} == MUSIC_IDS
    eval_only = audioset.tracks(
        tmp_path / "audio", segments=root / "eval_segments.csv", ontology=root / "ontology.json"
    )
    assert {track.id for track in eval_only.tracks} == MUSIC_IDS & EVAL_IDS


def test_the_error_for_no_audio_of_the_subset_has_counts_and_advice(root):
    write_file(root / "abcdefghijk.wav")
    with pytest.raises(
        MissingArtifact, match=r"no audio of AudioSet's subset 'music' .*agkphysics.*outside the subset: 1"
    ):
        audioset.tracks(root)
    assert len(audioset.tracks(root, subset="all").tracks) == 1


def test_the_error_for_an_empty_root_names_everything(tmp_path):
    with pytest.raises(MissingArtifact, match=r"(?s)no AudioSet segments.*no AudioSet ontology.*no AudioSet audio"):
        audioset.tracks(tmp_path)


def test_another_subset_is_an_error(root):
    with pytest.raises(InvalidInput, match=r"subset must be one of \('music', 'all'\) \(got 'speech'\)"):
        audioset.tracks(root, subset="speech")


@pytest.mark.parametrize(
    "name",
    [
        *("zyxwvutsrqp.flac", "Yzyxwvutsrqp.wav", "A Title [zyxwvutsrqp].mp3", "zyxwvutsrqp_30.0-40.0.ogg"),
        "zyxwvutsrqp_30000.mp3",
    ],
)
def test_any_file_may_be_a_whole_video_also_with_a_name_that_states_the_start(root, name):
    write_file(root / name)
    (track,) = audioset.tracks(root).tracks
    assert (track.cut_start_seconds, track.cut_seconds) == (30, 10)
    assert track.bound_seconds == 10 + CUT_SLACK_SECONDS["audioset"]


@pytest.mark.parametrize(
    "name", ["A Title [{}].mp3", "[Live] Über (x) [{}].m4a", "Some Title-{}.opus", "{}.webm", "{}"]
)
def test_the_names_of_downloaders_are_recognized(root, name):
    for youtube_id in ("-minus_id_x", "_______0123"):
        path = write_file(root / name.format(youtube_id))
        path.write_bytes(b"OggS")
    assert {track.id for track in audioset.tracks(root).tracks} == {"-minus_id_x", "_______0123"}


def test_unfinished_downloads_are_passed_over(root):
    write_file(root / "Yfirstisa_Y.wav")
    for name in ("T [zyxwvutsrqp].webm.part", "T [zyxwvutsrqp].f251.webm", "T [zyxwvutsrqp].mp3.ytdl"):
        write_file(root / name)
    assert [track.id for track in audioset.tracks(root).tracks] == ["Yfirstisa_Y"]


def test_hdf5_files_are_named_as_not_read(root):
    write_file(root / "hdf5" / "balanced_train.h5")
    with pytest.raises(MissingArtifact, match=r"1 HDF5 files are not read: .*balanced_train.h5"):
        audioset.tracks(root)
    write_file(root / "Yfirstisa_Y.wav")
    counts = audioset.tracks(root).counts
    assert (counts[HDF5], counts["HDF5 file not read: hdf5/balanced_train.h5"]) == (1, 1)
