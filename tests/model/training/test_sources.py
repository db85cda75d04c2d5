"""Several stores as one collection: indices continue, the order counts, and different mel settings are an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.training.sources import TrainingShards, stable_indices
from stores.digest import digest
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer
from stores.shards import ShardSet, ShardSummary


def _set(name, clips=5, store_clips=9, **changed):
    summaries = (ShardSummary(f"{name}-000000.tar", clips, 100 * clips, 10_240, "0" * 64),)
    settings = {"spec": MelSpec(), "quantizer": Quantizer(), "preprocessing": {"resampler": "soxr 1"}}
    folder = Path("stores") / f"{name}.shards"
    return ShardSet(folder, summaries, {}, store_digest=name, store_clips=store_clips, **{**settings, **changed})


def test_one_store_keeps_its_digest_name_and_size():
    shards = _set("a")
    sources = TrainingShards((shards,))
    assert (sources.digest, sources.name, sources.samples) == ("a", "a", 9)
    assert sources.mel_settings == shards.mel_settings


def test_the_sizes_of_several_stores_are_added():
    sources = TrainingShards((_set("a"), _set("b", clips=7, store_clips=20), _set("c", store_clips=5)))
    assert (sources.clips, sources.frames, sources.samples) == (17, 1700, 34)
    assert sources.name == "a-b-c"
    assert [first for _, first in sources.with_first_indices()] == [0, 9, 29]


def test_the_digest_covers_all_stores_and_their_order():
    a, b = _set("a"), _set("b")
    assert TrainingShards((a, b)).digest == digest({"stores": ["a", "b"]})
    assert len({TrainingShards(sets).digest for sets in [(a,), (b,), (a, b), (b, a)]}) == 4


def test_indices_of_a_later_store_continue_those_before():
    assert stable_indices(np.array([0, 8]), _set("b"), 9).tolist() == [9, 17]


@pytest.mark.parametrize("indices", [[0, 9], [-1, 3]])
def test_an_index_that_the_store_cannot_have_is_an_error(indices):
    message = r"indices -?\d to \d, but its store has 9 clips; remove stores/b.shards and run"
    with pytest.raises(CorruptArtifact, match=message):
        stable_indices(np.array(indices), _set("b"), 0)


@pytest.mark.parametrize(
    ("changed", "differences"),
    [
        ({"spec": MelSpec(hop_samples=160)}, "mel_spec.hop_samples: 512 and 160"),
        ({"quantizer": Quantizer(low_decades=-5.0)}, r"quantizer.low_decades: -6.0 and -5.0"),
        ({"preprocessing": {"resampler": "soxr 2"}}, "preprocessing.resampler: 'soxr 1' and 'soxr 2'"),
        (
            {"preprocessing": {"downmix": "left"}},
            "downmix: None and 'left'\npreprocessing.resampler: 'soxr 1' and None",
        ),
    ],
)
def test_different_mel_settings_are_an_error_that_lists_them(changed, differences):
    message = r"a.shards and stores/c.shards were made with different mel settings"
    with pytest.raises(DigestMismatch, match=message) as raised:
        TrainingShards((_set("a"), _set("b"), _set("c", **changed)))
    assert str(raised.value).endswith(differences)


def test_a_store_that_is_given_twice_is_an_error():
    same = replace(_set("a"), folder=Path("other/copy.shards"))
    with pytest.raises(InvalidInput, match=r"stores/a.shards and other/copy.shards hold the same store"):
        TrainingShards((_set("a"), _set("b"), same))


def test_a_run_without_a_store_is_an_error():
    with pytest.raises(InvalidInput, match="name at least one with --store"):
        TrainingShards(())
