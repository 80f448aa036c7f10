"""Static documents: the page, its files and the OpenAPI document."""

from __future__ import annotations

import hashlib
import html
import os
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from exporter._version import __version__

STATIC: Final = Path(__file__).parents[1] / "static"
OPENAPI: Final = Path(__file__).with_name("openapi.json")
"""The interface as OpenAPI 3.1: https://spec.openapis.org/oas/v3.1.1.html."""
_CACHE: Final = {"Cache-Control": "no-cache"}  # cached, but revalidated each time: a new version shows at once
_PAGE_HEADERS: Final = {
    **_CACHE,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
        " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
# Not from the machine's registry: on Windows, other programs change the media type of .js files.
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def routes(telemetry_path: str, links: Mapping[str, str]) -> list[Route]:
    """Return the routes of all documents; the page links to ``telemetry_path`` and to ``links`` (URL by text)."""
    page = Template((STATIC / "index.html").read_text(encoding="utf-8")).substitute(
        version=html.escape(__version__),
        telemetry_path=html.escape(telemetry_path),
        links="".join(
            f'<li><a href="{html.escape(url)}">{html.escape(name)}</a></li>\n' for name, url in links.items() if url
        ),
    )
    return [
        _document("/api/openapi.json", OPENAPI.read_bytes(), "application/json", _CACHE),
        _document("/", page.encode(), "text/html", _PAGE_HEADERS),
        *(_file(path.name) for path in STATIC.iterdir() if path.suffix in _MEDIA_TYPES),
    ]


class _Files(StaticFiles):
    """The page's files, with the page's security headers."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the file, or 304 if the client has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_PAGE_HEADERS)
        if not isinstance(response, NotModifiedResponse):
            response.headers["Content-Type"] = _MEDIA_TYPES[Path(full_path).suffix]
        return response


_FILES: Final = _Files(directory=STATIC)


def _file(name: str) -> Route:
    async def answer(request: Request) -> Response:
        return await _FILES.get_response(name, request.scope)

    return Route(f"/{name}", answer)


def _document(path: str, content: bytes, media_type: str, headers: Mapping[str, str]) -> Route:
    headers = {**headers, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}

    async def answer(request: Request) -> Response:
        if _FILES.is_not_modified(Headers(headers), request.headers):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, answer)
