"""Sound of a map: the clip's own first seconds, spread over splits and classes; what is gone or changed is counted."""

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
    path = tmp_path / "heard.mp3"
    path.write_bytes(content)
    return decode(path, synthetic_audio.RATE_HZ).samples


def test_the_first_seconds_of_a_clip_are_heard(tmp_path):
    features, store = synthetic_map.made(12, tmp_path, heard=[4, 9])
    found = Sound.of(store, features.rows, [4, 9])
    assert sorted(found.clips) == [4, 9]
    assert found.refused == {}
    for clip in (4, 9):
        samples = _decoded(found.clips[clip], tmp_path)
        assert synthetic_audio.loudest_hz(samples) == pytest.approx(220 + 10 * clip, abs=1)
        assert len(samples) / synthetic_audio.RATE_HZ == pytest.approx(SECONDS, abs=0.15)
    assert found.data_uris()[4].startswith("data:audio/mpeg;base64,")


def test_a_clip_that_was_cut_out_is_cut_out_again(tmp_path):
    features, store = synthetic_map.made(3, tmp_path)
    samples = np.concatenate([synthetic_audio.sine(300, 3.0), synthetic_audio.sine(900, 2.0)])
    file = synthetic_audio.write(tmp_path / "long.flac", samples)
    row = replace(features.rows[0], source=file.name, source_digest=file_digest(file))
    row = replace(row, cut_start_seconds=3.0, cut_seconds=1.5)
    heard = _decoded(Sound.of(store, [row], [0]).clips[0], tmp_path)
    assert synthetic_audio.loudest_hz(heard) == pytest.approx(900, abs=2)
    assert len(heard) / synthetic_audio.RATE_HZ == pytest.approx(1.5, abs=0.15)


def test_a_member_of_a_tar_is_heard(tmp_path):
    features, store = synthetic_map.made(3, tmp_path)
    file = synthetic_audio.write(tmp_path / "one.wav", synthetic_audio.sine(500, 2.0))
    synthetic_audio.pack(tmp_path / "all.tar", [file])
    row = replace(features.rows[0], source="all.tar", member="one.wav", source_digest=file_digest(file))
    assert list(Sound.of(store, [row], [0]).clips) == [0]


def test_audio_that_is_gone_changed_or_damaged_is_counted_by_reason(tmp_path):
    features, store = synthetic_map.made(12, tmp_path, heard=[0, 1, 2, 3])
    (tmp_path / "0.wav").unlink()
    synthetic_audio.write(tmp_path / "1.wav", synthetic_audio.noise(2.0))
    (tmp_path / "2.wav").write_bytes(b"RIFF, but not really")
    rows = list(features.rows)
    rows[2] = replace(rows[2], source_digest=file_digest(tmp_path / "2.wav"))
    found = Sound.of(store, rows, [0, 1, 2, 3, 11])
    assert list(found.clips) == [3]
    assert found.refused == {"changed": 1, "missing": 2, "unreadable": 1}


def test_a_root_that_is_gone_is_no_error(tmp_path):
    features, store = synthetic_map.made(6, tmp_path / "gone")
    assert Sound.of(store, features.rows, range(6)).refused == {"missing": 6}


def test_clips_with_sound_are_spread_over_splits_and_classes():
    rows = synthetic_map.rows(108)
    panel = [synthetic_map.SPLITS.index(row.split) for row in rows]
    genre = color_encodings(rows)[0]
    chosen = spread(panel, genre, 18)
    strata = [(panel[clip], genre.members[clip]) for clip in chosen]
    assert {strata.count(one) for one in strata} == {2}
    assert len(set(strata)) == 9
    assert len(set(chosen)) == 18


def test_more_than_there_are_is_all_of_them_and_the_seed_decides_which_few():
    rows = synthetic_map.rows(36)
    panel, genre = [0] * 36, color_encodings(rows)[0]
    assert spread(panel, genre, 1_000) == list(range(36))
    assert spread(panel, None, 7, seed=1) == spread(panel, None, 7, seed=1)
    assert spread(panel, None, 7, seed=1) != spread(panel, None, 7, seed=2)
    assert spread(panel, genre, 0) == []
