"""Thumbnails: each clip's mel at its place on its sheet, small."""

from __future__ import annotations

import base64
import io

import numpy as np
import synthetic_map
from PIL import Image

from model.page.map import thumbnails
from model.page.map.thumbnails import COLUMNS, HEIGHT, WIDTH, Thumbnails
from pipeline.verification import preview


def _brightest_row(sheet, place):
    left, top = WIDTH * (place % COLUMNS), HEIGHT * (place // COLUMNS)
    picture = np.asarray(Image.open(io.BytesIO(sheet)).convert("L").crop((left, top, left + WIDTH, top + HEIGHT)))
    return int(picture.mean(axis=1).argmax())


def test_each_clip_is_drawn_at_its_place_low_frequencies_at_the_bottom():
    _, store = synthetic_map.made(50)
    (sheet,) = Thumbnails.of(store, [7, 120, 3, *range(22)]).sheets
    for place, clip in enumerate([7, 120, 3, *range(22)]):
        assert abs(_brightest_row(sheet, place) - (127 - clip) // 2) <= 1


def test_the_bar_that_vanishes_is_not_written_to_files(capsys):
    Thumbnails.of(synthetic_map.made(12)[1], range(12))
    assert capsys.readouterr().err == ""


def test_sheets_hold_some_hundred_each(monkeypatch):
    monkeypatch.setattr(thumbnails, "SHEET", 30)
    _, store = synthetic_map.made(70)
    sheets = Thumbnails.of(store, range(70)).sheets
    assert len(sheets) == 3
    assert [Image.open(io.BytesIO(one)).size for one in sheets] == [(1920, 128), (1920, 128), (960, 64)]
    assert abs(_brightest_row(sheets[2], 5) - (127 - 65) // 2) <= 1


def test_the_same_clips_give_the_same_bytes_as_data_that_a_page_can_hold():
    _, store = synthetic_map.made(12)
    first, second = (Thumbnails.of(store, range(12)) for _ in range(2))
    assert first == second
    (uri,) = first.data_uris()
    kind, _, content = uri.partition(",")
    assert kind == "data:image/webp;base64"
    assert base64.b64decode(content) == first.sheets[0]


def test_a_clip_of_noise_takes_some_kilobytes_at_most():
    noise = np.random.default_rng(0).gamma(1, 1, (128, 312)).astype(np.float32)
    content = io.BytesIO()
    thumbnails.picture(noise).save(content, "WEBP", quality=thumbnails.QUALITY)
    assert thumbnails.picture(noise).size == (WIDTH, HEIGHT)
    assert len(content.getvalue()) < 4_000


def test_a_picture_here_looks_like_one_of_the_preview():
    ours = (thumbnails.FLOOR_DECIBELS, thumbnails.CEILING_DECIBELS)
    assert ours == (preview.FLOOR_DECIBELS, preview.CEILING_DECIBELS)


def test_silence_and_full_scale_are_the_ends_of_the_scale():
    silent, loud = (np.asarray(thumbnails.picture(np.full((128, 20), power, np.float32))) for power in (0, 1e9))
    assert silent.max() < 8
    assert loud.min(axis=(0, 1)).max() > 240
