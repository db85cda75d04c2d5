"""A graph from samples agrees with eager on real music.

The test is skipped unless MYNA_TEST_RECORDINGS names a folder of music. It takes 12 recordings, evenly spread over all
that it has.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import small_service

import model
from model import export, shipped
from model.inference.samples_graph.runtime import open_session
from model.inference.samples_graph.validation import TOLERANCE
from model.probes.probe import Probe
from model.probes.recording_answer import answer
from pipeline.audio.decode import decode
from stores.errors import DecodeError

RECORDINGS = os.environ.get("MYNA_TEST_RECORDINGS", "")
COUNT = int(os.environ.get("MYNA_TEST_RECORDINGS_COUNT", "12"))
SUFFIXES = (".ogg", ".mp3", ".flac", ".wav", ".opus")
MIN_SECONDS = 5.0


def _paths():
    paths = sorted(path for path in Path(RECORDINGS).rglob("*") if path.suffix.lower() in SUFFIXES)
    return [paths[int(i)] for i in np.unique(np.linspace(0, len(paths) - 1, 4 * COUNT).round())]


@pytest.mark.slow
@pytest.mark.skipif(not RECORDINGS, reason="MYNA_TEST_RECORDINGS names no folder of music")
def test_a_graph_gives_the_embeddings_and_labels_of_eager_for_real_music(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probe_path = tmp_path / "probe.safetensors"
    small_service.write_probe(probe_path, checkpoint=str(shipped.FOLDER), width=384)
    words = ["onnx", "--from", "samples", "--checkpoint", shipped.NAME, "--with-probe", str(probe_path)]
    assert export.main([*words, "--out", "graph"]) == 0
    session, probe = open_session(tmp_path / "graph" / "model.onnx"), Probe.read(probe_path)
    myna, distances, labels = model.Myna.from_pretrained(shipped.NAME, precision="fp32"), [], []
    for path in _paths():
        try:
            samples = decode(path, 16_000, resampler=myna.resampler).samples
        except DecodeError:
            continue
        if len(samples) < MIN_SECONDS * 16_000 or len(labels) == COUNT:
            continue
        windows, place = session.run(["windows", "top_label"], {"samples": samples[None]})
        expected = myna.embed(samples, 16_000, pool="none")
        lengths = np.linalg.norm(expected, axis=1)
        distances.append(float((np.linalg.norm(windows[0] - expected, axis=1) / lengths).max()))
        labels.append((probe.metadata["classes"][int(place[0])], answer(probe, expected)[0].prediction))
    print(f"{len(labels)} recordings, largest relative distance {max(distances):.1e}")
    assert len(labels) >= min(3, COUNT)
    assert max(distances) < TOLERANCE
    assert all(actual == wanted for actual, wanted in labels)
