from dataclasses import replace

import numpy as np
import pytest
from small_stores import store_maker

from model.evidence.passages import place_passages, plan_passages
from stores.chunk_grid import ChunkGrid
from stores.errors import InvalidInput
from stores.mel_store import MelStore

FRAMES_30_S = 938  # 30 s at 512 samples of 16 kHz


@pytest.fixture
def store(tmp_path):
    """Recordings of 31 s, 35 s, 100 s and 400 s; the first is too short for a passage and a shift."""
    made = store_maker(tmp_path)([969, 1094, 3125, 12500], grid=ChunkGrid(chunk_frames=64, zarr_shard_frames=256))
    names = ["a/one.ogg", "a/two.ogg", "b/three.ogg", "b/four.ogg"]
    rows = [replace(row, id=name) for row, name in zip(made.rows, names, strict=True)]
    return MelStore(made.path, made.attributes, rows)


def test_recordings_give_at_most_six_passages_spread_over_their_length(store):
    starts = {}
    for passage in plan_passages(store):
        starts.setdefault((passage.album, passage.recording), []).append(passage.start_seconds)
    four = starts.pop(("b", "b/four"))
    assert starts == {("a", "a/two"): [0], ("b", "b/three"): [0, 30, 60]}
    assert len(four) == 6
    assert four[0] == 0
    assert 330 <= four[-1] <= 367
    assert min(np.diff(four)) >= 30


def test_the_clips_of_a_view_are_the_frames_of_the_passages(store):
    passages = plan_passages(store)
    view = place_passages(store, passages)
    assert [row.labels["album"] for row in view.rows] == [passage.album for passage in passages]
    assert [row.group for row in view.rows] == [passage.recording for passage in passages]
    second = passages.index(
        next(passage for passage in passages if passage.recording == "b/three" and passage.start_seconds == 30)
    )
    start = round(30 / store.spec.seconds_for(1))
    np.testing.assert_array_equal(view.clip(second), store.window(2, start, FRAMES_30_S))
    shifted = place_passages(store, passages, 3.0)
    moved = round(33 / store.spec.seconds_for(1))
    np.testing.assert_array_equal(shifted.clip(second), store.window(2, moved, FRAMES_30_S))


def test_copies_are_found_by_name_and_missing_ones_are_named(store):
    passages = plan_passages(store)
    copies = [replace(row, id=row.id.replace(".ogg", ".mp3")) for row in store.rows]
    copied = MelStore(store.path, store.attributes, copies)
    np.testing.assert_array_equal(place_passages(copied, passages).clip(0), place_passages(store, passages).clip(0))
    with pytest.raises(InvalidInput, match="b/four"):
        place_passages(MelStore(store.path, store.attributes, copies[:3]), passages)


def test_recordings_without_an_album_are_an_error(store):
    flat = MelStore(store.path, store.attributes, [replace(row, id=f"{row.index}.ogg") for row in store.rows])
    with pytest.raises(InvalidInput, match="folder"):
        plan_passages(flat)
