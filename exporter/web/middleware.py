"""What every request passes before it reaches a route: headers, origins, credentials."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from starlette.authentication import SimpleUser
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from exporter.web.limits import HttpLimits
from exporter.web.refusals import Refusals, Refused

OPEN: Final = frozenset({"/-/healthy", "/-/ready"})
"""The routes that need no credentials, as on Prometheus's own servers."""
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="clipper-exporter", charset="UTF-8"'}


class _Config(Protocol):
    @property
    def users(self) -> Mapping[str, bytes]: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


def guard(
    app: ASGIApp,
    *,
    limits: HttpLimits,
    refusals: Refusals,
    origins: Collection[str] = (),
    shared: Collection[str] = (),
    config: _Config | None = None,
    push_token: bool = False,
) -> ASGIApp:
    """Put ``app`` behind the guards.

    Pages of ``origins`` may read the paths ``shared``. ``config`` says who may come in and what goes on every response;
    with ``push_token``, pushes with a token instead of a password are left to the app.
    """
    if config is not None:
        app = Authentication(app, config, refusals, push_token=push_token)
    if origins:
        app = CrossOrigin(app, origins, shared)
    return ResponseHeaders(HeaderLimit(app, limits, refusals), config)


class ResponseHeaders:
    """Sends what the web configuration says with every response, and no browser guesses what a response is."""

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
    """Refuses headers that came at once, and so were whole before they were too many."""

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
        message = f"expected a request's line and headers in at most {self._limit} bytes"
        self._refusals.count(
            Refused.HEADER_BYTES, f"a request with headers above {self._limit} bytes (--limit.header-bytes)"
        )
        await refusal(431, message, {"Connection": "close"})(scope, receive, send)


class CrossOrigin:
    """Lets pages of other origins read some paths."""

    def __init__(self, app: ASGIApp, origins: Collection[str], paths: Collection[str]) -> None:
        self._app = app
        self._paths = paths
        # Credentials go along only to origins that were named: https://fetch.spec.whatwg.org/#cors-protocol-and-credentials
        self._sharing = CORSMiddleware(
            app, origins, ("GET",), ("Authorization", "Last-Event-ID"), allow_credentials="*" not in origins
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._sharing if scope.get("path") in self._paths else self._app
        await app(scope, receive, send)


class Authentication:
    """Lets in who gives the name and the password of a user, if there are users; ``scope["user"]`` is who it was."""

    def __init__(self, app: ASGIApp, config: _Config, refusals: Refusals, *, push_token: bool) -> None:
        # Imported late: without passwords there is no need for it.
        from exporter.security.passwords import Passwords  # noqa: PLC0415

        self._app = app
        self._config = config
        self._refusals = refusals
        self._push_token = push_token
        self._passwords = Passwords(lambda: config.users)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not self._config.users or scope.get("path") in OPEN or self._is_for_the_receiver(scope):
            await self._app(scope, receive, send)
            return
        from exporter.security.passwords import TooManyChecks  # noqa: PLC0415

        address = (scope.get("client") or ("an unknown address",))[0]
        given = _credentials(scope)
        try:
            if given is not None and await self._passwords.belong(*given, address):
                await self._app({**scope, "user": SimpleUser(given[0])}, receive, send)
                return
        except TooManyChecks:
            self._refusals.count(Refused.PASSWORD_CHECKS, f"too many passwords to check; one from {address} was not")
            await refusal(429, "too many passwords are being checked", {"Retry-After": "1"})(scope, receive, send)
            return
        self._refusals.count(Refused.CREDENTIALS, f"a request from {address} without the name and password of a user")
        await refusal(401, "expected the name and the password of a user", _CHALLENGE)(scope, receive, send)

    def _is_for_the_receiver(self, scope: Scope) -> bool:
        """Whether it is a push with a token, of which the receiver says whether it is the right one."""
        return (
            self._push_token
            and scope.get("method") == "POST"
            and scope.get("path") == "/api/stats"
            and _authorization(scope)[0] == "bearer"
        )


def _authorization(scope: Scope) -> tuple[str, str]:
    scheme, _, rest = Headers(scope=scope).get("authorization", "").partition(" ")
    return scheme.lower(), rest.strip()


def _credentials(scope: Scope) -> tuple[str, bytes] | None:
    """The name and the password that a request comes with: RFC 7617."""
    scheme, encoded = _authorization(scope)
    if scheme != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def refusal(status: int, error: str, headers: Mapping[str, str]) -> ASGIApp:
    """An app that answers every request, and every WebSocket, with an error as JSON."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method", "WebSocket")
        body = json.dumps({"error": error, "details": [f"{method} {scope['path']}"]})
        response = Response(body, status, headers, "application/json")
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(response)
        else:
            await response(scope, receive, send)

    return answer
