"""Encoders, clips, batches, runs and probes of minimal size, with random data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from model.encoder.config import EncoderConfig
from model.objectives import objective
from model.objectives.config import preset
from model.probes.config import Grid, ProbeConfig
from model.training import checkpoint
from model.training.config import TrainConfig
from model.training.learner import ModelWithHead, build_model
from model.training.resident import ResidentClips
from model.training.step import TrainingStep
from model.training.stream import TrainingBatch, WindowStream
from stores import locations
from stores.features import FeatureStore
from stores.manifest import ClipRow
from stores.quantize import Quantizer

PATCH_SHAPES = {"square": (16, 16), "vertical": (128, 2)}
"""Mel bins and frames of the patches of an encoder with 128 mel bins."""
LENGTHS = [96, 97, 120, 150, 200, 96, 300, 110, 101, 99, 130, 140, 180, 105]


def encoder_config(patches="vertical", **changed):
    """Return the configuration of an encoder with one block of width 32 and the given changes."""
    sizes = {"width": 32, "depth": 1, "heads": 2, "head_width": 16, "mlp_width": 64}
    return EncoderConfig(**{"name": "mini", **sizes, "patches": patches, "input_scale": "log1p", **changed})


def train_config(patches="vertical", **changed):
    """Return the settings of a run of eight steps with four clips each, with the given changes."""
    settings = {"batch": 4, "steps": 8, "projection_width": 16, "learning_rate": 1e-3, "seed": 3}
    data = {"encoder": encoder_config(patches), "shards": "made", "samples": 10 * len(LENGTHS)}
    return TrainConfig(**{**data, **settings, **changed})


def objective_config(name="infonce", **changed):
    """Return a preset of an objective, with the given changes."""
    return replace(preset(name), **changed)


def training_step(config, learner=None):
    """Return the training step of a new run."""
    learner = learner or build_model(config)
    objective_module = objective.build(config.objective, len(config.encoder.patch_kinds), config.samples)
    return TrainingStep(learner, objective_module, config, Quantizer())


def resident(lengths, seed=0):
    """Return random clips in memory, as `ResidentClips.load` returns them; the stable index of clip i is 10 * i."""
    frames = np.array(lengths, np.int64)
    codes = np.random.default_rng(seed).integers(0, 256, (int(frames.sum()), 128), dtype=np.uint8)
    return ResidentClips(torch.from_numpy(codes), np.cumsum(frames) - frames, frames, 10 * np.arange(len(frames)))


def stream(config, lengths=LENGTHS):
    """Return the stream of a run over random clips of the given lengths in frames."""
    return WindowStream(resident(lengths), config.batch, config.encoder.window_frames, config.seed)


def batch(clips=4, seed=0):
    """Return a training batch of random codes."""
    codes = np.random.default_rng(seed).integers(0, 256, (2 * clips, 96, 128), dtype=np.uint8)
    return TrainingBatch.from_windows(torch.from_numpy(codes), torch.arange(clips))


def write_run(folder, config=None, step=8):
    """Write a finished run with untrained weights, and return the path of its encoder."""
    config = config or train_config()
    checkpoint.save(folder / locations.ENCODER_FILE, ModelWithHead(config), None, config, step)
    return folder / locations.ENCODER_FILE


def grid(hidden=(0,), patience=4, seeds=2, **changed):
    """Return a grid of one probe per hidden size that stops after few evaluations."""
    settings = {"standardised": True, "batch": 16, "learning_rate": 0.05, "dropout": 0.25, "l2": 0.0, **changed}
    configs = tuple(ProbeConfig(hidden=size, **settings) for size in hidden)
    return Grid("quick", configs, patience=patience, seeds=seeds, subsets_per_share=1)


def features(embeddings, labels, splits, groups=None, task="key", digest="d"):
    """Return a feature store with one clip per embedding; a clip whose label is None has no label."""
    rows = [
        ClipRow(
            i,
            f"clip-{i}",
            f"{i}.wav",
            groups[i] if groups else f"group-{i}",
            splits[i],
            {} if labels[i] is None else {task: labels[i]},
            state="written",
        )
        for i in range(len(labels))
    ]
    return FeatureStore(np.asarray(embeddings, np.float32), rows, {"digest": digest})


def separable(clips=60, classes=3, noise=0.1, width=4, seed=0, digest="d"):
    """Return features whose first columns are the one-hot class plus noise; each split has every third clip."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(clips) % classes)
    embeddings = np.eye(classes, width)[targets] + noise * rng.normal(size=(clips, width))
    splits = [("train", "valid", "test")[i % 3] for i in range(clips)]
    groups = [f"{splits[i]}-{i // 6}" for i in range(clips)]  # two clips of a split form a group
    return features(embeddings, [f"class-{t}" for t in targets], splits, groups, digest=digest)
