"""Recipes: every preset has one, its command is understood, and the page says the same as the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from model import train
from model.encoder.config import PRESETS
from model.training.recipes import EXTRAPOLATED, NOT_RUN, RECIPES
from pipeline import ingest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text()
NAMES = [f"{recipe.preset}-{place}" for place, recipe in enumerate(RECIPES)]
EACH = pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)


def _config(recipe):
    words = shlex.split(recipe.command)
    assert words[:3] == ["python", "-m", "model.train"]
    options = train.parsed(words[3:])
    sources = SimpleNamespace(digest="d", mel_settings={}, samples=10**6, clips=10**6)
    return options, train._config(options, sources)


def test_every_preset_has_a_recipe():
    assert {recipe.preset for recipe in RECIPES} == set(PRESETS)


@EACH
def test_its_command_parses_to_its_preset(recipe):
    options, config = _config(recipe)
    assert config.encoder == PRESETS[recipe.preset]
    said = dict(re.findall(r"--([a-z-]+) (\S+)", recipe.command))
    assert options.store == [Path(said.pop("store"))]
    for word, value in said.items():
        assert str(getattr(options, word.replace("-", "_"))) in (value, str(float(value)) if value[0].isdigit() else "")


@EACH
def test_its_store_is_made_by_a_command_that_is_understood(recipe, monkeypatch):
    monkeypatch.setattr(ingest, "exit_status", lambda _: 0)
    words = shlex.split(re.search(r"`(python -m pipeline\.ingest [^`]*)`", recipe.recordings)[1])
    assert ingest.main(words[3:]) == 0


@pytest.mark.parametrize("name", ["myna-base", "myna-vertical", "myna-hybrid"])
def test_the_published_presets_are_trained_with_the_numbers_of_the_paper(name):
    recipe = next(recipe for recipe in RECIPES if recipe.preset == name)
    _, config = _config(recipe)
    assert (config.batch, config.learning_rate, config.weight_decay, config.masking_ratio) == (4096, 3e-4, 1e-5, 0.9)
    assert (config.objective.family, config.objective.temperature, config.optimizer) == ("infonce", 0.1, "adam")
    assert config.steps * config.batch == pytest.approx(500 * 822_000, rel=0.01)


@EACH
def test_what_nobody_ran_says_so_and_what_somebody_ran_shows_where(recipe):
    assert recipe.has_been_run == (not recipe.time.startswith(EXTRAPOLATED)) == (recipe.reached != NOT_RUN)
    assert re.search(r"\d", recipe.time)
    if recipe.has_been_run:
        shown = re.search(r"\(([\w./]+\.md)\)$", recipe.reached)[1]
        scores = re.findall(r"0\.\d{3}", recipe.reached)
        assert scores
        assert [score for score in scores if score not in (ROOT / shown).read_text()] == []


@EACH
def test_the_page_has_it_word_for_word(recipe):
    text = " ".join(PAGE.replace("\\\n", "").split())
    for part in (recipe.recordings, recipe.command, recipe.time, recipe.reached):
        assert part in text
