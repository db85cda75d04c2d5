"""The map's numbers as a table: for each class its clips by split, and how often their neighbours are of it, too."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from model.page.map.coloring import ColorEncoding
from model.page.map.mapped_clips import MappedClips
from model.page.map.neighbors import Neighbors
from model.page.map.panels import panel_title


def class_table(colouring: ColorEncoding, clips: MappedClips, neighbours: Neighbors) -> str:
    """HTML, folded until a reader opens it."""
    head = ["", *map(panel_title, clips.splits), "neighbours alike"]
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "".join(_line(which, colouring, clips, neighbours) for which in range(len(colouring.looks)))
    return (
        f"<details><summary>The clips by {escape(colouring.name)} as a table</summary>"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div></details>'
    )


def _line(which: int, colouring: ColorEncoding, clips: MappedClips, neighbours: Neighbors) -> str:
    of_class = np.array([which in classes for classes in colouring.members])
    counts = np.bincount(clips.panel[of_class], minlength=len(clips.splits))
    alike = [which in colouring.members[other] for clip in np.flatnonzero(of_class) for other in neighbours.clips[clip]]
    return _row(colouring.looks[which].name, [*map(str, counts), f"{100 * np.mean(alike):.0f} %" if alike else ""])


def _row(name: str, cells: Sequence[str]) -> str:
    return f'<tr><th scope="row">{escape(name)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
