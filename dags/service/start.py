"""The start of the service: everything is opened and compared by its digests before the first request is accepted."""

from __future__ import annotations

import ipaddress
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp

from dags.config import ServeSettings
from dags.service import application, server
from dags.service.access import AccessRules, read_token
from dags.service.analysis import Analysis, ServedProbe
from dags.service.application import Service, UploadLimits
from dags.service.catalog import Catalog
from dags.service.isolated_decoder import DecodingLimits, IsolatedDecoder
from dags.service.request_log import RequestLog
from dags.service.track_table import tracks_of
from model.encoder import hub_models
from model.encoder.device import fastest_device
from model.inference import checkpoints
from model.inference.checkpoints import LoadedCheckpoint
from model.inference.myna import Myna
from model.inference.samples_graph.description import file_sha256
from model.inference.windows import Windowing
from model.probes.encoder_match import require_probe_of, window_frames_of, windowing_of
from model.probes.probe import Probe
from model.similarity import query
from model.similarity.ann_index import open_index
from model.similarity.collection import Collection
from pipeline.cluster.machine import usable_cpus
from stores.errors import InvalidInput
from stores.labels import count_noun


def serve(settings: ServeSettings) -> None:
    """Serve until a signal arrives.

    Raises:
        MynaError: the encoder, a probe, the collection or the address cannot be used, or they do not belong together.
    """
    token = read_token(settings.token) if settings.token else ""
    analysis, catalog = open_analysis(settings)
    bound = server.open_socket(settings.host, settings.port)
    folder = Path(tempfile.mkdtemp(prefix="myna-serve-"))
    limits = _limits(settings)
    decoder = IsolatedDecoder(DecodingLimits(limits.max_seconds, limits.decode_seconds), limits.workers)

    def clean_up() -> None:
        """End the processes that decode, and remove uploads."""
        decoder.close()
        shutil.rmtree(folder, ignore_errors=True)

    try:
        with ThreadPoolExecutor(1, "embedding") as thread:
            service = Service(analysis, catalog, decoder, limits, folder, thread)
            rules: ASGIApp = AccessRules(application.build(service), settings.allow_host, settings.allow_origin, token)
            rules = rules if settings.quiet else RequestLog(rules)
            print(f"serving on {server.address_of(bound)}, which describes itself; Ctrl-C ends it", flush=True)
            if not token:
                _warn_of_strangers(settings.host)
            server.run(rules, bound, _shutdown_seconds(limits), clean_up)
    finally:
        clean_up()


def open_analysis(settings: ServeSettings) -> tuple[Analysis, Catalog | None]:
    """Return what answers uploads, and the collection.

    Raises:
        MynaError: something cannot be opened, or does not belong together.
    """
    collection = Collection.open(settings.embeddings) if settings.embeddings else None
    catalog = None if collection is None else _open_catalog(collection, settings.tracks)
    embeds = collection is not None and _has_encoder(collection)
    if collection is not None and embeds:
        checkpoint = query.find_encoder(collection, settings.checkpoint)
    else:
        checkpoint = hub_models.find_checkpoint(settings.checkpoint)
    loaded = checkpoints.load(checkpoint.path)
    if collection is not None and embeds:
        query.require_encoder_of(collection, loaded.encoder, checkpoint)
    print(f"encoder: {checkpoint}")
    myna = Myna(loaded.encoder.to(fastest_device()), mel=dict(loaded.mel), origin=dict(loaded.origin))
    probes = _open_probes(loaded, settings.probe)
    windowing, compat = _windowing(collection if embeds else None, probes, loaded)
    return Analysis.of(loaded, myna, windowing, compat, probes, catalog if embeds else None), catalog


def _open_catalog(collection: Collection, tracks: Path | None) -> Catalog:
    catalog = Catalog.open(collection, tracks_of(collection.clips, tracks), open_index(collection))
    print(f"collection: {collection.path}, {count_noun(len(collection.clips), 'clip')}, digest {collection.digest}")
    return catalog


def _has_encoder(collection: Collection) -> bool:
    """Return whether the encoder of a collection can embed uploads, and say so if it cannot."""
    provenance = collection.features.provenance
    if "weights" in provenance and not (provenance.get("engine") or {}).get("layer"):
        return True
    print(f"note: {collection.path} does not state an encoder, so uploads get no neighbors in it", file=sys.stderr)
    return False


def _open_probes(loaded: LoadedCheckpoint, paths: Sequence[Path]) -> list[ServedProbe]:
    served = []
    for path in paths:
        probe = Probe.read(path)
        window_frames = window_frames_of(probe) or loaded.encoder.config.window_frames
        windowing = windowing_of(probe, window_frames)
        require_probe_of(loaded.with_window(window_frames), windowing, probe, path)
        served.append(ServedProbe(path, probe, windowing, file_sha256(path)))
        print(f"probe: {path}, {served[-1].name}, SHA-256 {served[-1].sha256}")
    names = [one.name for one in served]
    if double := [name for name in names if names.count(name) > 1]:
        raise InvalidInput(f"--probe names two probes of {double[0]}; state one of them")
    return served


def _windowing(
    collection: Collection | None, probes: Sequence[ServedProbe], loaded: LoadedCheckpoint
) -> tuple[Windowing, str | None]:
    """Return the windows of an answer, and whether they follow the rule of the public code."""
    default = Windowing().with_window(loaded.encoder.config.window_frames)
    if collection is None:
        return replace(probes[0].windowing if probes else default, pool="none"), None
    provenance = collection.features.provenance
    stated = {name: provenance[name] for name in ("window_frames", "hop_frames", "tail") if name in provenance}
    return replace(default, pool="none", **stated), provenance.get("compat")


def _limits(settings: ServeSettings) -> UploadLimits:
    return UploadLimits(
        int(settings.max_megabytes * 1e6),
        settings.upload_seconds,
        settings.max_seconds,
        settings.decode_seconds,
        settings.workers or usable_cpus(),
        settings.queue,
    )


def _shutdown_seconds(limits: UploadLimits) -> float:
    """Return the longest time in which the uploads in hand are answered."""
    rounds = 1 + -(-limits.queue // limits.workers)
    return limits.upload_seconds + rounds * (limits.decode_seconds + 30)


def _warn_of_strangers(host: str) -> None:
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        print(f"note: everybody who reaches {host} can ask, because no --token is stated", file=sys.stderr)
