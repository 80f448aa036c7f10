"""A limit on open connections: when it is reached, idle connections are closed first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from exporter.metrics import CONNECTIONS, CONNECTIONS_LIMIT
from exporter.own_metrics import OwnMetrics
from exporter.security.tls import Tls
from exporter.settings.options import HttpLimits
from exporter.web.refusals import Refusals, Refused


class _Connection(Protocol):
    def end(self) -> None: ...


class ConnectionLimit:
    """Limits the open connections of one server.

    At the limit, a new connection closes the one that has been idle (without a request) the longest. If none is idle,
    the new one is refused. So silent clients keep nobody out.
    """

    def __init__(
        self, limits: HttpLimits, refusals: Refusals, tls: Callable[[], Tls | None], own: OwnMetrics | None = None
    ) -> None:
        self.limits = limits
        self.refusals = refusals
        self.tls = tls
        self._without_request: dict[_Connection, None] = {}  # longest idle first
        self._with_request: set[_Connection] = set()
        self._established: set[Any] = set()
        own = own or OwnMetrics()
        own.gauge(CONNECTIONS).set_function(self._count)
        own.gauge(CONNECTIONS_LIMIT).set(limits.connections)

    def count_established(self, established: set[Any]) -> None:
        """Count uvicorn's connections too: only uvicorn knows those upgraded to WebSocket."""
        self._established = established

    def _count(self) -> int:
        # uvicorn does not know connections during their TLS handshake.
        return len(self._established | self._without_request.keys() | self._with_request)

    def admit(self, connection: _Connection) -> bool:
        """Count the connection and return True, or return False if it must be refused. May close an idle connection."""
        if self._count() >= self.limits.connections:
            if not self._without_request:
                self.refusals.count(
                    Refused.CONNECTIONS,
                    f"too many connections (--limit.connections={self.limits.connections}), and none is idle",
                )
                return False
            self.refusals.count(
                Refused.IDLE,
                f"too many connections (--limit.connections={self.limits.connections}): closed the longest idle one",
            )
            next(iter(self._without_request)).end()
        self._without_request[connection] = None
        return True

    def set_busy(self, connection: _Connection, *, busy: bool) -> None:
        """Record whether a connection has a request under way."""
        if busy == (connection in self._with_request):
            return
        if busy:
            self._without_request.pop(connection, None)
            self._with_request.add(connection)
        else:
            self._with_request.discard(connection)
            self._without_request[connection] = None

    def release(self, connection: _Connection) -> None:
        """Stop counting a connection."""
        self._without_request.pop(connection, None)
        self._with_request.discard(connection)
