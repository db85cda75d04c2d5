"""Training: a curve for every metric, and a sentence if there are none."""

from __future__ import annotations

from dataclasses import replace

from html_elements import section_text

from model.page import training


def test_training_has_a_curve_for_every_metric(results):
    section = training.section(results)
    assert set(section.charts) == {
        *("training-loss", "training-alignment", "training-uniformity", "training-neighbours"),
        "training-windows_per_second",
    }
    assert "The InfoNCE (SimCLR's NT-Xent) loss went from 2.000 to 1.300 in 8 steps." in section_text(section)
    assert 'src="data:image/png;base64,iVBOR' in section.body


def test_a_run_without_metrics_says_so(results):
    section = training.section(replace(results, metrics=[{"step": 0}]))
    assert (section.charts, section_text(section)) == ({}, "The run has no metrics yet.")


def test_only_infonce_is_compared_with_chance(results):
    assert "chance" in str(training.loss_chart(results.metrics, results.config))
    other = results.others[0].config
    assert "chance" not in str(training.loss_chart(results.metrics, other))
