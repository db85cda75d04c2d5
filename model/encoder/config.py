"""What an encoder is: sizes, patch shapes and the scale of its input, as plain facts that fit into JSON.

In: a preset's name, or the dictionary that a checkpoint carries. Out: a frozen, validated `EncoderConfig`.

Everything here changes results, so all of it belongs into the digest of whatever the encoder makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args

from model.encoder.input_scale import InputScale
from stores.errors import InvalidInput

PatchKind = Literal["square", "vertical"]
PatchMode = Literal["square", "vertical", "hybrid"]

# (mel bins, frames) of one patch. Both hold 256 cells, so a window has as many patches of one kind as of the other and
# hybrid can put both through the trunk in one pass.
PATCH_SHAPES: dict[PatchKind, tuple[int, int]] = {"square": (16, 16), "vertical": (128, 2)}

PATCH_KINDS: dict[PatchMode, tuple[PatchKind, ...]] = {
    "square": ("square",),
    "vertical": ("vertical",),
    "hybrid": ("square", "vertical"),
}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The facts an encoder is built from.

    Raises:
        InvalidInput: a size is not a positive integer, a choice is unknown, the width does not suit the positions, or
            a window does not divide into whole patches.
    """

    name: str
    """Preset or recipe it came from; a label only."""
    width: int
    """Size D of a token; a multiple of 4, at least 8."""
    depth: int
    """Transformer blocks."""
    heads: int
    """Attention heads; `heads * head_width` need not be `width`."""
    head_width: int = 64
    """Size of one head's queries, keys and values."""
    mlp_width: int
    """Hidden size of each block's feed-forward part."""
    patches: PatchMode
    """How a window is cut: one kind of patch, or hybrid, which reads both and concatenates the embeddings."""
    n_mels: int = 128
    """Mel bins M of a window."""
    window_frames: int = 96
    """Mel frames N of a window: 96 frames of 512 samples are 3.07 s at 16 kHz."""
    input_scale: InputScale = "power"
    """What is done to mel power before it is cut; see `model.encoder.input_scale`."""

    def __post_init__(self) -> None:
        for size in _SIZES:
            _require_positive(size, getattr(self, size))
        _require_choice("patches", self.patches, get_args(PatchMode))
        _require_choice("input_scale", self.input_scale, get_args(InputScale))
        _require_positional_width(self.width)
        for kind in self.patch_kinds:
            _require_whole_patches(kind, self.n_mels, self.window_frames)

    @property
    def patch_kinds(self) -> tuple[PatchKind, ...]:
        """Kinds of patch the encoder embeds, in the order of its embedding: square before vertical."""
        return PATCH_KINDS[self.patches]

    @property
    def patch_counts(self) -> dict[PatchKind, int]:
        """Patches L in one window, for each kind the encoder embeds."""
        cells = self.n_mels * self.window_frames
        return {kind: cells // (PATCH_SHAPES[kind][0] * PATCH_SHAPES[kind][1]) for kind in self.patch_kinds}

    @property
    def embedding_width(self) -> int:
        """Size of a window's embedding: the width, once for each kind of patch."""
        return self.width * len(self.patch_kinds)

    def to_dict(self) -> dict[str, Any]:
        """Every field as a JSON value; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """Rebuild what `to_dict` wrote.

        Raises:
            InvalidInput: a key is unknown or one without a default is missing (both named), or a value is refused.
        """
        known = {field.name for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        _require_no_keys("unknown", set(values) - known, known)
        _require_no_keys("missing", needed - set(values), known)
        return cls(**values)


_SIZES = ("width", "depth", "heads", "head_width", "mlp_width", "n_mels", "window_frames")


def preset(name: str) -> EncoderConfig:
    """The configuration of that name.

    Raises:
        InvalidInput: no preset has this name; the message lists those there are.
    """
    _require_choice("preset", name, tuple(PRESETS))
    return PRESETS[name]


def _require_positive(field: str, value: object) -> None:
    # bool is an int to Python; `heads=True` is a slip, not one head
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInput(f"{field} is {value!r}; an encoder needs a positive integer there: give one")


def _require_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInput(f"{field} is {value!r}; it must be one of {', '.join(choices)}: choose one of these")


def _require_positional_width(width: int) -> None:
    # sin and cos of two coordinates share the width; with one frequency each the ladder of frequencies is 0/0
    if width % 4 or width < 8:
        raise InvalidInput(
            f"width is {width}; positions need a multiple of 4, at least 8: try {max(8, -(-width // 4) * 4)}"
        )


def _require_whole_patches(kind: PatchKind, n_mels: int, window_frames: int) -> None:
    mels, frames = PATCH_SHAPES[kind]
    if n_mels % mels or window_frames % frames:
        raise InvalidInput(
            f"a window of {n_mels} mels by {window_frames} frames does not divide into {kind} patches of {mels} by "
            f"{frames}: make n_mels a multiple of {mels} and window_frames a multiple of {frames}"
        )


def _require_no_keys(what: str, keys: set[str], known: set[str]) -> None:
    if keys:
        raise InvalidInput(
            f"encoder configuration has {what} keys: {', '.join(sorted(keys))}; its keys are "
            f"{', '.join(sorted(known))}: read it with the version of Myna that wrote it, or mend the keys"
        )


def _vit_small(name: str, patches: PatchMode) -> EncoderConfig:
    return EncoderConfig(name=name, width=384, depth=12, heads=6, mlp_width=1536, patches=patches)


# The first three are the published models (Yonay, Hammond, Yang 2025), which read raw mel power. myna-vertical was
# published on windows of 98 frames, 49 patches; here every window has 96, so that all models read the same shards.
# Positions do not depend on the number of columns, so its weights fit both.
PRESETS: dict[str, EncoderConfig] = {
    config.name: config
    for config in (
        _vit_small("myna-base", "square"),
        _vit_small("myna-vertical", "vertical"),
        _vit_small("myna-hybrid", "hybrid"),
        EncoderConfig(name="myna-85m", width=768, depth=12, heads=12, mlp_width=3072, patches="hybrid"),
        EncoderConfig(name="tiny", width=192, depth=6, heads=3, mlp_width=768, patches="vertical", input_scale="log1p"),
    )
}
