"""WebSocket connections, for Socket.IO. Needs the extra ``socketio``."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import Ping

from exporter.web.connections import LOG


class WebSocket(WSProtocol):
    """A connection after its upgrade to WebSocket."""

    def __init__(self, **server: Any) -> None:
        super().__init__(**server)
        self.logger = LOG  # uvicorn logs each connection, so that clients could fill a disk

    def handle_ping(self, event: Ping) -> None:
        """Answer the ping, unless the peer does not read: unread answers would pile up in memory."""
        if self.writable.is_set():
            super().handle_ping(event)
