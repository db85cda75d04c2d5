"""The demo corpus, made for real but small: six pieces, one of each collection."""

from __future__ import annotations

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
from pipeline.demo_corpus import build_log, catalog, keys, parts, rendering_settings, selection, synthesizer
from pipeline.demo_corpus.catalog import GENRES, Piece
from pipeline.demo_corpus.excerpt import Excerpt, cut, load, sounding_ticks, window
from pipeline.demo_corpus.key_label import key_label, transposed
from pipeline.demo_corpus.parts import Note
from stores.errors import CorruptArtifact, InvalidInput

CLIPS = 72


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def made(root: Path) -> list[Track]:
    return list(demo.tracks(root, CLIPS, workers=1, quiet=True).tracks)


def excerpt(melody: tuple[int, ...] = (), content: str = "a", refusal: str = "") -> Excerpt:
    return Excerpt((Note(0, 480, 69),), 0, "", "", melody, content, refusal)


def candidate(genre: str, slug: str, **fields: object) -> selection.Candidate:
    made_up = dataclasses.replace(excerpt(content=f"{genre}/{slug}"), **fields)
    return selection.Candidate(Piece(genre, slug, Path("nowhere")), made_up)


def queues(length: int) -> dict[str, list[selection.Candidate]]:
    return {genre: [candidate(genre, str(index)) for index in range(length)] for genre in ("mass", "irish")}


# --- the corpus -----------------------------------------------------------------------------------------------------


def test_six_pieces_of_six_genres_give_seventy_two_clips_of_ten_seconds_at_minus_one_dbfs(made: list[Track]) -> None:
    assert len(made) == len({track.id for track in made}) == CLIPS
    assert Counter(track.labels["genre"] for track in made) == dict.fromkeys(GENRES, 12)
    for track in made:
        samples, rate = soundfile.read(track.path, dtype="float32")
        assert (samples.shape, rate) == ((220_500,), 22_050)
        assert np.abs(samples).max() == pytest.approx(synthesizer.PEAK, abs=1e-4)


def test_a_smaller_corpus_is_a_prefix_of_a_larger_one(made: list[Track], root: Path) -> None:
    assert demo.tracks(root, 25, workers=1, quiet=True).tracks == made[:36]


def test_a_larger_corpus_begins_with_the_smaller_one_and_keeps_its_audio(root: Path, made: list[Track]) -> None:
    before = made[0].path.stat().st_mtime_ns
    larger = demo.tracks(root, CLIPS + 12, workers=1, quiet=True).tracks
    assert larger[:CLIPS] == made
    assert len(larger) == CLIPS + 12
    assert made[0].path.stat().st_mtime_ns == before


def test_audio_is_the_same_to_the_byte_in_another_root_and_other_processes(made: list[Track], tmp_path: Path) -> None:
    again = demo.tracks(tmp_path, 24, workers=2, quiet=True).tracks
    for ours, theirs in zip(made, again, strict=False):
        assert ours.id == theirs.id
        assert ours.path.read_bytes() == theirs.path.read_bytes()


def test_all_clips_of_a_piece_share_split_and_group(made: list[Track]) -> None:
    pieces = {track.id.rsplit("/", 1)[0] for track in made}
    assert len({(track.id.rsplit("/", 1)[0], track.split, track.group) for track in made}) == len(pieces) == 6


def test_a_piece_with_a_key_visits_every_tonic_once_in_one_mode(made: list[Track]) -> None:
    by_piece: dict[str, list[str]] = {}
    for track in made:
        if "key" in track.labels:
            by_piece.setdefault(track.group, []).append(track.labels["key"])
    assert by_piece
    for labels in by_piece.values():
        assert len(set(labels)) == 12
        assert len({label.split()[1] for label in labels}) == 1


def test_masses_and_the_trecento_carry_no_key(made: list[Track]) -> None:
    assert not any("key" in track.labels for track in made if track.labels["genre"] in ("mass", "trecento"))


def test_a_deleted_clip_comes_back_and_no_other_is_touched(made: list[Track], root: Path) -> None:
    lost, kept = made[5].path, made[6].path
    content, touched = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    demo.tracks(root, CLIPS, workers=1, quiet=True)
    assert lost.read_bytes() == content
    assert kept.stat().st_mtime_ns == touched


def test_what_is_there_is_not_made_again(made: list[Track], root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_produce", lambda *_: pytest.fail("made again"))
    assert demo.tracks(root, CLIPS, quiet=True).tracks == made


def test_silent_clips_are_kept_as_for_every_benchmark(root: Path, made: list[Track]) -> None:
    listing = demo.tracks(root, CLIPS, quiet=True)
    assert (listing.keeps_silence, listing.published, listing.counts) == (True, {}, {})


def test_other_settings_go_to_another_folder() -> None:
    soundfont = rendering_settings.default_soundfont()
    settings = [(0, (0,)), (1, (0,)), (0, (19,)), (0, (0, 19))]
    assert len({rendering_settings.recipe_for(seed, programs, soundfont).digest() for seed, programs in settings}) == 4


def test_the_summary_counts_pieces_splits_keys_and_reasons(
    made: list[Track], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.tracks(root, CLIPS, workers=1)
    printed = capsys.readouterr().out
    assert "not used:" in printed
    assert "2 modal" in printed
    assert all(genre in printed for genre in GENRES)


def test_asking_for_more_than_there_is_says_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"asked for 120000 clips .* has 57\d\d\d \(4\d\d\d pieces\)"):
        demo.tracks(tmp_path, 120_000, workers=1)


@pytest.mark.parametrize("programs", [(), (128,), (-1, 0)])
def test_programs_outside_general_midi_are_refused(tmp_path: Path, programs: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="General MIDI program from 0 to 127"):
        demo.tracks(tmp_path, 12, programs=programs)


def test_fewer_than_one_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="must be at least 1"):
        demo.tracks(tmp_path, 0)


def test_without_the_extra_the_module_imports_and_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['music21'] = None\n"
        "from pathlib import Path; from pipeline.datasets import demo; from stores.errors import InvalidInput\n"
        f"try: demo.tracks(Path({str(tmp_path)!r}), 12)\n"
        "except InvalidInput as error: print(error)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'myna[demo]'" in finished.stdout


# --- the catalogue --------------------------------------------------------------------------------------------------


def test_slugs_are_unique_ascii_and_every_genre_has_pieces() -> None:
    for genre in GENRES:
        slugs = [piece.slug for piece in catalog.pieces(genre)]
        assert len(slugs) == len(set(slugs)) > 30
        assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in slugs)


def test_one_tune_of_a_book_is_opened_by_its_number() -> None:
    piece = next(piece for piece in catalog.pieces("irish") if piece.slug == "0002")
    assert catalog.open_score(piece).metadata.title == "Fare You Well"


# --- cutting --------------------------------------------------------------------------------------------------------


def test_ties_merge_as_music21_merges_them() -> None:
    score = catalog.open_score(next(piece for piece in catalog.pieces("chorale") if piece.slug == "bwv66-6"))
    ours = [[tuple(each) for each in part.notes] for part in parts.read_parts(score)]
    theirs = [
        [
            (each.offset * 480, (each.offset + each.quarterLength) * 480, each.pitch.midi)
            for each in part.flatten().notes
        ]
        for part in score.stripTies().parts
    ]
    assert ours == theirs


def test_parts_are_read_as_they_sound() -> None:
    piece = next(piece for piece in catalog.pieces("trecento") if "rex-quem" in piece.slug)
    sounding = catalog.open_score(piece).toSoundingPitch()
    lowest = min(each.pitch.midi for each in sounding.recurse().notes)
    assert min(each.pitch for part in parts.read_parts(catalog.open_score(piece)) for each in part.notes) == lowest


def test_a_window_keeps_what_starts_in_it_ends_it_there_and_merges_unisons() -> None:
    notes = [
        Note(0, 2000, 60),
        Note(1000, 1500, 62),
        Note(1000, 1800, 62),
        Note(9000, 12000, 64),
        Note(10600, 10700, 65),
    ]
    assert window(notes, 1000) == (Note(0, 800, 62), Note(8000, 9600, 64))


def test_sounding_time_counts_overlaps_once() -> None:
    assert sounding_ticks([Note(0, 100, 60), Note(50, 80, 62), Note(90, 120, 64), Note(200, 210, 65)]) == 130


def test_a_short_piece_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.abc"
    path.write_text("X:1\nT:Short\nM:4/4\nL:1/4\nK:G\nGABc|d4|]\n")
    given = rendering_settings.recipe_for(0, (0,), rendering_settings.default_soundfont())
    assert cut(Piece("fiddle", "short", path), given).refusal == "too short or too silent"


def test_an_excerpt_survives_its_file(tmp_path: Path) -> None:
    given = rendering_settings.recipe_for(0, (5,), rendering_settings.default_soundfont())
    original = cut(catalog.pieces("fiddle")[0], given)
    original.save(tmp_path / "piece.json")
    assert load(tmp_path / "piece.json") == original
    assert original.program == 5


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_signature_without_a_mode_states_no_key() -> None:
    assert keys.stated([([key.Key("G")], 0), ([key.KeySignature(1)], 0)]).reason == keys.NOT_STATED
    assert keys.stated([([key.Key("G")], 0), ([], 0)]).reason == keys.NOT_STATED


def test_music21_invents_no_mode_where_musicxml_has_none(tmp_path: Path) -> None:
    part = stream.Part([stream.Measure([meter.TimeSignature("4/4"), key.Key("G"), note.Note("G4", type="whole")])])
    stated = Path(stream.Score([part]).write("musicxml", fp=tmp_path / "one.musicxml")).read_text()
    for text, reason in ((stated, ""), (stated.replace("<mode>major</mode>", ""), keys.NOT_STATED)):
        read = parts.read_parts(converter.parseData(text, format="musicxml"))
        assert keys.stated((each.signatures_within(0, 9600), 0) for each in read).reason == reason


def test_modes_other_than_major_and_minor_are_no_key() -> None:
    assert keys.stated([([key.Key("D", "dorian")], 0)]).reason == keys.MODAL


def test_parts_must_agree_as_they_sound() -> None:
    assert keys.stated([([key.Key("C")], 0), ([key.Key("D")], 0)]).reason == keys.PARTS_DISAGREE
    assert keys.stated([([key.Key("C")], 0), ([key.Key("D")], -2)]).label == "C major"


def test_a_change_inside_the_excerpt_is_no_key_and_one_outside_is() -> None:
    part = parts.ScorePart((), ((0, key.Key("C")), (5000, key.Key("G"))), 0)
    assert keys.stated([(part.signatures_within(0, 9600), 0)]).reason == keys.CHANGES
    assert keys.stated([(part.signatures_within(5000, 14600), 0)]).label == "G major"


@pytest.mark.parametrize("tonic", range(12))
def test_the_analysis_finds_a_scale_with_a_strong_tonic_and_refuses_other_statements(tonic: int) -> None:
    durations = [0.0] * 12
    for degree, length in zip((0, 2, 3, 5, 7, 8, 11), (4, 1, 2, 1, 3, 1, 1), strict=True):
        durations[(tonic + degree) % 12] = length
    minor, relative = key_label(tonic, "minor"), key_label(tonic + 3, "major")
    assert keys.analysed(durations) == minor
    assert keys.confirmed(keys.KeyVerdict(minor, ""), durations).label == minor
    assert keys.confirmed(keys.KeyVerdict(relative, ""), durations).reason == keys.ANALYSIS_DISAGREES


def test_transposing_moves_the_key_around_the_octave() -> None:
    assert transposed("B minor", 1) == "C minor"
    assert transposed("C major", -6) == "Gb major"
    assert transposed("", 3) == ""


# --- selection ------------------------------------------------------------------------------------------------------


def test_genres_take_turns_and_go_on_when_one_runs_out() -> None:
    both = queues(8) | {"mass": queues(2)["mass"]}
    chosen = selection.select(both, {"mass": 2, "irish": 8}, 7)
    assert [choice.candidate.piece.genre[0] for choice in chosen.used] == list("mimiiii")
    assert chosen.complete


def test_a_queue_that_is_too_short_is_reported_before_anything_is_decided_after_it() -> None:
    chosen = selection.select(queues(2), {"mass": 9, "irish": 9}, 6)
    assert not chosen.complete
    assert not chosen.exhausted
    assert len(chosen.used) == 4


def test_no_piece_changes_its_place_or_split_when_the_corpus_grows() -> None:
    available = {"mass": 50, "irish": 50}
    large = selection.select(queues(50), available, 80).used
    for wanted in (1, 7, 20, 79):
        assert selection.select(queues(50), available, wanted).used == large[:wanted]


def test_splits_are_sixty_ten_thirty_percent_in_each_genre() -> None:
    chosen = selection.select(queues(50), {"mass": 50, "irish": 50}, 100).used
    counts = Counter((choice.candidate.piece.genre, choice.split) for choice in chosen)
    assert counts == {(g, s): n for g in ("mass", "irish") for s, n in (("train", 30), ("valid", 5), ("test", 15))}


TUNE = (2, 2, 1, 2, -3, -2, 5, 2, -7, 4, 3, -1, -2, -2, 1, 7, -12)


def test_a_tune_in_two_books_is_one_group_in_one_split() -> None:
    first = candidate("irish", "a", melody_semitones=TUNE)
    variant = candidate("fiddle", "b", melody_semitones=(5, *TUNE[:-1], 9, 9))
    chosen = selection.select({"irish": [first], "fiddle": [variant]}, {"irish": 1, "fiddle": 1}, 2).used
    assert {choice.group for choice in chosen} == {"irish/a"}
    assert len({choice.split for choice in chosen}) == 1


def test_a_copy_is_dropped() -> None:
    pair = [candidate("irish", "a", content="same"), candidate("irish", "b", content="same")]
    chosen = selection.select({"irish": pair}, {"irish": 2}, 2)
    assert [choice.refusal for choice in chosen.choices] == ["", "copy of an earlier piece"]


def test_a_medley_of_tunes_from_two_splits_is_dropped() -> None:
    other = TUNE[::-1]
    three = [
        candidate("irish", str(index), melody_semitones=tune) for index, tune in enumerate((TUNE, other, TUNE + other))
    ]
    chosen = selection.select({"irish": three}, {"irish": 3}, 3)
    assert [choice.split for choice in chosen.choices] == ["train", "test", ""]
    assert chosen.choices[2].refusal == "shares melodies with two splits"


def test_scales_and_trills_make_no_kinship() -> None:
    for figure in ((2, 2, 1, 2, 2, 2, 1) * 5, (1, -1) * 20):
        pair = [candidate("irish", slug, melody_semitones=figure) for slug in "ab"]
        groups = {choice.group for choice in selection.select({"irish": pair}, {"irish": 2}, 2).used}
        assert groups == {"irish/a", "irish/b"}


# --- sound ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [0, 24, 40, 56])
@pytest.mark.parametrize(("semitones", "expected_hz"), [(0, 440.0), (3, 523.25), (-6, 311.13)])
def test_a4_sounds_at_440_hz_and_moves_with_transposition(program: int, semitones: int, expected_hz: float) -> None:
    long_a = dataclasses.replace(excerpt(), program=program, notes=(Note(0, 9600, 69),))
    clip = synthesizer.samples(long_a, semitones, rendering_settings.default_soundfont().read_bytes())[:22_050]
    spectrum = np.abs(np.fft.rfft(clip * np.hanning(len(clip)))) ** 2  # one bin is 1 Hz
    partials = [spectrum[round(multiple * expected_hz) - 8 :][:17].sum() for multiple in (1, 2, 3, 4, 5, 6)]
    assert sum(partials) > 0.85 * spectrum[: round(6.5 * expected_hz)].sum()
    near = slice(round(expected_hz) - 30, round(expected_hz) + 31)
    assert near.start + np.argmax(spectrum[near]) == pytest.approx(expected_hz, rel=0.006)


def test_what_was_rendered_before_leaves_no_trace() -> None:
    soundfont = rendering_settings.default_soundfont().read_bytes()
    organ = dataclasses.replace(excerpt(), program=19, notes=(Note(0, 9600, 40), Note(0, 9600, 47)))
    first = synthesizer.samples(excerpt(), 0, soundfont)
    synthesizer.samples(organ, 5, soundfont)
    assert np.array_equal(synthesizer.samples(excerpt(), 0, soundfont), first)


def test_a_note_rings_out_instead_of_breaking_off() -> None:
    clip = np.abs(synthesizer.samples(excerpt(), 0, rendering_settings.default_soundfont().read_bytes()))
    loudness = [clip[start : start + 1000].max() for start in range(11_025, 20_000, 1000)]
    assert loudness == sorted(loudness, reverse=True)
    assert loudness[0] > 5 * loudness[5] > 0
    assert clip[-22_050:].max() < 0.01


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_the_ledger_returns_what_was_written_and_its_beginning_by_used_pieces(tmp_path: Path) -> None:
    splits = ("train", "", "test", "valid")
    rows = [
        build_log.BuildLogRow("irish", str(index), "g", split, "", "0", "", "modal")
        for index, split in enumerate(splits)
    ]
    build_log.write(tmp_path / "pieces.csv", rows)
    assert build_log.read(tmp_path / "pieces.csv") == rows
    assert [len(build_log.first_used(rows, used)) for used in (1, 2, 3, 4)] == [1, 3, 4, 4]


def test_a_ledger_with_other_columns_is_called_corrupt(tmp_path: Path) -> None:
    (tmp_path / "pieces.csv").write_text("genre,slug\nirish,1\n")
    with pytest.raises(CorruptArtifact, match="delete it"):
        build_log.read(tmp_path / "pieces.csv")


def test_kinds_of_random_streams_are_independent_of_each_other() -> None:
    given = rendering_settings.recipe_for(0, (0,), rendering_settings.default_soundfont())
    words = itertools.product(("a", "b"), ("start", "program"))
    assert len({given.random_for(*pair).random() for pair in words}) == 4
