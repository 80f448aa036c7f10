"""Socket.IO for existing stats pages: sends whole snapshots, on request and on change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import socketio
from socketio.packet import BINARY_ACK, BINARY_EVENT, EVENT, Packet

from exporter.live.hub import Hub
from exporter.logs import RateLimited

logger = logging.getLogger(__name__)

_PER_PUSH: Final = 64 * 1024  # characters of a snapshot sent at the hub's pace; larger ones are sent less often
INCOMING: Final = 64 * 1024  # bytes; clients send only requests
_UNREAD: Final = 32  # packets; one is a snapshot, the others are short
_RESERVED: Final = ("connect", "disconnect")  # https://socket.io/docs/v4/emit-cheatsheet/#reserved-events


class Sockets:
    """A Socket.IO server over a hub; ``app`` is its application. Pages of other ``origins`` may connect (``"*"``: all).

    Engine.IO queues unread packets without a limit. So a client gets nothing while its queue holds packets, and the
    newest snapshot when it has caught up. Answers of the protocols themselves use the same queue, and are dropped when
    it is full.
    """

    def __init__(self, hub: Hub, origins: Collection[str] = ()) -> None:
        self._hub = hub
        self._clients: dict[str, _Client] = {}
        log = _protocol_log()
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            async_handlers=False,  # in order: a flood of requests waits in the client's own connection
            serializer=_TextPacket,
            max_http_buffer_size=INCOMING,
            cors_allowed_origins=list(origins) or None,  # None allows only the exporter's own origin, an empty list all
            cors_credentials="*" not in origins,
            logger=log,
            engineio_logger=log,
        )
        self._server.eio.create_queue = _Unread
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("request_stats", self._request)
        self.app = socketio.ASGIApp(self._server, socketio_path="socket.io")

    @property
    def sessions(self) -> int:
        """Number of open sessions, including those without requests."""
        return len(self._server.eio.sockets)

    async def _connect(self, client: str, *_: Any) -> None:
        engine = self._server.manager.eio_sid_from_sid(client, "/")
        unread = self._server.eio.sockets[engine].queue
        self._clients[client] = _Client(self._hub, unread, lambda packet: self._server.eio.send(engine, packet))

    async def _disconnect(self, client: str, *_: Any) -> None:
        self._clients.pop(client).stop()

    async def _request(self, client: str, *_: Any) -> None:
        self._clients[client].request()


class _Client:
    """Sends snapshots to one client until it disconnects; ``send`` puts packets into the queue ``unread``."""

    def __init__(self, hub: Hub, unread: _Unread, send: Callable[[str], Awaitable[None]]) -> None:
        self._hub = hub
        self._unread = unread
        self._send = send
        self._requested = asyncio.Event()
        self._task = asyncio.create_task(self._serve())

    def request(self) -> None:
        """Send a snapshot soon, with or without changes."""
        self._requested.set()

    def stop(self) -> None:
        """Stop sending."""
        self._task.cancel()

    async def _serve(self) -> None:
        told = self._hub.pushed
        with self._hub.subscribed("socketio"):
            while not self._hub.closed:
                if self._hub.pushed == told and not self._requested.is_set():
                    await self._hub.moved(self._requested)
                    continue
                due = self._hub.pushed
                await self._unread.read()
                told = self._hub.pushed
                self._hub.missed("socketio", told - due)
                self._requested.clear()
                push = await self._hub.since(None)
                await self._send(push.packet)
                # Small snapshots are sent at the hub's pace, larger ones less often.
                await asyncio.sleep(self._hub.interval * len(push.packet) / _PER_PUSH)


class _Unread(asyncio.Queue[Any]):
    """The unread packets of a client; packets above ``_UNREAD`` are dropped."""

    async def put(self, item: Any) -> None:
        # None ends the session; without it, its task would wait for ever.
        if item is None or self.qsize() < _UNREAD:
            await super().put(item)

    async def join(self) -> None:
        """Return at once: Engine.IO would wait for ever for a closed client that never reads."""

    async def read(self) -> None:
        """Wait until the client has read everything."""
        await super().join()


class _TextPacket(Packet):  # type: ignore[misc] # python-socketio has no types
    """A packet without attachments and reserved events.

    python-socketio would collect any number of attachments before it checks them, and would treat a client's event
    named ``connect`` as another client that never disconnects.
    """

    def decode(self, encoded_packet: str) -> int:
        """Decode a packet; raises ``ValueError`` if it announces attachments or is a reserved event."""
        count: int = super().decode(encoded_packet)
        if self.packet_type in {BINARY_EVENT, BINARY_ACK}:
            raise ValueError("attachments are not supported")
        if self.packet_type == EVENT and isinstance(self.data, list) and self.data and self.data[0] in _RESERVED:
            raise ValueError(f"reserved event {self.data[0]!r}")
        return count


def _protocol_log() -> logging.Logger:
    """Return a rate-limited log for the protocols' implementations; clients can cause any number of errors."""
    limited = RateLimited(logger)

    def tell(record: logging.LogRecord) -> bool:
        problem = record.exc_info[1] if record.exc_info else None
        limited.warning(str(record.msg), f"Socket.IO: {record.getMessage()}" + (f": {problem!r}" if problem else ""))
        return False

    log = logging.Logger(f"{__name__}.protocol", logging.WARNING)  # noqa: LOG001 - one for each server
    log.addFilter(tell)
    return log
