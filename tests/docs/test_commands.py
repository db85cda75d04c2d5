"""docs/commands.md is what the settings of the commands say."""

from __future__ import annotations

from pathlib import Path

import command_reference

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_of_all_settings_is_up_to_date():
    assert PAGE.read_text() == command_reference.reference(), "write it again with `make reference`"
