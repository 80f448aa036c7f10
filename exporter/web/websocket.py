"""Connections after their upgrade to WebSocket, for Socket.IO. Needs the extra ``socketio``."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import Ping

from exporter.web.connections import LOG


class WebSocket(WSProtocol):
    """A connection after its upgrade to WebSocket."""

    def __init__(self, **server: Any) -> None:
        super().__init__(**server)
        self.logger = LOG  # uvicorn tells of each that comes, and whoever may connect could fill a disk with that

    def handle_ping(self, event: Ping) -> None:
        """Answer, unless the peer does not read: its pings may be many, and their answers would all be kept for it."""
        if self.writable.is_set():
            super().handle_ping(event)
