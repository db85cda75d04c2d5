"""Objectives side by side: only where there are several, and never without what else differs."""

from __future__ import annotations

from dataclasses import replace

from html_elements import Elements

from model.page import objectives

RUNS = (("first", "infonce"), ("b", "infonce"), ("a", "sogclr"), ("c", "sogclr"))


def _text(section):
    return Elements(section.body).text


def test_objectives_are_compared_where_there_are_two_and_what_else_differs_is_said(found):
    text = _text(objectives.section(found))
    assert "firstinfonce" in text
    assert "othersogclr" in text
    assert "Besides their objective they differ in seed." in text


def test_runs_stand_by_objective_this_one_first_and_settings_are_words(found):
    (_, config, scores) = found.others[0]
    same = replace(found.config, learning_rate=0.5, warmup_steps=1)
    others = (("a", config, scores), ("b", same, scores), ("c", config, scores))
    text = _text(objectives.section(replace(found, others=others)))
    assert [text.index(f"{run}{objective}") for run, objective in RUNS] == sorted(
        text.index(f"{run}{objective}") for run, objective in RUNS
    )
    assert "All 4 runs" in text
    assert "differ in learning rate, seed, warmup steps." in text


def test_runs_that_could_not_be_read_are_named(found):
    assert "Runs that could not be read: broken." in _text(objectives.section(replace(found, unread=("broken",))))


def test_runs_of_one_objective_make_no_table(found):
    assert objectives.section(replace(found, others=())) is None


def test_a_run_that_is_equal_but_for_its_objective_is_said_to_be(found):
    name, _, scores = found.others[0]
    config = replace(found.config, objective=replace(found.config.objective, name="other"))
    text = _text(objectives.section(replace(found, others=((name, config, scores),))))
    assert "All other settings are equal." in text
