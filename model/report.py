"""`python -m model.report`: a run and its scores become one self-contained page, `reports/NAME.html`.

Beside it lie the same charts as SVG and PNG (`NAME.figures/`) and the same numbers as JSON and CSV.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from model.page import (
    classes,
    confidence_intervals,
    document,
    exports,
    label_efficiency,
    objectives,
    overview,
    paper_table,
    provenance,
    quoted,
    run_results,
    sweeps,
    training,
)
from model.page.document import Section
from model.page.map import sound
from model.page.map.section import EmbeddingMap
from model.page.quoted import Quote
from model.page.run_results import RunResults
from stores import locations
from stores.commit import write_bytes
from stores.errors import InvalidInput, exit_status
from stores.mel_store import MelStore

MAILED_BYTES = 20_000_000
"""A page of more cannot be sent by many a mail server."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m model.report", description="A run and its scores become a page that stands by itself."
    )
    parser.add_argument("datasets", nargs="*", help="whose scores (all that the run has scores of)")
    parser.add_argument("--run", help="name of the run (default: the one that finished last)")
    parser.add_argument("--name", help="of the page (default: DATASET-RUN, or RUN for several data sets)")
    parser.add_argument("--map", metavar="DATASET", help="whose clips are on the map (the first with scores)")
    heard = f"clips on the map that can be heard, where their audio is at hand (none; {sound.CLIPS} without a number)"
    parser.add_argument("--audio", nargs="?", type=int, const=sound.CLIPS, default=0, metavar="CLIPS", help=heard)
    quotes = "CSV of published scores to show beside: row,column,value,source; see docs/report.md"
    parser.add_argument("--quoted", type=Path, metavar="FILE", help=quotes)
    options = parser.parse_args(arguments)
    return exit_status(lambda: _report(options))


def _report(options: argparse.Namespace) -> None:
    run = options.run or locations.latest_finished_encoder().parent.name
    locations.report(options.name or run)  # a name that cannot be used is refused before the work
    theirs = quoted.read(options.quoted) if options.quoted else ()
    found = run_results.gather(run, options.datasets)
    aside = paper_table.not_shown(theirs, found.scores, str(options.quoted))
    quotes = list({(one.row, one.column): one for one in (*quoted.own(), *theirs)}.values())  # the user's file wins
    usual = run if len(found.datasets) > 1 else f"{found.datasets[0]}-{run}"
    path = locations.report(options.name or usual)
    mapped = _map(found, options.map, options.audio)
    sections = _sections(found, quotes, mapped)
    page = document.page(f"Myna: {run}", overview.lead(found), sections).encode()
    write_bytes(path, page)
    figures = {f"map-{place}": spec for place, spec in enumerate(mapped.figures().values())} if mapped else {}
    exports.write(path, found, quotes, _charts_of(sections) | figures)
    print(f"report: {path} ({len(page) / 1e6:.1f} MB)")
    if aside:
        told = ", ".join(f"{one.column} (line {one.line})" for one in aside)
        print(f"  quoted in {options.quoted}, but not on this page: {told}")
    if len(page) > MAILED_BYTES:
        print(f"  more than {MAILED_BYTES / 1e6:.0f} MB: too much for most mail; give fewer clips to --audio, or none")


def _map(found: RunResults, dataset: str | None, audio_clips: int) -> EmbeddingMap | None:
    """The map of a data set; none, which is told, where nobody asked for it and the mel store is not there."""
    name = dataset or found.datasets[0]
    if name not in found.features:
        raise InvalidInput(f"--map {name}: the page is about {', '.join(found.datasets)}; choose one of these")
    if audio_clips < 0:
        raise InvalidInput(f"--audio {audio_clips}: clips that can be heard are counted from 0")
    path = locations.mel_store(name)
    if not path.exists() and not (dataset or audio_clips):
        print(f"  no map: there is no mel store at {path}")
        return None
    # one thread: others would wait for each other on a busy machine, and how many there are would move the dots
    with threadpool_limits(1):
        return EmbeddingMap.of(found.features[name], MelStore.open(path), audio_clips)


def _charts_of(sections: Sequence[Section]) -> dict[str, Mapping[str, Any]]:
    """All charts of some sections by their ids."""
    return {name: spec for section in sections for name, spec in section.charts.items()}


def _sections(found: RunResults, quotes: Sequence[Quote], mapped: EmbeddingMap | None) -> list[Section]:
    """In the order of the page; those that have nothing to tell are left out."""
    made = [
        overview.section(found),
        paper_table.section(found.run, found.scores, quotes),
        confidence_intervals.section(found.scores),
        mapped.section("Map") if mapped else None,
        training.section(found),
        sweeps.section(found.sweeps, found.run) if found.sweeps else None,
        objectives.section(found),
        classes.section(found.scores),
        label_efficiency.section(found.scores),
        provenance.section(found),
    ]
    return [one for one in made if one is not None]


if __name__ == "__main__":
    sys.exit(main())
