"""The web server's limits, and a count of what they and the other guards at the door refuse."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from exporter.logs import RateLimited

logger = logging.getLogger("exporter.http")

BODY_BYTES: Final = 4 * 1024 * 1024  # a batch of ten thousand streamers is a fourth of it


class Refused(StrEnum):
    """Why connections and requests are refused: the values of the ``reason`` label."""

    CONNECTIONS = "connections"
    IDLE = "idle"
    HANDSHAKE = "handshake"
    HEADER_BYTES = "header_bytes"
    HEADER_TIME = "header_time"
    MALFORMED = "malformed"
    CREDENTIALS = "credentials"
    PASSWORD_CHECKS = "password_checks"  # noqa: S105 # nosec B105 # the name of a reason
    SUBSCRIBERS = "subscribers"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How much the web server takes on before it refuses.

    ``connections`` and live ``subscribers`` are counted at once; there are fewer of the latter, so that a scrape finds
    a place. ``header_bytes`` is the size of a request's line and headers, ``header_seconds`` what they, and before them
    the TLS handshake, may take to arrive. Raises ``ValueError``.
    """

    connections: int = 512  # with what else is open, below the 1,024 files that many systems allow a process
    subscribers: int = 256
    header_bytes: int = 16 * 1024
    header_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("connections", "subscribers", "header_bytes"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
        if not self.header_seconds > 0:
            raise ValueError(f"header_seconds: expected a number above 0, got {self.header_seconds!r}")
        if self.subscribers >= self.connections:
            raise ValueError(
                f"subscribers: expected fewer than connections ({self.connections}), got {self.subscribers}"
            )


class Refusals:
    """Counts refusals by reason, and tells of each reason at most once in ten seconds. Any thread may call it."""

    def __init__(self, log: RateLimited | None = None) -> None:
        self._log = log or RateLimited(logger)
        self._lock = threading.Lock()
        # Every reason from the start, so that increase() sees the first refusal.
        self._counts = {str(reason): 0 for reason in Refused}

    def count(self, reason: Refused, message: str) -> None:
        """Count one refusal; ``message`` tells a person what was refused, and why."""
        with self._lock:
            self._counts[reason] += 1
        self._log.warning(reason, message)

    def numbers(self) -> Mapping[str, Any]:
        """The counts, by the ``field`` of the family that shows them."""
        with self._lock:
            return {"http_refused": self._counts.copy()}
