"""Sound of a map: the first seconds of clips of all splits and classes; missing or changed audio is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import synthetic_audio
import synthetic_map

from model.page.map.coloring import color_encodings
from model.page.map.sound import SECONDS, Sound, spread
from pipeline.audio.decode import decode, file_digest


def _decoded(content, tmp_path):
    path = tmp_path / "sound.mp3"
    path.write_bytes(content)
    return decode(path, synthetic_audio.RATE_HZ).samples


def test_the_sound_is_the_first_seconds_of_a_clip(tmp_path):
    features, store = synthetic_map.features_and_store(12, tmp_path, with_audio=[4, 9])
    sound = Sound.read(store, features.rows, [4, 9])
    assert sorted(sound.clips) == [4, 9]
    assert sound.rejected == {}
    for clip in (4, 9):
        samples = _decoded(sound.clips[clip], tmp_path)
        assert synthetic_audio.loudest_hz(samples) == pytest.approx(220 + 10 * clip, abs=1)
        assert len(samples) / synthetic_audio.RATE_HZ == pytest.approx(SECONDS, abs=0.15)
    assert sound.data_uris()[4].startswith("data:audio/mpeg;base64,")


def test_the_sound_of_a_cut_clip_is_cut_in_the_same_way(tmp_path):
    features, store = synthetic_map.features_and_store(3, tmp_path)
    samples = np.concatenate([synthetic_audio.sine(300, 3.0), synthetic_audio.sine(900, 2.0)])
    file = synthetic_audio.write(tmp_path / "long.flac", samples)
    row = replace(features.rows[0], source=file.name, source_digest=file_digest(file))
    row = replace(row, cut_start_seconds=3.0, cut_seconds=1.5)
    decoded = _decoded(Sound.read(store, [row], [0]).clips[0], tmp_path)
    assert synthetic_audio.loudest_hz(decoded) == pytest.approx(900, abs=2)
    assert len(decoded) / synthetic_audio.RATE_HZ == pytest.approx(1.5, abs=0.15)


def test_a_member_of_a_tar_file_has_sound(tmp_path):
    features, store = synthetic_map.features_and_store(3, tmp_path)
    file = synthetic_audio.write(tmp_path / "one.wav", synthetic_audio.sine(500, 2.0))
    synthetic_audio.pack(tmp_path / "all.tar", [file])
    row = replace(features.rows[0], source="all.tar", member="one.wav", source_digest=file_digest(file))
    assert list(Sound.read(store, [row], [0]).clips) == [0]


def test_missing_changed_and_damaged_audio_is_counted_by_reason(tmp_path):
    features, store = synthetic_map.features_and_store(12, tmp_path, with_audio=[0, 1, 2, 3])
    (tmp_path / "0.wav").unlink()
    synthetic_audio.write(tmp_path / "1.wav", synthetic_audio.noise(2.0))
    (tmp_path / "2.wav").write_bytes(b"RIFF, but not really")
    rows = list(features.rows)
    rows[2] = replace(rows[2], source_digest=file_digest(tmp_path / "2.wav"))
    sound = Sound.read(store, rows, [0, 1, 2, 3, 11])
    assert list(sound.clips) == [3]
    assert sound.rejected == {"changed": 1, "missing": 2, "unreadable": 1}


def test_a_missing_root_is_not_an_error(tmp_path):
    features, store = synthetic_map.features_and_store(6, tmp_path / "missing")
    assert Sound.read(store, features.rows, range(6)).rejected == {"missing": 6}


def test_clips_with_sound_are_spread_over_splits_and_classes():
    rows = synthetic_map.rows(108)
    panel = [synthetic_map.SPLITS.index(row.split) for row in rows]
    genre = color_encodings(rows)[0]
    chosen = spread(panel, genre, 18)
    strata = [(panel[clip], genre.members[clip]) for clip in chosen]
    assert {strata.count(stratum) for stratum in strata} == {2}
    assert len(set(strata)) == 9
    assert len(set(chosen)) == 18


def test_at_most_all_clips_are_chosen_and_the_seed_decides_which():
    rows = synthetic_map.rows(36)
    panel, genre = [0] * 36, color_encodings(rows)[0]
    assert spread(panel, genre, 1_000) == list(range(36))
    assert spread(panel, None, 7, seed=1) == spread(panel, None, 7, seed=1)
    assert spread(panel, None, 7, seed=1) != spread(panel, None, 7, seed=2)
    assert spread(panel, genre, 0) == []
