"""The table of recipes in docs/training.md: every preset has one, commands can be parsed, and scores have a source."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from model.encoder.config import PRESETS
from model.training.config import TrainSettings
from model.training.train import resolve
from pipeline.ingestion.config import IngestSettings
from stores.command_line import parse

DOCS = Path(__file__).parents[2] / "docs"
HEADER = "| preset | training clips | store | training | time | scores |"
NOT_RUN = "not run yet"
EXTRAPOLATED = re.compile(r"extrapolated: (\d+) days of one CPU core .* ([\d,]+) ms for a step of 64 clips$")


class Recipe(NamedTuple):
    """One row of the table."""

    preset: str
    clips: str
    store: str
    training: str
    time: str
    scores: str


def _recipes():
    _, table = (DOCS / "training.md").read_text().split(f"{HEADER}\n|---|---|---|---|---|---|\n")
    rows = [line.strip("|").split("|") for line in table.partition("\n\n")[0].splitlines()]
    return [Recipe(*(cell.strip().removeprefix("`").removesuffix("`") for cell in row)) for row in rows]


RECIPES = _recipes()
EACH = pytest.mark.parametrize("recipe", RECIPES, ids=[f"{one.preset}-{row}" for row, one in enumerate(RECIPES)])


def _values(settings):
    """Return the settings of a command by name, those of all groups together."""
    values = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        values |= _values(value) if is_dataclass(value) else {field.name: value}
    return values


def _training(recipe):
    """Return the settings of the training command, and the configuration of its run."""
    words = shlex.split(recipe.training)
    assert words[:3] == ["python", "-m", "model.train"]
    settings = parse(TrainSettings, words[3:], "model.train")
    sources = SimpleNamespace(digest="d", mel_settings={}, samples=10**6, clips=10**6, n_mels=128)
    return settings, resolve(settings, sources)


def test_every_preset_has_a_recipe():
    assert {recipe.preset for recipe in RECIPES} == set(PRESETS)


@EACH
def test_the_training_command_is_parsed_to_its_preset_and_values(recipe):
    settings, config = _training(recipe)
    assert config.encoder == PRESETS[recipe.preset]
    options = dict(re.findall(r"--([a-z-]+) (\S+)", recipe.training))
    assert settings.store == (options.pop("store"),)
    values = _values(settings)
    for name, text in options.items():
        assert str(values[name.replace("-", "_")]) in (text, str(float(text)) if text[0].isdigit() else "")


@EACH
def test_the_store_command_is_parsed_and_makes_the_store_of_the_training(recipe):
    words = shlex.split(recipe.store)
    assert words[:3] == ["python", "-m", "pipeline.ingest"]
    settings = parse(IngestSettings, words[3:], "pipeline.ingest")
    assert f"--store stores/{settings.dataset}.zarr " in recipe.training


# objective of the paper: weight decay; libauc's loss is twice our sogclr
PAPER_OBJECTIVES = {"dcl": 1e-5, "sogclr": 5e-6}


@pytest.mark.parametrize("name", ["myna-base", "myna-vertical", "myna-hybrid"])
def test_the_published_presets_are_trained_with_the_numbers_of_the_paper(name):
    configs = [_training(recipe)[1] for recipe in RECIPES if recipe.preset == name]
    assert {config.objective.name: config.weight_decay for config in configs} == PAPER_OBJECTIVES
    for config in configs:
        assert (config.batch, config.learning_rate, config.masking_ratio) == (4096, 3e-4, 0.9)
        assert (config.objective.temperature, config.optimizer) == (0.1, "adam")
        assert config.steps * config.batch == pytest.approx(500 * 822_000, rel=0.01)


@EACH
def test_a_recipe_that_was_run_names_the_page_with_its_scores(recipe):
    assert re.search(r"\d", recipe.time)
    if recipe.scores == NOT_RUN:
        return
    source = re.search(r"\(\[[\w.]+\]\(([\w./]+\.md)\)\)$", recipe.scores)[1]
    scores = re.findall(r"0\.\d{3}", recipe.scores)
    assert scores
    assert [score for score in scores if score not in (DOCS / source).read_text()] == []


@EACH
def test_the_time_of_a_recipe_that_was_not_run_is_an_extrapolation(recipe):
    extrapolation = EXTRAPOLATED.match(recipe.time)
    assert (extrapolation is not None) == recipe.time.startswith("extrapolated") == (recipe.scores == NOT_RUN)
    if extrapolation:
        _, config = _training(recipe)
        step_seconds = float(extrapolation[2].replace(",", "")) / 1e3 / 64 * config.batch
        assert int(extrapolation[1]) == round(step_seconds * config.steps / 86_400)


def test_cells_have_no_semicolons():
    assert [recipe for recipe in RECIPES if ";" in "".join(recipe)] == []
