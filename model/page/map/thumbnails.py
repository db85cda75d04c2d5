"""Mels as pictures of 96 x 64 pixels, some hundred on a sheet: about 0.9 kB for each clip, 1.2 kB as text in the page.

Decibels and colours are those of `pipeline.preview`, so a picture here looks like one there: black for the noise of a
quiet room, pale yellow for full scale. A picture shows the whole clip, low frequencies at the bottom.
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
from tqdm import tqdm

from stores.mel_store import MelStore

WIDTH, HEIGHT = 96, 64
COLUMNS, SHEET = 20, 300
"""Pictures in a row of a sheet, and in all of it."""
QUALITY = 30
"""Of WebP: 0.9 kB a clip; at 50 it is 1.3 kB, and hard to tell from this."""
FLOOR_DECIBELS, CEILING_DECIBELS = -50.0, 45.0


@dataclass(frozen=True)
class Thumbnails:
    """Pictures of clips, on sheets."""

    sheets: tuple[bytes, ...]
    """WebP files; clip `i` is picture `i % SHEET` of sheet `i // SHEET`, row by row."""

    @classmethod
    def of(cls, store: MelStore, clips: Sequence[int]) -> Thumbnails:
        """Draw the clips of `store` with these indices, in this order."""
        with tqdm(total=len(clips), unit="clip", desc="thumbnails", leave=False, disable=None) as bar:
            sheets = []
            for first in range(0, len(clips), SHEET):
                of_sheet = clips[first : first + SHEET]
                sheets.append(_sheet([_drawn(store, clip, bar) for clip in of_sheet]))
        return cls(tuple(sheets))

    def data_uris(self) -> list[str]:
        """Each sheet as what an image in a page shows."""
        return [f"data:image/webp;base64,{base64.b64encode(sheet).decode()}" for sheet in self.sheets]


def picture(mel: NDArray[np.float32]) -> Image.Image:
    """Power mel `[128, frames]` as a thumbnail."""
    decibels = 10 * np.log10(np.maximum(mel[::-1], 1e-9))
    shares = np.clip((decibels - FLOOR_DECIBELS) / (CEILING_DECIBELS - FLOOR_DECIBELS), 0, 1)
    small = Image.fromarray((shares * 255).astype(np.uint8)).resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return Image.fromarray((mpl.colormaps["magma"](np.asarray(small))[..., :3] * 255).astype(np.uint8))


def _drawn(store: MelStore, clip: int, bar: tqdm[None]) -> Image.Image:
    drawn = picture(store.clip(clip))
    bar.update()
    return drawn


def _sheet(pictures: Sequence[Image.Image]) -> bytes:
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (WIDTH * min(COLUMNS, len(pictures)), HEIGHT * rows))
    for place, one in enumerate(pictures):
        sheet.paste(one, (WIDTH * (place % COLUMNS), HEIGHT * (place // COLUMNS)))
    content = io.BytesIO()
    sheet.save(content, "WEBP", quality=QUALITY, method=6)
    return content.getvalue()
