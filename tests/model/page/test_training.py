"""How a run went: a curve for whatever was measured, a word where nothing was."""

from __future__ import annotations

from dataclasses import replace

from html_elements import Elements

from model.page import training


def _text(section):
    return Elements(section.body).text


def test_training_has_a_curve_for_whatever_was_measured(found):
    section = training.section(found)
    assert set(section.charts) == {
        *("training-loss", "training-alignment", "training-uniformity", "training-neighbours"),
        "training-windows_per_second",
    }
    assert "The infonce loss went from 2.000 to 1.300 in 8 steps." in _text(section)
    assert 'src="data:image/png;base64,iVBOR' in section.body


def test_a_run_that_measured_nothing_says_so(found):
    section = training.section(replace(found, metrics=[{"step": 0}]))
    assert (section.charts, _text(section)) == ({}, "The run has measured nothing yet.\n")


def test_only_infonce_is_compared_with_guessing(found):
    assert "guessing" in str(training.loss_chart(found.metrics, found.config))
    (_, other, _), *_ = found.others
    assert "guessing" not in str(training.loss_chart(found.metrics, other))
