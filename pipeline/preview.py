"""`python -m pipeline.preview STORE`: mels of a store, drawn to a PNG, because one would rather look than read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from nnAudio.librosa_functions import mel_frequencies

from stores import locations
from stores.commit import atomic_write
from stores.errors import InvalidInput, exit_status
from stores.labels import split_tags
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore

SHOWN_SECONDS = 30.0
FLOOR_DECIBELS, CEILING_DECIBELS = -50.0, 45.0
"""Power in a mel bin, relative to 1: from the noise of quiet rooms to a full-scale square wave."""
LINES_HZ = (250, 1000, 2000, 4000)
LONGEST_TITLE = 44
COLUMNS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.preview", description="Mels of a store as a PNG.")
    parser.add_argument(
        "store", type=locations.store_path, help="mel store, or its name under stores/, e.g. stores/demo.zarr"
    )
    parser.add_argument("--clips", type=int, default=8, help="how many, spread evenly over the store (8)")
    parser.add_argument("--id", action="append", help="this clip instead; may be repeated")
    parser.add_argument("--out", type=Path, help="PNG to write (default: STORE.png beside the store)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _preview(options))


def _preview(options: argparse.Namespace) -> None:
    out = options.out or options.store.with_suffix(".png")
    if out.suffix.lower() != ".png":
        raise InvalidInput(f"--out is {out}; a PNG is written, so it must end in .png")
    store = MelStore.open(options.store, complete=False)
    rows = choose(store.rows, options.clips, options.id or ())
    with atomic_write(out) as temporary:
        draw(store, rows).savefig(temporary, format="png")
    print(f"{out}: {len(rows)} of {len(store)} clips, the first {SHOWN_SECONDS:g} s of each")


def choose(rows: Sequence[ClipRow], clips: int, ids: Sequence[str] = ()) -> list[ClipRow]:
    """The rows to draw: those with these ids, else `clips` written ones spread evenly, the first and last among them.

    Raises:
        InvalidInput: for fewer than one clip, an unknown or refused id, or a store without a mel.
    """
    written = {row.id: row for row in rows if row.state == "written"}
    if unknown := [name for name in ids if name not in written]:
        raise InvalidInput(f"no mel of {unknown} in the store; its manifest tells which clips were refused and why")
    if ids:
        return [written[name] for name in ids]
    if clips < 1 or not written:
        raise InvalidInput(f"{clips} clips were asked for and {len(written)} have a mel; both must be at least 1")
    places = np.linspace(0, len(written) - 1, min(clips, len(written))).round().astype(int)
    return [list(written.values())[place] for place in places]


def draw(store: MelStore, rows: Sequence[ClipRow]) -> Figure:
    """A figure with the mel of each row in decibels, over seconds and hertz; all panels share one colour scale."""
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
    frames = min(row.frames, int(SHOWN_SECONDS * store.spec.sample_rate_hz / store.spec.hop_samples))
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
    panel.set_yticks(_bins(store.spec), [f"{hz}" for hz in LINES_HZ])
    panel.set(xlabel="seconds", ylabel="Hz")
    return image


def _title(row: ClipRow) -> str:
    name = row.id if len(row.id) <= LONGEST_TITLE else f"…{row.id[1 - LONGEST_TITLE :]}"
    labels = "; ".join(f"{task}: {', '.join(split_tags(label))}" for task, label in sorted(row.labels.items()))
    shown = labels if len(labels) <= LONGEST_TITLE else f"{labels[: LONGEST_TITLE - 1]}…"
    return f"{name}\n{shown}" if shown else name


def _bins(spec: MelSpec) -> list[float]:
    """Where the lines lie, in mel bins; the centre of bin `i` is drawn at `i + 0.5`."""
    centres = mel_frequencies(spec.n_mels + 2, fmin=spec.fmin_hz, fmax=spec.fmax_hz)[1:-1]
    return [float(np.interp(hz, centres, np.arange(spec.n_mels) + 0.5)) for hz in LINES_HZ]


if __name__ == "__main__":
    sys.exit(main())
