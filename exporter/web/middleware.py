"""Middleware for every request: response headers, header size, CORS and basic authentication."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from starlette.authentication import SimpleUser
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from exporter.settings.options import HttpLimits, ServeOptions
from exporter.web.access import STATS_PATH, Access, authorization
from exporter.web.refusals import Refusals, Refused

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="clipper-exporter", charset="UTF-8"'}


class _Config(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


def guard(
    app: ASGIApp, options: ServeOptions, access: Access, refusals: Refusals, config: _Config | None = None
) -> ASGIApp:
    """Return ``app`` wrapped in all middleware; ``config`` gives the headers of every response."""
    if config is not None:
        app = Authentication(app, access, refusals)
    if options.cors_origins:
        app = CrossOrigin(app, options.cors_origins, {options.telemetry_path, STATS_PATH})
    return ResponseHeaders(HeaderLimit(app, options.limits, refusals), config)


class ResponseHeaders:
    """Adds the headers of the web configuration, and ``nosniff``, to every response."""

    def __init__(self, app: ASGIApp, config: _Config | None) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.update(self._config.headers if self._config is not None else {})
            await send(message)

        await self._app(scope, receive, send_with_headers)


class HeaderLimit:
    """Refuses large headers that arrived in one piece, which h11 parses before it checks their size."""

    def __init__(self, app: ASGIApp, limits: HttpLimits, refusals: Refusals) -> None:
        self._app = app
        self._limit = limits.header_bytes
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        size = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
        size += sum(len(name) + len(value) + 4 for name, value in scope.get("headers", ()))
        if size <= self._limit:
            await self._app(scope, receive, send)
            return
        message = f"request line and headers too large (limit {self._limit} bytes)"
        self._refusals.count(
            Refused.HEADER_BYTES, f"request line and headers are larger than {self._limit} bytes (--limit.header-bytes)"
        )
        await refusal(431, message, {"Connection": "close"})(scope, receive, send)


class CrossOrigin:
    """Allows pages of other origins to read some paths (CORS)."""

    def __init__(self, app: ASGIApp, origins: Collection[str], paths: Collection[str]) -> None:
        self._app = app
        self._paths = paths
        # Credentials are allowed only for named origins: https://fetch.spec.whatwg.org/#cors-protocol-and-credentials
        self._sharing = CORSMiddleware(
            app, origins, ("GET",), ("Authorization", "Last-Event-ID"), allow_credentials="*" not in origins
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._sharing if scope.get("path") in self._paths else self._app
        await app(scope, receive, send)


class Authentication:
    """Basic authentication, while there are users; ``scope["user"]`` is the authenticated user."""

    def __init__(self, app: ASGIApp, access: Access, refusals: Refusals) -> None:
        # Imported late: needs bcrypt, which a server without passwords does not.
        from exporter.security.passwords import Passwords  # noqa: PLC0415

        self._app = app
        self._access = access
        self._refusals = refusals
        self._passwords = Passwords(access.users)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not self._access.asks_for_password(scope):
            await self._app(scope, receive, send)
            return
        from exporter.security.passwords import TooManyChecks  # noqa: PLC0415

        address = (scope.get("client") or ("an unknown address",))[0]
        given = _credentials(scope)
        try:
            if given is not None and await self._passwords.verify(*given, address):
                await self._app({**scope, "user": SimpleUser(given[0])}, receive, send)
                return
        except TooManyChecks:
            self._refusals.count(
                Refused.PASSWORD_CHECKS, f"too many password checks are waiting; refused one from {address}"
            )
            await refusal(429, "too many password checks are waiting", {"Retry-After": "1"})(scope, receive, send)
            return
        self._refusals.count(Refused.CREDENTIALS, f"missing or wrong user name or password from {address}")
        await refusal(401, "missing or wrong user name or password", _CHALLENGE)(scope, receive, send)


def _credentials(scope: Scope) -> tuple[str, bytes] | None:
    """Return the user name and password of a request (RFC 7617), ``None`` if it has none."""
    scheme, encoded = authorization(scope)
    if scheme != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def refusal(status: int, error: str, headers: Mapping[str, str]) -> ASGIApp:
    """Return an app that answers every request and WebSocket with a JSON error."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method", "WebSocket")
        body = json.dumps({"error": error, "details": [f"{method} {scope['path']}"]})
        response = Response(body, status, headers, "application/json")
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(response)
        else:
            await response(scope, receive, send)

    return answer
