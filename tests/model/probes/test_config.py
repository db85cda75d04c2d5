"""The grids that --head and --grid FILE make."""

from __future__ import annotations

import json

import pytest

from model.probes.config import HeadSettings, ProbeConfig, ProbeSettings, read_grid
from stores.errors import InvalidInput, MissingArtifact


def test_heads_and_dropout_rates_make_every_combination():
    grid = HeadSettings(head=("2048", "4096,4096"), dropout=(0.5, 0.75)).grid()
    assert [(config.hidden, config.dropout) for config in grid.configs] == [
        ((2048,), 0.5),
        ((2048,), 0.75),
        ((4096, 4096), 0.5),
        ((4096, 4096), 0.75),
    ]
    assert grid.name == "head 2048+4096-4096"


def test_a_dropout_rate_is_rounded_to_what_a_random_byte_can_tell():
    [config] = HeadSettings(head=("8",), dropout=(0.99,)).grid().configs
    assert config.dropout == 253 / 256


@pytest.mark.parametrize("word", ["", "x", "0", "8,,8", "-3", "70000", "8," * 8 + "8"])
def test_widths_that_are_not_numbers_are_an_error(word):
    with pytest.raises(InvalidInput):
        HeadSettings(head=(word,)).grid()


def test_contradicting_flags_are_an_error():
    with pytest.raises(InvalidInput, match="--dropout is the dropout of --head"):
        HeadSettings(dropout=(0.5,))
    with pytest.raises(InvalidInput, match="leave out --grid"):
        ProbeSettings(dataset="demo", grid="full", heads=HeadSettings(head=("8",)))


def test_a_file_states_lists_whose_combinations_are_tried(tmp_path):
    path = tmp_path / "grid.json"
    path.write_text(json.dumps({"hidden": [0, [64, 32]], "dropout": [0.25, 0.5], "learning_rate": [0.001], "seeds": 2}))
    grid = read_grid(path)
    assert (grid.name, len(grid.configs), grid.seeds) == ("file grid.json", 4, 2)
    assert ProbeConfig(True, (64, 32), 64, 1e-3, 0.5, 1e-3) in grid.configs


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"width": [3]}', '{"dropout": []}', '{"dropout": [0.3]}', '{"hidden": ["8"]}', '{"seeds": 0}'],
)
def test_a_file_that_is_no_grid_is_an_error(tmp_path, content):
    path = tmp_path / "grid.json"
    path.write_text(content)
    with pytest.raises(InvalidInput):
        read_grid(path)


def test_a_grid_that_is_neither_a_name_nor_a_file_is_an_error():
    with pytest.raises(MissingArtifact, match="takes full, quick or a JSON file"):
        ProbeSettings(dataset="demo", grid="fullest").search_grid()


def test_a_configuration_with_several_layers_can_be_converted_to_json_and_back():
    config = ProbeConfig(True, (64, 32), 64, 1e-3, 0.5, 1e-3)
    assert ProbeConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.digest() != ProbeConfig(True, (32, 64), 64, 1e-3, 0.5, 1e-3).digest()
