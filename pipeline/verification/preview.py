"""The work of `python -m pipeline.preview`: a figure with the mels of some clips of a store."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from nnAudio.librosa_functions import mel_frequencies

from pipeline.verification.config import PreviewSettings
from stores import locations
from stores.commit import atomic_write
from stores.errors import InvalidInput
from stores.json_output import print_json
from stores.labels import split_tags
from stores.manifest import ClipRow, ClipRows
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore

MAX_SHOWN_SECONDS = 30.0
FLOOR_DECIBELS, CEILING_DECIBELS = -50.0, 45.0
"""Range of the color scale: power in a mel bin, relative to 1, from the noise of a quiet room to a full-scale square
wave."""
TICKS_HZ = (250, 1000, 2000, 4000)
MAX_TITLE_CHARACTERS = 44
COLUMNS = 2


def preview(settings: PreviewSettings) -> None:
    """Draw the mels of some clips of a store to a PNG file.

    Raises:
        InvalidInput: the file is not a PNG, or there is no mel of a clip to draw.
        MissingArtifact, CorruptArtifact: the store cannot be read.
    """
    path = locations.store_path(settings.store)
    out = settings.out or locations.beside_store(path, ".png")
    if out.suffix.lower() != ".png":
        raise InvalidInput(f"--out must end in .png, because a PNG is written (got {out})")
    store = MelStore.open(path, complete=False)
    rows = select_clips(store.rows, settings.clips, settings.id)
    with atomic_write(out) as temporary:
        draw(store, rows).savefig(temporary, format="png")
    print(f"{out}: {len(rows)} of {len(store)} clips, the first {MAX_SHOWN_SECONDS:g} s of each")
    if settings.json:
        print_json({"picture": str(out), "clips": [row.id for row in rows], "of": len(store)})


def select_clips(rows: Sequence[ClipRow], count: int, ids: Sequence[str] = ()) -> list[ClipRow]:
    """Return the rows with these ids, or `count` stored rows spread evenly from the first to the last.

    Raises:
        InvalidInput: `count` is less than one, an id is unknown or was rejected, or no clip has a mel.
    """
    written = ClipRows.of(rows).select(state="written")
    chosen = written.index_of(ids)
    if unknown := [name for name, position in zip(ids, chosen, strict=True) if position < 0]:
        raise InvalidInput(f"no mel of {unknown} in the store; its manifest states which clips were rejected and why")
    if ids:
        return list(written.take(chosen))
    if count < 1 or not len(written):
        raise InvalidInput(f"{count} of {len(written)} clips with a mel cannot be drawn; both must be at least 1")
    positions = np.linspace(0, len(written) - 1, min(count, len(written))).round().astype(int)
    return list(written.take(positions))


def draw(store: MelStore, rows: Sequence[ClipRow]) -> Figure:
    """Return a figure with the mel of each row in decibels, over seconds and hertz, with one color scale."""
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    with mpl.rc_context({"font.size": 8, "font.family": "DejaVu Sans", "axes.titlesize": 8.5}):
        figure = Figure(figsize=(0.9 + 4.6 * columns, 0.5 + 2.0 * lines), dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(lines, columns, squeeze=False)
        for panel, row in zip(panels.flat, rows, strict=False):
            image = _draw_clip(panel, store, row)
        for panel in panels.flat[len(rows) :]:
            panel.set_visible(False)
        figure.colorbar(image, ax=panels, label="power, dB", shrink=min(1.0, 2.0 / lines), aspect=25)
    return figure


def _draw_clip(panel: Axes, store: MelStore, row: ClipRow) -> AxesImage:
    frames = min(row.frames, int(MAX_SHOWN_SECONDS * store.spec.sample_rate_hz / store.spec.hop_samples))
    mel = store.window(row.index, 0, frames)
    decibels = 10 * np.log10(np.maximum(mel, 1e-9))
    image = panel.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=FLOOR_DECIBELS,
        vmax=CEILING_DECIBELS,
        extent=(0, store.spec.seconds_for(frames), 0, len(mel)),
    )
    panel.set_title(_title(row), loc="left", parse_math=False)
    ticks = _tick_positions(store.spec)
    panel.set_yticks(list(ticks.values()), [f"{hz}" for hz in ticks])
    panel.set(xlabel="seconds", ylabel="Hz")
    return image


def _title(row: ClipRow) -> str:
    name = row.id if len(row.id) <= MAX_TITLE_CHARACTERS else f"…{row.id[1 - MAX_TITLE_CHARACTERS :]}"
    labels = "; ".join(f"{task}: {', '.join(split_tags(label))}" for task, label in sorted(row.labels.items()))
    shown = labels if len(labels) <= MAX_TITLE_CHARACTERS else f"{labels[: MAX_TITLE_CHARACTERS - 1]}…"
    return f"{name}\n{shown}" if shown else name


def _tick_positions(spec: MelSpec) -> dict[int, float]:
    """Return the positions of `TICKS_HZ` on the axis of mel bins, where the center of bin `i` is at `i + 0.5`.

    Frequencies outside of the mel are left out.
    """
    edges = mel_frequencies(spec.n_mels + 2, fmin=spec.fmin_hz, fmax=spec.fmax_hz)
    positions = np.arange(len(edges)) - 0.5
    shown = [hz for hz in TICKS_HZ if edges[1] <= hz <= edges[-2]]
    return {hz: float(np.interp(hz, edges, positions)) for hz in shown}
