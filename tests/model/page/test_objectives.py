"""Runs by objective: shown only if objectives differ, and always with what else differs."""

from __future__ import annotations

from dataclasses import replace

from html_elements import section_text

from model.page import objectives
from model.page.run_results import ProbedRun

RUNS = (("first", "InfoNCE"), ("b", "InfoNCE"), ("a", "SogCLR"), ("c", "SogCLR"))


def test_two_objectives_are_compared_with_what_else_differs(results):
    text = section_text(objectives.section(results))
    assert "firstInfoNCE" in text
    assert "otherSogCLR" in text
    assert "Besides the objective, they differ in seed." in text


def test_this_run_is_first_and_the_others_follow_by_objective(results):
    (_, config, scores) = results.others[0]
    same_objective = replace(results.config, learning_rate=0.5, warmup_steps=1)
    configs = {"a": config, "b": same_objective, "c": config}
    others = tuple(ProbedRun(name, run_config, scores) for name, run_config in configs.items())
    text = section_text(objectives.section(replace(results, others=others)))
    positions = [text.index(f"{run}{objective}") for run, objective in RUNS]
    assert positions == sorted(positions)
    assert "All 4 runs" in text
    assert "differ in learning rate, seed, warmup steps." in text


def test_runs_that_could_not_be_read_are_named(results):
    section = objectives.section(replace(results, unread=("broken",)))
    assert "Runs that could not be read: broken." in section_text(section)


def test_runs_with_one_objective_give_no_section(results):
    assert objectives.section(replace(results, others=())) is None


def test_the_page_says_if_only_the_objective_differs(results):
    name, _, scores = results.others[0]
    config = replace(results.config, objective=replace(results.config.objective, name="other"))
    text = section_text(objectives.section(replace(results, others=(ProbedRun(name, config, scores),))))
    assert "All other settings are equal." in text
