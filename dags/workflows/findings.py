"""The workflow of `python -m dags.findings`: two corpora, a run for each configuration and seed, and a page.

    stores/varied.zarr           clips for training, with instruments, soundfont, tempo, room and noise drawn by seed
    stores/varied-test.zarr      as many pieces as clips, in the keys they are written in, from another soundfont
    runs/findings-RUN-SEED/      an encoder
    OUT/RUN-SEED.json            its scores
    OUT/findings.html            a page of all findings, sweeps and runs, beside a table and a figure
    runs/findings-*.sweep.json   the sweeps, which reports of runs on these stores show too

The seeds take turns: all configurations are trained with seed 0 first. A run is deleted when its result is written.
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import model.train
from dags import sweep_points
from dags.config import FindingsSettings
from dags.workflow import Step, print_graph, run
from dags.workflows.varied_corpus import rendering, require_soundfont
from model.evidence import findings_table
from model.evidence.compared_representations import of_encoder
from model.evidence.findings import HYBRID_READINGS, RUNS, RunResult, StudyRun, file_name, read_results
from model.evidence.findings_page import FindingsPage
from model.evidence.findings_sweeps import StudyStores, sweeps
from model.evidence.rendered_probes import TASKS, GroupCounts, probe
from model.inference import checkpoints, representations
from model.training import metrics_log
from pipeline.cluster.machine import processor_name
from stores import locations, sweep_file
from stores.errors import InvalidInput, exit_status
from stores.json_output import print_json
from stores.mel_store import MelStore
from stores.terminal import print_progress

TRAINING, PROBED = "varied", "varied-test"
"""Names of the mel stores."""
PAGE_FILE = "findings.html"


def findings(settings: FindingsSettings) -> None:
    """Run the study, or print its graph.

    Raises:
        StepFailed: a step ended with an error, which it has printed.
        InvalidInput: the soundfont for the probes is not there.
    """
    chain = steps(settings)
    if settings.draw:
        print_graph(chain, settings.json)
        return
    require_soundfont(settings.test_soundfont, "--test-soundfont")
    results = run(chain, settings.json)
    if settings.json:
        print_json({"findings": findings_table.as_json(read_results(_out(settings))), "steps": results})


def steps(settings: FindingsSettings) -> list[Step]:
    """Return the steps in order."""
    pieces = -(-settings.clips // 2)
    corpora = [
        rendering(TRAINING, settings.soundfont, settings.clips, settings.root),
        rendering(PROBED, [settings.test_soundfont], pieces, settings.root, as_written=True),
    ]
    begun, previous = time.monotonic(), tuple(step.name for step in corpora)
    chain = [*corpora]
    for seed in range(settings.seeds):
        for configuration in RUNS:
            step = _measuring(settings, configuration, seed, begun, previous)
            chain.append(step)
            previous = (step.name,)
    return [*chain, Step("table", lambda _: exit_status(lambda: _write_table(settings)), (), previous)]


def _out(settings: FindingsSettings) -> Path:
    return settings.out or locations.REPORTS / "findings"


def _store(name: str) -> Path:
    return locations.mel_store(name)


def _measuring(
    settings: FindingsSettings, configuration: StudyRun, seed: int, begun: float, after: tuple[str, ...]
) -> Step:
    def measure(_words: Sequence[str]) -> int:
        """Train and score one encoder, unless its result is there or the time is over."""
        path = _out(settings) / file_name(configuration.name, seed)
        if path.is_file():
            print(f"   {path} is there")
            return 0
        if settings.minutes is not None and time.monotonic() - begun > 60 * settings.minutes:
            print(f"   not begun, because {settings.minutes:g} minutes are over")
            return 0
        return exit_status(lambda: _measure(settings, configuration, seed))

    return Step(f"{configuration.name}-{seed}", measure, (), after)


def _measure(settings: FindingsSettings, configuration: StudyRun, seed: int) -> None:
    start, name = time.monotonic(), f"findings-{configuration.name}-{seed}"
    store = MelStore.open(_store(PROBED))
    words = ("--store", str(_store(TRAINING)), "--name", name, *configuration.words(settings.clips_seen, seed))
    _require_success(model.train.main, words)
    config, metrics = sweep_points.config_of(name), metrics_log.read(locations.run(name))
    loaded = checkpoints.load(locations.run(name) / locations.ENCODER_FILE)
    if not configuration.trained:
        loaded = representations.baseline("untrained", loaded.path).loaded  # type: ignore[attr-defined]
    RunResult(
        run=configuration.name,
        seed=seed,
        clips_seen=settings.clips_seen,
        steps=configuration.steps(settings.clips_seen) if configuration.trained else 0,
        scores=_scores(loaded, store),
        seconds=round(time.monotonic() - start, 1),
        machine=processor_name(),
        stores=(MelStore.open(_store(TRAINING)).digest(), store.digest()),
        config_digest=config.digest(),
        seconds_per_step=round(sweep_points.seconds_per_step(metrics, config.batch), 5),
        loss=metrics[-1]["loss"],
    ).write(_out(settings))
    shutil.rmtree(locations.run(name))


def _require_success(command: Callable[[Sequence[str]], int], words: Sequence[str]) -> None:
    if status := command(words):
        raise InvalidInput(f"training ended with status {status}; its message is above")


def _scores(loaded: checkpoints.LoadedCheckpoint, store: MelStore) -> dict[str, dict[str, GroupCounts]]:
    """Return the counts of each reading of an encoder and of each task."""
    features, rows = of_encoder(loaded).compute(store), list(store.rows)
    width, kinds = loaded.encoder.config.width, loaded.encoder.config.patch_kinds
    readings = {"all": features}
    if len(kinds) > 1:
        readings |= {kind: features[:, i * width : (i + 1) * width] for i, kind in enumerate(HYBRID_READINGS)}
    counts = {}
    for reading, columns in readings.items():
        print_progress(f"  probes of {reading}")
        counts[reading] = {task: probe(columns, rows, task) for task in TASKS}
    return counts


def _write_table(settings: FindingsSettings) -> None:
    """Print the table, and write it, the figure, the sweeps and the page."""
    results, out = read_results(_out(settings)), _out(settings)
    path, command = findings_table.write(results, out), _command(settings)
    swept = sweeps(results, StudyStores(TRAINING, PROBED), command)
    for sweep in swept:
        sweep_file.write(locations.sweep(sweep.name), sweep)
    print("\n".join(findings_table.lines(results)))
    print(f"{path}: {len(results)} of {settings.seeds * len(RUNS)} runs")
    if results:
        FindingsPage(results, swept, command).write(out / PAGE_FILE)
        print(f"page: {out / PAGE_FILE}")


def _command(settings: FindingsSettings) -> str:
    """Return the command line of the study, without the settings that change no result."""
    soundfonts = [word for path in settings.soundfont for word in ("--soundfont", str(path))]
    sizes = ("--clips", str(settings.clips), "--clips-seen", str(settings.clips_seen), "--seeds", str(settings.seeds))
    words = (*soundfonts, "--test-soundfont", str(settings.test_soundfont), *sizes)
    return shlex.join(["python", "-m", "dags.findings", *words])
