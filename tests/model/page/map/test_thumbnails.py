"""Thumbnails: the mel of each clip at its position on its sheet, in few bytes."""

from __future__ import annotations

import base64
import io

import numpy as np
import synthetic_map
from PIL import Image

from model.page.map import thumbnails
from model.page.map.thumbnails import COLUMNS, HEIGHT, WIDTH, Thumbnails
from pipeline.verification import preview


def _brightest_row(sheet, index):
    left, top = WIDTH * (index % COLUMNS), HEIGHT * (index // COLUMNS)
    picture = np.asarray(Image.open(io.BytesIO(sheet)).convert("L").crop((left, top, left + WIDTH, top + HEIGHT)))
    return int(picture.mean(axis=1).argmax())


def test_each_clip_is_at_its_position_with_low_frequencies_at_the_bottom():
    _, store = synthetic_map.features_and_store(50)
    clips = [7, 120, 3, *range(22)]
    (sheet,) = Thumbnails.draw(store, clips).sheets
    for index, clip in enumerate(clips):
        assert abs(_brightest_row(sheet, index) - (127 - clip) // 2) <= 1


def test_the_progress_bar_is_not_written_to_files(capsys):
    Thumbnails.draw(synthetic_map.features_and_store(12)[1], range(12))
    assert capsys.readouterr().err == ""


def test_clips_are_divided_into_sheets(monkeypatch):
    monkeypatch.setattr(thumbnails, "SHEET", 30)
    _, store = synthetic_map.features_and_store(70)
    sheets = Thumbnails.draw(store, range(70)).sheets
    assert len(sheets) == 3
    assert [Image.open(io.BytesIO(sheet)).size for sheet in sheets] == [(1920, 128), (1920, 128), (960, 64)]
    assert abs(_brightest_row(sheets[2], 5) - (127 - 65) // 2) <= 1


def test_the_same_clips_give_the_same_bytes_and_data_uris():
    _, store = synthetic_map.features_and_store(12)
    first, second = (Thumbnails.draw(store, range(12)) for _ in range(2))
    assert first == second
    (uri,) = first.data_uris()
    kind, _, content = uri.partition(",")
    assert kind == "data:image/webp;base64"
    assert base64.b64decode(content) == first.sheets[0]


def test_a_clip_of_noise_takes_a_few_kilobytes_at_most():
    noise = np.random.default_rng(0).gamma(1, 1, (128, 312)).astype(np.float32)
    content = io.BytesIO()
    thumbnails.picture(noise).save(content, "WEBP", quality=thumbnails.QUALITY)
    assert thumbnails.picture(noise).size == (WIDTH, HEIGHT)
    assert len(content.getvalue()) < 4_000


def test_pictures_have_the_decibels_of_the_preview():
    ours = (thumbnails.FLOOR_DECIBELS, thumbnails.CEILING_DECIBELS)
    assert ours == (preview.FLOOR_DECIBELS, preview.CEILING_DECIBELS)


def test_silence_and_full_scale_are_the_ends_of_the_scale():
    silent, loud = (np.asarray(thumbnails.picture(np.full((128, 20), power, np.float32))) for power in (0, 1e9))
    assert silent.max() < 8
    assert loud.min(axis=(0, 1)).max() > 240
