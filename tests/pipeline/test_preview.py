"""Tests of the command `pipeline.preview`, which draws mels of a store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import synthetic_audio
from matplotlib.image import imread

from pipeline import preview as command
from pipeline.audio.mel import mel_power
from pipeline.verification import preview
from pipeline.verification.preview import draw, select_clips
from stores.errors import InvalidInput


def test_the_command_draws_a_png_beside_the_store(make_store, capsys):
    store = make_store([100, 40, 0, 300])
    assert command.main([str(store.path)]) == 0
    image = imread(store.path.with_suffix(".png"))
    assert image.shape[0] > 300
    assert image.shape[1] > 600
    assert image[..., :3].std() > 0.05  # something is drawn
    assert "3 of 4 clips" in capsys.readouterr().out


def test_the_command_accepts_the_name_of_a_store(tmp_path, monkeypatch, make_store):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    make_store([100], "stores/mine.zarr")
    assert command.main(["mine"]) == 0
    assert (tmp_path / "stores" / "mine.png").is_file()


@pytest.mark.parametrize("name", ["p.jpg", "p", "p.svg"])
def test_an_output_file_that_is_not_a_png_is_an_error(tmp_path, make_store, capsys, name):
    store = make_store([100])
    assert command.main([str(store.path), "--out", str(tmp_path / name)]) == 2
    assert "--out must end in .png, because a PNG is written" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("clips", [1, 2, 5, 9])
def test_any_number_of_clips_can_be_drawn(make_store, clips):
    store = make_store([64] * clips)
    panels = [axes for axes in draw(store, store.rows).axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == [row.id for row in store.rows]


def test_the_clips_are_spread_over_the_store_without_rejected_clips(make_store):
    store = make_store([10, 0, 10, 10, 10, 0, 10])
    assert [row.index for row in select_clips(store.rows, 3)] == [0, 3, 6]
    assert [row.index for row in select_clips(store.rows, 99)] == [0, 2, 3, 4, 6]
    assert [row.index for row in select_clips(store.rows, 8, ["clip-4"])] == [4]


def test_clips_that_cannot_be_drawn_are_an_error(make_store, capsys):
    store = make_store([10, 0])
    with pytest.raises(InvalidInput, match="no mel of \\['clip-1'\\]"):
        select_clips(store.rows, 8, ["clip-1"])
    with pytest.raises(InvalidInput, match="0 of 1 clips with a mel cannot be drawn"):
        select_clips(store.rows, 0)
    assert command.main([str(store.path.with_name("none.zarr"))]) == 2
    assert "no mel store at" in capsys.readouterr().err


def test_only_the_first_30_seconds_of_a_clip_are_drawn(make_store):
    store = make_store([4_000])
    (panel, *_) = draw(store, store.rows).axes
    assert panel.get_xlim()[1] == pytest.approx(30, abs=0.05)


def test_frequency_ticks_are_at_the_bins_of_their_tones(make_store):
    store = make_store([10])
    ticks = preview._tick_positions(store.spec)
    assert tuple(ticks) == preview.TICKS_HZ
    for hz, position in ticks.items():
        loudest = int(np.argmax(mel_power(synthetic_audio.sine(hz), store.spec).mean(axis=1)))
        assert position == pytest.approx(loudest + 0.5, abs=1)


def test_long_names_and_labels_are_cut_and_formulas_stay_text(make_store):
    store = make_store([10])
    row = replace(store.rows[0], id="x" * 100 + "$a_b", labels={"tags": "|".join(["guitar"] * 20)})
    (panel, *_) = draw(store, [row]).axes
    name, labels = panel.get_title(loc="left").split("\n")
    assert len(name) <= preview.MAX_TITLE_CHARACTERS
    assert name.endswith("$a_b")
    assert labels.startswith("tags: guitar, guitar")
    assert len(labels) <= preview.MAX_TITLE_CHARACTERS
