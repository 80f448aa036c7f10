"""Counting what the limits and the other guards of the web server refuse."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from exporter.logs import RateLimited

logger = logging.getLogger("exporter.http")


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
