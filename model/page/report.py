"""The work of `python -m model.report`: a run and its scores become `reports/NAME.html` and the files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from model.page import (
    calibration,
    classes,
    collection,
    confidence_intervals,
    document,
    exports,
    label_efficiency,
    layers,
    objectives,
    overview,
    paper_table,
    provenance,
    quoted,
    run_results,
    sweeps,
    training,
    verdict,
)
from model.page.config import ReportSettings
from model.page.document import Section
from model.page.map.section import EmbeddingMap
from model.page.quoted import Quote
from model.page.run_results import RunResults
from model.similarity.collection import Collection
from model.training.continuation import require_config_file
from stores import feature_labels, locations
from stores.commit import remove_temporary_files, write_bytes
from stores.errors import InvalidInput
from stores.json_output import print_json
from stores.mel_store import MelStore

MAX_MAIL_BYTES = 20_000_000
"""Size above which many mail servers reject a page."""


def report(settings: ReportSettings) -> None:
    """Write the page and the files beside it, and print its path and size.

    Raises:
        InvalidInput: a setting cannot be used, or a quoted column cannot exist.
        MissingArtifact: the run, its scores or a requested mel store do not exist.
        CorruptArtifact, DigestMismatch: something of the run cannot be read, or does not belong together.
    """
    if settings.features is not None:
        _report_collection(settings, settings.features)
        return
    run = settings.run or locations.only_finished_run()
    print(f"run: {run}")
    require_config_file(locations.run(run))
    locations.report(settings.name or run)  # an invalid name is rejected before the work
    user_quotes = quoted.read(settings.quoted) if settings.quoted else ()
    results = run_results.gather(run, settings.datasets)
    not_shown = paper_table.not_shown(user_quotes, results.scores, str(settings.quoted))
    quotes = _merge_quotes(quoted.packaged(), user_quotes)
    path = locations.report(settings.name or (f"{results.datasets[0]}-{run}" if len(results.datasets) == 1 else run))
    for folder in (path.parent, path.with_suffix(".figures")):  # what a killed report has left
        remove_temporary_files(folder, recursive=False, spares_running=True)
    embedding_map = _map(results, settings.map, settings.audio, settings.store)
    sections = _sections(results, quotes, embedding_map)
    page = document.page(f"Myna: {run}", overview.lead(results), sections, verdict.of_run(results)).encode()
    write_bytes(path, page)
    exports.write(path, results, quotes, _charts(sections, embedding_map))
    _print_summary(path, len(page), settings.quoted, not_shown)
    _print_json(settings, path, len(page))


def _report_collection(settings: ReportSettings, features: Path) -> None:
    """Write the page of a collection without a run."""
    name = locations.validate_name(settings.name or collection.default_name(features))
    path = locations.report(name)
    remove_temporary_files(path.parent, recursive=False, spares_running=True)
    page = collection.CollectionPage.build(name, Collection.open(str(features)), settings.audio)
    content = page.html().encode()
    write_bytes(path, content)
    print(page.verdict().sentence)
    _print_summary(path, len(content), None, ())
    _print_json(settings, path, len(content))


def _merge_quotes(packaged: Sequence[Quote], user_quotes: Sequence[Quote]) -> list[Quote]:
    """Return all quotes. A quote of the user replaces one of the package."""
    return list({(quote.row, quote.column): quote for quote in (*packaged, *user_quotes)}.values())


def _map(results: RunResults, dataset: str | None, audio_clips: int, store: str | None) -> EmbeddingMap | None:
    """Return the map of a dataset. If it was not requested and the mel store is missing, say so and return None."""
    if not results.datasets and not (dataset or audio_clips or store):
        return None
    name = dataset or next(iter(results.datasets), "")
    if name not in results.features:
        raise InvalidInput(f"--map must be a dataset of the page: {', '.join(results.datasets)} (got {name!r})")
    features, usual = results.features[name], locations.mel_store(name)
    recorded = features.mel_store if features.mel_store and features.mel_store.exists() else usual
    path = locations.store_path(store) if store else recorded
    if not path.exists() and not (dataset or audio_clips or store):
        print(f"  no map: there is no mel store at {path}")
        return None
    # One thread: several would wait for each other on a busy machine, and their number would change the layout.
    with threadpool_limits(1):
        mel_store = MelStore.open(path)
        labeled = feature_labels.join(features, mel_store, locations.feature_store(name, results.run))
        return EmbeddingMap.build(labeled, mel_store, audio_clips)


def _charts(sections: Sequence[Section], embedding_map: EmbeddingMap | None) -> dict[str, Mapping[str, Any]]:
    """Return all charts of the sections by id, and the figures of the map."""
    charts = {name: spec for section in sections for name, spec in section.charts.items()}
    figures = embedding_map.figures().values() if embedding_map else ()
    return charts | {f"map-{index}": spec for index, spec in enumerate(figures)}


def _sections(results: RunResults, quotes: Sequence[Quote], embedding_map: EmbeddingMap | None) -> list[Section]:
    """Return the sections in the order of the page, without those that have nothing to show."""
    sections = [
        embedding_map.section("Map") if embedding_map else None,
        *(_score_sections(results, quotes) if results.scores else ()),
        training.section(results) if results.config else None,
        sweeps.section(results.sweeps, results.run) if results.sweeps else None,
        objectives.section(results),
        classes.section(results.scores),
        label_efficiency.section(results.scores),
        calibration.section(results.scores),
        layers.section(results.layers),
        provenance.section(results),
    ]
    return [section for section in sections if section is not None]


def _score_sections(results: RunResults, quotes: Sequence[Quote]) -> tuple[Section, ...]:
    """Return the sections that need scores."""
    return (
        overview.section(results),
        paper_table.section(results.run, results.scores, quotes),
        confidence_intervals.section(results.scores),
    )


def _print_json(settings: ReportSettings, path: Path, size: int) -> None:
    if settings.json:
        print_json({"page": str(path), "bytes": size})


def _print_summary(path: Path, size: int, quoted_path: Path | None, not_shown: Sequence[Quote]) -> None:
    print(f"report: {path} ({size / 1e6:.1f} MB)")
    if not_shown:
        columns = ", ".join(f"{quote.column} (line {quote.line})" for quote in not_shown)
        print(f"  quoted in {quoted_path}, but not on this page: {columns}")
    if size > MAX_MAIL_BYTES:
        limit = f"{MAX_MAIL_BYTES / 1e6:.0f} MB"
        print(f"  larger than {limit}, which many mail servers reject; give fewer clips to --audio, or none")
