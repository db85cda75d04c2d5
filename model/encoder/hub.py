"""Reading and writing an encoder as a folder that the Hugging Face hub expects, without pickles.

config.json          the encoder's configuration, the mel settings of its training data, and its origin
model.safetensors    the weights under the public names
README.md            the model card
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model.encoder import published, weight_checks
from model.encoder.config import EncoderConfig
from model.encoder.published_file import require_no_pointer
from model.encoder.vit import Encoder
from stores import safetensors_header
from stores.commit import atomic_write, write_bytes, write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import read_json
from stores.mel_spec import MelSpec

MAX_CONFIG_BYTES = 1 << 20
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = "myna-encoder-1"

CARD_FRONT_MATTER = """\
---
library_name: myna
pipeline_tag: feature-extraction
tags: [audio, music, embeddings, self-supervised]
license: {license}
---
"""
"""Beginning of a model card, which the hub reads."""
_CARD = (
    CARD_FRONT_MATTER
    + """\

# {name}

A Myna encoder with {patches} patches, width {width}, {depth} blocks and {parameters:.1f} million parameters. It turns
{seconds:.2f} s of music into an embedding of {embedding_width} numbers. The embedding of a recording is the mean over
its windows. The encoder was trained without labels, by masked contrastive learning
([Yonay, Hammond, Yang 2025](https://arxiv.org/abs/2502.12511)).

```python
import model
myna = model.Myna.from_pretrained("PATH OR HUB ID")
embedding = myna.embed("song.mp3")  # float32 [{embedding_width}]
```

Input: power mel spectrograms of mono audio at {rate} Hz, {n_mels} bins, {frames} frames per window, `input_scale` is
`{scale}`. The file `config.json` states the training data and the training settings. The encoder was not evaluated for
identifying people. Embeddings carry no information about the rights to a recording.
"""
)


@dataclass(frozen=True)
class PretrainedFolder:
    """The content of a folder in the layout of the Hugging Face hub."""

    encoder: Encoder
    """Encoder in evaluation mode."""
    mel: Mapping[str, Any] = field(default_factory=dict)
    """Mel settings of the training data: `mel_spec`, `quantizer`, `preprocessing`; empty if unknown."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Origin of the weights as JSON values, for example the settings and the number of steps of the run."""


def write(
    folder: Path, model: PretrainedFolder, license_name: str = "mit", weight_type: torch.dtype = torch.float32
) -> None:
    """Write the three files, the configuration last, so that a folder with a configuration is complete.

    Args:
        folder: folder to write.
        model: content of the folder.
        license_name: license of the weights, for the card.
        weight_type: type of the stored weights. They are read as float32, whatever it is.
    """
    config = model.encoder.config
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / WEIGHTS) as temporary:
        weights = {name: tensor.to(weight_type).contiguous() for name, tensor in model.encoder.state_dict().items()}
        save_file(weights, temporary, metadata={"format": "pt"})
    write_bytes(folder / CARD, _card(model, license_name).encode())
    values = {"format": FORMAT, "model_type": "myna", "encoder": config.to_dict()}
    write_json(folder / CONFIG, {**values, "mel": dict(model.mel), "origin": dict(model.origin)})


def read(folder: Path) -> PretrainedFolder:
    """Read such a folder.

    Raises:
        MissingArtifact: a file is missing.
        CorruptArtifact: a file has another format version, or the weights do not fit the configuration.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingArtifact(
                f"{folder} has no {name}; a folder of an encoder contains {CONFIG} and {WEIGHTS}, and "
                "`python -m model.export hub` writes both"
            )
        require_no_pointer(folder / name)
    try:
        values = read_json(folder / CONFIG, MAX_CONFIG_BYTES)
        if values.get("format") != FORMAT:
            raise CorruptArtifact(
                f"{folder / CONFIG} has format {values.get('format')!r}, but this version reads {FORMAT!r}"
            )
        config = EncoderConfig.from_dict(values["encoder"])
        entries = safetensors_header.read(folder / WEIGHTS).tensors
        weight_checks.require_entries(entries, weight_checks.encoder_shapes(config), folder / WEIGHTS)
        encoder = published.build_encoder(config, load_file(folder / WEIGHTS), folder / WEIGHTS)
        content = PretrainedFolder(encoder, values["mel"], values["origin"])
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput, SafetensorError) as error:
        raise CorruptArtifact(f"{folder} cannot be read: {error}") from error
    if not isinstance(content.mel, dict) or not isinstance(content.origin, dict):
        raise CorruptArtifact(f"{folder / CONFIG} must contain JSON objects under mel and origin")
    return content


def _card(model: PretrainedFolder, license_name: str) -> str:
    config, spec = model.encoder.config, MelSpec.from_dict(model.mel["mel_spec"]) if model.mel else MelSpec()
    return _CARD.format(
        **config.to_dict(),
        license=license_name,
        embedding_width=config.embedding_width,
        parameters=sum(weight.numel() for weight in model.encoder.parameters()) / 1e6,
        rate=spec.sample_rate_hz,
        seconds=spec.seconds_for(config.window_frames),
        frames=config.window_frames,
        scale=config.input_scale,
    )
