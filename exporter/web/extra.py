"""What the extra ``socketio`` adds to the server; without it there is an answer that says how to get it."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Scope

from exporter.live.hub import Hub
from exporter.web.body import arrived
from exporter.web.middleware import refusal
from exporter.web.subscriber_limit import Places

if TYPE_CHECKING:
    from exporter.web.websocket import WebSocket

_MISSING: Final = "Socket.IO is not installed here: pip install 'clipper-exporter[socketio]'"


def _has(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)


def socketio_app(hub: Hub, origins: Collection[str], places: Places) -> ASGIApp:
    """Make the application at ``/socket.io``: every request gets the status 501 if the extra is not installed."""
    if not _has("socketio", "engineio"):
        return refusal(501, _MISSING, {})
    from exporter.live.socketio import INCOMING, Sockets  # noqa: PLC0415 - needs the extra

    sockets = Sockets(hub, origins)

    def no_session_left(scope: Scope) -> bool:
        # Read as Engine.IO does, for which "xsid=1" and "sid=" name no session either.
        query = parse_qs(scope.get("query_string", b"").decode(errors="replace"))
        return "sid" not in query and sockets.sessions >= places.limit

    # A place is taken only once there is a whole request: Engine.IO waits for bodies as long as it takes.
    return arrived(places.within(sockets.app, full=no_session_left), INCOMING, places.refusals)


def websockets() -> type[WebSocket] | Literal["none"]:
    """What uvicorn upgrades a connection to: nothing if the extra is not installed."""
    if not _has("wsproto"):
        return "none"
    from exporter.web.websocket import WebSocket  # noqa: PLC0415 - needs the extra

    return WebSocket
