"""The HTTP interface: routes only, over what :func:`create_app` is given."""

from __future__ import annotations

import html
import json
from importlib import resources
from string import Template
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter import __version__
from exporter.exposition import Exposition
from exporter.stats import SharedStats

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class _Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def create_app(store: SharedStats, registry: CollectorRegistry, telemetry_path: str = "/metrics") -> Starlette:
    """Make the ASGI application over a store and a registry whose families are served beside the store's own.

    The store's families need not be registered there. Raises ``ValueError`` if another store's are.
    """
    exposition = Exposition(store, registry)
    static = resources.files("exporter") / "static"
    page = Template((static / "index.html").read_text(encoding="utf-8")).substitute(
        version=html.escape(__version__), telemetry_path=html.escape(telemetry_path)
    )
    style = (static / "style.css").read_text(encoding="utf-8")

    # Plain functions run in a pool of threads: however long a scrape takes, the event loop goes on.
    def metrics(request: Request) -> Response:
        scrape = exposition.scrape(
            request.headers.get("accept", ""),
            request.headers.get("accept-encoding", ""),
            frozenset(request.query_params.getlist("name[]")),
        )
        headers = {"Vary": "Accept, Accept-Encoding"} | ({"Content-Encoding": "gzip"} if scrape.gzipped else {})
        # Through the headers, for a media type given as such would have its character set written twice.
        return Response(scrape.body, headers=headers | {"Content-Type": scrape.content_type})

    def stats(_: Request) -> Response:
        return _Json(store.get_all_stats(), headers={"Vary": "Accept", "Cache-Control": "no-store"})

    async def index(_: Request) -> Response:
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    async def stylesheet(_: Request) -> Response:
        return Response(style, media_type="text/css", headers=_PAGE_HEADERS)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("clipper-exporter is healthy.\n")

    async def ready(_: Request) -> Response:
        return PlainTextResponse("clipper-exporter is ready.\n")

    return Starlette(
        routes=[
            Route(telemetry_path, metrics),
            Route("/api/stats", stats),
            Route("/", index),
            Route("/style.css", stylesheet),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


async def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)  # noqa: S101 - Starlette calls this for no other
    details = [f"{request.method} {request.url.path}"]
    return _Json({"error": problem.detail, "details": details}, problem.status_code, headers=problem.headers)


async def _failed(_: Request, problem: Exception) -> Response:
    return _Json({"error": "Internal Server Error", "details": [type(problem).__name__]}, 500)
