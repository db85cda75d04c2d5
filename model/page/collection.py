"""The page of a collection of recordings, without a run: map, scores of labels, near-duplicates, and commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from threadpoolctl import threadpool_limits

from model.inference.baselines import mean_log_mel
from model.page import document, formats, verdict
from model.page.document import Section
from model.page.elements import PageRow, PageTable
from model.page.map.coloring import MAX_CLASSES
from model.page.map.section import EmbeddingMap
from model.page.verdict import SPECTROGRAM, Verdict
from model.probes.label_scores import LabelScore, label_tasks, score
from model.similarity import duplicates
from model.similarity.collection import Collection, album_of
from model.similarity.duplicates import DuplicatePair, clip_means
from model.similarity.fingerprints import MIN_AGREEMENT
from stores.errors import InvalidInput
from stores.features import FeatureStore
from stores.labels import count_noun
from stores.manifest import ClipRow
from stores.mel_store import MelStore

FOLDER = "folder"
"""Label that the page adds if there are no labels: the folder of each recording."""
MAX_SHOWN_PAIRS = 200


@dataclass(frozen=True)
class CollectionPage:
    """Everything that the page shows."""

    name: str
    """Name of the collection."""
    collection: Collection
    """Embeddings and mel store."""
    embedding_map: EmbeddingMap
    """Map of all recordings in one panel."""
    scores: Sequence[LabelScore]
    """Scores of the labels."""
    unscored: Mapping[str, str]
    """Why other labels have no score."""
    pairs: Sequence[DuplicatePair]
    """Near-duplicates."""

    @classmethod
    def build(cls, name: str, collection: Collection, audio_clips: int) -> CollectionPage:
        """Lay out the map, score the labels, and compare recordings.

        Args:
            name: name of the collection.
            collection: embeddings with their mel store.
            audio_clips: number of clips with sound.

        Raises:
            InvalidInput: the mel store of the embeddings is not known.
        """
        store = collection.store
        if store is None:
            raise InvalidInput(
                f"{collection.path} does not record a mel store that is there; extract the features again"
            )
        with threadpool_limits(1):  # as many threads as on any machine, so that the layout is the same
            embedding_map = EmbeddingMap.build(_in_one_panel(collection.features), store, audio_clips)
        scores, unscored = _scores(collection, store)
        pairs = duplicates.find(collection.features, store)
        return cls(name, collection, embedding_map, scores, unscored, pairs)

    def html(self) -> str:
        """Return the whole page."""
        sections = [self.embedding_map.section("Map"), self._labels(), self._duplicates(), self._provenance()]
        shown = [section for section in sections if section is not None]
        return document.page(f"Myna: {self.name}", self._lead(), shown, self.verdict())

    def verdict(self) -> Verdict:
        """Return the verdict and the next step."""
        has_labels = any(row.labels for row in self.collection.clips)
        folder = shlex.quote(str(self.collection.root or "FOLDER"))
        return verdict.of_collection(self.name, folder, len(self.collection.clips), self.scores, has_labels)

    def _lead(self) -> str:
        clips, store = self.collection.clips, self.collection.store
        assert store is not None
        hours = sum(store.spec.seconds_for(row.frames) for row in clips) / 3600
        albums = len({album_of(row) for row in clips})
        pairs = f", {count_noun(len(self.pairs), 'pair')} of near-duplicates" if self.pairs else ""
        where = f" in {count_noun(albums, 'folder')}" if 1 < albums < len(clips) else ""
        return (
            f"{count_noun(len(clips), 'recording')}{where}, {hours:.1f} h{pairs}. Encoder: {_encoder(self.collection)}."
        )

    def _labels(self) -> Section | None:
        if not self.scores and not self.unscored:
            return None
        content = {
            "sentences": [verdict.label_sentence(one) for one in self.scores],
            "table": _label_table(self.scores) if self.scores else None,
            "methods": [_method(one) for one in self.scores],
            "unscored": [f"{name} is not scored, because it {reason}." for name, reason in self.unscored.items()],
        }
        return Section("Labels", "labels", content)

    def _duplicates(self) -> Section:
        rows = [
            PageRow(
                (pair.second.id, pair.first.id, *_place(pair), formats.number(pair.agreement, 2)),
            )
            for pair in self.pairs[:MAX_SHOWN_PAIRS]
        ]
        head = ["recording", "same as", "begins at", "same for", "agreement"]
        content = {
            "table": PageTable(head, rows, "Pairs of near-duplicates", of_words=True) if rows else None,
            "threshold": formats.number(MIN_AGREEMENT, 1),
            "more": max(0, len(self.pairs) - MAX_SHOWN_PAIRS),
            "command": f"python -m model.search {shlex.quote(str(self.collection.path))} --duplicates",
        }
        return Section("Near-duplicates", "duplicates", content)

    def _provenance(self) -> Section:
        path, store = shlex.quote(str(self.collection.path)), self.collection.store
        assert store is not None
        provenance = self.collection.features.provenance
        properties = {
            "audio": str(store.attributes["root"]),
            "mel store": str(store.path),
            "embeddings": f"{self.collection.path}, digest {self.collection.digest}",
            "encoder": f"{_encoder(self.collection)}, weights {provenance.get('weights', 'unknown')}",
            "windows": f"{len(self.collection.features.rows):,}",
        }
        first = shlex.quote(self.collection.clips[0].id)
        commands = [f"python -m model.search {path} {first}", f"python -m model.report --features {path}"]
        return Section("How this page was made", "collection", {"properties": properties, "commands": commands})


def _in_one_panel(features: FeatureStore) -> FeatureStore:
    """Return the features without splits, and with the folder of each recording as a label if there are no labels."""
    folders = {row.id: _folder(row) for row in features.clips}
    has_labels = any(row.labels for row in features.clips)
    adds_folder = 1 < len(set(folders.values())) <= MAX_CLASSES and not has_labels
    described: dict[str, ClipRow] = {}
    for row in features.clips:
        labels = {**row.labels, **({FOLDER: folders[row.id]} if adds_folder and FOLDER not in row.labels else {})}
        described[row.id] = replace(row, split="", labels=labels)
    return replace(features, rows=[described[row.id] for row in features.rows])


def _folder(row: ClipRow) -> str:
    folder = str(PurePosixPath(row.id).parent)
    return "(no folder)" if folder == "." else folder


def _scores(collection: Collection, store: MelStore) -> tuple[list[LabelScore], dict[str, str]]:
    clips = collection.clips
    tasks, reasons = label_tasks(clips, [row.group or row.id for row in clips])
    if not tasks:
        return [], reasons
    features = {
        _encoder(collection): clip_means(collection.features),
        SPECTROGRAM: mean_log_mel(store, clips),
    }
    return [score(task, features) for task in tasks], reasons


def _label_table(scores: Sequence[LabelScore]) -> PageTable:
    encoder = next(iter(scores[0].accuracy))
    head = ["label", "recordings", encoder, "95 % interval", "average spectrogram", "most frequent"]
    rows = [
        PageRow(
            (
                one.task.name,
                str(one.tested_clips),
                formats.number(one.accuracy[encoder][0]),
                formats.interval(one.accuracy[encoder][1].low, one.accuracy[encoder][1].high),
                formats.number(one.accuracy[SPECTROGRAM][0]),
                f"{formats.number(one.majority)} ({one.majority_class})",
            )
        )
        for one in scores
    ]
    return PageTable(head, rows, "Share of recordings whose label is recognized, higher is better")


def _method(one: LabelScore) -> str:
    """Return in words how a label was scored, and which classes were left out."""
    tested = one.tested_clips
    how = (
        f"each of {tested} recordings is predicted from the recordings of other groups, in {len(one.task.tested)} folds"
        if one.task.is_cross_validated
        else f"{tested} recordings of the split test are predicted from all others"
    )
    left_out = ", ".join(f"{name} ({count})" for name, count in one.task.left_out.items())
    return f"{one.task.name}: {how}" + (
        f". Left out, with too few recordings or groups: {left_out}." if left_out else "."
    )


def _place(pair: DuplicatePair) -> tuple[str, str]:
    offset = pair.offset_seconds
    begins = "the same place" if abs(offset) < 0.5 else f"{abs(offset):.0f} s {'later' if offset > 0 else 'earlier'}"
    return begins, f"{pair.overlap_seconds:.0f} s"


def _encoder(collection: Collection) -> str:
    return str(collection.features.provenance.get("representation", collection.path.stem)).removesuffix("-windows")


def default_name(path: Path) -> str:
    """Return the name of the page of the embeddings at `path`, which file names may contain."""
    return path.name.removesuffix(".zarr").removesuffix(".features").replace(".", "-").replace("-windows", "")
