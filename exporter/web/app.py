"""The routes of the HTTP interface."""

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
from exporter.web.subscriber_limit import SubscriberLimit

_EVENT_STREAM: Final = "text/event-stream"
_COMMIT_SECONDS: Final = 1.0  # the longest that a scrape waits for the disk; less than a scrape timeout


class _Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return (content if isinstance(content, str) else compact(content)).encode()


class _LimitedResponse(Response):
    """A response to a live subscriber, or 503 if there are too many."""

    def __init__(self, subscriber_limit: SubscriberLimit, response: Response) -> None:
        self._answer = subscriber_limit.wrap(response)

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
    subscriber_limit: SubscriberLimit | None = None,
) -> Starlette:
    """Return the ASGI application that serves ``store`` and the other families in ``registry``.

    The store's families need not be in ``registry``. ``hub`` sends live updates, ``access`` says who may push,
    ``subscriber_limit`` limits live subscribers, and ``own`` holds the exporter's own metrics (default: the hub's).
    With a ``storage``, a scrape shows only what is on disk. Otherwise a counter could fall after a crash, and
    Prometheus would treat that as a reset and count the same events twice. Raises ``ValueError`` if ``registry`` holds
    the families of another store.
    """
    access = access or Access(options.push_token)
    receiver = Receiver(store, access, options.body_bytes, storage)
    own = own or hub.own
    subscriber_limit = subscriber_limit or SubscriberLimit(options.limits, own=own)
    exposition = Exposition(store, registry, own)

    # Starlette runs plain functions in a thread pool, so a long scrape does not block the event loop.
    def metrics(request: Request) -> Response:
        scrape = exposition.scrape(
            request.headers.get("accept", ""),
            request.headers.get("accept-encoding", ""),
            frozenset(request.query_params.getlist("name[]")),
        )
        if storage is not None:
            storage.flush(_COMMIT_SECONDS)  # samples that cannot be stored are served too
        headers = {"Vary": "Accept, Accept-Encoding"} | ({"Content-Encoding": "gzip"} if scrape.gzipped else {})
        # Set as a header: Starlette would add a second charset to a media_type.
        headers |= {"Content-Type": scrape.content_type, "Content-Length": str(scrape.size)}
        return StreamingResponse(_each(scrape.parts), headers=headers)

    async def stats(request: Request) -> Response:
        headers = {"Vary": "Accept", "Cache-Control": "no-store"}
        if request.method == "GET" and accepted(request.headers.get("accept", "")).get(_EVENT_STREAM, 0) > 0:
            # Asks proxies such as nginx not to buffer the stream.
            headers |= {"X-Accel-Buffering": "no"}
            stream = StreamingResponse(_events(hub, request), media_type=_EVENT_STREAM, headers=headers)
            return _LimitedResponse(subscriber_limit, stream)
        return _Json(await run_in_threadpool(lambda: store.snapshot().text()), headers=headers)

    async def push(request: Request) -> Response:
        return _Json(await receiver.receive(request), headers={"Cache-Control": "no-store"})

    async def api_stats(request: Request) -> Response:
        # One route for both methods, so that a 405 lists both in Allow.
        return await (push if request.method == "POST" else stats)(request)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("clipper-exporter is healthy.\n")

    async def ready(_: Request) -> Response:
        return PlainTextResponse("clipper-exporter is ready.\n")

    return Starlette(
        routes=[
            Route(options.telemetry_path, metrics),
            Route(STATS_PATH, api_stats, methods=["GET", "POST"]),
            Mount("/socket.io", socketio_app(hub, options.cors_origins, subscriber_limit)),
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
    """Let the event loop notice a disconnect; otherwise asyncio logs a warning for each part that is sent."""
    await asyncio.sleep(0)


async def _events(hub: Hub, request: Request) -> AsyncIterator[bytes]:
    """Yield the body of an event stream, starting after the client's ``Last-Event-ID`` if it sent one."""
    # An id is the store's instance and version. After a restart the instance differs, and the client gets a snapshot.
    instance, _, version = request.headers.get("last-event-id", "").partition(":")
    known = int(version) if instance == hub.store.instance and version.isdecimal() and len(version) < 19 else None
    async with aclosing(hub.stream(known)) as pushes:
        async for push in pushes:
            for piece in [b": still here\n\n"] if push is None else push.pieces():
                yield piece
                await _turn()


async def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)  # noqa: S101 # nosec B101 # registered for this type only
    details = [f"{request.method} {request.url.path}"]
    return _Json({"error": problem.detail, "details": details}, problem.status_code, headers=problem.headers)


async def _invalid(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, InvalidBatch)  # noqa: S101 # nosec B101 # registered for this type only
    status = 400 if isinstance(problem, NotJson) else 422
    return _Json({"error": "nothing was applied", "details": problem.mistakes}, status)


async def _failed(_: Request, problem: Exception) -> Response:
    return _Json({"error": "Internal Server Error", "details": [type(problem).__name__]}, 500)
