"""The flags of `pipeline.ingest` that messages and commands state give the mel that they are stated for."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from pipeline.ingestion.config import IngestSettings
from pipeline.ingestion.mel_definition import mel_spec
from stores import mel_flags
from stores.command_line import parse
from stores.mel_spec import MelSpec

DEFAULT = MelSpec()
FINE = MelSpec(22_050, 1024, 160, 64, 60.5, 7_800.0)
TORCHAUDIO = {"resampler": "torchaudio sinc_interp_hann, lowpass_filter_width 6, rolloff 0.99"}


def _parsed(words):
    return parse(IngestSettings, ["demo", *words], "pipeline.ingest").mel


def test_every_field_of_a_specification_has_a_flag():
    assert set(mel_flags.FLAGS) == {field.name for field in fields(MelSpec)}


@pytest.mark.parametrize("spec", [DEFAULT, FINE], ids=["default", "fine"])
def test_the_flags_of_a_specification_give_it_back(spec):
    assert mel_spec(_parsed(mel_flags.ingest_flags(spec.to_dict()))) == spec
    changed = mel_flags.changed_ingest_flags({"mel_spec": spec.to_dict()}, DEFAULT.to_dict())
    assert mel_spec(_parsed(changed)) == spec
    assert bool(changed) == (spec != DEFAULT)


def test_the_resampler_of_a_store_is_stated_only_if_it_is_not_the_default():
    mel = {"mel_spec": replace(DEFAULT, n_mels=64).to_dict(), "preprocessing": TORCHAUDIO}
    words = mel_flags.changed_ingest_flags(mel, DEFAULT.to_dict())
    assert words == ["--n-mels", "64", "--resampler", "torchaudio"]
    assert _parsed(words).resampler == "torchaudio"
    assert mel_flags.changed_ingest_flags({}, DEFAULT.to_dict()) == []
    assert mel_flags.resampler_name({"resampler": "soxr 0.1.3 HQ"}) == "soxr"


def test_an_ingest_is_told_what_it_lacks_to_continue_a_store():
    plain = {"mel_spec": DEFAULT.to_dict(), "preprocessing": {"resampler": "soxr 0.1.3 HQ"}}
    fine = {"mel_spec": FINE.to_dict(), "preprocessing": TORCHAUDIO}
    assert mel_flags.flags_to_continue(plain, plain) == []
    assert mel_flags.flags_to_continue(fine, plain) == [
        *mel_flags.ingest_flags(FINE.to_dict()), "--resampler", "torchaudio"
    ]  # fmt: skip
    assert mel_flags.flags_to_continue(plain, {**plain, "preprocessing": TORCHAUDIO}) == ["--resampler", "soxr"]


def test_differences_name_the_setting_and_both_values():
    text = mel_flags.describe_differences(DEFAULT.to_dict(), replace(DEFAULT, n_mels=64, fmin_hz=60.5).to_dict())
    assert text == "n_mels 128 against 64, fmin_hz 0 against 60.5"
