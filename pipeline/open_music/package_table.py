"""The table of packages: version, digest, license, and which of their files are music.

packages.csv beside this file has one row for each package of Debian 12. `role` says what a package may be used for:

    train    training, and nothing else
    choice   choices between encoders, and the training of an encoder once the choices are made
    judge    the judgment of a finished encoder, and never training or choices
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import resources
from typing import Literal, get_args

from stores.errors import InvalidInput

Role = Literal["train", "choice", "judge"]
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]+")


@dataclass(frozen=True)
class Package:
    """A package with recordings.

    Raises:
        InvalidInput: a value is not of its form.
    """

    name: str
    """Name of the package, which is also the name of its album."""
    version: str
    """Version of the package."""
    sha256: str
    """SHA-256 of the `.deb` file, hex."""
    role: Role
    """Purpose that the package may be used for."""
    license: str
    """Licenses of the recordings, as the package's copyright file states them."""
    music: str
    """Regular expression that is found in the path of every recording and in that of no sound effect. A member of an
    archive has the path of the archive, `/` and its name."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not _SHA256.fullmatch(self.sha256):
            raise InvalidInput(f"package {self.name!r} needs a Debian name and a SHA-256 in hex (got {self.sha256!r})")
        if self.role not in get_args(Role) or not (self.version and self.license and self.music):
            raise InvalidInput(f"package {self.name!r} needs a version, a role, a license and an expression for music")


def packages(role: Role | None = None) -> list[Package]:
    """Return the packages in the order of the table.

    Args:
        role: role of the packages (default: all).
    """
    return [package for package in _read() if role in (None, package.role)]


def _read() -> Iterator[Package]:
    text = (resources.files("pipeline.open_music") / "packages.csv").read_text("utf-8")
    names = [field.name for field in fields(Package)]
    for row in csv.DictReader(text.splitlines()):
        yield Package(**{name: row[name] for name in names})  # type: ignore[arg-type]  # the class checks the role
