"""Socket.IO, for clients of the hand-made stats page: whole snapshots, on request and on change."""

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

_PER_PUSH: Final = 64 * 1024  # characters of a snapshot that may go out at the hub's pace; larger ones go less often
INCOMING: Final = 64 * 1024  # bytes; clients only ask
_UNREAD: Final = 32  # packets; one is a snapshot, the others are short
_RESERVED: Final = ("connect", "disconnect")  # https://socket.io/docs/v4/emit-cheatsheet/#reserved-events


class Sockets:
    """A Socket.IO server over a hub, for pages of ``origins`` too, all if one is ``"*"``: ``app`` is its application.

    Engine.IO keeps what a client has not read yet in a queue without a bound. So a client is sent nothing while its
    queue holds anything: it gets the newest snapshot once it has caught up. What the protocols answer by themselves
    goes into the same queue, and is dropped when that is full.
    """

    def __init__(self, hub: Hub, origins: Collection[str] = ()) -> None:
        self._hub = hub
        self._clients: dict[str, _Client] = {}
        log = _protocol_log()
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            async_handlers=False,  # one after the other: a client's flood waits in its own connection
            serializer=_TextPacket,
            max_http_buffer_size=INCOMING,
            cors_allowed_origins=list(origins) or None,  # None lets in the exporter's own, and an empty list everybody
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
        """How many clients have a session, whether they have asked for anything or not."""
        return len(self._server.eio.sockets)

    async def _connect(self, client: str, *_: Any) -> None:
        engine = self._server.manager.eio_sid_from_sid(client, "/")
        unread = self._server.eio.sockets[engine].queue
        self._clients[client] = _Client(self._hub, unread, lambda packet: self._server.eio.send(engine, packet))

    async def _disconnect(self, client: str, *_: Any) -> None:
        self._clients.pop(client).leave()

    async def _request(self, client: str, *_: Any) -> None:
        self._clients[client].ask()


class _Client:
    """Sends one client snapshots, until it leaves; ``unread`` is the queue that ``send`` puts packets into."""

    def __init__(self, hub: Hub, unread: _Unread, send: Callable[[str], Awaitable[None]]) -> None:
        self._hub = hub
        self._unread = unread
        self._send = send
        self._asked = asyncio.Event()
        self._task = asyncio.create_task(self._serve())

    def ask(self) -> None:
        """Have it sent a snapshot, changes or not."""
        self._asked.set()

    def leave(self) -> None:
        """Send it no more."""
        self._task.cancel()

    async def _serve(self) -> None:
        told = self._hub.pushed
        with self._hub.subscribed("socketio"):
            while not self._hub.closed:
                if self._hub.pushed == told and not self._asked.is_set():
                    await self._hub.moved(self._asked)
                    continue
                due = self._hub.pushed
                await self._unread.read()
                told = self._hub.pushed
                self._hub.missed("socketio", told - due)
                self._asked.clear()
                push = await self._hub.since(None)
                await self._send(push.packet)
                # At the hub's pace while snapshots are small; the more they hold, the fewer.
                await asyncio.sleep(self._hub.interval * len(push.packet) / _PER_PUSH)


class _Unread(asyncio.Queue[Any]):
    """What a client has not read yet: what comes on top of ``_UNREAD`` packets is dropped."""

    async def put(self, item: Any) -> None:
        # None is the end of a session, without which the task that serves it would wait for ever.
        if item is None or self.qsize() < _UNREAD:
            await super().put(item)

    async def join(self) -> None:
        """Do not wait: Engine.IO would, for ever, for a client that it has given up and that never reads."""

    async def read(self) -> None:
        """Wait until nothing is left."""
        await super().join()


class _TextPacket(Packet):  # type: ignore[misc] # python-socketio has no types
    """A packet that the protocol's implementation handles well.

    It would gather attachments in any number before it looks at them, and takes an event of a client's that is called
    ``connect`` for one more client, who then never leaves.
    """

    def decode(self, encoded_packet: str) -> int:
        """Read a packet; raises ``ValueError`` for one that announces attachments, and for a reserved event."""
        count: int = super().decode(encoded_packet)
        if self.packet_type in {BINARY_EVENT, BINARY_ACK}:
            raise ValueError("expected a packet without attachments")
        if self.packet_type == EVENT and isinstance(self.data, list) and self.data and self.data[0] in _RESERVED:
            raise ValueError(f"expected an event of the client's own, got {self.data[0]}")
        return count


def _protocol_log() -> logging.Logger:
    """A log for the protocols' implementations, whose errors are mostly their clients' and as many as those like."""
    limited = RateLimited(logger)

    def tell(record: logging.LogRecord) -> bool:
        problem = record.exc_info[1] if record.exc_info else None
        limited.warning(str(record.msg), f"Socket.IO: {record.getMessage()}" + (f": {problem!r}" if problem else ""))
        return False

    log = logging.Logger(f"{__name__}.protocol", logging.WARNING)  # noqa: LOG001 - one for each server
    log.addFilter(tell)
    return log
