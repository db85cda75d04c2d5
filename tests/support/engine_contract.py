"""The contract of all engines: a test class of each engine inherits these tests and defines how the engine is made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.encoder.vit import Encoder
from model.inference.engines import export_validation
from stores.errors import InvalidInput

POWER = export_validation.validation_windows(96)


def encoder_of(config, seed=0):
    torch.manual_seed(seed)
    return Encoder(config).eval()


def expected(encoder, windows, quantizer=None):
    """Return the embeddings of the encoder itself in fp32, in one batch of only these windows."""
    power = windows if quantizer is None else quantizer.decode(windows)
    with torch.inference_mode():
        return encoder(torch.from_numpy(power)).numpy()


class EngineContract:
    """Tests of an engine; a subclass defines the fixtures `encoder` and `engine` of class scope."""

    def windows(self, engine, count, seed=0):
        """Return music, silence, noise and full scale in random order, as the type of input of the engine."""
        power = POWER[np.random.default_rng(seed).permutation(np.arange(count) % len(POWER))]
        return power if engine.quantizer is None else engine.quantizer.encode(power)

    @pytest.mark.parametrize("batch", [1, 2, 63, "maximum"])
    def test_it_agrees_with_eager_within_its_stated_tolerance(self, encoder, engine, batch):
        windows = self.windows(engine, engine.max_batch if batch == "maximum" else batch)
        embeddings = engine.with_batch_for(len(windows))(windows)
        assert embeddings.dtype == np.float32
        reference = expected(encoder, windows, engine.quantizer)
        distance = np.linalg.norm(embeddings - reference, axis=1) / np.linalg.norm(reference, axis=1)
        assert distance.max() <= engine.tolerance

    def test_a_row_does_not_depend_on_the_other_rows_of_its_batch_by_a_bit(self, engine):
        engine = engine.with_batch_for(16)
        windows, others = self.windows(engine, engine.batch_windows), self.windows(engine, engine.batch_windows, seed=1)
        kept = np.arange(engine.batch_windows) % 3 == 0
        mixed = np.where(kept[:, None, None], windows, others)
        assert not np.array_equal(mixed, windows)
        np.testing.assert_array_equal(engine(mixed)[kept], engine(windows)[kept])

    def test_two_runs_give_the_same_bits(self, engine):
        windows = self.windows(engine, 21)
        np.testing.assert_array_equal(engine(windows), engine(windows))

    def test_an_incomplete_last_batch_gives_the_same_rows_as_a_full_one(self, engine):
        engine = engine.with_batch_for(16)
        windows = self.windows(engine, 2 * engine.batch_windows)
        count = engine.batch_windows + 5
        np.testing.assert_array_equal(engine(windows[:count]), engine(windows)[:count])

    def test_embeddings_of_silence_and_full_scale_are_finite(self, engine):
        extremes = np.full((2, 128, 96), 10**4.5, np.float32)
        extremes[0] = 0
        windows = extremes if engine.quantizer is None else engine.quantizer.encode(extremes)
        assert np.isfinite(engine(windows)).all()

    def test_windows_of_another_type_or_size_are_rejected(self, engine):
        windows = self.windows(engine, 2)
        for wrong in (windows.astype(np.float64), windows.transpose(0, 2, 1), windows[0], windows[:0]):
            with pytest.raises(InvalidInput, match=r"engine .* needs windows of .* \(got "):
                engine(wrong)

    def test_export_validation_accepts_it(self, encoder, engine):
        validation = export_validation.compare(engine, encoder)
        validation.require()
        assert validation.tolerance == engine.tolerance

    def test_its_settings_state_precision_versions_and_export(self, engine):
        settings = engine.settings.to_dict()
        assert settings["precision"] in ("fp32", "bf16")
        assert settings["versions"]
        assert (settings["name"] == "eager") == (settings["export"] == "")
