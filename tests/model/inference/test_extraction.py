"""Features are means over windows, whatever else is in the batch; an embedding that is not finite is an error."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from engine_contract import encoder_of

from model.inference.engines.eager import Eager
from model.inference.extraction import Extraction, mean_over_windows
from model.inference.windows import Windowing
from stores.errors import DigestMismatch, InvalidInput
from stores.quantize import Quantizer

LENGTHS = [96, 300, 40, 0, 192, 97, 130]
STARTS = {96: [0], 300: [0, 96, 192, 204], 40: [0], 192: [0, 96], 97: [0, 1], 130: [0, 34]}


@pytest.fixture(scope="module")
def encoder():
    return encoder_of(tiny.encoder_config("hybrid"))


@pytest.fixture
def store(make_store):
    return make_store(LENGTHS)


def _rows(store):
    return [row for row in store.rows if row.state == "written"]


def _engine(encoder, batch=32, precision="fp32", quantizer=Quantizer()):  # noqa: B008
    engine = Eager(encoder, precision, quantizer=quantizer).with_batch_for(batch)
    engine.batch_windows = batch  # also batches that are not a power of two
    return engine


def _features(encoder, store, parts=None, windowing=None, **engine):
    parts = parts or [_rows(store)]
    return np.concatenate(
        list(Extraction(_engine(encoder, **engine), windowing or Windowing()).compute_parts(store, parts))
    )


def _embed_one_by_one(encoder, mel, starts):
    """Return the embeddings of the windows at `starts`, computed one at a time, with zeros after the clip's end."""
    windows = [np.pad(mel[:, s : s + 96], ((0, 0), (0, max(0, s + 96 - mel.shape[1])))) for s in starts]
    with torch.inference_mode():
        return np.stack([encoder(torch.from_numpy(window)[None])[0].numpy() for window in windows])


def test_a_clip_is_the_mean_of_its_windows_and_the_last_ends_with_the_clip(store, encoder):
    features = _features(encoder, store)
    assert features.shape == (6, 64)
    assert features.dtype == np.float32
    for row, embedding in zip(_rows(store), features, strict=True):
        expected = _embed_one_by_one(encoder, store.clip(row.index), STARTS[row.frames]).mean(axis=0)
        np.testing.assert_allclose(embedding, expected, atol=1e-6, rtol=0)


def test_without_pooling_every_window_has_its_own_row(store, encoder):
    features = _features(encoder, store, windowing=Windowing(pool="none"))
    expected = [_embed_one_by_one(encoder, store.clip(row.index), STARTS[row.frames]) for row in _rows(store)]
    np.testing.assert_allclose(features, np.concatenate(expected), atol=1e-6, rtol=0)


def test_a_dropped_tail_is_not_part_of_the_mean(store, encoder):
    row = next(row for row in _rows(store) if row.frames == 130)
    features = _features(encoder, store, [[row]], Windowing(tail="drop"))
    np.testing.assert_allclose(features, _embed_one_by_one(encoder, store.clip(row.index), [0]), atol=1e-6, rtol=0)


def test_the_size_and_the_other_clips_of_a_batch_do_not_matter(store, encoder):
    rows = _rows(store)
    reference = _features(encoder, store)
    for size in (1, 2, 3, 7, 100):
        np.testing.assert_allclose(_features(encoder, store, batch=size), reference, atol=1e-6, rtol=0)
    backwards = _features(encoder, store, [rows[::-1]], batch=5)[::-1]
    np.testing.assert_allclose(backwards, reference, atol=1e-6, rtol=0)


def test_parts_do_not_change_a_bit_at_one_batch_shape(store, encoder):
    rows = _rows(store)
    whole = _features(encoder, store, batch=8)
    np.testing.assert_array_equal(_features(encoder, store, [rows[:2], rows[2:3], rows[3:]], batch=8), whole)
    np.testing.assert_array_equal(_features(encoder, store, batch=8), whole)


def test_codes_and_power_give_the_same_embeddings(store, encoder):
    codes, power = (_features(encoder, store, quantizer=quantizer) for quantizer in (Quantizer(), None))
    np.testing.assert_allclose(codes, power, atol=1e-6, rtol=0)


def test_bfloat16_is_close(store, encoder):
    exact, rounded = (_features(encoder, store, precision=precision) for precision in ("fp32", "bf16"))
    assert rounded.dtype == np.float32
    assert np.abs(exact - rounded).max() < 0.02 * np.abs(exact).max()
    assert not np.array_equal(exact, rounded)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_is_an_error_that_names_the_clip(store, encoder, bad):
    engine = _engine(encoder)
    run, count = engine._run, iter(range(100))

    def poisoned(batch):
        embeddings = run(batch)
        if next(count) == 0:
            embeddings[6] = bad  # clip-0 has window 0, clip-1 has 1 to 4, clip-2 has 5, clip-4 has 6 and 7
        return embeddings

    engine._run = poisoned
    with pytest.raises(InvalidInput, match=r"clip 'clip-4' \(4\.wav\) is not finite.*--precision fp32"):
        list(Extraction(engine, Windowing()).compute_parts(store, [_rows(store)]))


def test_an_engine_for_other_codes_is_rejected(store, encoder):
    engine = Eager(encoder, quantizer=Quantizer(low_decades=-7.0))
    with pytest.raises(DigestMismatch, match=r"expects codes of .*but the store has"):
        list(Extraction(engine, Windowing()).compute_parts(store, [_rows(store)]))


def test_progress_is_reported_after_every_batch(store, encoder):
    batches = []
    list(Extraction(_engine(encoder, batch=5), Windowing(), batches.append).compute_parts(store, [_rows(store)]))
    assert batches == [5, 5, 2]


def test_means_are_computed_over_the_windows_of_each_clip():
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    features = mean_over_windows(rows, [1, 3, 2])
    np.testing.assert_array_equal(features, [rows[0], rows[1:4].mean(axis=0), rows[4:].mean(axis=0)])
