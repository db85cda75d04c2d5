"""The work of `python -m model.search`: open the embeddings, resolve the query, search, and print the results."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from model.similarity import ann_index, duplicates, neighbors, playlists, query
from model.similarity.ann_index import AnnIndex
from model.similarity.collection import Collection
from model.similarity.config import SearchSettings
from model.similarity.duplicates import DuplicatePair
from model.similarity.fingerprints import MIN_AGREEMENT
from model.similarity.neighbors import Match
from model.similarity.text_query import resolve_text
from stores.errors import InvalidInput
from stores.json_output import print_json
from stores.labels import count_noun


def search(settings: SearchSettings) -> None:
    """Search, and print a table or a JSON object.

    Raises:
        MynaError: the embeddings, the query or the index cannot be used.
    """
    if settings.text is not None or settings.text_embedding is not None or settings.is_sentence:
        collection, wanted = resolve_text(settings)
        matches = neighbors.nearest(collection, wanted, settings.count)
        _print_matches(collection, matches, f"nearest to {wanted.name}", settings)
        return
    collection = Collection.open(settings.embeddings)
    if settings.index:
        _build_index(collection, settings)
    elif settings.duplicates:
        _find_duplicates(collection, settings)
    else:
        _find_matches(collection, settings)


def _build_index(collection: Collection, settings: SearchSettings) -> None:
    start, folder = time.perf_counter(), ann_index.index_folder(collection.path)
    AnnIndex.build(folder, collection.vectors, collection.digest)
    seconds = time.perf_counter() - start
    size = sum(path.stat().st_size for path in folder.iterdir())
    if settings.json:
        print_json({"index": str(folder), "clips": len(collection.clips), "bytes": size, "seconds": round(seconds, 1)})
    else:
        print(f"{folder}: {count_noun(len(collection.clips), 'clip')}, {size / 1e6:.1f} MB, {seconds:.1f} s")


def _find_duplicates(collection: Collection, settings: SearchSettings) -> None:
    if collection.store is None:
        raise InvalidInput(
            f"--duplicates compares mels, and {collection.path} does not record a mel store that is there; use the "
            "features of an ingested folder"
        )
    pairs = duplicates.find(collection.features, collection.store)
    if settings.playlist is not None:
        twins = [Match(pair.second, pair.agreement) for pair in pairs]
        _write_playlist(settings, collection, twins)
    if settings.json:
        print_json({"threshold": MIN_AGREEMENT, "pairs": [_pair_values(pair) for pair in pairs]})
        return
    print(f"{collection.path}: {count_noun(len(pairs), 'pair')} of near-duplicates among {len(collection.clips)} clips")
    for pair in pairs:
        print(f"  {pair.agreement:.2f}  {pair.second.id}\n        {describe_offset(pair)} {pair.first.id}")


def describe_offset(pair: DuplicatePair) -> str:
    """Return in words where the second clip of a pair lies in the first."""
    length = f"{pair.overlap_seconds:.0f} s"
    if abs(pair.offset_seconds) < 0.5:
        return f"is the same for {length} as"
    if pair.offset_seconds > 0:
        return f"is the same for {length} as, from {pair.offset_seconds:.0f} s on,"
    return f"is, from {-pair.offset_seconds:.0f} s on, the same for {length} as"


def _pair_values(pair: DuplicatePair) -> dict[str, Any]:
    return {
        "first": pair.first.id,
        "second": pair.second.id,
        "agreement": round(pair.agreement, 4),
        "offset_seconds": round(pair.offset_seconds, 2),
        "overlap_seconds": round(pair.overlap_seconds, 2),
    }


def _find_matches(collection: Collection, settings: SearchSettings) -> None:
    if settings.between is not None:
        ends = [query.resolve(collection, word, None, settings.checkpoint) for word in settings.between]
        matches = neighbors.between(collection, ends[0], ends[1], settings.count)
        title = f"from {ends[0].name} to {ends[1].name}"
    else:
        wanted = query.resolve(collection, settings.query[0], settings.at, settings.checkpoint)
        index = ann_index.open_index(collection)
        matches = neighbors.nearest(collection, wanted, settings.count, settings.exclude_same_album, index)
        title = f"nearest to {wanted.name}" + (f" at {settings.at}" if settings.at else "")
    _print_matches(collection, matches, title, settings)


def _print_matches(collection: Collection, matches: Sequence[Match], title: str, settings: SearchSettings) -> None:
    if settings.playlist is not None:
        _write_playlist(settings, collection, matches)
    if settings.json:
        print_json({"query": title, "matches": [match.to_dict(collection) for match in matches]})
    else:
        print("\n".join([f"{title}, by cosine:", *_lines(matches)]))


def _lines(matches: Sequence[Match]) -> list[str]:
    return [f"  {match.cosine:.3f}  {_moment(match.start_seconds)}{match.clip.id}" for match in matches]


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}  "


def _write_playlist(settings: SearchSettings, collection: Collection, matches: Sequence[Match]) -> None:
    assert settings.playlist is not None
    count = playlists.write(settings.playlist, collection, matches)
    left_out = f"; {len(matches) - count} without a file of their own left out" if count < len(matches) else ""
    print(f"{settings.playlist}: {count_noun(count, 'track')}{left_out}", file=sys.stderr)
