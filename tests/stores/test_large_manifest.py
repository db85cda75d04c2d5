"""Large manifests open in little time and memory, and the checks of metadata cost almost nothing."""

from __future__ import annotations

import math

import large_manifest
import pytest

from stores.mel_store import MelStore

MIN_ROUNDS, MAX_ROUNDS = 25, 250


@pytest.mark.slow
def test_the_checks_of_100_000_rows_take_at_most_a_twentieth_of_their_opening(tmp_path):
    large_manifest.write_store(tmp_path / "m.zarr", 100_000)
    checked = unchecked = math.inf
    for number in range(MAX_ROUNDS):  # on a busy machine, the shortest times need many rounds
        checked = min(checked, large_manifest.open_ms(tmp_path / "m.zarr"))
        unchecked = min(unchecked, large_manifest.open_ms_unchecked(tmp_path / "m.zarr"))
        if number >= MIN_ROUNDS and checked <= 1.05 * unchecked:
            return
    pytest.fail(f"{checked:.1f} ms with the checks, and {unchecked:.1f} ms without")


@pytest.mark.slow
def test_a_million_rows_open_within_three_seconds_and_400_mb(tmp_path):
    large_manifest.write_store(tmp_path / "m.zarr", 1_000_000)
    opening = large_manifest.measure_opening(tmp_path / "m.zarr")
    assert opening["rows"] == 1_000_000
    assert opening["with_imports_cpu_seconds"] <= 3
    assert opening["peak_mib"] <= 380  # 400 MB


def test_rows_and_selections_of_a_file_with_several_row_groups_are_right(tmp_path):
    expected = large_manifest.rows(70_000)
    store = large_manifest.write_store(tmp_path / "m.zarr", 70_000)
    rows = MelStore.open(store.path).rows
    assert [rows[i] for i in (0, 65_535, 65_536, 69_999)] == list(expected.take([0, 65_535, 65_536, 69_999]))
    assert len(rows.select(split="test", state="written")) == 7_000
    assert rows.take([69_999, 3]) == expected.take([69_999, 3])
