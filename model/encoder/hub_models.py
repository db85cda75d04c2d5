"""Download of models from the Hugging Face hub. Only a configuration and weights are requested, and no code is run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from model import shipped
from model.encoder.hub import CONFIG
from model.encoder.known_models import KNOWN_MODELS
from model.encoder.published_folder import WEIGHT_FILES
from stores import locations
from stores.errors import MissingArtifact
from stores.locations import FoundCheckpoint

_ID = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(@(?P<revision>[\w./-]{1,100}))?")
_FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def find_checkpoint(word: str | None, option: str = "--checkpoint") -> FoundCheckpoint:
    """Return the checkpoint that a command line means. All commands follow this rule, and none of them prompts.

    A word is an existing path, or else the name of a finished run, or else that of a known model, or else OWNER/NAME
    or OWNER/NAME@REVISION on the hub. Without a word, the only finished run is meant, or the encoder that ships with
    this package if no run is finished.

    Args:
        word: the value of the option, or None if it was not stated.
        option: the option that names a checkpoint, for error messages.

    Raises:
        MissingArtifact: nothing has this path or name, the model cannot be downloaded, or no run is finished.
        InvalidInput: no word was stated, and several runs are finished. The message lists them.
    """
    try:
        return locations.find_checkpoint(word, option)
    except MissingArtifact as missing:
        if word in (None, shipped.NAME) and shipped.FOLDER.is_dir():
            return FoundCheckpoint(shipped.FOLDER, f"{shipped.NAME}, which ships with this package")
        known = None if word is None else parse_id(word)
        if known is None:
            hint = f"; published models are {', '.join(KNOWN_MODELS)}, and OWNER/NAME on the Hugging Face hub"
            raise MissingArtifact(f"{missing}{hint if word is not None else ''}") from missing
    repository, revision = known
    folder = download(repository, revision)
    reason = f"{repository} on the Hugging Face hub" + (f", revision {revision}" if revision else "")
    return FoundCheckpoint(folder, reason)


def parse_id(word: str) -> tuple[str, str | None] | None:
    """Return the repository and the revision that a word means, or None if it cannot be a model of the hub.

    The name of a known model can have a revision too, as in `myna-hybrid@main`.
    """
    name, _, revision = word.partition("@")
    if name in KNOWN_MODELS:
        return KNOWN_MODELS[name].repository, revision or None
    match = _ID.fullmatch(word)
    if match is None or match["repository"].lower().endswith(_FILE_SUFFIXES) or ".." in word:
        return None
    return match["repository"], match["revision"]


def download(
    repository: str,
    revision: str | None = None,
    *,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Path:
    """Return the folder of a model in the hub's cache, to which its configuration and its weights are downloaded.

    Args:
        repository: `OWNER/NAME`.
        revision: branch, tag or commit (default: the main branch).
        cache_dir: folder of the cache (default: that of the hub's library, see `HF_HOME`).
        force_download: download files again that are in the cache.
        local_files_only: use only the cache, as the variable `HF_HUB_OFFLINE=1` does.
        token: access token for private and gated models.

    Raises:
        MissingArtifact: the model does not exist, is gated, has no weights, or cannot be reached. The error says which.
    """

    def fetch(name: str) -> Path:
        """Return a file of the model, which is downloaded if it is not in the cache."""
        path = hf_hub_download(
            repository,
            name,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
        return Path(path)

    try:
        folder = fetch(CONFIG).parent
        _fetch_weights(fetch, repository)
        return folder
    except MissingArtifact:
        raise
    except Exception as error:  # those of the HTTP client too, whose package differs between versions of the library
        raise MissingArtifact(_explain(error, repository, revision)) from error


def _fetch_weights(fetch: Callable[[str], Path], repository: str) -> None:
    for name in WEIGHT_FILES:
        try:
            fetch(name)
        except LocalEntryNotFoundError:
            if name == WEIGHT_FILES[-1]:
                raise
        except EntryNotFoundError:
            continue
        else:
            return
    raise MissingArtifact(
        f"{repository} has no weights that can be read: {' or '.join(WEIGHT_FILES)} is needed; Myna never "
        "runs code of a repository, so it cannot read a model that needs such code"
    )


def _explain(error: Exception, repository: str, revision: str | None) -> str:
    """Return what went wrong with a download and what to do. The order matters, because classes are derived."""
    if isinstance(error, GatedRepoError):
        return f"{repository} is gated: ask for access on its page on the hub, then run `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has no model {repository}, or it is private; check the spelling, or run `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return f"{repository} has no revision {revision}; use a branch, a tag or a commit that its page shows"
    if isinstance(error, LocalEntryNotFoundError):
        offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub cannot be reached"
        return (
            f"{repository} is not complete in the cache, and {offline}; run `hf download {repository}` where there is "
            "a network, or pass the path of a folder"
        )
    if isinstance(error, EntryNotFoundError):
        return f"{repository} has no {CONFIG}, so it holds no model that can be read"
    first_line = (str(error).splitlines() or [""])[0][:200]
    return f"{repository} cannot be downloaded, so try again later ({type(error).__name__}: {first_line})"
