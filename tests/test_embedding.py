"""One embedding per clip: the mean over its windows, whoever else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch

from model.encoder.vit import Encoder
from model.inference.embedding import Embedding

LENGTHS = [96, 300, 40, 0, 192, 97, 130]


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Encoder(tiny.encoder_config("hybrid")).eval()


@pytest.fixture
def store(make_store):
    return make_store(LENGTHS)


def _rows(store):
    return [row for row in store.rows if row.state == "written"]


def _alone(encoder, mel, starts):
    """Mean embedding of the windows at `starts`, one at a time, zeros after the clip's end."""
    windows = [np.pad(mel[:, s : s + 96], ((0, 0), (0, max(0, s + 96 - mel.shape[1])))) for s in starts]
    with torch.inference_mode():
        embedded = [encoder(torch.from_numpy(window)[None])[0].numpy() for window in windows]
    return np.mean(embedded, axis=0)


def test_a_clip_is_the_mean_of_its_windows_the_last_one_at_its_end(store, encoder):
    found = Embedding().embed(encoder, store, _rows(store))
    assert found.shape == (6, 64)
    assert found.dtype == np.float32
    starts = {96: [0], 300: [0, 96, 192, 204], 40: [0], 192: [0, 96], 97: [0, 1], 130: [0, 34]}
    for row, embedding in zip(_rows(store), found, strict=True):
        expected = _alone(encoder, store.clip(row.index), starts[row.frames])
        np.testing.assert_allclose(embedding, expected, atol=1e-6, rtol=0)


def test_the_size_of_a_batch_and_who_is_in_it_do_not_matter(store, encoder):
    rows = _rows(store)
    reference = Embedding().embed(encoder, store, rows)
    for size in (1, 2, 3, 7, 1000):
        found = Embedding(batch_windows=size).embed(encoder, store, rows)
        np.testing.assert_allclose(found, reference, atol=1e-6, rtol=0)
    backwards = Embedding(batch_windows=5).embed(encoder, store, rows[::-1])[::-1]
    np.testing.assert_allclose(backwards, reference, atol=1e-6, rtol=0)
    alone = Embedding().embed(encoder, store, rows[1:2])
    np.testing.assert_allclose(alone, reference[1:2], atol=1e-6, rtol=0)


def test_the_same_twice_gives_the_same_bits(store, encoder):
    first, second = (Embedding().embed(encoder, store, _rows(store)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_shorter_hop_takes_more_windows(store, encoder):
    rows = [row for row in _rows(store) if row.frames == 192]
    found = Embedding(hop_frames=48).embed(encoder, store, rows)
    np.testing.assert_allclose(found[0], _alone(encoder, store.clip(rows[0].index), [0, 48, 96]), atol=1e-6, rtol=0)
    assert not np.allclose(found, Embedding().embed(encoder, store, rows), atol=1e-4)


def test_a_clip_shorter_than_a_window_is_followed_by_silence(store, encoder):
    row = next(row for row in store.rows if row.frames == 40)
    mel = np.zeros((128, 96), np.float32)
    mel[:, :40] = store.clip(row.index)
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(mel)[None]).numpy()
    np.testing.assert_allclose(Embedding().embed(encoder, store, [row]), expected, atol=1e-6, rtol=0)


def test_bfloat16_is_close(store, encoder):
    rows = _rows(store)
    exact, rounded = (Embedding(precision=p).embed(encoder, store, rows) for p in ("fp32", "bf16"))
    assert rounded.dtype == np.float32
    assert np.abs(exact - rounded).max() < 0.02 * np.abs(exact).max()
    assert not np.array_equal(exact, rounded)
