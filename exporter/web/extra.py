"""The optional Socket.IO interface; without the extra ``socketio``, a response says how to install it."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Scope

from exporter.live.hub import Hub
from exporter.web.body import buffered
from exporter.web.middleware import refusal
from exporter.web.subscriber_limit import SubscriberLimit

if TYPE_CHECKING:
    from exporter.web.websocket import WebSocket

_MISSING: Final = "Socket.IO is not installed: pip install 'clipper-exporter[socketio]'"


def _has(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)


def socketio_app(hub: Hub, origins: Collection[str], subscriber_limit: SubscriberLimit) -> ASGIApp:
    """Return the application at ``/socket.io``; it answers 501 if the extra is not installed."""
    if not _has("socketio", "engineio"):
        return refusal(501, _MISSING, {})
    from exporter.live.socketio import INCOMING, Sockets  # noqa: PLC0415 - needs the extra

    sockets = Sockets(hub, origins)

    def no_session_left(scope: Scope) -> bool:
        # Parsed as in Engine.IO, where "xsid=1" and "sid=" name no session either.
        query = parse_qs(scope.get("query_string", b"").decode(errors="replace"))
        return "sid" not in query and sockets.sessions >= subscriber_limit.limit

    # Buffer first: Engine.IO has no timeout for bodies, and an incomplete request must not count as a subscriber.
    return buffered(subscriber_limit.wrap(sockets.app, full=no_session_left), INCOMING, subscriber_limit.refusals)


def websockets() -> type[WebSocket] | Literal["none"]:
    """Return uvicorn's WebSocket protocol, ``"none"`` if the extra is not installed."""
    if not _has("wsproto"):
        return "none"
    from exporter.web.websocket import WebSocket  # noqa: PLC0415 - needs the extra

    return WebSocket
