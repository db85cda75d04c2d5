"""Hooks of mkdocs: pages from the files of the repository's root and from the notebook, and links between them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
"""Pages of the site by file of the repository's root."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files of docs/, and leave this file out."""
    for file in [file for file in files if file.src_uri.endswith((".py", ".ipynb"))]:
        files.remove(file)
    for name, uri in ROOT_PAGES.items():
        files.append(File.generated(config, uri, content=_from_root((ROOT / name).read_text())))
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())
    files.append(File.generated(config, "notebook.md", content=_as_markdown(notebook)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let links of docs/ to files of the root lead to their pages, and name files that have no page."""
    for name, uri in ROOT_PAGES.items():
        markdown = markdown.replace(f"](../{name}", f"]({uri}")
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"`\1`", markdown)


def _from_root(markdown: str) -> str:
    """Return a page of the root with links as they are inside docs/."""
    markdown = markdown.replace("](docs/", "](")
    for name, uri in ROOT_PAGES.items():
        markdown = markdown.replace(f"]({name}", f"]({uri}")
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#|[\w/.-]+\.(?:md|png))[^)]+\)", r"`\1`", markdown)


def _as_markdown(notebook: dict[str, Any]) -> str:
    """Return the cells of a notebook as a page."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells)
