"""Reading the published models as the hub has them: a folder with `config.json` of the public code, and weights.

The weights give the sizes. The configuration states what they do not: the kinds of patches and the length of a window.
Its keys differ between the models, and any of them may be missing. A window is stated three times, as `n_samples`,
`n_frames` and `spec_size`, which may disagree: the public code cuts by samples. No code of the folder is executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.encoder import published
from model.encoder.config import SQUARE_PATCH, VERTICAL_PATCH_FRAMES, EncoderConfig, PatchKind
from model.encoder.hub import CONFIG, MAX_CONFIG_BYTES, WEIGHTS
from model.encoder.published import PublishedDescription
from model.encoder.vit import Encoder
from model.encoder.window_size import resize_window
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import read_json
from stores.mel_spec import MelSpec

WEIGHT_FILES = (WEIGHTS, "pytorch_model.bin")
"""Files of weights, the preferred one first."""
_SNAPSHOT = re.compile(r"models--(?P<owner>.+?)--(?P<name>.+)/snapshots/(?P<revision>[^/]+)")


def is_published(folder: Path) -> bool:
    """Return whether a folder has a configuration that is not one of this project.

    Raises:
        CorruptArtifact: the configuration is not a JSON object.
    """
    return (folder / CONFIG).is_file() and "format" not in _values(folder)


def read(folder: Path, patches: str = "auto", input_scale: str | None = None) -> Encoder:
    """Return the encoder of a published folder, in evaluation mode on the CPU.

    Args:
        folder: the folder.
        patches: auto, square, vertical or hybrid. The configuration states it, or else the name of the model.
        input_scale: scale of the training data: power (also if None), log1p or log.

    Raises:
        MissingArtifact: there are no weights.
        CorruptArtifact: a file is damaged, or the weights are not those of an encoder of Myna.
        InvalidInput: the patches are unknown, or nothing states them.
    """
    values = _values(folder)
    description = PublishedDescription(model_name(folder), _stated_kinds(values, folder), _positive(values, "heads"))
    encoder = published.read(_weights(folder), patches, input_scale, description)
    return resize_window(encoder, _window_frames(values, encoder.config))


def model_name(folder: Path) -> str:
    """Return the name of the model in a folder, which for a snapshot of the hub's cache is not the folder's name."""
    match = _SNAPSHOT.search(folder.absolute().as_posix())
    return match["name"] if match else folder.resolve().name


def repository(folder: Path) -> Mapping[str, str]:
    """Return the id and the revision of a snapshot in the hub's cache, or nothing for another folder."""
    match = _SNAPSHOT.search(folder.absolute().as_posix())
    return {"hub": f"{match['owner']}/{match['name']}", "revision": match["revision"]} if match else {}


def _values(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / CONFIG, MAX_CONFIG_BYTES)
    except ValueError as error:
        raise CorruptArtifact(f"{folder / CONFIG} is not JSON: {error}") from error


def _weights(folder: Path) -> Path:
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        names = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        raise MissingArtifact(
            f"{model_name(folder)} has no weights: {' or '.join(WEIGHT_FILES)} is needed, and the folder has {names}. "
            "If a download was interrupted, download the model again"
        )
    return path


def _stated_kinds(values: Mapping[str, Any], folder: Path) -> tuple[PatchKind, ...]:
    """Return the kinds of patches in the order of the weights, as far as the configuration states them."""
    stated = (values.get(key) for key in ("patch_size", "additional_patch_size"))
    return tuple(_kind(value, folder) for value in stated if value not in (None, [], ""))


def _kind(value: Any, folder: Path) -> PatchKind:
    numbers = [int(number) for number in re.findall(r"\d{1,6}", str(value))]
    shape = tuple(numbers * 2 if len(numbers) == 1 else numbers)
    if shape == SQUARE_PATCH:
        return "square"
    if len(shape) == 2 and shape[1] == VERTICAL_PATCH_FRAMES and shape[0] > SQUARE_PATCH[0]:
        return "vertical"
    raise InvalidInput(
        f"{folder / CONFIG} states patches of {str(value)[:40]}, but Myna has square patches of 16 by 16 and vertical "
        f"patches of 128 by {VERTICAL_PATCH_FRAMES}; this is another architecture"
    )


def _window_frames(values: Mapping[str, Any], config: EncoderConfig) -> int:
    """Return the length of a window: that of `n_samples` or of `n_frames` in whole patches, or else the usual one."""
    samples, frames = _positive(values, "n_samples"), _positive(values, "n_frames")
    if samples:
        frames = MelSpec().frames_for(samples)
    window = (frames or config.window_frames) // config.patch_frames * config.patch_frames
    try:
        replace(config, window_frames=window)
    except InvalidInput:
        return config.window_frames
    return window


def _positive(values: Mapping[str, Any], key: str) -> int | None:
    value = values.get(key)
    return value if type(value) is int and 0 < value < 1 << 40 else None
