"""Tests of the demo corpus on six pieces that are really rendered, one of each collection."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from music21 import converter, key, meter, note, stream

from pipeline.datasets import demo
from pipeline.datasets.track import Track
from pipeline.demo_corpus import build_log, catalog, keys, parts, piece_selection, rendering_settings, synthesizer
from pipeline.demo_corpus.catalog import GENRES, Piece
from pipeline.demo_corpus.excerpt import Excerpt, cut_excerpt, excerpt_notes, load_excerpt, sounding_ticks
from pipeline.demo_corpus.key_label import key_label, transpose_label
from pipeline.demo_corpus.parts import Note
from pipeline.demo_corpus.rendering_settings import RenderingSettings
from stores.errors import CorruptArtifact, InvalidInput

CLIPS = 72


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def rendered(root: Path) -> list[Track]:
    return list(demo.tracks(root, CLIPS, workers=1, quiet=True).tracks)


def excerpt(melody: tuple[int, ...] = (), content: str = "a", refusal: str = "") -> Excerpt:
    return Excerpt((Note(0, 480, 69),), 0, "", "", melody, content, refusal)


def candidate(genre: str, slug: str, **fields: object) -> piece_selection.Candidate:
    content = dataclasses.replace(excerpt(content=f"{genre}/{slug}"), **fields)
    return piece_selection.Candidate(Piece(genre, slug, Path("nowhere")), content)


def settings_for(seed: int = 0, programs: tuple[int, ...] = (0,)) -> RenderingSettings:
    return rendering_settings.rendering_settings_for(seed, programs, [rendering_settings.default_soundfont()])


def queues(length: int) -> dict[str, list[piece_selection.Candidate]]:
    return {genre: [candidate(genre, str(index)) for index in range(length)] for genre in ("mass", "irish")}


# --- the corpus -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_six_pieces_give_72_clips_of_ten_seconds_at_minus_one_dbfs(rendered: list[Track]) -> None:
    assert len(rendered) == len({track.id for track in rendered}) == CLIPS
    assert Counter(track.labels["genre"] for track in rendered) == dict.fromkeys(GENRES, 12)
    for track in rendered:
        samples, rate = soundfile.read(track.path, dtype="float32")
        assert (samples.shape, rate) == ((220_500,), 22_050)
        assert np.abs(samples).max() == pytest.approx(synthesizer.PEAK, abs=1e-4)


@pytest.mark.slow
def test_a_smaller_corpus_is_a_prefix_of_a_larger_corpus(rendered: list[Track], root: Path) -> None:
    assert demo.tracks(root, 25, workers=1, quiet=True).tracks == rendered[:36]


@pytest.mark.slow
def test_a_larger_corpus_starts_with_the_smaller_corpus_and_keeps_its_audio(root: Path, rendered: list[Track]) -> None:
    before = rendered[0].path.stat().st_mtime_ns
    larger = demo.tracks(root, CLIPS + 12, workers=1, quiet=True).tracks
    assert larger[:CLIPS] == rendered
    assert len(larger) == CLIPS + 12
    assert rendered[0].path.stat().st_mtime_ns == before


@pytest.mark.slow
def test_audio_has_the_same_bytes_in_another_root_and_in_other_processes(rendered: list[Track], tmp_path: Path) -> None:
    second = demo.tracks(tmp_path, 24, workers=2, quiet=True).tracks
    for track, repeated in zip(rendered, second, strict=False):
        assert track.id == repeated.id
        assert track.path.read_bytes() == repeated.path.read_bytes()


@pytest.mark.slow
def test_all_clips_of_a_piece_share_split_and_group(rendered: list[Track]) -> None:
    pieces = {track.id.rsplit("/", 1)[0] for track in rendered}
    assert len({(track.id.rsplit("/", 1)[0], track.split, track.group) for track in rendered}) == len(pieces) == 6


@pytest.mark.slow
def test_pieces_as_written_are_the_untransposed_clips_and_nothing_else_is_rendered(
    rendered: list[Track], root: Path, tmp_path: Path
) -> None:
    as_written = demo.tracks(root, 3, workers=1, quiet=True, as_written=True).tracks
    assert as_written == [track for track in rendered if track.id.endswith("/+00")][:3]
    demo.tracks(tmp_path, 1, workers=1, quiet=True, as_written=True)
    assert [path.name for path in tmp_path.rglob("*.flac")] == ["+00.flac"]
    assert len(demo.tracks(tmp_path, 12, workers=1, quiet=True).tracks) == 12
    assert len(list(tmp_path.rglob("*.flac"))) == 12


@pytest.mark.slow
def test_every_clip_has_a_caption_with_its_key(rendered: list[Track], root: Path) -> None:
    (table,) = root.glob(f"*/{demo.CAPTIONS_FILE}")
    with table.open(newline="") as file:
        by_id = {row["id"]: row["caption"] for row in csv.DictReader(file)}
    assert {track.id for track in rendered} <= set(by_id)
    assert all(track.labels.get("key", "") in by_id[track.id] for track in rendered)


@pytest.mark.slow
def test_a_piece_with_a_key_has_every_tonic_once_in_one_mode(rendered: list[Track]) -> None:
    by_piece: dict[str, list[str]] = {}
    for track in rendered:
        if "key" in track.labels:
            by_piece.setdefault(track.group, []).append(track.labels["key"])
    assert by_piece
    for labels in by_piece.values():
        assert len(set(labels)) == 12
        assert len({label.split()[1] for label in labels}) == 1


@pytest.mark.slow
def test_modal_genres_have_no_key_labels(rendered: list[Track]) -> None:
    assert not any("key" in track.labels for track in rendered if track.labels["genre"] in ("mass", "trecento"))


@pytest.mark.slow
def test_a_deleted_clip_is_rendered_again_and_no_other_clip_changes(rendered: list[Track], root: Path) -> None:
    deleted, kept = rendered[5].path, rendered[6].path
    content, modified_ns = deleted.read_bytes(), kept.stat().st_mtime_ns
    deleted.unlink()
    demo.tracks(root, CLIPS, workers=1, quiet=True)
    assert deleted.read_bytes() == content
    assert kept.stat().st_mtime_ns == modified_ns


@pytest.mark.slow
def test_existing_clips_are_not_rendered_again(
    rendered: list[Track], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_render", lambda *_: pytest.fail("rendered again"))
    assert demo.tracks(root, CLIPS, quiet=True).tracks == rendered


@pytest.mark.slow
def test_silent_clips_are_kept_as_in_the_benchmark_sets(root: Path, rendered: list[Track]) -> None:
    listing = demo.tracks(root, CLIPS, quiet=True)
    assert (listing.keeps_silence, listing.published, listing.counts) == (True, {}, {})


def test_each_choice_of_settings_has_its_own_digest() -> None:
    choices = [(0, (0,)), (1, (0,)), (0, (19,)), (0, (0, 19))]
    assert len({settings_for(seed, programs).digest() for seed, programs in choices}) == 4


@pytest.mark.slow
def test_the_summary_counts_pieces_splits_keys_and_reasons(
    rendered: list[Track], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.tracks(root, CLIPS, workers=1)
    printed = capsys.readouterr().out
    assert "not used:" in printed
    assert "2 modal" in printed
    assert all(genre in printed for genre in GENRES)


def test_requesting_too_many_clips_names_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"^120000 clips were requested .* has 57\d\d\d \(4\d\d\d pieces\).*--clips 57\d\d\d"
    ):
        demo.tracks(tmp_path, 120_000, workers=1)


@pytest.mark.parametrize("programs", [(), (128,), (-1, 0)])
def test_programs_outside_general_midi_are_an_error(tmp_path: Path, programs: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="General MIDI program from 0 to 127"):
        demo.tracks(tmp_path, 12, programs=programs)


def test_fewer_than_one_clip_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="must be at least 1"):
        demo.tracks(tmp_path, 0)


def test_without_the_extra_the_module_imports_and_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['music21'] = None\n"
        "from pathlib import Path; from pipeline.datasets import demo; from stores.errors import InvalidInput\n"
        f"try: demo.tracks(Path({str(tmp_path)!r}), 12)\n"
        "except InvalidInput as error: print(error)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'myna[demo]'" in process.stdout


# --- the catalog ----------------------------------------------------------------------------------------------------


def test_slugs_are_unique_ascii_and_every_genre_has_pieces() -> None:
    for genre in GENRES:
        slugs = [piece.slug for piece in catalog.list_pieces(genre)]
        assert len(slugs) == len(set(slugs)) > 30
        assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in slugs)


def test_a_tune_of_a_book_is_opened_by_its_number() -> None:
    piece = next(piece for piece in catalog.list_pieces("irish") if piece.slug == "0002")
    assert catalog.open_score(piece).metadata.title == "Fare You Well"


# --- cutting --------------------------------------------------------------------------------------------------------


def test_tied_notes_are_merged_as_music21_merges_them() -> None:
    score = catalog.open_score(next(piece for piece in catalog.list_pieces("chorale") if piece.slug == "bwv66-6"))
    merged = [[note[:3] for note in part.notes] for part in parts.read_parts(score)]
    expected = [
        [
            (note.offset * 480, (note.offset + note.quarterLength) * 480, note.pitch.midi)
            for note in part.flatten().notes
        ]
        for part in score.stripTies().parts
    ]
    assert merged == expected


def test_parts_are_read_at_sounding_pitch() -> None:
    piece = next(piece for piece in catalog.list_pieces("trecento") if "rex-quem" in piece.slug)
    sounding = catalog.open_score(piece).toSoundingPitch()
    lowest = min(note.pitch.midi for note in sounding.recurse().notes)
    assert min(note.pitch for part in parts.read_parts(catalog.open_score(piece)) for note in part.notes) == lowest


def test_an_excerpt_keeps_notes_that_start_in_it_shortens_them_and_merges_unisons() -> None:
    notes = [
        Note(0, 2000, 60),
        Note(1000, 1500, 62),
        Note(1000, 1800, 62),
        Note(9000, 12000, 64),
        Note(10600, 10700, 65),
    ]
    assert excerpt_notes(notes, 1000) == (Note(0, 800, 62), Note(8000, 9600, 64))


def test_sounding_time_counts_overlaps_once() -> None:
    assert sounding_ticks([Note(0, 100, 60), Note(50, 80, 62), Note(90, 120, 64), Note(200, 210, 65)]) == 130


def test_a_short_piece_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "short.abc"
    path.write_text("X:1\nT:Short\nM:4/4\nL:1/4\nK:G\nGABc|d4|]\n")
    assert cut_excerpt(Piece("fiddle", "short", path), settings_for()).refusal == "too short or too silent"


def test_an_excerpt_is_the_same_after_saving_and_loading(tmp_path: Path) -> None:
    original = cut_excerpt(catalog.list_pieces("fiddle")[0], settings_for(programs=(5,)))
    original.save(tmp_path / "piece.json")
    assert load_excerpt(tmp_path / "piece.json") == original
    assert original.program == 5


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_signature_without_a_mode_states_no_key() -> None:
    assert keys.stated_key([([key.Key("G")], 0), ([key.KeySignature(1)], 0)]).reason == keys.NOT_STATED
    assert keys.stated_key([([key.Key("G")], 0), ([], 0)]).reason == keys.NOT_STATED


def test_music21_adds_no_mode_if_musicxml_has_none(tmp_path: Path) -> None:
    part = stream.Part([stream.Measure([meter.TimeSignature("4/4"), key.Key("G"), note.Note("G4", type="whole")])])
    with_mode = Path(stream.Score([part]).write("musicxml", fp=tmp_path / "score.musicxml")).read_text()
    for text, reason in ((with_mode, ""), (with_mode.replace("<mode>major</mode>", ""), keys.NOT_STATED)):
        score_parts = parts.read_parts(converter.parseData(text, format="musicxml"))
        assert keys.stated_key((part.signatures_within(0, 9600), 0) for part in score_parts).reason == reason


def test_modes_other_than_major_and_minor_give_no_key() -> None:
    assert keys.stated_key([([key.Key("D", "dorian")], 0)]).reason == keys.MODAL


def test_parts_must_agree_at_sounding_pitch() -> None:
    assert keys.stated_key([([key.Key("C")], 0), ([key.Key("D")], 0)]).reason == keys.PARTS_DISAGREE
    assert keys.stated_key([([key.Key("C")], 0), ([key.Key("D")], -2)]).label == "C major"


def test_a_key_change_matters_only_inside_the_excerpt() -> None:
    part = parts.ScorePart((), ((0, key.Key("C")), (5000, key.Key("G"))), 0)
    assert keys.stated_key([(part.signatures_within(0, 9600), 0)]).reason == keys.CHANGES
    assert keys.stated_key([(part.signatures_within(5000, 14600), 0)]).label == "G major"


@pytest.mark.parametrize("tonic", range(12))
def test_the_analysis_confirms_the_key_of_a_scale_and_no_other_key(tonic: int) -> None:
    durations = [0.0] * 12
    for degree, length in zip((0, 2, 3, 5, 7, 8, 11), (4, 1, 2, 1, 3, 1, 1), strict=True):
        durations[(tonic + degree) % 12] = length
    minor, relative = key_label(tonic, "minor"), key_label(tonic + 3, "major")
    assert keys.estimate_key(durations) == minor
    assert keys.confirm_key(keys.KeyVerdict(minor, ""), durations).label == minor
    assert keys.confirm_key(keys.KeyVerdict(relative, ""), durations).reason == keys.ANALYSIS_DISAGREES


def test_transposing_a_label_wraps_around_the_octave() -> None:
    assert transpose_label("B minor", 1) == "C minor"
    assert transpose_label("C major", -6) == "Gb major"
    assert transpose_label("", 3) == ""


# --- selection ------------------------------------------------------------------------------------------------------


def test_genres_take_turns_and_continue_when_one_is_exhausted() -> None:
    uneven = queues(8) | {"mass": queues(2)["mass"]}
    chosen = piece_selection.select(uneven, {"mass": 2, "irish": 8}, 7)
    assert [verdict.candidate.piece.genre[0] for verdict in chosen.used] == list("mimiiii")
    assert chosen.complete


def test_a_selection_stops_at_a_queue_that_is_too_short() -> None:
    chosen = piece_selection.select(queues(2), {"mass": 9, "irish": 9}, 6)
    assert not chosen.complete
    assert not chosen.exhausted
    assert len(chosen.used) == 4


def test_no_piece_changes_its_position_or_split_when_the_corpus_grows() -> None:
    available = {"mass": 50, "irish": 50}
    large = piece_selection.select(queues(50), available, 80).used
    for piece_count in (1, 7, 20, 79):
        assert piece_selection.select(queues(50), available, piece_count).used == large[:piece_count]


def test_splits_are_60_10_and_30_percent_of_each_genre() -> None:
    chosen = piece_selection.select(queues(50), {"mass": 50, "irish": 50}, 100).used
    counts = Counter((verdict.candidate.piece.genre, verdict.split) for verdict in chosen)
    assert counts == {(g, s): n for g in ("mass", "irish") for s, n in (("train", 30), ("valid", 5), ("test", 15))}


TUNE = (2, 2, 1, 2, -3, -2, 5, 2, -7, 4, 3, -1, -2, -2, 1, 7, -12)


def test_a_tune_in_two_books_is_one_group_in_one_split() -> None:
    first = candidate("irish", "a", melody_semitones=TUNE)
    variant = candidate("fiddle", "b", melody_semitones=(5, *TUNE[:-1], 9, 9))
    chosen = piece_selection.select({"irish": [first], "fiddle": [variant]}, {"irish": 1, "fiddle": 1}, 2).used
    assert {verdict.group for verdict in chosen} == {"irish/a"}
    assert len({verdict.split for verdict in chosen}) == 1


def test_a_duplicate_is_left_out() -> None:
    pair = [candidate("irish", "a", content="same"), candidate("irish", "b", content="same")]
    chosen = piece_selection.select({"irish": pair}, {"irish": 2}, 2)
    assert [verdict.refusal for verdict in chosen.verdicts] == ["", "copy of an earlier piece"]


def test_a_medley_of_tunes_from_two_splits_is_left_out() -> None:
    other = TUNE[::-1]
    three = [
        candidate("irish", str(index), melody_semitones=tune) for index, tune in enumerate((TUNE, other, TUNE + other))
    ]
    chosen = piece_selection.select({"irish": three}, {"irish": 3}, 3)
    assert [verdict.split for verdict in chosen.verdicts] == ["train", "test", ""]
    assert chosen.verdicts[2].refusal == "shares melodies with two splits"


def test_scales_and_trills_do_not_make_melodies_related() -> None:
    for figure in ((2, 2, 1, 2, 2, 2, 1) * 5, (1, -1) * 20):
        pair = [candidate("irish", slug, melody_semitones=figure) for slug in "ab"]
        groups = {verdict.group for verdict in piece_selection.select({"irish": pair}, {"irish": 2}, 2).used}
        assert groups == {"irish/a", "irish/b"}


# --- rendering ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [0, 24, 40, 56])
@pytest.mark.parametrize(("semitones", "expected_hz"), [(0, 440.0), (3, 523.25), (-6, 311.13)])
def test_a4_sounds_at_440_hz_and_moves_with_transposition(program: int, semitones: int, expected_hz: float) -> None:
    long_a = dataclasses.replace(excerpt(), program=program, notes=(Note(0, 9600, 69),))
    clip = synthesizer.render_samples(long_a, semitones, rendering_settings.default_soundfont().read_bytes())[:22_050]
    spectrum = np.abs(np.fft.rfft(clip * np.hanning(len(clip)))) ** 2  # one bin is 1 Hz
    partials = [spectrum[round(multiple * expected_hz) - 8 :][:17].sum() for multiple in (1, 2, 3, 4, 5, 6)]
    assert sum(partials) > 0.85 * spectrum[: round(6.5 * expected_hz)].sum()
    near = slice(round(expected_hz) - 30, round(expected_hz) + 31)
    assert near.start + np.argmax(spectrum[near]) == pytest.approx(expected_hz, rel=0.006)


def test_a_rendering_does_not_depend_on_earlier_renderings() -> None:
    soundfont = rendering_settings.default_soundfont().read_bytes()
    organ = dataclasses.replace(excerpt(), program=19, notes=(Note(0, 9600, 40), Note(0, 9600, 47)))
    first = synthesizer.render_samples(excerpt(), 0, soundfont)
    synthesizer.render_samples(organ, 5, soundfont)
    assert np.array_equal(synthesizer.render_samples(excerpt(), 0, soundfont), first)


def test_a_note_decays_instead_of_stopping_abruptly() -> None:
    clip = np.abs(synthesizer.render_samples(excerpt(), 0, rendering_settings.default_soundfont().read_bytes()))
    loudness = [clip[start : start + 1000].max() for start in range(11_025, 20_000, 1000)]
    assert loudness == sorted(loudness, reverse=True)
    assert loudness[0] > 5 * loudness[5] > 0
    assert clip[-22_050:].max() < 0.01


# --- the build log --------------------------------------------------------------------------------------------------


def test_a_build_log_is_read_as_written_and_cut_by_piece_count(tmp_path: Path) -> None:
    splits = ("train", "", "test", "valid")
    rows = [
        build_log.BuildLogRow("irish", str(index), "g", split, "", "0", "", "modal")
        for index, split in enumerate(splits)
    ]
    build_log.write(tmp_path / "pieces.csv", rows)
    assert build_log.read(tmp_path / "pieces.csv") == rows
    assert [len(build_log.first_pieces(rows, count)) for count in (1, 2, 3, 4)] == [1, 3, 4, 4]


def test_a_build_log_with_other_columns_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "pieces.csv").write_text("genre,slug\nirish,1\n")
    with pytest.raises(CorruptArtifact, match="Delete the file"):
        build_log.read(tmp_path / "pieces.csv")


def test_random_numbers_differ_by_purpose_and_piece() -> None:
    words = itertools.product(("a", "b"), ("start", "program"))
    assert len({settings_for().random_for(*pair).random() for pair in words}) == 4
