"""The HTTP interface: addresses, parameters and responses. `GET /` describes it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from dags.service import api_page, uploads
from dags.service.analysis import Analysis
from dags.service.catalog import MAX_NEIGHBORS, Catalog
from dags.service.description import describe
from dags.service.failures import Failure, json_response, of_error
from dags.service.isolated_decoder import IsolatedDecoder
from dags.service.uploads import Admission
from stores.errors import MynaError

DEFAULT_NEIGHBORS = 10
"""Neighbors of an answer if the request states no number, as in AudioMuse-AI."""
DEFAULT_PATH_TRACKS, MIN_PATH_TRACKS = 25, 3
"""Tracks of a path if the request states no number, and at least."""


@dataclass(frozen=True)
class UploadLimits:
    """Limits of uploads."""

    max_bytes: int
    """Largest file in bytes."""
    upload_seconds: float
    """Longest time in which a file must arrive."""
    max_seconds: float
    """Longest recording in seconds of audio."""
    decode_seconds: float
    """Longest time that decoding may take."""
    workers: int
    """Files that are decoded at the same time."""
    queue: int
    """Further uploads that may wait."""


@dataclass(frozen=True)
class Service:
    """Everything that the interface needs."""

    analysis: Analysis
    """Encoder, probes, and the collection with neighbors of uploads."""
    catalog: Catalog | None
    """The collection; None if there is none."""
    decoder: IsolatedDecoder
    """The processes that decode uploads."""
    limits: UploadLimits
    """Limits of uploads."""
    folder: Path
    """Folder for uploads, which are removed when they have been answered."""
    embedding_thread: Executor
    """The thread that computes embeddings, one upload at a time."""
    decoding: asyncio.Semaphore = field(init=False)
    """Bound of the files that are decoded at the same time."""
    admission: Admission = field(init=False)
    """Bound of the uploads in hand."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "decoding", asyncio.Semaphore(self.limits.workers))
        object.__setattr__(self, "admission", Admission(self.limits.workers + self.limits.queue))


def build(service: Service) -> Starlette:
    """Return the application, without the rules of access."""
    handlers: dict[str, Callable[[Service, Request], Any]] = {
        "/": _page,
        "/health": _health,
        "/api/health": _health,
        "/api/info": _info,
        "/api/similar_tracks": _similar_tracks,
        "/api/find_path": _find_path,
    }
    routes = [Route(path, _endpoint(service, handler), methods=["GET"]) for path, handler in handlers.items()]
    routes.append(Route("/api/analyze", _endpoint(service, _analyze), methods=["POST"]))
    application = Starlette(routes=routes)
    application.add_exception_handler(HTTPException, _reject_address)
    return application


def _endpoint(service: Service, handler: Callable[[Service, Request], Any]) -> Callable[[Request], Any]:
    async def respond(request: Request) -> Response:
        """Answer a request; every error is JSON."""
        try:
            response: Response = await handler(service, request)
        except Failure as failure:
            response = failure.response()
        except MynaError as error:
            response = of_error(error).response()
        except OSError as error:
            response = Failure(507, "the file cannot be stored", str(error.strerror), "free some disk space").response()
        except Exception:  # noqa: BLE001 -- a bug in one request must not end the others
            traceback.print_exc()
            response = Failure(
                500, "the service failed", "an unexpected error", "see the log of the service"
            ).response()
        return response

    return respond


async def _reject_address(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return Failure(
            405, f"{request.method} is not answered here", "the address has another method", "see GET /"
        ).response()
    return Failure(404, "there is nothing at this address", "the service has a few addresses", "see GET /").response()


async def _page(service: Service, request: Request) -> Response:
    address = request.headers.get("host", "ADDRESS")  # the rules of access have accepted it
    return HTMLResponse(api_page.render({**_describe(service), "address": address}))


async def _info(service: Service, _request: Request) -> Response:
    return json_response(_describe(service))


def _describe(service: Service) -> dict[str, Any]:
    version = importlib.metadata.version("myna")
    return describe(service.analysis, service.catalog, version, vars(service.limits))


async def _health(service: Service, _request: Request) -> Response:
    if service.catalog is not None:
        await asyncio.to_thread(service.catalog.require_unchanged)
    return json_response({"status": "ok", "uploads_in_hand": service.admission.in_hand})


async def _similar_tracks(service: Service, request: Request) -> Response:
    catalog, parameters = _catalog(service), request.query_params
    position = _find_track(catalog, parameters.get("item_id"), parameters.get("title"), parameters.get("artist"))
    count = _count(parameters.get("n"))
    eliminates = parameters.get("eliminate_duplicates", "true").lower() == "true"
    tracks = await asyncio.to_thread(catalog.similar_tracks, position, count, eliminates)
    if not tracks:
        raise Failure(404, "no similar tracks found", "the collection has no other track", "add recordings to it")
    return json_response(tracks)


def _catalog(service: Service) -> Catalog:
    if service.catalog is None:
        raise Failure(
            503,
            "there is no collection to search",
            "the service was started without --embeddings",
            "start the service with --embeddings STORE",
        )
    return service.catalog


async def _find_path(service: Service, request: Request) -> Response:
    catalog, parameters = _catalog(service), request.query_params
    names = [parameters.get(name, "") for name in ("start_song_id", "end_song_id")]
    if not all(names) or names[0] == names[1]:
        raise Failure(
            400,
            "the request must have start_song_id and end_song_id, and they must differ",
            "a path has two ends",
            "ask for example /api/find_path?start_song_id=ID&end_song_id=ID&max_steps=25",
        )
    first, last = (_find_track(catalog, name, None, None) for name in names)
    count = max(MIN_PATH_TRACKS, _count(parameters.get("max_steps"), DEFAULT_PATH_TRACKS))
    return json_response(await asyncio.to_thread(catalog.path, first, last, count))


def _find_track(catalog: Catalog, item_id: str | None, title: str | None, artist: str | None) -> int:
    if item_id:
        position = catalog.position(item_id)
        wanted = f"track {item_id[:200]!r}"
    elif title and artist:
        position = catalog.position_of_title(title, artist)
        wanted = f"track {title[:100]!r} by {artist[:100]!r}"
    else:
        raise Failure(
            400,
            "the request must have item_id, or both title and artist",
            "no track is named",
            "ask for example /api/similar_tracks?item_id=ID&n=10",
        )
    if position is None:
        raise Failure(
            404,
            f"{wanted} not found in the collection",
            "no track has this id, or this title and artist",
            "ids are those of the collection, or of the table that the service was started with (--tracks)",
        )
    return position


def _count(text: str | None, default: int = DEFAULT_NEIGHBORS) -> int:
    """Return the number of neighbors, where anything that is not a number stands for the default."""
    try:
        return min(MAX_NEIGHBORS, max(1, int((text or "")[:20])))
    except ValueError:
        return default


async def _analyze(service: Service, request: Request) -> Response:
    count = _count(request.query_params.get("n"))
    with_windows = request.query_params.get("windows", "").lower() == "true"
    file = service.folder / uuid.uuid4().hex
    with service.admission.enter():
        try:
            await uploads.receive(request, file, service.limits.max_bytes, service.limits.upload_seconds)
            answer = await _answer(service, request, file, count, with_windows)
            return await asyncio.to_thread(json_response, answer)  # the embeddings of an hour are many numbers
        finally:
            for path in service.folder.glob(f"{file.name}*"):
                path.unlink(missing_ok=True)


async def _answer(service: Service, request: Request, file: Path, count: int, with_windows: bool) -> dict[str, Any]:
    analysis, loop = service.analysis, asyncio.get_running_loop()
    async with service.decoding:
        if await request.is_disconnected():
            raise Failure(400, "nobody waits for the answer", "the connection was closed", "ask again")
        resampler = "torchaudio" if analysis.compat else analysis.myna.resampler
        upload = await asyncio.to_thread(service.decoder.decode, file, analysis.rate_hz, resampler)
    return await loop.run_in_executor(service.embedding_thread, analysis.answer, upload, count, with_windows)
