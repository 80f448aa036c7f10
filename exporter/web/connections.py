"""Connections: how many there may be, how long each may take to ask for something, and TLS.

uvicorn has no timeout for a client that connects and says nothing, or little; and its limit on concurrency turns away
the requests of those who are connected already. Both are dealt with here, before a request reaches the app.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from contextlib import suppress
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from exporter.security.tls import SEND_ALERT, Tls
from exporter.web.connection_limit import Door
from exporter.web.limits import Refused

# A peer that is gone without a word is noticed after about two minutes; one that does not take what it is sent, after
# one. What a platform does not have is left out. Seconds, but for TCP_USER_TIMEOUT, which is in milliseconds.
_DEAD_PEERS: Final = {
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPALIVE": 60,
    "TCP_KEEPINTVL": 15,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 60_000,
}

LOG: Final = logging.getLogger("uvicorn.error").getChild("connections")
LOG.setLevel(logging.ERROR)


class Connection(H11Protocol):
    """One connection, from the moment that it is accepted."""

    def __init__(self, door: Door, **server: Any) -> None:
        super().__init__(**server)
        # uvicorn warns of each malformed request; here they are counted and told once in a while.
        self.logger = LOG
        door.follow(self.connections)
        self._door = door
        self._wire: asyncio.Transport | None = None
        self._open = False
        self._gone = False
        self._early = b""
        self._timer: asyncio.TimerHandle | None = None
        self._securing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or be turned away; make TLS if there is to be."""
        self._wire = transport
        _notice_dead_peers(transport)
        if not self._door.enter(self):
            self._gone = True
            if self._door.tls() is None:
                self.transport = transport
                self._answer(503, "expected fewer connections than there are")
            else:
                transport.abort()
            return
        self._start_timer()
        tls = self._door.tls()
        if tls is None:
            self._begin(transport)
        else:
            # Not a byte before the handshake has begun, which is in the loop's next turn.
            transport.pause_reading()
            self._securing = self.loop.create_task(self._secure(transport, tls))

    async def _secure(self, transport: asyncio.Transport, tls: Tls) -> None:
        SEND_ALERT.set(transport.write)
        try:
            secured = await self.loop.start_tls(
                transport, self, tls.context, server_side=True, ssl_handshake_timeout=self._door.limits.header_seconds
            )
        except OSError as problem:
            # Who goes away by itself was not refused: those who ask whether anybody listens do.
            if not self._gone and not isinstance(problem, ConnectionResetError):
                reason = getattr(problem, "verify_message", None) or getattr(problem, "reason", None) or problem
                self._refuse(Refused.HANDSHAKE, f"TLS handshake {self._whose()} failed: {reason}")
            self._leave()
            return
        if secured is None or self._gone:  # the peer has gone away
            self._leave()
        elif not tls.admits(secured.get_extra_info("peercert")):
            self._refuse(Refused.HANDSHAKE, f"no name of the client's certificate {self._whose()} is allowed")
            self._leave()
            secured.abort()
        else:
            self._begin(secured)
            self.data_received(self._early)

    def _begin(self, transport: asyncio.Transport) -> None:
        self._wire = transport
        self._open = True
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Read on, and look whether there is a request now."""
        if not self._open:
            # With the last bytes of a handshake there may come the first of a request.
            self._early += data
        elif data:
            super().data_received(data)
            self._take_note()

    def on_response_complete(self) -> None:
        """Be idle again, unless the next request has come already."""
        super().on_response_complete()
        if not self._gone:
            self._door.note(self, busy=self._busy())

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _take_note(self) -> None:
        if self._gone:
            return
        busy = self._busy()
        self._door.note(self, busy=busy)
        if busy:
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._door.limits.header_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self._open:  # the handshake has a timeout of its own
            seconds = self._door.limits.header_seconds
            self._refuse(
                Refused.HEADER_TIME, f"no whole request {self._whose()} within {seconds:g} s (--limit.header-time)"
            )
            self._answer(408, f"expected a request's line and headers within {seconds:g} s")

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the rest to another protocol."""
        self._leave()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Say what was wrong with what is not a request."""
        if self._busy():
            # The rest of a body that is under way will not come, and its answer is this one.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        # Called where h11 refuses what came, and its exception knows better than this one answer what was wrong.
        problem = sys.exception()
        status = problem.error_status_hint if isinstance(problem, h11.RemoteProtocolError) else 400
        if status == 431:
            limit = self._door.limits.header_bytes
            self._refuse(
                Refused.HEADER_BYTES,
                f"a request {self._whose()} with headers above {limit} bytes (--limit.header-bytes)",
            )
            self._answer(status, f"expected a request's line and headers in at most {limit} bytes")
        else:
            self._refuse(Refused.MALFORMED, f"not an HTTP request {self._whose()}: {problem or msg}")
            self._answer(status, msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place free."""
        self._leave()
        if self._open:
            super().connection_lost(exc)

    def shutdown(self) -> None:
        """End it if nothing is under way, else once that is done: uvicorn asks for this when it stops."""
        if self._busy() or self.transport.get_write_buffer_size():
            super().shutdown()
        else:
            self.end()  # a peer that is idle does not answer the end of TLS, and would be waited for

    def end(self) -> None:
        """Close it at once, with whatever it has not read."""
        self._leave()
        self.connections.discard(self)
        if self._wire is not None:
            self._wire.abort()

    def _leave(self) -> None:
        self._gone = True
        self._stop_timer()
        self._door.leave(self)

    def _whose(self) -> str:
        peer = self._wire.get_extra_info("peername") if self._wire is not None else None
        return f"from {peer[0]}" if peer else "from a peer that is gone"

    def _refuse(self, reason: Refused, message: str) -> None:
        self._door.refusals.count(reason, message)

    def _answer(self, status: int, error: str) -> None:
        """Answer in the app's stead, and close."""
        body = json.dumps({"error": error, "details": []}).encode()
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body)).encode()),
            (b"X-Content-Type-Options", b"nosniff"),
            (b"Connection", b"close"),
        ]
        events = (
            h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES.get(status, b"")),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        # In the middle of another answer there is no place for this one.
        with suppress(h11.LocalProtocolError):
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _notice_dead_peers(transport: asyncio.Transport) -> None:
    connected = transport.get_extra_info("socket")
    # A peer that is gone already makes some systems refuse; its connection ends anyway.
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _DEAD_PEERS.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
