"""An encoder as a folder that the Hugging Face hub expects, and back; no pickles.

config.json          what it is: the encoder's configuration, the mel it heard, how it came about
model.safetensors    the weights under the public names
README.md            the model card
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model.encoder import published
from model.encoder.config import EncoderConfig
from model.encoder.vit import Encoder
from stores.commit import atomic_write, write_bytes, write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = "myna-encoder-1"

_CARD = """\
---
library_name: myna
pipeline_tag: feature-extraction
tags: [audio, music, embeddings, self-supervised]
license: {license}
---

# {name}

A Myna encoder: {patches} patches, width {width}, {depth} blocks, {parameters:.1f} million parameters. It turns 3.07 s
of music into an embedding of {embedding_width} numbers; a recording's is the mean over its windows. It learned without
labels, by masked contrastive learning ([Yonay, Hammond, Yang 2025](https://arxiv.org/abs/2502.12511)).

```python
import model
myna = model.Myna.from_pretrained("PATH OR HUB ID")
embedding = myna.embed("song.mp3")  # float32 [{embedding_width}]
```

Input: power mel spectrograms of mono audio at {rate} Hz, {n_mels} bins, {frames} frames a window, `input_scale` is
`{scale}`. What it was trained on and with stands in `config.json`. It was not evaluated for identifying people, and
embeddings say nothing of a recording's rights.
"""


@dataclass(frozen=True)
class PretrainedFolder:
    """What such a folder holds."""

    encoder: Encoder
    """In evaluation mode."""
    mel: Mapping[str, Any] = field(default_factory=dict)
    """How the recordings that it heard became mel: `mel_spec`, `quantizer`, `preprocessing`; empty where unknown."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """How it came about, JSON, e.g. the run's settings and its steps."""


def write(folder: Path, model: PretrainedFolder, license_name: str = "mit") -> None:
    """Write the three files; the configuration last, so that a folder with one is whole."""
    config, spec = model.encoder.config, model.mel.get("mel_spec", {})
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / WEIGHTS) as temporary:
        weights = {name: tensor.contiguous() for name, tensor in model.encoder.state_dict().items()}
        save_file(weights, temporary, metadata={"format": "pt"})
    card = _CARD.format(
        **config.to_dict(),
        license=license_name,
        embedding_width=config.embedding_width,
        parameters=sum(one.numel() for one in model.encoder.parameters()) / 1e6,
        rate=spec.get("sample_rate_hz", 16_000),
        frames=config.window_frames,
        scale=config.input_scale,
    )
    write_bytes(folder / CARD, card.encode())
    values = {"format": FORMAT, "model_type": "myna", "encoder": config.to_dict()}
    write_json(folder / CONFIG, {**values, "mel": dict(model.mel), "origin": dict(model.origin)})


def read(folder: Path) -> PretrainedFolder:
    """Read such a folder.

    Raises:
        MissingArtifact: a file is not there.
        CorruptArtifact: it is not of this version, or the weights do not fit.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingArtifact(f"{folder} has no {name}; a model's folder holds {CONFIG} and {WEIGHTS}")
    try:
        values = json.loads((folder / CONFIG).read_text("utf-8"))
        if values.get("format") != FORMAT:
            raise CorruptArtifact(
                f"{folder / CONFIG} is of format {values.get('format')!r}; this version reads {FORMAT!r}"
            )
        encoder = Encoder(EncoderConfig.from_dict(values["encoder"]))
        weights = load_file(folder / WEIGHTS)
        made = PretrainedFolder(published.fill(encoder, weights, folder / WEIGHTS), values["mel"], values["origin"])
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput, SafetensorError) as error:
        raise CorruptArtifact(f"{folder} cannot be read: {error}") from error
    if not isinstance(made.mel, dict) or not isinstance(made.origin, dict):
        raise CorruptArtifact(f"{folder / CONFIG}: mel and origin must be objects")
    return made
