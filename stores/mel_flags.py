"""The flags of `pipeline.ingest` that give the mels of a store, for error messages and for commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from stores.errors import CorruptArtifact

ResamplerName = Literal["soxr", "torchaudio"]
FLAGS: Mapping[str, str] = {
    "sample_rate_hz": "--sample-rate-hz",
    "n_fft": "--n-fft-samples",
    "hop_samples": "--hop-samples",
    "n_mels": "--n-mels",
    "fmin_hz": "--fmin-hz",
    "fmax_hz": "--fmax-hz",
}
"""Flag of each field of `stores.mel_spec.MelSpec`."""
DEFAULT_RESAMPLER: ResamplerName = "soxr"
_KEYS = ("mel_spec", "preprocessing")


def ingest_flags(mel_spec: Mapping[str, Any]) -> list[str]:
    """Return the words of a command line that give mels of a specification, as `MelSpec.to_dict` returns it."""
    values = [(flag, mel_spec[name]) for name, flag in FLAGS.items() if name in mel_spec]
    return [word for flag, value in values for word in (flag, _in_words(value))]


def changed_ingest_flags(mel: Mapping[str, Any], default_spec: Mapping[str, Any]) -> list[str]:
    """Return the words that give the mels of a store, without flags whose default gives them.

    Args:
        mel: `mel_spec` and `preprocessing` of the store; empty if they are unknown.
        default_spec: the specification that an ingest without flags has.
    """
    spec, resampler = mel.get("mel_spec", {}), resampler_name(mel.get("preprocessing", {}))
    changed = {name: value for name, value in spec.items() if value != default_spec[name]}
    return [*ingest_flags(changed), *([] if resampler == DEFAULT_RESAMPLER else ["--resampler", resampler])]


def flags_to_continue(stored: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return the words that an ingest with the settings `current` lacks to have the mel and resampler of a store.

    Both hold `mel_spec` and `preprocessing`. The result is empty if the settings are the same.
    """
    specs, preprocessing = ([values.get(key, {}) for values in (stored, current)] for key in _KEYS)
    resamplers = [resampler_name(values) for values in preprocessing]
    mel_words = ingest_flags(specs[0]) if specs[0] != specs[1] else []
    return [*mel_words, *(["--resampler", resamplers[0]] if resamplers[0] != resamplers[1] else [])]


def resampler_name(preprocessing: Mapping[str, Any]) -> ResamplerName:
    """Return the name of the resampler, which is the first word of what `preprocessing` records of it.

    Raises:
        CorruptArtifact: this version has no resampler of this name.
    """
    record = str(preprocessing.get("resampler", DEFAULT_RESAMPLER))
    for name in get_args(ResamplerName):
        if record.split()[:1] == [name]:
            known: ResamplerName = name
            return known
    raise CorruptArtifact(f"resampler {record!r} is unknown; use one of {', '.join(get_args(ResamplerName))}")


def describe_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Return the settings in which two specifications differ, such as `n_mels 128 against 64, fmin_hz 0 against 60`."""
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return ", ".join(f"{name} {_in_words(first.get(name))} against {_in_words(second.get(name))}" for name in names)


def _in_words(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
