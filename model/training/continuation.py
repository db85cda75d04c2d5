"""Rules for continuing a run: its settings must be the same, except that it may get more steps.

A run with a constant learning rate goes on as if it had been started with the larger number of steps. The cosine of
gamma keeps the length that it was started with.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from model.training import checkpoint
from model.training.config import TrainConfig
from stores import locations
from stores.command_line import MAX_CONFIG_BYTES
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import read_json

CONFIG_FILE = "config.json"


def saved_config(folder: Path) -> TrainConfig | None:
    """Return the settings of the run in `folder` as its finished encoder or its newest checkpoint states them.

    Raises:
        CorruptArtifact: the file cannot be read.
    """
    encoder = folder / locations.ENCODER_FILE
    path = encoder if encoder.is_file() else checkpoint.newest(folder)
    return None if path is None else checkpoint.read_config(path)


def keep_gamma_decay(requested: TrainConfig, saved: TrainConfig | None) -> TrainConfig:
    """Return the requested settings with the length of gamma's cosine that the run has, which does not change."""
    if saved is None or requested.objective.gamma_schedule != "cosine":
        return requested
    length = saved.objective.gamma_decay_epochs
    return replace(requested, objective=replace(requested.objective, gamma_decay_epochs=length))


def require_continuable(saved: TrainConfig, requested: TrainConfig, folder: Path) -> None:
    """Check that the run in `folder` can be continued with the settings `requested`.

    Raises:
        InvalidInput: settings other than a larger number of steps differ, each of which the error lists, or the
            learning rate has fallen to 0.
    """
    compared = replace(saved, steps=max(saved.steps, requested.steps))
    if _differences(compared, requested):
        differences = _differences(saved, requested)
        raise InvalidInput(
            f"{folder} holds a run with different settings (listed below); choose another --name"
            f"{_initialization(folder)}:\n" + "\n".join(differences)
        )
    if requested.steps > saved.steps and saved.schedule == "cosine" and _is_over(saved, folder):
        raise InvalidInput(
            f"{folder} cannot be extended from {saved.steps} to {requested.steps} steps, because its learning rate has "
            f"followed its cosine to 0; choose another --name{_initialization(folder)}"
        )


def is_finished(folder: Path, saved: TrainConfig | None, requested: TrainConfig) -> bool:
    """Return whether the run in `folder` is finished and has as many steps as requested.

    Raises:
        InvalidInput: it is finished, and cannot be continued with these settings.
        MissingArtifact: it is to be extended, but only its encoder is left.
    """
    if saved is None or not (folder / locations.ENCODER_FILE).is_file():
        return False
    require_continuable(saved, requested, folder)
    if saved.steps < requested.steps and checkpoint.newest(folder) is None:
        raise MissingArtifact(
            f"{folder} has no checkpoint to continue from, only its finished encoder; choose another --name"
            f"{_initialization(folder)}"
        )
    return saved.steps == requested.steps


def describe_extension(folder: Path, saved: TrainConfig | None, requested: TrainConfig) -> str:
    """Return a sentence on the change of the number of steps, or empty text if it stays."""
    if saved is None or saved.steps == requested.steps:
        return ""
    cosine = f"; the learning rate follows a cosine of {requested.steps} steps from here on"
    note = cosine if requested.schedule == "cosine" else ""
    return f"{folder}: extended from {saved.steps} to {requested.steps} steps{note}"


def require_config_file(folder: Path) -> None:
    """Check that config.json in the folder of a run states the settings that its weights were trained with.

    Raises:
        CorruptArtifact: it does not, and each difference is listed; or a file cannot be read.
    """
    path, saved = folder / CONFIG_FILE, saved_config(folder)
    if saved is None or not path.is_file():
        return
    try:
        values = read_json(path, MAX_CONFIG_BYTES)
        stated = TrainConfig.from_dict({key: value for key, value in values.items() if key != "store"})
    except InvalidInput as error:
        raise CorruptArtifact(f"{path} has settings that this version cannot use: {error}") from error
    if not (folder / locations.ENCODER_FILE).is_file() and stated.steps > saved.steps:
        saved = replace(saved, steps=stated.steps)  # of a run that was being extended
    if differences := _differences(saved, stated):
        raise CorruptArtifact(
            f"{path} contradicts the settings in the header of the run's weights (listed below); restore the file, or "
            "remove it:\n" + "\n".join(differences)
        )


def _differences(saved: TrainConfig, requested: TrainConfig) -> list[str]:
    saved_values, new_values = saved.to_dict(), requested.to_dict()
    # settings of the objective are compared one by one, so that the error lists only those that differ
    saved_values |= saved_values.pop("objective")
    new_values |= new_values.pop("objective")
    differing = [key for key, value in saved_values.items() if value != new_values[key]]
    return [f"{key}: {saved_values[key]!r} before, {new_values[key]!r} now" for key in differing]


def _is_over(saved: TrainConfig, folder: Path) -> bool:
    """Return whether all steps of a run are done, after which a cosine would rise again."""
    path = checkpoint.newest(folder)
    return path is None or checkpoint.read_step(path) >= saved.steps


def _initialization(folder: Path) -> str:
    encoder = folder / locations.ENCODER_FILE
    path = encoder if encoder.is_file() else checkpoint.newest(folder)
    return f", or start from its weights with another --name and --init {path}" if path else ""
