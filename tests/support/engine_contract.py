"""What every engine promises; a test class per engine inherits it and says how that engine is made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.encoder.vit import Encoder
from model.inference.engines import export_validation
from stores.errors import InvalidInput

POWER = export_validation.windows(96)


def encoder_of(config, seed=0):
    torch.manual_seed(seed)
    return Encoder(config).eval()


def expected(encoder, windows, quantizer=None):
    """Eager's embeddings in fp32, in one batch of just these windows."""
    power = windows if quantizer is None else quantizer.decode(windows)
    with torch.inference_mode():
        return encoder(torch.from_numpy(power)).numpy()


class EngineContract:
    """Subclasses define the fixtures `encoder` and `engine`, both of class scope."""

    def windows(self, engine, count, seed=0):
        """Music, silence, noise and full scale, in an order of its own, of the type that the engine reads."""
        power = POWER[np.random.default_rng(seed).permutation(np.arange(count) % len(POWER))]
        return power if engine.quantizer is None else engine.quantizer.encode(power)

    @pytest.mark.parametrize("batch", [1, 2, 63, "largest"])
    def test_it_agrees_with_eager_within_its_stated_tolerance(self, encoder, engine, batch):
        windows = self.windows(engine, engine.largest if batch == "largest" else batch)
        found = engine.shaped(len(windows))(windows)
        assert found.dtype == np.float32
        reference = expected(encoder, windows, engine.quantizer)
        distance = np.linalg.norm(found - reference, axis=1) / np.linalg.norm(reference, axis=1)
        assert distance.max() <= engine.tolerance

    def test_at_one_batch_shape_a_row_is_the_same_to_the_bit_whatever_its_mates(self, engine):
        engine = engine.shaped(16)
        ours, others = self.windows(engine, engine.batch_windows), self.windows(engine, engine.batch_windows, seed=1)
        kept = np.arange(engine.batch_windows) % 3 == 0
        mixed = np.where(kept[:, None, None], ours, others)
        assert not np.array_equal(mixed, ours)
        np.testing.assert_array_equal(engine(mixed)[kept], engine(ours)[kept])

    def test_two_runs_give_the_same_bits(self, engine):
        windows = self.windows(engine, 21)
        np.testing.assert_array_equal(engine(windows), engine(windows))

    def test_the_last_batch_is_filled_up_and_gives_what_a_full_one_does(self, engine):
        engine = engine.shaped(16)
        windows = self.windows(engine, 2 * engine.batch_windows)
        most = engine.batch_windows + 5
        np.testing.assert_array_equal(engine(windows[:most]), engine(windows)[:most])

    def test_silence_and_full_scale_are_finite(self, engine):
        loudest = np.full((2, 128, 96), 10**4.5, np.float32)
        loudest[0] = 0
        given = loudest if engine.quantizer is None else engine.quantizer.encode(loudest)
        assert np.isfinite(engine(given)).all()

    def test_windows_of_another_type_or_size_are_refused(self, engine):
        good = self.windows(engine, 2)
        for wrong in (good.astype(np.float64), good.transpose(0, 2, 1), good[0], good[:0]):
            with pytest.raises(InvalidInput, match=r"windows are .*; engine .* reads"):
                engine(wrong)

    def test_parity_finds_it_good_enough_to_publish(self, encoder, engine):
        found = export_validation.compare(engine, encoder)
        found.require()
        assert found.tolerance == engine.tolerance

    def test_its_facts_say_what_computes(self, engine):
        facts = engine.facts.to_dict()
        assert facts["precision"] in ("fp32", "bf16")
        assert facts["versions"]
        assert (facts["name"] == "eager") == (facts["export"] == "")
