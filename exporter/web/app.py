"""The HTTP interface: routes only, over what :func:`create_app` is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, Final

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from exporter.errors import InvalidBatch
from exporter.live.hub import Hub
from exporter.own_metrics import OwnMetrics
from exporter.scrape.exposition import Exposition, accepted
from exporter.settings.options import ServeOptions
from exporter.storage.writer import Storage
from exporter.store.batch import NotJson
from exporter.store.encoding import compact
from exporter.store.shared import SharedStats
from exporter.web import documents
from exporter.web.access import STATS_PATH, Access
from exporter.web.extra import socketio_app
from exporter.web.receiver import Receiver
from exporter.web.subscriber_limit import Places

_EVENT_STREAM: Final = "text/event-stream"
_COMMIT_SECONDS: Final = 1.0  # that a scrape waits for the disk: scrapes every few seconds must get through


class _Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return (content if isinstance(content, str) else compact(content)).encode()


class _Within(Response):
    """A response that is sent if there is a place for one more subscriber."""

    def __init__(self, places: Places, response: Response) -> None:
        self._answer = places.within(response)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)


def create_app(
    options: ServeOptions,
    store: SharedStats,
    registry: CollectorRegistry,
    hub: Hub,
    access: Access | None = None,
    *,
    storage: Storage | None = None,
    own: OwnMetrics | None = None,
    places: Places | None = None,
) -> Starlette:
    """Make the ASGI application over a store and a registry whose families are served beside the store's own.

    The store's families need not be registered there. ``hub`` pushes what changes, ``access`` says who may push,
    ``places`` bounds live subscribers, ``own`` are the exporter's own metrics, by default those that ``hub`` counts in.
    With a ``storage``, a scrape shows only what is on disk: after a crash, a counter that was seen would fall, which
    Prometheus takes for a reset and counts it all again. Raises ``ValueError`` if another store's families are in
    ``registry``.
    """
    access = access or Access(options.push_token)
    receiver = Receiver(store, access, options.body_bytes, storage)
    own = own or hub.own
    places = places or Places(options.limits, own=own)
    exposition = Exposition(store, registry, own)

    # Plain functions run in a pool of threads: however long a scrape takes, the event loop goes on.
    def metrics(request: Request) -> Response:
        scrape = exposition.scrape(
            request.headers.get("accept", ""),
            request.headers.get("accept-encoding", ""),
            frozenset(request.query_params.getlist("name[]")),
        )
        if storage is not None:
            storage.flush(_COMMIT_SECONDS)  # what cannot be kept is served all the same
        headers = {"Vary": "Accept, Accept-Encoding"} | ({"Content-Encoding": "gzip"} if scrape.gzipped else {})
        # Through the headers, for a media type given as such would have its character set written twice.
        headers |= {"Content-Type": scrape.content_type, "Content-Length": str(scrape.size)}
        return StreamingResponse(_each(scrape.parts), headers=headers)

    async def stats(request: Request) -> Response:
        headers = {"Vary": "Accept", "Cache-Control": "no-store"}
        if request.method == "GET" and accepted(request.headers.get("accept", "")).get(_EVENT_STREAM, 0) > 0:
            # Some proxies gather a response before they pass it on; this header asks them not to.
            headers |= {"X-Accel-Buffering": "no"}
            stream = StreamingResponse(_events(hub, request), media_type=_EVENT_STREAM, headers=headers)
            return _Within(places, stream)
        return _Json(await run_in_threadpool(lambda: store.snapshot().text()), headers=headers)

    async def push(request: Request) -> Response:
        return _Json(await receiver.receive(request), headers={"Cache-Control": "no-store"})

    async def api_stats(request: Request) -> Response:
        # One route, so that whoever uses another method is told of both.
        return await (push if request.method == "POST" else stats)(request)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("clipper-exporter is healthy.\n")

    async def ready(_: Request) -> Response:
        return PlainTextResponse("clipper-exporter is ready.\n")

    return Starlette(
        routes=[
            Route(options.telemetry_path, metrics),
            Route(STATS_PATH, api_stats, methods=["GET", "POST"]),
            Mount("/socket.io", socketio_app(hub, options.cors_origins, places)),
            *documents.routes(options.telemetry_path, options.links),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
        ],
        exception_handlers={HTTPException: _refused, InvalidBatch: _invalid, Exception: _failed},
    )


async def _each(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await _turn()


async def _turn() -> None:
    """Let the loop notice that a client has gone away: else each part that is sent to it is a line in the log."""
    await asyncio.sleep(0)


async def _events(hub: Hub, request: Request) -> AsyncIterator[bytes]:
    """The body of an event stream, from the ``Last-Event-ID`` on that a client gives when it comes back."""
    # An id is the store and its version: after a restart it means nothing, and the client gets everything anew.
    instance, _, version = request.headers.get("last-event-id", "").partition(":")
    known = int(version) if instance == hub.store.instance and version.isdecimal() and len(version) < 19 else None
    async with aclosing(hub.stream(known)) as pushes:
        async for push in pushes:
            for piece in [b": still here\n\n"] if push is None else push.pieces():
                yield piece
                await _turn()


async def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)  # noqa: S101 # nosec B101 # Starlette calls this for no other
    details = [f"{request.method} {request.url.path}"]
    return _Json({"error": problem.detail, "details": details}, problem.status_code, headers=problem.headers)


async def _invalid(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, InvalidBatch)  # noqa: S101 # nosec B101 # Starlette calls this for no other
    status = 400 if isinstance(problem, NotJson) else 422
    return _Json({"error": "nothing was applied", "details": problem.mistakes}, status)


async def _failed(_: Request, problem: Exception) -> Response:
    return _Json({"error": "Internal Server Error", "details": [type(problem).__name__]}, 500)
