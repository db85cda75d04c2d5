"""Mels as pictures of 96 x 64 pixels, a few hundred per sheet. A clip takes 0.9 kB, or 1.2 kB as text in the page.

Decibels and colors are those of `pipeline.preview`, so the pictures look the same: black for the noise of a quiet
room, pale yellow for full scale. A picture shows the whole clip, with low frequencies at the bottom.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stores.mel_store import MelStore
from stores.progress import Progress

WIDTH, HEIGHT = 96, 64
"""Pixels of a picture."""
COLUMNS, SHEET = 20, 300
"""Pictures in a row of a sheet and in a whole sheet."""
QUALITY = 30
"""WebP quality. It gives 0.9 kB per clip; 50 gives 1.3 kB and looks almost the same."""
FLOOR_DECIBELS, CEILING_DECIBELS = -50.0, 45.0


@dataclass(frozen=True)
class Thumbnails:
    """Pictures of clips on sheets."""

    sheets: tuple[bytes, ...]
    """WebP files. Clip `i` is picture `i % SHEET` of sheet `i // SHEET`, row by row."""

    @classmethod
    def draw(cls, store: MelStore, clips: Sequence[int]) -> Thumbnails:
        """Draw the clips of `store` with these indices, in this order."""
        with Progress(total=len(clips), unit="clip", desc="thumbnails", leave=False, disable=None) as bar:
            groups = [clips[start : start + SHEET] for start in range(0, len(clips), SHEET)]
            return cls(tuple(_sheet([_clip_picture(store, clip, bar) for clip in group]) for group in groups))

    def data_uris(self) -> list[str]:
        """Return each sheet as a data URI."""
        return [f"data:image/webp;base64,{base64.b64encode(sheet).decode()}" for sheet in self.sheets]


def picture(mel: NDArray[np.float32]) -> Image.Image:
    """Return the thumbnail of a power mel `[n_mels, frames]`."""
    decibels = 10 * np.log10(np.maximum(mel[::-1], 1e-9))
    shares = np.clip((decibels - FLOOR_DECIBELS) / (CEILING_DECIBELS - FLOOR_DECIBELS), 0, 1)
    small = Image.fromarray((shares * 255).astype(np.uint8)).resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return Image.fromarray((mpl.colormaps["magma"](np.asarray(small))[..., :3] * 255).astype(np.uint8))


def _clip_picture(store: MelStore, clip: int, bar: Progress) -> Image.Image:
    image = picture(store.clip(clip))
    bar.update()
    return image


def _sheet(pictures: Sequence[Image.Image]) -> bytes:
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (WIDTH * min(COLUMNS, len(pictures)), HEIGHT * rows))
    for index, image in enumerate(pictures):
        sheet.paste(image, (WIDTH * (index % COLUMNS), HEIGHT * (index // COLUMNS)))
    content = io.BytesIO()
    sheet.save(content, "WEBP", quality=QUALITY, method=6)
    return content.getvalue()
