"""Encoders, clips, batches and runs that are as small as they can be, made out of nothing."""

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

LENGTHS = [96, 97, 120, 150, 200, 96, 300, 110, 101, 99, 130, 140, 180, 105]


def encoder_config(patches="vertical", **changed):
    sizes = {"width": 32, "depth": 1, "heads": 2, "head_width": 16, "mlp_width": 64}
    return EncoderConfig(**{"name": "mini", **sizes, "patches": patches, "input_scale": "log1p", **changed})


def train_config(patches="vertical", **changed):
    few = {"batch": 4, "steps": 8, "projection_width": 16, "learning_rate": 1e-3, "seed": 3}
    facts = {"encoder": encoder_config(patches), "shards": "made", "samples": 10 * len(LENGTHS)}
    return TrainConfig(**{**facts, **few, **changed})


def objective_config(name="infonce", **changed):
    return replace(preset(name), **changed)


def training_step(config, learner=None):
    """The step of a run that has not begun, and what it moves."""
    learner = learner or build_model(config)
    made = objective.build(config.objective, len(config.encoder.patch_kinds), config.samples)
    return TrainingStep(learner, made, config, Quantizer())


def resident(lengths, seed=0):
    """Clips in memory as `ResidentClips.load` leaves them; the stable index of clip i is 10 * i."""
    frames = np.array(lengths, np.int64)
    codes = np.random.default_rng(seed).integers(0, 256, (int(frames.sum()), 128), dtype=np.uint8)
    return ResidentClips(torch.from_numpy(codes), np.cumsum(frames) - frames, frames, 10 * np.arange(len(frames)))


def stream(config, lengths=LENGTHS):
    return WindowStream(resident(lengths), config.batch, config.encoder.window_frames, config.seed)


def batch(clips=4, seed=0):
    codes = np.random.default_rng(seed).integers(0, 256, (2 * clips, 96, 128), dtype=np.uint8)
    return TrainingBatch.from_windows(torch.from_numpy(codes), torch.arange(clips))


def write_run(folder, config=None, step=8):
    """A finished run with the weights it started from; returns the path of its encoder."""
    config = config or train_config()
    checkpoint.save(folder / locations.ENCODER_FILE, ModelWithHead(config), None, config, step)
    return folder / locations.ENCODER_FILE


def grid(hidden=(0,), patience=4, seeds=2, **changed):
    """A grid of a probe or two that stop soon."""
    settings = {"standardised": True, "batch": 16, "learning_rate": 0.05, "dropout": 0.25, "l2": 0.0, **changed}
    configs = tuple(ProbeConfig(hidden=one, **settings) for one in hidden)
    return Grid("quick", configs, patience=patience, seeds=seeds, subsets_per_share=1)


def features(embeddings, labels, splits, groups=None, task="key", digest="d"):
    """A feature store of one labelled clip per embedding; a label of None is left out."""
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
    """Features whose first columns tell the class but for noise; every third clip stands in each split."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(clips) % classes)
    embeddings = np.eye(classes, width)[targets] + noise * rng.normal(size=(clips, width))
    splits = [("train", "valid", "test")[i % 3] for i in range(clips)]
    groups = [f"{splits[i]}-{i // 6}" for i in range(clips)]  # two clips of a split make a group
    return features(embeddings, [f"class-{t}" for t in targets], splits, groups, digest=digest)
