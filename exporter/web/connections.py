"""Connections: admission, header timeout and TLS handshake.

uvicorn has no timeout for a client that connects and sends little or nothing, and its concurrency limit refuses
requests on connections that are already open. This module handles both before a request reaches the app.
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
from exporter.web.connection_limit import ConnectionLimit
from exporter.web.refusals import Refused

# A vanished peer is noticed after about two minutes, one that reads nothing after one minute. Options that the platform
# lacks are skipped. All are in seconds, except TCP_USER_TIMEOUT, which is in milliseconds.
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
    """One connection, from the moment it is accepted."""

    def __init__(self, connection_limit: ConnectionLimit, **server: Any) -> None:
        super().__init__(**server)
        # uvicorn logs each malformed request; here they are counted, and their log lines are rate limited.
        self.logger = LOG
        connection_limit.count_established(self.connections)
        self._connection_limit = connection_limit
        self._wire: asyncio.Transport | None = None
        self._open = False
        self._closed = False
        self._early = b""
        self._timer: asyncio.TimerHandle | None = None
        self._securing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit or refuse the connection, and start the TLS handshake if there is TLS."""
        self._wire = transport
        _notice_dead_peers(transport)
        if not self._connection_limit.admit(self):
            self._closed = True
            if self._connection_limit.tls() is None:
                self.transport = transport
                self._answer(503, f"too many connections (limit {self._connection_limit.limits.connections})")
            else:
                transport.abort()
            return
        self._start_timer()
        tls = self._connection_limit.tls()
        if tls is None:
            self._begin(transport)
        else:
            # Read nothing before the handshake starts, in the next iteration of the event loop.
            transport.pause_reading()
            self._securing = self.loop.create_task(self._secure(transport, tls))

    async def _secure(self, transport: asyncio.Transport, tls: Tls) -> None:
        SEND_ALERT.set(transport.write)
        try:
            secured = await self.loop.start_tls(
                transport,
                self,
                tls.context,
                server_side=True,
                ssl_handshake_timeout=self._connection_limit.limits.header_seconds,
            )
        except OSError as problem:
            # A peer that disconnects by itself was not refused; port checks do that.
            if not self._closed and not isinstance(problem, ConnectionResetError):
                reason = getattr(problem, "verify_message", None) or getattr(problem, "reason", None) or problem
                self._refuse(Refused.HANDSHAKE, f"TLS handshake {self._whose()} failed: {reason}")
            self._release()
            return
        if secured is None or self._closed:  # the peer disconnected
            self._release()
        elif not tls.admits(secured.get_extra_info("peercert")):
            self._refuse(
                Refused.HANDSHAKE, f"client certificate {self._whose()} has no name listed in client_allowed_sans"
            )
            self._release()
            secured.abort()
        else:
            self._begin(secured)
            self.data_received(self._early)

    def _begin(self, transport: asyncio.Transport) -> None:
        self._wire = transport
        self._open = True
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and record whether a request is now under way."""
        if not self._open:
            # The last bytes of a handshake may be followed by the first of a request.
            self._early += data
        elif data:
            super().data_received(data)
            self._update_busy()

    def on_response_complete(self) -> None:
        """Become idle, unless the next request has already arrived."""
        super().on_response_complete()
        if not self._closed:
            self._connection_limit.set_busy(self, busy=self._busy())

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _update_busy(self) -> None:
        if self._closed:
            return
        busy = self._busy()
        self._connection_limit.set_busy(self, busy=busy)
        if busy:
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._connection_limit.limits.header_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self._open:  # the handshake has its own timeout
            seconds = self._connection_limit.limits.header_seconds
            self._refuse(
                Refused.HEADER_TIME,
                f"incomplete request headers {self._whose()} after {seconds:g} s (--limit.header-time)",
            )
            self._answer(408, f"the request line and headers did not arrive within {seconds:g} s")

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to the WebSocket protocol."""
        self._release()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not a valid HTTP request."""
        if self._busy():
            # The rest of the current body will not arrive: this is the answer to its request.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        # uvicorn calls this while it handles h11's exception, which holds the precise problem and status.
        problem = sys.exception()
        status = problem.error_status_hint if isinstance(problem, h11.RemoteProtocolError) else 400
        if status == 431:
            limit = self._connection_limit.limits.header_bytes
            self._refuse(
                Refused.HEADER_BYTES,
                f"request line and headers {self._whose()} are larger than {limit} bytes (--limit.header-bytes)",
            )
            self._answer(status, f"request line and headers too large (limit {limit} bytes)")
        else:
            self._refuse(Refused.MALFORMED, f"not an HTTP request {self._whose()}: {problem or msg}")
            self._answer(status, msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection."""
        self._release()
        if self._open:
            super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection, after its request if one is under way. uvicorn calls this when it stops."""
        if self._busy() or self.transport.get_write_buffer_size():
            super().shutdown()
        else:
            self.end()  # an idle peer does not answer a TLS close, so waiting for it would delay the stop

    def end(self) -> None:
        """Close the connection at once and discard unsent data."""
        self._release()
        self.connections.discard(self)
        if self._wire is not None:
            self._wire.abort()

    def _release(self) -> None:
        self._closed = True
        self._stop_timer()
        self._connection_limit.release(self)

    def _whose(self) -> str:
        peer = self._wire.get_extra_info("peername") if self._wire is not None else None
        return f"from {peer[0]}" if peer else "from a disconnected peer"

    def _refuse(self, reason: Refused, message: str) -> None:
        self._connection_limit.refusals.count(reason, message)

    def _answer(self, status: int, error: str) -> None:
        """Send an error response in place of the app, and close."""
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
        # No second response may start in the middle of another one.
        with suppress(h11.LocalProtocolError):
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _notice_dead_peers(transport: asyncio.Transport) -> None:
    connected = transport.get_extra_info("socket")
    # Some systems refuse this for a peer that has already disconnected; its connection ends anyway.
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _DEAD_PEERS.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
