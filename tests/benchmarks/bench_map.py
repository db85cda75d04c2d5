"""Response times of a map of 20,000 dots in Chromium: pointing, selecting a class and selecting a clip.

Each time lasts from the event to the end of the frame that shows its effect. The baseline is a frame in which nothing
happens (16.7 ms at 60 frames per second). Chromium must be on the path. The embeddings of the map are noise.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright
from ratio import compare

from model.page import document
from model.page.map.section import EmbeddingMap
from stores.features import FeatureStore
from stores.manifest import ClipRow, ClipRows
from stores.mel_spec import MelSpec

CLIPS, ROUNDS = 20_000, 40
FRAME = "await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));"
POINT = """
const box = plot.getBoundingClientRect();
const [clientX, clientY] = [box.left + box.width * Math.random(), box.top + box.height * Math.random()];
const event = { bubbles: true, pointerType: "mouse", clientX, clientY };
"""
ACTIONS = {
    "map of 20,000: point at a dot": POINT + 'plot.dispatchEvent(new PointerEvent("pointermove", event));',
    "map of 20,000: choose a clip": POINT + 'plot.dispatchEvent(new PointerEvent("click", event));',
    "map of 20,000: type into the search box": (
        'const box = document.querySelector(".map-controls input"); '
        "box.value = `clip-${Math.floor(90 * Math.random())}`; "
        'box.dispatchEvent(new Event("input"));'
    ),
    "map of 20,000: pick a class": 'document.querySelector(".map-legend button").click();',
}


def noise_map() -> EmbeddingMap:
    """Return a map of noise in ten classes."""
    rng = np.random.default_rng(0)
    splits = ("train", "valid", "test")
    rows = [
        ClipRow(i, f"clip-{i}", "", f"{i // 5}", splits[i % 3], {"genre": f"{i % 10}"}, state="written")
        for i in range(CLIPS)
    ]
    features = FeatureStore(rng.normal(size=(CLIPS, 64)).astype(np.float32), rows, {"digest": "d"})
    store: Any = SimpleNamespace(
        rows=ClipRows.of(rows), attributes={"root": "/nowhere"}, path=Path("made.zarr"), spec=MelSpec()
    )
    store.clip = lambda index: np.random.default_rng(index).gamma(0.5, 10, (128, 96)).astype(np.float32)
    return EmbeddingMap.build(features, store)


def run(page: Page, action: str) -> None:
    """Run JavaScript in the page and wait for the frame that shows its effect."""
    page.evaluate(f"async () => {{ const plot = document.querySelector('.map-plot'); {action} {FRAME} }}")


def main() -> None:
    """Time each of the three actions."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("skipped: no Chromium on the path")
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "map.html"
        file.write_text(document.page("Map", "", [noise_map().section()]), encoding="utf-8")
        page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        page.goto(file.as_uri())
        page.wait_for_selector(".map-plot canvas:not(.map-dots)")
        page.locator(".map-plot").first.scroll_into_view_if_needed()
        page.wait_for_timeout(1_000)
        for name, action in ACTIONS.items():
            compare(name, partial(run, page, action), partial(run, page, ""), ROUNDS)


if __name__ == "__main__":
    main()
