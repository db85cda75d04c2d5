"""Write the pictures of the README from two pages: the map of `dags.explore`, and the scores of `model.report`.

python tests/support/readme_pictures.py reports/music.html reports/demo-demo-tiny-0.html
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
MAX_BYTES = 300_000
CHROMIUM = "/usr/bin/chromium"


def write(page: Page, source: str, name: str, top: int, height: int, dot: str = "") -> None:
    """Write a part of a page as a picture, with a selected dot of the map if `dot` is a part of its name."""
    page.goto(Path(source).resolve().as_uri())
    page.wait_for_timeout(2_000)  # until charts and map are drawn
    if dot:
        page.get_by_placeholder("Search clips").fill(dot)
        page.keyboard.press("Enter")
        page.get_by_placeholder("Search clips").fill("")
        page.get_by_text("All clips").first.click()  # away from the field
        page.wait_for_timeout(500)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, clip={"x": 40, "y": top, "width": 1_060, "height": height}, full_page=True)
    assert path.stat().st_size < MAX_BYTES, f"{path} has {path.stat().st_size} bytes"


def main(map_page: str, score_page: str) -> None:
    """Write both pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1_140, "height": 900})
        write(page, map_page, "map", 380, 900, "Beyond_The_Indus")
        write(page, score_page, "report", 0, 1_150)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
