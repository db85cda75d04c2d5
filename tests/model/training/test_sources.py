"""Several stores as one collection: indices count on, the order counts, and mel of other settings is not mixed in."""

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
    facts = (ShardSummary(f"{name}-000000.tar", clips, 100 * clips, 10_240, "0" * 64),)
    settings = {"spec": MelSpec(), "quantizer": Quantizer(), "preprocessing": {"resampler": "soxr 1"}}
    folder = Path("stores") / f"{name}.shards"
    return ShardSet(folder, facts, {}, store_digest=name, store_clips=store_clips, **{**settings, **changed})


def test_one_store_is_what_it_is_by_itself():
    one = _set("a")
    sources = TrainingShards((one,))
    assert (sources.digest, sources.name, sources.samples) == ("a", "a", 9)
    assert sources.mel_settings == one.mel_settings


def test_several_stores_are_added_up():
    sources = TrainingShards((_set("a"), _set("b", clips=7, store_clips=20), _set("c", store_clips=5)))
    assert (sources.clips, sources.frames, sources.samples) == (17, 1700, 34)
    assert sources.name == "a-b-c"
    assert [first for _, first in sources.with_first_indices()] == [0, 9, 29]


def test_the_digest_covers_all_stores_and_their_order():
    a, b = _set("a"), _set("b")
    assert TrainingShards((a, b)).digest == digest({"stores": ["a", "b"]})
    assert len({TrainingShards(sets).digest for sets in [(a,), (b,), (a, b), (b, a)]}) == 4


def test_indices_of_a_later_store_count_on():
    assert stable_indices(np.array([0, 8]), _set("b"), 9).tolist() == [9, 17]


@pytest.mark.parametrize("indices", [[0, 9], [-1, 3]])
def test_an_index_that_the_store_cannot_have_is_refused(indices):
    with pytest.raises(CorruptArtifact, match=r"holds clips -?\d to \d of a store of 9; remove stores/b.shards"):
        stable_indices(np.array(indices), _set("b"), 0)


@pytest.mark.parametrize(
    ("changed", "told"),
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
def test_mel_of_other_settings_is_not_mixed_in_and_each_is_named(changed, told):
    with pytest.raises(DigestMismatch, match=r"a.shards and stores/c.shards hold different mel") as raised:
        TrainingShards((_set("a"), _set("b"), _set("c", **changed)))
    assert str(raised.value).endswith(told)


def test_a_store_that_is_given_twice_is_refused():
    same = replace(_set("a"), folder=Path("other/copy.shards"))
    with pytest.raises(InvalidInput, match=r"stores/a.shards and other/copy.shards hold the same store"):
        TrainingShards((_set("a"), _set("b"), same))


def test_no_store_at_all_is_refused():
    with pytest.raises(InvalidInput, match="name at least one with --store"):
        TrainingShards(())
