"""Pictures of a store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import synthetic_audio
from matplotlib.image import imread

from pipeline import preview
from pipeline.audio.mel import mel_power
from pipeline.preview import choose, draw
from stores.errors import InvalidInput


def test_the_command_draws_a_png_beside_the_store(make_store, capsys):
    store = make_store([100, 40, 0, 300])
    assert preview.main([str(store.path)]) == 0
    image = imread(store.path.with_suffix(".png"))
    assert image.shape[0] > 300
    assert image.shape[1] > 600
    assert image[..., :3].std() > 0.05  # something is drawn
    assert "3 of 4 clips" in capsys.readouterr().out


def test_a_store_may_be_called_by_its_name(tmp_path, monkeypatch, make_store):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    make_store([100], "stores/mine.zarr")
    assert preview.main(["mine"]) == 0
    assert (tmp_path / "stores" / "mine.png").is_file()


@pytest.mark.parametrize("name", ["p.jpg", "p", "p.svg"])
def test_what_is_called_otherwise_than_a_png_is_not_written(tmp_path, make_store, capsys, name):
    store = make_store([100])
    assert preview.main([str(store.path), "--out", str(tmp_path / name)]) == 2
    assert "a PNG is written, so it must end in .png" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("clips", [1, 2, 5, 9])
def test_any_number_of_clips_fits_on_the_page(make_store, clips):
    store = make_store([64] * clips)
    panels = [axes for axes in draw(store, store.rows).axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == [row.id for row in store.rows]


def test_the_clips_are_spread_over_the_store_and_refused_ones_left_out(make_store):
    store = make_store([10, 0, 10, 10, 10, 0, 10])
    assert [row.index for row in choose(store.rows, 3)] == [0, 3, 6]
    assert [row.index for row in choose(store.rows, 99)] == [0, 2, 3, 4, 6]
    assert [row.index for row in choose(store.rows, 8, ["clip-4"])] == [4]


def test_what_cannot_be_drawn_is_told(make_store, capsys):
    store = make_store([10, 0])
    with pytest.raises(InvalidInput, match="no mel of \\['clip-1'\\]"):
        choose(store.rows, 8, ["clip-1"])
    with pytest.raises(InvalidInput, match="0 clips were asked for"):
        choose(store.rows, 0)
    assert preview.main([str(store.path.with_name("none.zarr"))]) == 2
    assert "no mel store at" in capsys.readouterr().err


def test_only_the_first_half_minute_of_a_long_clip_is_drawn(make_store):
    store = make_store([4_000])
    (panel, *_) = draw(store, store.rows).axes
    assert panel.get_xlim()[1] == pytest.approx(30, abs=0.05)


def test_hertz_stand_where_a_tone_of_that_pitch_is_drawn(make_store):
    store = make_store([10])
    for hz, place in zip(preview.LINES_HZ, preview._bins(store.spec), strict=True):
        loudest = int(np.argmax(mel_power(synthetic_audio.sine(hz), store.spec).mean(axis=1)))
        assert place == pytest.approx(loudest + 0.5, abs=1)


def test_long_names_and_labels_are_cut_and_formulas_are_only_text(make_store):
    store = make_store([10])
    row = replace(store.rows[0], id="x" * 100 + "$a_b", labels={"tags": "|".join(["guitar"] * 20)})
    (panel, *_) = draw(store, [row]).axes
    name, labels = panel.get_title(loc="left").split("\n")
    assert len(name) <= preview.LONGEST_TITLE
    assert name.endswith("$a_b")
    assert labels.startswith("tags: guitar, guitar")
    assert len(labels) <= preview.LONGEST_TITLE
