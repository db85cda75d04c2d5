"""The settings of an encoder: sizes, patch shapes and input scale, as plain values that fit into JSON.

In: the name of a preset, or the dictionary from a checkpoint. Out: a frozen, validated `EncoderConfig`.

Every setting except the name changes the embeddings, so each is part of the digest of everything that is computed with
the encoder. This module does not import torch, so that settings can be read without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from stores.errors import InvalidInput
from stores.json_codec import JsonSettings

PatchKind = Literal["square", "vertical"]
PatchMode = Literal["square", "vertical", "hybrid"]
InputScale = Literal["power", "log1p", "log1p1000", "log"]

SQUARE_PATCH = (16, 16)
"""Mel bins and frames of a square patch."""
VERTICAL_PATCH_FRAMES = 2
"""Frames of a vertical patch, which has all mel bins."""
HYBRID_MELS = SQUARE_PATCH[0] * SQUARE_PATCH[1] // VERTICAL_PATCH_FRAMES
"""The number of mel bins with which a window has as many square as vertical patches. A hybrid puts both through the
trunk in one pass, so it needs them to be equal."""

MAX_DEPTH = 1024
"""Largest number of blocks. The published models have 12."""
MAX_PATCHES = 1 << 14
"""Largest number of patches of one kind in a window. The published models have 48."""

PATCH_KINDS: dict[PatchMode, tuple[PatchKind, ...]] = {
    "square": ("square",),
    "vertical": ("vertical",),
    "hybrid": ("square", "vertical"),
}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(JsonSettings):
    """The settings that define an encoder.

    Raises:
        InvalidInput: a size is not a positive integer, a choice is unknown, the width does not suit the position
            vectors, a window does not divide into whole patches, there are too many of them or too many blocks, or a
            hybrid would have more patches of one kind.
    """

    _MAY_BE_MISSING: ClassVar[frozenset[str]] = frozenset({"head_width", "n_mels", "window_frames", "input_scale"})

    name: str
    """Name of the preset, used as a label only."""
    width: int
    """Size D of a token; a multiple of 4, at least 8."""
    depth: int
    """Number of transformer blocks."""
    heads: int
    """Number of attention heads; `heads * head_width` need not equal `width`."""
    head_width: int = 64
    """Size of the queries, keys and values of a head."""
    mlp_width: int
    """Hidden size of the feed-forward network of a block."""
    patches: PatchMode
    """Patch kind, or hybrid, which embeds both kinds and concatenates the two embeddings."""
    n_mels: int = 128
    """Number M of mel bins in a window, which is that of the mel store that the encoder reads."""
    window_frames: int = 96
    """Number N of frames in a window; 96 frames of 512 samples are 3.07 s at 16 kHz."""
    input_scale: InputScale = "power"
    """Function that is applied to mel power before patches are embedded; see `model.encoder.input_scale`."""

    def __post_init__(self) -> None:
        for size in _SIZES:
            _require_positive(size, getattr(self, size))
        if self.depth > MAX_DEPTH:
            raise InvalidInput(f"depth must be at most {MAX_DEPTH} (got {self.depth})")
        _require_choice("patches", self.patches, get_args(PatchMode))
        _require_choice("input_scale", self.input_scale, get_args(InputScale))
        _require_positional_width(self.width)
        for kind in self.patch_kinds:
            _require_whole_patches(kind, self.patch_shapes[kind], self.n_mels, self.window_frames)
        _require_equal_counts(self)
        if max(self.patch_counts.values()) > MAX_PATCHES:
            raise InvalidInput(
                f"a window of {self.n_mels} mel bins by {self.window_frames} frames has more than {MAX_PATCHES} patches"
            )

    @property
    def patch_kinds(self) -> tuple[PatchKind, ...]:
        """Patch kinds in the order of the embedding: square before vertical."""
        return PATCH_KINDS[self.patches]

    @property
    def patch_shapes(self) -> dict[PatchKind, tuple[int, int]]:
        """Mel bins and frames of a patch, for each patch kind."""
        shapes: dict[PatchKind, tuple[int, int]] = {
            "square": SQUARE_PATCH,
            "vertical": (self.n_mels, VERTICAL_PATCH_FRAMES),
        }
        return {kind: shapes[kind] for kind in self.patch_kinds}

    @property
    def patch_frames(self) -> int:
        """Number of frames of which the length of every window is a multiple."""
        return math.lcm(*(frames for _, frames in self.patch_shapes.values()))

    @property
    def patch_counts(self) -> dict[PatchKind, int]:
        """Number L of patches in a window, for each patch kind."""
        cells = self.n_mels * self.window_frames
        return {kind: cells // (mels * frames) for kind, (mels, frames) in self.patch_shapes.items()}

    @property
    def embedding_width(self) -> int:
        """Size of the embedding of a window: the width times the number of patch kinds."""
        return self.width * len(self.patch_kinds)


_SIZES = ("width", "depth", "heads", "head_width", "mlp_width", "n_mels", "window_frames")


def preset(name: str) -> EncoderConfig:
    """Return the preset with this name.

    Raises:
        InvalidInput: no preset has this name; the message lists the names.
    """
    _require_choice("preset", name, tuple(PRESETS))
    return PRESETS[name]


def _require_positive(field: str, value: object) -> None:
    # bool is a subclass of int in Python, but `heads=True` is a mistake
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInput(f"{field} must be a positive integer (got {value!r})")


def _require_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInput(f"{field} must be one of {', '.join(choices)} (got {value!r})")


def _require_positional_width(width: int) -> None:
    # sines and cosines of two coordinates share the width; with one frequency each, their spacing would be 0/0
    if width % 4 or width < 8:
        raise InvalidInput(
            f"width must be a multiple of 4 and at least 8, for the position vectors (got {width}); "
            f"use {max(8, -(-width // 4) * 4)}"
        )


def _require_whole_patches(kind: PatchKind, shape: tuple[int, int], n_mels: int, window_frames: int) -> None:
    mels, frames = shape
    if n_mels % mels or window_frames % frames:
        raise InvalidInput(
            f"a window of {n_mels} mel bins by {window_frames} frames does not divide into {kind} patches of {mels} by "
            f"{frames}; n_mels must be a multiple of {mels} and window_frames a multiple of {frames}"
        )


def _require_equal_counts(config: EncoderConfig) -> None:
    counts = config.patch_counts
    if len(set(counts.values())) > 1:
        sizes = (
            f"{counts[kind]} {kind} patches of {mels} by {frames}"
            for kind, (mels, frames) in config.patch_shapes.items()
        )
        raise InvalidInput(
            f"a hybrid needs as many square as vertical patches, but a window of {config.n_mels} mel bins by "
            f"{config.window_frames} frames has {' and '.join(sizes)}; n_mels must be {HYBRID_MELS} for a hybrid"
        )


def _vit_small(name: str, patches: PatchMode) -> EncoderConfig:
    return EncoderConfig(name=name, width=384, depth=12, heads=6, mlp_width=1536, patches=patches)


def _tiny(name: str, patches: PatchMode) -> EncoderConfig:
    """Return a preset that trains on a CPU in minutes. `tiny` is `tiny-vertical` under its older name."""
    return EncoderConfig(name=name, width=192, depth=6, heads=3, mlp_width=768, patches=patches, input_scale="log1p")


# The first three presets are the published models (Yonay, Hammond, Yang 2025), which take raw mel power. myna-vertical
# was published for windows of 98 frames, which are 49 patches. Every window here has 96 frames, so that all models read
# the same shards. Positions do not depend on the number of columns, so the published weights fit both.
PRESETS: dict[str, EncoderConfig] = {
    config.name: config
    for config in (
        _vit_small("myna-base", "square"),
        _vit_small("myna-vertical", "vertical"),
        _vit_small("myna-hybrid", "hybrid"),
        EncoderConfig(name="myna-85m", width=768, depth=12, heads=12, mlp_width=3072, patches="hybrid"),
        _tiny("tiny", "vertical"),
        _tiny("tiny-square", "square"),
        _tiny("tiny-vertical", "vertical"),
        _tiny("tiny-hybrid", "hybrid"),
    )
}
