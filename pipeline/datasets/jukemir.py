"""The split metadata of JukeMIR (Castellon, Donahue and Liang 2021), from the file to checked entries.

Each file is one gzipped JSON object, uid -> {split, y, extra, clip}. The files come from a folder that is given or,
with pooch, once from the authors' public repository (MIT licence); either way their digests must be the published ones.

Why pooch: it does just this. A file gets its name in the operating system's cache folder only after its digest was
checked; it brings requests, packaging and platformdirs, all pure Python, and imports requests only to download.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pooch

from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

COMMIT = "241555645682d18fb909775c54014edfc3a03163"
URL = f"https://raw.githubusercontent.com/p-lambda/jukemir/{COMMIT}/metadata/"
SHA256 = {
    "gtzan_ff": "e67631b455d25bd2be033c4f082bad124fe21153573df2f2d4910abaa9c5e872",
    "giantsteps_clips": "16d864c3a32f0c6e2547780c11bd70672045b48df57315cfa1ae6ccda1da5aab",
    "magnatagatune": "9bab4d673c60a41ae75ed0f10a743d7a475d760c9d35b30c7b90e6a8c09501e0",
    "emomusic": "4a3e5e1fb94f7f08d4dc8fb14ca323596ac0d4a1ce503d595102f50165966fa0",
}
LARGEST_BYTES = 64 * 2**20
"""Refused above this, compressed or not; the largest of the four unpacks to 27.5 MB."""
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class SplitEntry:
    """What the metadata says of one clip; the methods read a field and check what it is."""

    file: str
    """Where it stands, for messages."""
    uid: str
    """The clip's name in the metadata."""
    split: str
    """`train`, `valid` or `test`; empty where the split does not use the clip."""
    fields: Mapping[str, object]
    """`y`, `extra` and, where there are several clips of a recording, `clip`; as read, not yet checked."""

    def text(self, *keys: str) -> str:
        """The string at these keys.

        Raises:
            CorruptArtifact: if there is none.
        """
        found = self._at(*keys)
        return found if isinstance(found, str) else self._refuse(keys, "a string", found)

    def texts(self, *keys: str) -> tuple[str, ...]:
        """The strings in the list at these keys.

        Raises:
            CorruptArtifact: if there is no list, or something else in it.
        """
        found = self._at(*keys)
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            self._refuse(keys, "a list of strings", found)
        return tuple(found)

    def number(self, *keys: str) -> float:
        """The number at these keys.

        Raises:
            CorruptArtifact: if there is none.
        """
        found = self._at(*keys)
        return number if (number := _finite(found)) is not None else self._refuse(keys, "a finite number", found)

    def numbers(self, *keys: str) -> tuple[float, ...]:
        """The numbers in the list at these keys.

        Raises:
            CorruptArtifact: if there is no list, or something else in it.
        """
        found = self._at(*keys)
        numbers = [_finite(item) for item in found] if isinstance(found, list) else [None]
        finite = tuple(number for number in numbers if number is not None)
        return finite if len(finite) == len(numbers) else self._refuse(keys, "a list of finite numbers", found)

    def refuse(self, what: str) -> NoReturn:
        """Raise `CorruptArtifact` that names the file and the clip and says what is wrong with it."""
        raise CorruptArtifact(f"{self.file}: clip {self.uid!r}: {what}")

    def _at(self, *keys: str) -> object:
        found: object = self.fields
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def _refuse(self, keys: tuple[str, ...], needed: str, found: object) -> NoReturn:
        self.refuse(f"{'.'.join(keys)} is {str(found)[:60]!r}, not {needed}")


def _finite(found: object) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:  # an integer of 400 digits
        return None


def entries(name: str, splits: Path | None = None) -> list[SplitEntry]:
    """The clips of the metadata file `name`, sorted by uid.

    Args:
        name: one of `SHA256`.
        splits: folder that holds `<name>.json.gz`; without it the file is fetched once and kept in the cache.

    Raises:
        MissingArtifact: the file is not there, or could not be fetched; says how to get it by hand.
        InvalidInput: the file given is not the published one.
        CorruptArtifact: its content is not what the dataset needs.
    """
    content, where = _given(name, splits) if splits else _fetched(name)
    return _entries(_object(_unpacked(content, where), where), where)


def _given(name: str, folder: Path) -> tuple[bytes, str]:
    path = folder / f"{name}.json.gz"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES)
    except OSError as error:
        raise MissingArtifact(
            f"no {path.name} in {folder} ({error.strerror}); --splits names the folder that holds it. {_by_hand(name)}"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise InvalidInput(
            f"{path} is not the published split: its SHA-256 is {digest}, needed is {SHA256[name]}. Scores on another "
            f"split cannot be compared. {_by_hand(name)}"
        )
    return content, str(path)


def _fetched(name: str) -> tuple[bytes, str]:
    folder = pooch.os_cache("myna") / "jukemir"
    try:
        path = pooch.retrieve(URL + f"{name}.json.gz", f"sha256:{SHA256[name]}", f"{name}.json.gz", folder)
        return Path(path).read_bytes(), path
    except (OSError, ValueError) as error:  # errors of requests are OSErrors; a wrong digest is a ValueError
        raise MissingArtifact(
            f"the split {name!r} could not be fetched ({type(error).__name__}: {str(error)[:400]}). {_by_hand(name)}"
        ) from error


def _by_hand(name: str) -> str:
    return f"Get {URL}{name}.json.gz by hand, put it in a folder as it is, and give the folder with --splits"


def _unpacked(content: bytes, where: str) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(LARGEST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptArtifact(f"{where} is not a whole gzip file ({error}); get it again") from error
    if len(unpacked) > LARGEST_BYTES:
        raise CorruptArtifact(f"{where} unpacks to more than {LARGEST_BYTES:,} bytes, which no published split does")
    return unpacked


def _object(content: bytes, where: str) -> Mapping[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptArtifact(f"{where} is not JSON ({error}); get it again") from error
    if not isinstance(found, dict) or not found:
        raise CorruptArtifact(f"{where} holds no object of clips by uid; get it again")
    return found


def _entries(found: Mapping[str, object], where: str) -> list[SplitEntry]:
    entries = []
    for uid, fields in sorted(found.items()):
        split = fields.get("split", "absent") if isinstance(fields, dict) else "absent"
        if not isinstance(fields, dict) or not uid or (split is not None and split not in SPLITS):
            raise CorruptArtifact(f"{where}: clip {uid!r} has split {split!r}; needed is one of {SPLITS} or null")
        entries.append(SplitEntry(where, uid, split or "", fields))
    return entries
