"""Socket.IO, for clients of the hand-made stats page: whole snapshots, on request and on change."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import socketio

from exporter.live import Hub

_PER_PUSH: Final = 64 * 1024  # bytes of a snapshot that may go out at the hub's pace; larger ones go less often
_INCOMING: Final = 64 * 1024  # bytes; clients only ask


class Sockets:
    """A Socket.IO server over a hub: ``app`` is its ASGI application.

    Engine.IO keeps what a client has not read yet in a queue without a bound. So a client is sent nothing while its
    queue holds anything; it is due the newest snapshot instead, and gets that once it has caught up.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._due: set[str] = set()
        self._pusher: asyncio.Task[None] | None = None
        self._server = socketio.AsyncServer(
            async_mode="asgi", logger=False, engineio_logger=False, max_http_buffer_size=_INCOMING
        )
        self._clients: set[str] = set()
        self._seen = 0
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("request_stats", self._request)
        self.app = socketio.ASGIApp(self._server, socketio_path="socket.io")

    async def _connect(self, client: str, *_: Any) -> None:
        self._clients.add(client)
        if self._pusher is None:
            self._pusher = asyncio.create_task(self._push())

    async def _disconnect(self, client: str, *_: Any) -> None:
        self._clients.discard(client)
        self._due.discard(client)

    async def _request(self, client: str, *_: Any) -> None:
        self._due.add(client)
        await self._send((await self._hub.since(None)).data)

    async def _push(self) -> None:
        """Send every client the newest snapshot whenever the hub moves, as often as the snapshot's size allows."""
        try:
            with self._hub.subscribed("socketio"):
                while self._clients and not self._hub.closed:
                    await self._wait()
                    snapshot = (await self._hub.since(None)).data
                    await self._send(snapshot)
                    # At the hub's pace while snapshots are small; the more they hold, the fewer.
                    await asyncio.sleep(self._hub.interval * (len(snapshot) / _PER_PUSH))
        finally:
            self._pusher = None

    async def _wait(self) -> None:
        """Wait until there is something new, or a client that is due may have caught up."""
        if self._hub.pushed == self._seen:
            if self._due:
                await asyncio.sleep(max(self._hub.interval, 0.05))
            else:
                await self._hub.moved()
        if self._hub.pushed != self._seen:
            self._seen = self._hub.pushed
            self._hub.missed("socketio", len(self._due))
            self._due |= self._clients

    async def _send(self, snapshot: str) -> None:
        ready = [client for client in self._due if self._has_read(client)]
        if ready:
            self._due.difference_update(ready)
            # Encoded once, for all who are ready.
            await self._server.emit("stats_update", json.loads(snapshot), to=ready)

    def _has_read(self, client: str) -> bool:
        engine = self._server.eio.sockets.get(self._server.manager.eio_sid_from_sid(client, "/"))
        return engine is not None and engine.queue.empty()
