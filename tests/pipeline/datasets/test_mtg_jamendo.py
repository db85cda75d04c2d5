"""MTG-Jamendo in miniatures of its published layout."""

from __future__ import annotations

import pytest
import synthetic_audio
from synthetic_splits import touch

from pipeline.datasets import mtg_jamendo
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
ROWS = {
    "train": ["track_0000948\tartist_000087\talbum_000149\t48/948.mp3\t212.7\tgenre---rock\tmood/theme---calm"],
    "validation": [
        "track_0000773\tartist_000104\talbum_000126\t73/773.mp3\t275.3\tgenre---electronic\tinstrument---bass"
    ],
    "test": ["track_1376256\tartist_490499\talbum_161779\t56/1376256.mp3\t166.0\tgenre---pop\tinstrument---piano"],
}
FILES = ("48/948.mp3", "73/773.mp3", "56/1376256.mp3")


def _write_splits(folder, subset="autotagging", number=0, rows=ROWS):
    for part, lines in rows.items():
        path = folder / "data" / "splits" / f"split-{number}" / f"{subset}-{part}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("\r\n".join([HEADER, *lines, ""]).encode())


@pytest.mark.parametrize("form", ["{}", "audio/{}", "low/{}"])
def test_tracks_have_the_split_the_artist_and_the_tags(tmp_path, form):
    names = [form.format(name) for name in FILES]
    touch(tmp_path, *(name.replace(".mp3", ".low.mp3") if "low/" in name else name for name in names))
    _write_splits(tmp_path / "repository")
    listing = mtg_jamendo.tracks(tmp_path)
    assert [(track.id, track.split, track.group) for track in listing.tracks] == [
        ("track_0000773", "valid", "artist_000104"),
        ("track_0000948", "train", "artist_000087"),
        ("track_1376256", "test", "artist_490499"),
    ]
    assert [dict(track.labels) for track in listing.tracks] == [
        {"tags": "genre---electronic|instrument---bass", "genre": "electronic", "instrument": "bass"},
        {"tags": "genre---rock|mood/theme---calm", "genre": "rock", "moodtheme": "calm"},
        {"tags": "genre---pop|instrument---piano", "genre": "pop", "instrument": "piano"},
    ]
    assert listing.published == {"train": 1, "valid": 1, "test": 1}
    assert listing.tracks[1].bound_seconds == pytest.approx(214.7)
    assert listing.keeps_silence


def test_the_published_tars_are_read_as_they_are(tmp_path):
    made = [synthetic_audio.write(tmp_path / "made" / name, synthetic_audio.sine(440, 0.2)) for name in FILES]
    root = tmp_path / "root"
    for number, path in enumerate(made):
        synthetic_audio.pack(root / f"raw_30s_audio-{number:02d}.tar", [path])
    _write_splits(tmp_path / "repository")
    tracks = mtg_jamendo.tracks(root, tmp_path / "repository").tracks
    assert [(track.path.name, track.member) for track in tracks] == [
        ("raw_30s_audio-01.tar", "773.mp3"),
        ("raw_30s_audio-00.tar", "948.mp3"),
        ("raw_30s_audio-02.tar", "1376256.mp3"),
    ]


def test_a_subset_alone_gives_its_task_and_top_50_its_own(tmp_path):
    touch(tmp_path, *FILES)
    _write_splits(tmp_path, "autotagging_genre", number=3)
    _write_splits(tmp_path, "autotagging_top50tags", number=3)
    labels = mtg_jamendo.tracks(tmp_path, split_number=3).tracks[1].labels
    assert dict(labels) == {"genre": "rock", "moodtheme": "calm", "top50tags": "genre---rock|mood/theme---calm"}
    with pytest.raises(MissingArtifact, match=r"no split-0 of MTG-Jamendo below .*--metadata"):
        mtg_jamendo.tracks(tmp_path)


def test_missing_and_further_tracks_are_counted(tmp_path):
    touch(tmp_path, FILES[0], "12/12.mp3", "cover.mp3")
    _write_splits(tmp_path)
    listing = mtg_jamendo.tracks(tmp_path)
    assert len(listing.tracks) == 1
    assert dict(listing.counts) == {"clips missing": 2, "recordings left out by the split": 1, "not of the set": 1}


def test_incomplete_and_damaged_tables_are_errors(tmp_path):
    touch(tmp_path, *FILES)
    _write_splits(tmp_path)
    test = next(tmp_path.rglob("autotagging-test.tsv"))
    content = test.read_text()
    for text, message in [
        (content.replace("PATH", "FILE"), "line 1: expected the columns"),
        (content.replace("166.0", "long"), "line 2: the duration 'long' is not a number"),
        (content.replace("\tartist_490499\talbum_161779", ""), "line 2: 5 cells"),
        (content.replace("track_1376256", "track_0000948"), "line 2: track_0000948 is also in train"),
    ]:
        test.write_text(text)
        with pytest.raises(CorruptArtifact, match=rf"autotagging-test.tsv, {message}"):
            mtg_jamendo.tracks(tmp_path)
    test.unlink()
    with pytest.raises(MissingArtifact, match=r"autotagging-test.tsv of split-0 missing"):
        mtg_jamendo.tracks(tmp_path)


def test_without_audio_the_error_says_where_to_get_it(tmp_path):
    _write_splits(tmp_path)
    with pytest.raises(MissingArtifact, match=r"no audio of MTG-Jamendo .*48/948.mp3.*download.py"):
        mtg_jamendo.tracks(tmp_path)


@pytest.mark.parametrize("names", [["48/948.low.mp3", "48/948.mp3"], ["audio-low/48/948.low.mp3", "audio/48/948.mp3"]])
def test_a_copy_in_low_quality_is_used_only_if_there_is_no_other(tmp_path, names):
    touch(tmp_path, *names)
    _write_splits(tmp_path)
    listing = mtg_jamendo.tracks(tmp_path)
    assert [track.path for track in listing.tracks] == [tmp_path / names[1]]
    assert listing.counts["second copies not used"] == 1


def test_quotes_and_empty_tags_lose_no_track(tmp_path):
    lines = [
        'track_0000001\tartist_1\talbum_1\t01/1.mp3\t3\t"genre---x\t',
        *ROWS["train"],
        'track_0000002\t\talbum_1\t02/2.mp3\t3\tgenre---y"\tgenre---y"\t nan',
        "track_0000003\t\talbum_1\t03/3.mp3\t3\t",
    ]
    touch(tmp_path, *FILES, "01/1.mp3", "02/2.mp3", "03/3.mp3")
    _write_splits(tmp_path, rows={**ROWS, "train": lines})
    tracks = {track.id: track for track in mtg_jamendo.tracks(tmp_path).tracks}
    assert len(tracks) == 6
    assert [tracks[f"track_000000{n}"].labels.get("tags") for n in (1, 2, 3)] == ['"genre---x', 'genre---y"', None]
    assert tracks["track_0000002"].group != tracks["track_0000003"].group


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (ROWS["train"][0].replace("rock", "pop"), "line 3: track_0000948 is also in an earlier line"),
        (ROWS["train"][0].replace("_0000948", "_0000949"), "track_0000948 and track_0000949 have the same path"),
        ("track_0000001\ta\tb\t01/1.mp3\tinf\tgenre---x", "line 3: the duration 'inf' is not a number"),
        ("track_0000001\ta\tb\t01/1.mp3\t3\tgenre---", "line 3: 'genre---' is not a tag"),
        ("track_0000001\ta\tb\t01/1.mp3\t3\tgenre---a|b", "is not a tag"),
    ],
)
def test_lines_that_contradict_others_or_themselves_are_errors(tmp_path, line, message):
    touch(tmp_path, *FILES)
    _write_splits(tmp_path, rows={**ROWS, "train": [*ROWS["train"], line]})
    with pytest.raises(CorruptArtifact, match=message):
        mtg_jamendo.tracks(tmp_path)


def test_a_track_with_another_artist_in_a_subset_is_an_error(tmp_path):
    touch(tmp_path, *FILES)
    _write_splits(tmp_path)
    changed = [line.replace("artist_000087", "artist_000088") for line in ROWS["train"]]
    _write_splits(tmp_path, "autotagging_genre", rows={**ROWS, "train": changed})
    with pytest.raises(CorruptArtifact, match=r"track_0000948 has 'artist_000088' .* in another file 'artist_000087'"):
        mtg_jamendo.tracks(tmp_path)


def test_an_artist_in_two_splits_is_counted(tmp_path):
    touch(tmp_path, *FILES)
    _write_splits(tmp_path, rows={**ROWS, "test": [ROWS["test"][0].replace("artist_490499", "artist_000087")]})
    assert mtg_jamendo.tracks(tmp_path).counts["groups in several splits"] == 1


def test_an_empty_copy_is_not_read_if_there_is_another(tmp_path):
    touch(tmp_path, "a/48/948.mp3", "b/48/948.mp3")
    (tmp_path / "a/48/948.mp3").write_bytes(b"")
    (tmp_path / "b/48/948.mp3").write_bytes(b"x")
    _write_splits(tmp_path)
    assert mtg_jamendo.tracks(tmp_path).tracks[0].path == tmp_path / "b/48/948.mp3"


def test_two_versions_of_the_split_are_not_mixed(tmp_path):
    touch(tmp_path, *FILES)
    _write_splits(tmp_path / "a")
    _write_splits(tmp_path / "b")
    assert len(mtg_jamendo.tracks(tmp_path).tracks) == 3
    _write_splits(tmp_path / "b", rows={**ROWS, "test": ROWS["train"], "train": ROWS["test"]})
    with pytest.raises(InvalidInput, match=r"a/data/.*tsv and .*b/data/.*tsv differ; use --metadata"):
        mtg_jamendo.tracks(tmp_path)
    assert len(mtg_jamendo.tracks(tmp_path, tmp_path / "b").tracks) == 3
