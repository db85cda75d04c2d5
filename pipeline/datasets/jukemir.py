"""The split metadata of JukeMIR (Castellon, Donahue and Liang 2021): the files, and the entries after validation.

Each file is a gzipped JSON object, uid -> {split, y, extra, clip}. The files come from a folder of the user, or are
downloaded once from the authors' public repository (MIT license) by pooch. In both cases their SHA-256 must be the
published one.

pooch is used because it does exactly this. A file gets its name in the cache folder of the operating system only after
its digest was checked. pooch depends on requests, packaging and platformdirs, all pure Python, and imports requests
only to download.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pooch

from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.json_codec import parse_json

COMMIT = "241555645682d18fb909775c54014edfc3a03163"
URL = f"https://raw.githubusercontent.com/p-lambda/jukemir/{COMMIT}/metadata/"
SHA256 = {
    "gtzan_ff": "e67631b455d25bd2be033c4f082bad124fe21153573df2f2d4910abaa9c5e872",
    "giantsteps_clips": "16d864c3a32f0c6e2547780c11bd70672045b48df57315cfa1ae6ccda1da5aab",
    "magnatagatune": "9bab4d673c60a41ae75ed0f10a743d7a475d760c9d35b30c7b90e6a8c09501e0",
    "emomusic": "4a3e5e1fb94f7f08d4dc8fb14ca323596ac0d4a1ce503d595102f50165966fa0",
}
MAX_BYTES = 64 * 2**20
"""Maximum size of a file, compressed and decompressed. The largest of the four decompresses to 27.5 MB."""
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class SplitEntry:
    """The metadata of one clip. Its methods read a field and check the type of the value."""

    file: str
    """Path of the metadata file, for messages."""
    uid: str
    """Name of the clip in the metadata."""
    split: str
    """`train`, `valid` or `test`. Empty if the split does not use the clip."""
    fields: Mapping[str, object]
    """Unchecked values of `y`, `extra` and, if a recording has several clips, `clip`."""

    def text(self, *keys: str) -> str:
        """Return the string at these nested keys.

        Raises:
            CorruptArtifact: if the value is not a string.
        """
        value = self._at(*keys)
        return value if isinstance(value, str) else self._raise_type(keys, "a string", value)

    def texts(self, *keys: str) -> tuple[str, ...]:
        """Return the strings of the list at these nested keys.

        Raises:
            CorruptArtifact: if the value is not a list of strings.
        """
        value = self._at(*keys)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._raise_type(keys, "a list of strings", value)
        return tuple(value)

    def number(self, *keys: str) -> float:
        """Return the number at these nested keys.

        Raises:
            CorruptArtifact: if the value is not a finite number.
        """
        value = self._at(*keys)
        return number if (number := _finite(value)) is not None else self._raise_type(keys, "a finite number", value)

    def numbers(self, *keys: str) -> tuple[float, ...]:
        """Return the numbers of the list at these nested keys.

        Raises:
            CorruptArtifact: if the value is not a list of finite numbers.
        """
        value = self._at(*keys)
        numbers = [_finite(item) for item in value] if isinstance(value, list) else [None]
        finite = tuple(number for number in numbers if number is not None)
        return finite if len(finite) == len(numbers) else self._raise_type(keys, "a list of finite numbers", value)

    def raise_corrupt(self, problem: str) -> NoReturn:
        """Raise a `CorruptArtifact` that names the file, the clip and the problem."""
        raise CorruptArtifact(f"{self.file}: clip {self.uid!r}: {problem}")

    def _at(self, *keys: str) -> object:
        value: object = self.fields
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _raise_type(self, keys: tuple[str, ...], expected: str, value: object) -> NoReturn:
        self.raise_corrupt(f"{'.'.join(keys)} is {str(value)[:60]!r}, not {expected}")


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer of 400 digits
        return None


def entries(name: str, splits: Path | None = None) -> list[SplitEntry]:
    """Return the clips of the metadata file `name`, sorted by uid.

    Args:
        name: one of `SHA256`.
        splits: folder that holds `<name>.json.gz` (default: the file is downloaded once and kept in the cache).

    Raises:
        MissingArtifact: if the file is missing or cannot be downloaded. The message says how to get it manually.
        InvalidInput: if the file in `splits` is not the published one.
        CorruptArtifact: if the content is not valid split metadata.
    """
    content, file = _read_local(name, splits) if splits else _download(name)
    return _check_entries(_parse_object(_decompress(content, file), file), file)


def _read_local(name: str, folder: Path) -> tuple[bytes, str]:
    path = folder / f"{name}.json.gz"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES)
    except OSError as error:
        raise MissingArtifact(
            f"no {path.name} in the --splits folder {folder} ({error.strerror}). {_manual_download(name)}"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise InvalidInput(
            f"{path} is not the published split: its SHA-256 is {digest}, expected {SHA256[name]}. Scores on another "
            f"split cannot be compared with published scores. {_manual_download(name)}"
        )
    return content, str(path)


def _download(name: str) -> tuple[bytes, str]:
    folder = pooch.os_cache("myna") / "jukemir"
    try:
        path = pooch.retrieve(URL + f"{name}.json.gz", f"sha256:{SHA256[name]}", f"{name}.json.gz", folder)
        return Path(path).read_bytes(), path
    except (OSError, ValueError) as error:  # errors of requests are OSErrors; a wrong digest is a ValueError
        raise MissingArtifact(
            f"the split {name!r} could not be downloaded ({type(error).__name__}: {str(error)[:400]}). "
            f"{_manual_download(name)}"
        ) from error


def _manual_download(name: str) -> str:
    return f"Download {URL}{name}.json.gz, put it into a folder without unpacking it, and use --splits with this folder"


def _decompress(content: bytes, file: str) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            decompressed = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptArtifact(f"{file} is not a complete gzip file ({error}); download it again") from error
    if len(decompressed) > MAX_BYTES:
        raise CorruptArtifact(
            f"{file} decompresses to more than {MAX_BYTES:,} bytes, which is larger than any published split; download "
            f"it again"
        )
    return decompressed


def _parse_object(content: bytes, file: str) -> Mapping[str, object]:
    try:
        parsed = parse_json(content)
    except (ValueError, RecursionError) as error:
        raise CorruptArtifact(f"{file} is not JSON ({error}); download it again") from error
    if not isinstance(parsed, dict) or not parsed:
        raise CorruptArtifact(f"{file} is not a JSON object of clips by uid; download it again")
    return parsed


def _check_entries(clips: Mapping[str, object], file: str) -> list[SplitEntry]:
    entries = []
    for uid, fields in sorted(clips.items()):
        split = fields.get("split", "absent") if isinstance(fields, dict) else "absent"
        if not isinstance(fields, dict) or not uid or (split is not None and split not in SPLITS):
            raise CorruptArtifact(
                f"{file}: clip {uid!r} has split {split!r}; the uid must not be empty and the split must be one of "
                f"{SPLITS} or null"
            )
        entries.append(SplitEntry(file, uid, split or "", fields))
    return entries
