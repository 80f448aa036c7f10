"""Who may be connected: a bounded number, of which the idle make room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from exporter.security.tls import Tls
from exporter.settings.options import HttpLimits
from exporter.web.limits import Refusals, Refused


class _Connection(Protocol):
    def end(self) -> None: ...


class Door:
    """Lets connections of one server in.

    When all places are taken, the connection that has been without a request for the longest time makes room. Only if
    there is none is a new one refused. So whoever connects and stays silent keeps nobody out.
    """

    def __init__(self, limits: HttpLimits, refusals: Refusals, tls: Callable[[], Tls | None]) -> None:
        self.limits = limits
        self.refusals = refusals
        self.tls = tls
        self._without_request: dict[_Connection, None] = {}  # the one that has been so longest comes first
        self._with_request: set[_Connection] = set()
        self._established: set[Any] = set()

    def follow(self, established: set[Any]) -> None:
        """Count these as well: uvicorn's connections, of which WebSockets are known to it alone."""
        self._established = established

    def numbers(self) -> Mapping[str, Any]:
        """The numbers about connections, by the ``field`` of the families that show them."""
        return {"connections": self._count(), "connections_limit": self.limits.connections}

    def _count(self) -> int:
        # uvicorn, on the other hand, does not know connections that TLS is still being made for.
        return len(self._established | self._without_request.keys() | self._with_request)

    def enter(self, connection: _Connection) -> bool:
        """Let a connection in if there is a place, or one can be made."""
        if self._count() >= self.limits.connections:
            if not self._without_request:
                self.refusals.count(
                    Refused.CONNECTIONS,
                    f"a connection: all {self.limits.connections} (--limit.connections) have requests under way",
                )
                return False
            self.refusals.count(
                Refused.IDLE,
                f"the connection idle for longest: {self.limits.connections} (--limit.connections) are open",
            )
            next(iter(self._without_request)).end()
        self._without_request[connection] = None
        return True

    def note(self, connection: _Connection, *, busy: bool) -> None:
        """Take note that a request is now under way on a connection, or no longer."""
        if busy == (connection in self._with_request):
            return
        if busy:
            self._without_request.pop(connection, None)
            self._with_request.add(connection)
        else:
            self._with_request.discard(connection)
            self._without_request[connection] = None

    def leave(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._without_request.pop(connection, None)
        self._with_request.discard(connection)
